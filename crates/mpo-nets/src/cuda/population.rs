//! Learners that share a device: each run deposits its batch, and the last to come launches one update of all.
//!
//! What a run finds does not depend on who else is there: no kernel's sum crosses a run's border, and the order of its terms is
//! the same whatever the grid. A run that has ended, or has not begun, has an empty batch, over which kernels return at once.

use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{
    device::Device,
    memory::{Capacity, NAMES, TRAVEL},
    model::{Kind, Model},
    state::{self, Control},
    step::DeviceLearner,
    update::Program,
};
use crate::{BatchView, GradientReducer, NetsError, UpdateStats, learner::Fingerprint};

/// How often the host hears from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Updates between two readings of the statistics, at least 1. Every reading waits for the device.
    pub stats: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { stats: 50 }
    }
}

type Open = Box<dyn Fn(&Model) -> Result<Box<dyn Device>, NetsError> + Send>;

/// Places for a number of runs on one device, which is opened when the first of them comes.
#[derive(Clone, Debug)]
pub struct Population {
    shared: Arc<Shared>,
    pace: Pace,
}

#[derive(Debug)]
struct Shared {
    room: Mutex<Room>,
    stepped: Condvar,
}

/// What all runs share, behind one lock.
struct Room {
    open: Open,
    hall: Option<Hall>,
    members: Vec<Member>,
    /// Updates launched.
    launches: u64,
    failed: Option<String>,
}

/// The device and what is on it.
struct Hall {
    device: Box<dyn Device>,
    source: String,
    capacity: Capacity,
    program: Program,
}

/// A run's place.
#[derive(Debug, Default)]
struct Member {
    alive: bool,
    deposited: bool,
    /// Behind a lock of its own, so that runs fill theirs side by side.
    batch: Arc<Mutex<Deposit>>,
}

impl Member {
    fn batch(&self) -> MutexGuard<'_, Deposit> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch as the device reads it.
#[derive(Debug, Default)]
struct Deposit {
    windows: usize,
    starts: Vec<u32>,
    states: Vec<f32>,
    taken: Vec<f32>,
    frames: Vec<u8>,
    discrete: Vec<u32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
    /// Transitions of the longest window.
    longest: usize,
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("members", &self.members.len())
            .field("launches", &self.launches)
            .finish_non_exhaustive()
    }
}

impl Population {
    /// Places for `runs` runs on the device that `open` opens.
    ///
    /// # Panics
    /// If `runs` or the pace is zero.
    #[must_use]
    pub fn new(
        runs: usize,
        pace: Pace,
        open: impl Fn(&Model) -> Result<Box<dyn Device>, NetsError> + Send + 'static,
    ) -> Self {
        assert!(runs > 0 && pace.stats > 0, "a population of {runs} runs, read every {} updates", pace.stats);
        let members = (0..runs).map(|_| Member::default()).collect();
        let room = Room { open: Box::new(open), hall: None, members, launches: 0, failed: None };
        Self { shared: Arc::new(Shared { room: Mutex::new(room), stepped: Condvar::new() }), pace }
    }

    /// A new learner of `model` in a free place, its noise from `seed`. Every run of a population steps when all have their batch:
    /// each needs a thread of its own.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device cannot be opened, all places are taken, or the others' kernels are not this learner's:
    /// their networks, kind of learner or number of samples differ.
    pub fn join(&self, model: Model, seed: u64) -> Result<DeviceLearner, NetsError> {
        let mut room = self.shared.lock();
        let Some(run) = room.members.iter().position(|member| !member.alive) else {
            let reason = format!("all {} places of the population are taken", room.members.len());
            return Err(failed(reason));
        };
        let source = model.source();
        if room.hall.is_none() {
            let device = (room.open)(&model)?;
            let capacity = Capacity { transitions: 1, windows: 1 };
            let program = Program::new(&model, capacity, room.members.len());
            let mut hall = Hall { device, source: source.clone(), capacity, program };
            hall.device.prepare(&hall.program.list)?;
            for member in 0..room.members.len() {
                hall.furnish(member)?;
            }
            room.hall = Some(hall);
        }
        let launches = room.launches;
        let hall = room.hall()?;
        if hall.source != source {
            return Err(failed("the runs of a population must share networks, kind of learner and samples".to_owned()));
        }
        let words = state::initial(&model, &hall.program, seed, launches);
        let at = run * hall.program.list.arena.len();
        hall.device.write(at, &words)?;
        room.members[run].alive = true;
        let batch = room.members[run].batch.clone();
        drop(room);
        let seat = Seat { shared: self.shared.clone(), run, batch };
        Ok(DeviceLearner::new(seat, model, self.pace))
    }

