//! Beginning a run, and taking one up again.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use mpo_envs::Spec;
use mpo_nets::{Alone, LearnerStep};
use mpo_replay::ReplayBuffer;

use super::{Collector, Parts, Run};
use crate::AgentError;
use crate::actor::Actor;
use crate::checkpoint::{Checkpoint, Checkpoints, Counters};
use crate::config::Config;
use crate::distributed::Workers;
use crate::environment_loop::EnvironmentLoop;
use crate::error::AtPath;
use crate::evaluator::Evaluator;
use crate::files;
use crate::learner::Learner;
use crate::metrics::Logs;
use crate::provenance::{self, Process};
use crate::records::{Reason, Warning};
use crate::seeds::Seeds;
use crate::shapes::Shape;

const CONFIG: &str = "config.toml";
const PROVENANCE: &str = "provenance.json";

impl Run {
    /// Begins a run of a control-suite task in the new or empty directory `directory`.
    ///
    /// # Errors
    /// [`AgentError::RunExists`] when a run is there; [`AgentError::Io`] when the directory cannot be
    /// written; errors of the settings, the environment and the learner.
    pub fn create(directory: impl AsRef<Path>, config: Config) -> Result<Self, AgentError> {
        Self::create_with(directory, config, &Parts::default())
    }

    /// [`Run::create`] with environments or learners of your own.
    ///
    /// # Errors
    /// As [`Run::create`].
    pub fn create_with(directory: impl AsRef<Path>, config: Config, parts: &Parts) -> Result<Self, AgentError> {
        Self::create_among(directory, config, parts, Box::new(Alone))
    }

    /// [`Run::create_with`] as one of several workers, whose settings say `training.workers`. All of them call it, with the
    /// same arguments; what it says of the directory is the first one's to find out.
    ///
    /// # Errors
    /// As [`Run::create`], and [`AgentError::WorkerCount`].
    pub fn create_among(
        directory: impl AsRef<Path>,
        config: Config,
        parts: &Parts,
        workers: Box<dyn Workers>,
    ) -> Result<Self, AgentError> {
        let directory = directory.as_ref();
        config.validate()?;
        check_count(&config, &*workers)?;
        if !workers.is_first() {
            let mut run = Self::open(directory, config, parts, None, None, workers)?;
            run.workers.wait()?;
            return Ok(run);
        }
        fs::create_dir_all(directory).at("create the directory", directory)?;
        let lock = Lock::take(directory)?;
        let path = directory.join(CONFIG);
        if path.exists() {
            return Err(AgentError::RunExists { path: directory.to_owned() });
        }
        let process = Process::this(0, parts.environments.provenance(&config.task));
        // Everything that can refuse, in whichever worker, comes before `config.toml`, which makes the directory a run.
        let mut run = Self::open(directory, config, parts, Some(lock), None, workers)?;
        run.workers.wait()?;
        provenance::begin(&directory.join(PROVENANCE), process)?;
        files::replace(&path, run.config.to_toml().as_bytes())?;
        Ok(run)
    }

    /// Takes up the run in `directory` where its newest undamaged checkpoint left it; without any
    /// checkpoint yet, at its beginning.
    ///
    /// # Errors
    /// [`AgentError::NotARun`]; [`AgentError::RunBusy`] while another process trains it;
    /// [`AgentError::NoValidCheckpoint`] when all are damaged; [`AgentError::CheckpointConfig`] when
    /// the newest was written under other settings; errors of the environment and the learner.
    pub fn resume(directory: impl AsRef<Path>) -> Result<Self, AgentError> {
        Self::resume_with(directory, &Parts::default())
    }

    /// [`Run::resume`] with environments or learners of your own.
    ///
    /// # Errors
    /// As [`Run::resume`].
    pub fn resume_with(directory: impl AsRef<Path>, parts: &Parts) -> Result<Self, AgentError> {
        Self::resume_among(directory, parts, Box::new(Alone))
    }