    /// The launches of an update with batches up to `capacity`, without a device.
    #[must_use]
    pub fn launch_list(model: &Model, capacity: Capacity, runs: usize) -> super::LaunchList {
        Program::new(model, capacity, runs).list
    }
}

fn failed(reason: String) -> NetsError {
    NetsError::Device { device: "the population", reason }
}

fn nobody() -> NetsError {
    failed("nobody has joined".to_owned())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Room> {
        // A run that panicked while it held the lock has left `failed` or a whole room behind.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn hall(&mut self) -> Result<&mut Hall, NetsError> {
        if let Some(reason) = &self.failed {
            return Err(failed(reason.clone()));
        }
        self.hall.as_mut().ok_or_else(nobody)
    }

    /// Whether every run that lives has its batch.
    fn is_full(&self) -> bool {
        let mut alive = self.members.iter().filter(|member| member.alive).peekable();
        alive.peek().is_some() && alive.all(|member| member.deposited)
    }

    /// Launches an update of all; what fails is told to every run.
    fn step(&mut self, model: &Model) {
        let outcome = self.launch(model);
        self.launches += 1;
        self.members.iter_mut().for_each(|member| member.deposited = false);
        if let Err(error) = outcome {
            self.failed = Some(error.to_string());
        }
    }

    /// The slot that the next launch reads, filled with the batches that are there.
    fn stage(&mut self, model: &Model) -> Result<usize, NetsError> {
        let (runs, slot) = (self.members.len(), (self.launches % 2) as usize);
        let needed = self.members.iter().filter(|member| member.deposited).map(|member| member.batch().capacity());
        let needed = needed.fold(Capacity::default(), Capacity::or);
        let Some(hall) = &mut self.hall else { return Err(nobody()) };
        if needed.or(hall.capacity) != hall.capacity {
            hall.grow(model, needed.or(hall.capacity), runs)?;
        }
        let batch = hall.program.list.batch.clone();
        let staging = hall.device.staging(slot)?;
        for (member, words) in self.members.iter().zip(staging.chunks_exact_mut(batch.len())) {
            if member.deposited {
                member.batch().pack(&batch, words);
            } else {
                let head = batch.get("head").at;
                words[head..head + 2].fill(0);
            }
        }
        Ok(slot)
    }

    fn launch(&mut self, model: &Model) -> Result<(), NetsError> {
        let slot = self.stage(model)?;
        self.hall()?.device.launch(slot)
    }

    /// An update of the only run, along the gradient of all workers.
    fn launch_with(&mut self, model: &Model, workers: &mut dyn GradientReducer) -> Result<(), NetsError> {
        let hall = self.hall()?;
        if hall.program.list.meeting.is_none() {
            let capacity = hall.capacity;
            hall.rebuild(Program::together(model, capacity), 1)?;
        }
        let slot = self.stage(model)?;
        let hall = self.hall()?;
        hall.device.launch(slot)?;
        let travel = hall.program.list.arena.get(TRAVEL);
        hall.device.meet(travel.at, travel.len, workers)?;
        hall.device.conclude(slot)
    }
}

impl Hall {
    /// Makes room for larger batches.
    fn grow(&mut self, model: &Model, capacity: Capacity, runs: usize) -> Result<(), NetsError> {
        self.capacity = capacity;
        let program = match self.program.list.meeting {
            Some(_) => Program::together(model, capacity),
            None => Program::new(model, capacity, runs),
        };
        self.rebuild(program, runs)
    }

    /// Takes another program of the same model; all that outlives an update moves over.
    fn rebuild(&mut self, program: Program, runs: usize) -> Result<(), NetsError> {
        let (from, persistent) = (self.program.list.arena.len(), self.program.persistent);
        let mut kept = vec![0; runs * persistent];
        for (run, words) in kept.chunks_exact_mut(persistent).enumerate() {
            self.device.read(run * from, words)?;
        }
        self.program = program;
        self.device.prepare(&self.program.list)?;
        let to = self.program.list.arena.len();
        for (run, words) in kept.chunks_exact(persistent).enumerate() {
            self.device.write(run * to, words)?;
            self.furnish(run)?;
        }
        Ok(())
    }

    /// Writes a run's tables.
    fn furnish(&mut self, run: usize) -> Result<(), NetsError> {
        let base = run * self.program.list.arena.len();
        for (name, words) in &self.program.tables {
            self.device.write(base + self.program.list.arena.get(name).at, words)?;
        }
        Ok(())
    }
}

impl Deposit {
    fn fill(&mut self, batch: &BatchView<'_>, model: &Model) {
        let ((t, w), numbers) = match model.kind {
            Kind::Numbers { .. } => (batch.sizes(batch.observations, model.observation), model.action),
            Kind::Frames(_) => (batch.sizes(batch.frames, model.observation), 0),
        };
        assert_eq!(batch.actions.len(), t * numbers, "actions of the batch");
        if numbers == 0 {
            assert_eq!(batch.discrete_actions.len(), t, "discrete actions of the batch");
            let known = batch.discrete_actions.iter().all(|&action| (action as usize) < model.action);
            assert!(known, "an action of the batch is not among the {}", model.action);
        }
        assert_eq!(
            (batch.discounts.len(), batch.log_probs.len()),
            (t, t),
            "discounts and log-probabilities of the batch"
        );
        self.windows = w;
        self.starts.clear();
        self.starts.push(0);
        let mut end = 0;
        for &length in batch.lengths {
            end += length;
            self.starts.push(end);
        }
        assert_eq!(end as usize, t, "the windows' lengths do not sum to the number of transitions");
        self.longest = batch.lengths.iter().max().map_or(0, |&length| length as usize);
        if numbers == 0 {
            self.frames.resize((t + w) * model.observation, 0);
            batch.gather(batch.frames, model.observation, &mut self.frames);
        } else {
            self.states.resize((t + w) * model.observation, 0.0);
            batch.gather(batch.observations, model.observation, &mut self.states);
        }
        self.discrete.clear();
        self.discrete.extend_from_slice(batch.discrete_actions);
        for (to, from) in [
            (&mut self.taken, batch.actions),
            (&mut self.rewards, batch.rewards),
            (&mut self.discounts, batch.discounts),
            (&mut self.log_probs, batch.log_probs),
        ] {
            to.clear();
            to.extend_from_slice(from);
        }
    }

    /// What a batch of as many windows can need: the next may have no short one.
    fn capacity(&self) -> Capacity {
        Capacity { transitions: self.windows * self.longest, windows: self.windows }
    }

    fn pack(&self, layout: &super::Arena, words: &mut [u32]) {
        let mut put = |name: &str, bytes: &[u8]| {
            let at = layout.get(name).at;
            bytemuck::cast_slice_mut(&mut words[at..])[..bytes.len()].copy_from_slice(bytes);
        };
        // Of a state's numbers and its frames, and of either kind of action, one is empty.
        put("states", bytemuck::cast_slice(&self.states));
        put("states", &self.frames);
        put("taken", bytemuck::cast_slice(&self.taken));
        put("taken", bytemuck::cast_slice(&self.discrete));
        put("rewards", bytemuck::cast_slice(&self.rewards));
        put("discounts", bytemuck::cast_slice(&self.discounts));
        put("log_probs", bytemuck::cast_slice(&self.log_probs));
        let (head, starts) = (layout.get("head").at, layout.get("starts").at);
        words[head..head + 2].copy_from_slice(&[self.rewards.len() as u32, self.windows as u32]);
        words[starts..starts + self.starts.len()].copy_from_slice(&self.starts);
    }
}

/// A run's place in its population.
#[derive(Debug)]
pub(super) struct Seat {
    shared: Arc<Shared>,
    run: usize,
    batch: Arc<Mutex<Deposit>>,
}