    /// [`Run::resume_with`] as one of as many workers as began it. The first chooses the checkpoint, after it has verified the
    /// parts of all.
    ///
    /// # Errors
    /// As [`Run::resume`], and [`AgentError::WorkerCount`].
    pub fn resume_among(
        directory: impl AsRef<Path>,
        parts: &Parts,
        mut workers: Box<dyn Workers>,
    ) -> Result<Self, AgentError> {
        let directory = directory.as_ref();
        let config = read_config(directory)?;
        check_count(&config, &*workers)?;
        if !workers.is_first() {
            let [some, step] = workers.of_first([0, 0])?;
            let checkpoints = Checkpoints::new(directory);
            let checkpoint = (some != 0).then(|| checkpoints.part(step, workers.rank())).transpose()?;
            return Self::open(directory, config, parts, None, checkpoint, workers);
        }
        let lock = Lock::take(directory)?;
        let (checkpoint, mut warnings) = Checkpoints::new(directory).newest()?;
        if let Some(checkpoint) = &checkpoint {
            check_config(&config, checkpoint)?;
        } else {
            warnings.push(Warning::NoCheckpointYet { path: directory.to_owned() });
        }
        let step = checkpoint.as_ref().map(|checkpoint| checkpoint.state.counters.step);
        workers.of_first([step.is_some().into(), step.unwrap_or_default()])?;
        let mut run = Self::open(directory, config, parts, Some(lock), checkpoint, workers)?;
        run.warnings = warnings;
        let process = Process::this(run.counters.step, parts.environments.provenance(&run.config.task));
        provenance::resume(&directory.join(PROVENANCE), process)?;
        Ok(run)
    }

    fn open(
        directory: &Path,
        config: Config,
        parts: &Parts,
        lock: Option<Lock>,
        checkpoint: Option<Checkpoint>,
        workers: Box<dyn Workers>,
    ) -> Result<Self, AgentError> {
        let seeds = Seeds::new(config.seed).of_worker(workers.rank());
        let make = |stream: &str| parts.environments.make(&config.task, seeds.seed_u32(stream));
        let arena = make("evaluator")?;
        let spec = arena.spec().clone();
        let shape = Shape::of(&spec)?;
        if config.network.clip_critic_actions && shape.pixels.is_none() {
            check_bounds(&spec)?;
        }
        let step = make_learner(parts, shape, &config, seeds)?;
        let lanes = config.training.lanes();
        let mut loops = Vec::new();
        for lane in 0..lanes {
            let saved = checkpoint.as_ref().map(|checkpoint| checkpoint.state.actor(lane));
            let mut environment = make(&lane_stream("environment", lane))?;
            let stream = match saved {
                None => seeds.stream(&lane_stream("actor", lane)),
                Some((environment_state, stream)) => {
                    environment.restore_state(&environment_state)?;
                    stream
                }
            };
            let mut acting = EnvironmentLoop::new(environment, Actor::new(&spec, &config.network, stream)?);
            if let Some(bound) = config.training.reward_clip {
                acting = acting.clipping_rewards(bound);
            }
            if let Some(steps) = config.training.episode_steps {
                acting = acting.leaving_after(steps);
            }
            loops.push(acting);
        }
        let replay_stream = match &checkpoint {
            Some(checkpoint) => checkpoint.state.streams.replay.clone(),
            None => seeds.stream("replay"),
        };
        let mut learner = Learner::new(step, &config.replay, replay_stream);
        let layout = shape.layout();
        let capacity = config.replay.capacity.div_ceil(lanes);
        let (replay, logs, counters, finished) = match &checkpoint {
            None => {
                let replay = ReplayBuffer::new(layout, capacity, lanes);
                let logs = workers.is_first().then(|| Logs::create(directory)).transpose()?;
                (replay, logs, Counters::default(), None)
            }
            Some(checkpoint) => {
                learner.load(&checkpoint.learner()?)?;
                let replay = checkpoint.replay(|file| ReplayBuffer::load_matching(file, layout, capacity, lanes))?;
                let state = &checkpoint.state;
                let logs = workers.is_first().then(|| Logs::resume(directory, &state.files)).transpose()?;
                (replay, logs, state.counters, state.finished)
            }
        };
        // A run that had reached its steps goes on when it was given more.
        let extended = finished == Some(Reason::Steps) && counters.step < config.steps;
        let collectors = loops
            .into_iter()
            .enumerate()
            .map(|(lane, environment_loop)| Ok(Collector { environment_loop, writer: replay.writer(lane)? }))
            .collect::<Result<_, AgentError>>()?;
        let evaluating = Actor::new(&spec, &config.network, seeds.stream("evaluator"))?;
        Ok(Self {
            directory: directory.to_owned(),
            checkpoints: Checkpoints::new(directory),
            last_checkpoint: checkpoint.map(|checkpoint| checkpoint.path),
            collectors,
            evaluator: Evaluator::new(arena, evaluating),
            learner,
            replay,
            logs,
            workers,
            counters,
            finished: if extended { None } else { finished },
            evaluation: None,
            deferred: None,
            warnings: Vec::new(),
            warnings_told: 0,
            failed: false,
            config,
            _lock: lock,
        })
    }
}