impl Seat {
    /// Deposits a batch; returns when the update of all that it belongs to was launched.
    pub(super) fn update(&self, batch: &BatchView<'_>, model: &Model) -> Result<(), NetsError> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner).fill(batch, model);
        let mut room = self.shared.lock();
        room.hall()?;
        room.members[self.run].deposited = true;
        let before = room.launches;
        // Whoever finds all there launches: the last to come, or, when one has left, the first to notice.
        while room.launches == before {
            if room.is_full() {
                room.step(model);
                self.shared.stepped.notify_all();
            } else {
                room = self.shared.stepped.wait(room).unwrap_or_else(PoisonError::into_inner);
            }
        }
        room.hall().map(|_| ())
    }

    /// An update together with other workers, each with the one run of its device.
    pub(super) fn update_with(
        &self,
        batch: &BatchView<'_>,
        model: &Model,
        workers: &mut dyn GradientReducer,
    ) -> Result<(), NetsError> {
        let mut room = self.shared.lock();
        if room.members.len() > 1 {
            let reason = "runs that share a device cannot have workers elsewhere: train one run at a time".to_owned();
            return Err(NetsError::Workers { reason });
        }
        self.batch.lock().unwrap_or_else(PoisonError::into_inner).fill(batch, model);
        room.members[self.run].deposited = true;
        let outcome = room.launch_with(model, workers);
        room.launches += 1;
        room.members[self.run].deposited = false;
        outcome
    }

    /// A hash of all that must be equal among workers.
    pub(super) fn fingerprint(&self) -> Result<u64, NetsError> {
        let mut hash = Fingerprint::new();
        let duals = ["duals", "duals.first", "duals.second"];
        let networks = NAMES.iter().flat_map(|names| [names.online, names.target, names.adam_first, names.adam_second]);
        for piece in duals.into_iter().chain(networks) {
            hash = self.read(piece)?.into_iter().fold(hash, |hash, word| hash.add_number(word.into()));
        }
        Ok(hash.finish())
    }

    /// The last update's statistics.
    pub(super) fn stats(&self) -> Result<UpdateStats, NetsError> {
        let mut room = self.shared.lock();
        let hall = room.hall()?;
        let mut words = vec![0; state::HEAD];
        hall.device.read(self.run * hall.program.list.arena.len(), &mut words)?;
        state::stats(&words)
    }

    /// A named piece of this run's memory.
    pub(super) fn read(&self, piece: &str) -> Result<Vec<u32>, NetsError> {
        let mut room = self.shared.lock();
        let hall = room.hall()?;
        let buffer = hall.program.list.arena.get(piece);
        let mut words = vec![0; buffer.len];
        hall.device.read(self.run * hall.program.list.arena.len() + buffer.at, &mut words)?;
        Ok(words)
    }

    pub(super) fn save(&self, model: &Model, stats: &UpdateStats) -> Result<Vec<u8>, NetsError> {
        let mut room = self.shared.lock();
        let hall = room.hall()?;
        let mut words = vec![0; hall.program.persistent];
        hall.device.read(self.run * hall.program.list.arena.len(), &mut words)?;
        Ok(state::save(model, &hall.program, &words, stats))
    }

    /// Updates made and statistics of the state that was put back.
    pub(super) fn load(&self, model: &Model, bytes: &[u8]) -> Result<(u64, UpdateStats), NetsError> {
        let mut room = self.shared.lock();
        let launches = room.launches;
        let hall = room.hall()?;
        let at = self.run * hall.program.list.arena.len();
        let mut words = vec![0; hall.program.persistent];
        hall.device.read(at, &mut words)?;
        let loaded = state::load(model, &hall.program, bytes, &mut words)?;
        Control(&mut words).set_launches(launches);
        hall.device.write(at, &words)?;
        Ok(loaded)
    }

    pub(super) fn time(&self, rounds: usize) -> Result<Option<Vec<(&'static str, f64)>>, NetsError> {
        let mut room = self.shared.lock();
        room.launches += rounds as u64;
        let hall = room.hall()?;
        let names: Vec<&'static str> = hall.program.list.launches.iter().map(|launch| launch.kernel).collect();
        Ok(hall.device.time(rounds)?.map(|seconds| names.into_iter().zip(seconds).collect()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = self.shared.lock();
        let member = &mut room.members[self.run];
        (member.alive, member.deposited) = (false, false);
        // The others may have waited for this one alone; one of them launches.
        self.shared.stepped.notify_all();
    }
}