/// A learner with the initial networks of all workers, and noise of this one's own.
fn make_learner(
    parts: &Parts,
    shape: Shape,
    config: &Config,
    seeds: Seeds,
) -> Result<Box<dyn LearnerStep>, AgentError> {
    let make = |seeds: Seeds| parts.learners.make(shape, &config.network, &config.learner, seeds.seed_u64("learner"));
    let mut own = make(seeds)?;
    if seeds != Seeds::new(config.seed) {
        own.load(&make(Seeds::new(config.seed))?.save())?;
    }
    Ok(own)
}

/// Refuses any number of workers but that of the settings.
fn check_count(config: &Config, workers: &dyn Workers) -> Result<(), AgentError> {
    let (expected, found) = (config.training.workers, workers.workers());
    if expected == found { Ok(()) } else { Err(AgentError::WorkerCount { expected, found }) }
}

/// The name of a lane's random stream; the first keeps the plain name, whatever the number of actors.
fn lane_stream(name: &str, lane: usize) -> String {
    if lane == 0 { name.to_owned() } else { format!("{name} {lane}") }
}

/// The settings of the run in `directory`.
pub(super) fn read_config(directory: &Path) -> Result<Config, AgentError> {
    let path = directory.join(CONFIG);
    if !path.is_file() {
        return Err(AgentError::NotARun { path: directory.to_owned() });
    }
    Config::read(&path)
}

/// Refuses a checkpoint that was written under other settings than `config`.
pub(super) fn check_config(config: &Config, checkpoint: &Checkpoint) -> Result<(), AgentError> {
    let path = checkpoint.path.join("run.json");
    let written = Config::parse(&path, &checkpoint.state.config)?;
    match written.difference(config) {
        Some((key, found, expected)) => {
            let path = checkpoint.path.clone();
            Err(AgentError::CheckpointConfig { path, key, found, expected })
        }
        None => Ok(()),
    }
}

/// The critic clips what it sees to [-1, 1]; beyond that, actions would look alike to it.
fn check_bounds(spec: &Spec) -> Result<(), AgentError> {
    let bounds = spec.action_minimum.iter().zip(&spec.action_maximum);
    for (index, (&minimum, &maximum)) in bounds.enumerate() {
        if minimum < -1.0 || maximum > 1.0 {
            return Err(AgentError::ActionBounds { index, minimum, maximum });
        }
    }
    Ok(())
}

/// Keeps a second process from training in the same directory.
pub(super) struct Lock(File);

impl Lock {
    fn take(directory: &Path) -> Result<Self, AgentError> {
        let path = directory.join(".lock");
        let file = File::create(&path).at("create", &path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(AgentError::RunBusy { path: directory.to_owned() }),
            // Some network file systems have no locks: they train without.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self(file)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough while another thread forks: until the child executes its
        // program it holds the file open, and the lock with it. A failure leaves just that.
        let _ = self.0.unlock();
    }
}
