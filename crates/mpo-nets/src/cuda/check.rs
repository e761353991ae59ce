//! What a device is held to: agreement with the CPU's learner, and the arithmetic behind its speed. No clock is read here.

use safetensors::SafeTensors;

use super::{
    Pace,
    arena::Arena,
    device::Device,
    launch::{Argument, Launch, LaunchList},
    memory::Capacity,
    model::{Kind, Model},
    step::DeviceLearner,
};
use crate::{
    BatchView, Covariance, InitialNetworks, LearnerConfig, LearnerStep, NetsError, NetworkConfig, PixelShape,
    Precision, UpdateStats, cpu_learner, networks_for, noise::Noise, pixel_learner,
};

/// A learner's sizes and settings.
#[derive(Clone, Debug)]
pub struct Case {
    /// What to call it.
    pub name: &'static str,
    /// Numbers of an observation, dimensions of an action.
    pub sizes: (usize, usize),
    /// Frames and discrete actions instead.
    pub frames: Option<PixelShape>,
    /// Settings of the networks.
    pub network: NetworkConfig,
    /// Settings of the learner.
    pub config: LearnerConfig,
}

impl Case {
    /// The walker's networks of the control suite's default settings.
    #[must_use]
    pub fn walker() -> Self {
        let (network, config) = (NetworkConfig::default(), LearnerConfig::default());
        Self { name: "walker", sizes: (24, 6), frames: None, network, config }
    }

    /// The humanoid's, of the paper's sizes for it and with a full covariance.
    #[must_use]
    pub fn humanoid() -> Self {
        let network = NetworkConfig {
            policy_hidden: [200, 200],
            critic_hidden: [300, 300],
            covariance: Covariance::Full,
            ..NetworkConfig::default()
        };
        Self { name: "humanoid, full covariance", sizes: (67, 21), network, ..Self::walker() }
    }

    /// The humanoid's with a diagonal covariance.
    #[must_use]
    pub fn humanoid_diagonal() -> Self {
        let mut case = Self { name: "humanoid", ..Self::humanoid() };
        case.network.covariance = Covariance::Diagonal;
        case
    }

    /// The walker's on tensor cores.
    #[must_use]
    pub fn tensor_cores() -> Self {
        let mut case = Self { name: "walker, tf32", ..Self::walker() };
        case.config.target_precision = Precision::Tf32;
        case
    }

    /// Parkour's walker, whose terrain has a torso of its own.
    #[must_use]
    pub fn parkour() -> Self {
        Self { name: "parkour's walker", sizes: (70, 6), ..Self::walker() }
    }

    /// The deep Q-network's over the most actions of a game.
    #[must_use]
    pub fn atari() -> Self {
        let shape = PixelShape { stack: 4, height: 84, width: 84, actions: 18 };
        Self { name: "Atari", sizes: (0, 0), frames: Some(shape), ..Self::walker() }
    }

    /// All whose states are numbers.
    #[must_use]
    pub fn all() -> [Self; 5] {
        [Self::walker(), Self::tensor_cores(), Self::parkour(), Self::humanoid_diagonal(), Self::humanoid()]
    }

    fn networks(&self, seed: u64) -> Result<InitialNetworks, NetsError> {
        match self.sizes {
            (24, 6) => networks_for!(24, 6, &self.network, &self.config, seed),
            (70, 6) => networks_for!(20 + 50, 6, &self.network, &self.config, seed),
            _ => networks_for!(67, 21, &self.network, &self.config, seed),
        }
    }

    /// The device's learner at the beginning of training.
    ///
    /// # Errors
    /// [`NetsError::Setting`] or [`NetsError::Widths`].
    pub fn model(&self, seed: u64) -> Result<Model, NetsError> {
        if let Some(shape) = &self.frames {
            return Model::frames(shape, &self.network, &self.config, seed);
        }
        Model::new(self.networks(seed)?, &self.network, &self.config)
    }

    /// The CPU's, on `threads` threads.
    ///
    /// # Errors
    /// [`NetsError::Setting`] or [`NetsError::Widths`].
    pub fn cpu(&self, seed: u64, threads: usize) -> Result<Box<dyn LearnerStep>, NetsError> {
        let config = LearnerConfig { threads, ..self.config.clone() };
        if let Some(shape) = &self.frames {
            return pixel_learner(shape, &self.network, &config, seed);
        }
        Ok(cpu_learner(self.networks(seed)?, &self.network, &config, seed))
    }
}

/// A batch of random numbers: 32 windows, most of 8 transitions; of frames, 4 windows of 8.
#[derive(Clone, Debug)]
pub struct Batch {
    lengths: Vec<u32>,
    observations: Vec<f32>,
    actions: Vec<f32>,
    frames: Vec<u8>,
    discrete_actions: Vec<u32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Batch {
    /// The batch of `seed` for `case`.
    #[must_use]
    pub fn new(case: &Case, seed: u64) -> Self {
        let (observation, action) = case.sizes;
        let windows = if case.frames.is_some() { 4 } else { 32 };
        let lengths: Vec<u32> = (0..windows).map(|w| if w % 8 == 7 { 3 } else { 8 }).collect();
        let transitions: usize = lengths.iter().map(|&n| n as usize).sum();
        let draw = |stream: u64, len, scale: f32| {
            let mut values = vec![0.0; len];
            Noise::new(10 * seed + stream).fill(&mut values);
            for x in &mut values {
                *x *= scale;
            }
            values
        };
        let likely = case.frames.map_or(-0.9 * action as f32, |shape| -(shape.actions as f32).ln());
        let log_probs = draw(4, transitions, 0.3).iter().map(|x| x + likely).collect();
        let (bytes, choices) = case.frames.map_or((0, 1), |shape| (shape.state_len(), shape.actions as u32));
        let pixels = draw(5, (transitions + lengths.len()) * bytes, 60.0);
        let chosen = draw(6, if bytes > 0 { transitions } else { 0 }, 37.0);
        Self {
            frames: pixels.iter().map(|x| (128.0 + x).clamp(0.0, 255.0) as u8).collect(),
            discrete_actions: chosen.iter().map(|x| x.abs() as u32 % choices).collect(),
            observations: draw(1, (transitions + lengths.len()) * observation, 1.0),
            actions: draw(2, transitions * action, 0.6),
            rewards: draw(3, transitions, 1.0),
            discounts: (0..transitions).map(|t| if t % 37 == 36 { 0.0 } else { 1.0 }).collect(),
            log_probs,
            lengths,
        }
    }

    /// Its numbers.
    #[must_use]
    pub fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &self.lengths,
            observations: &self.observations,
            actions: &self.actions,
            frames: &self.frames,
            discrete_actions: &self.discrete_actions,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
        }
    }

    /// Transitions and windows.
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        Capacity { transitions: self.rewards.len(), windows: self.lengths.len() }
    }
}

/// How far a device's learner is from the CPU's after the same updates.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Updates made by both.
    pub updates: u64,
    /// Largest relative distance of an array of gradients (Adam's moments), and its name.
    pub moments: (f64, String),
    /// The same of parameters and dual variables.
    pub parameters: (f64, String),
    /// The same of two CPU learners whose sums run in different orders.
    pub reordered: (f64, String),
    /// Largest relative difference of a statistic of the last update.
    pub statistics: f64,
}

/// Makes `updates` updates on a device and on the CPU, after some on the CPU alone so that nothing is zero.
///
/// # Errors
/// Of the device or the learners.
pub fn agreement(case: &Case, device: Box<dyn Device>, updates: u64) -> Result<Agreement, NetsError> {
    let seed = 5;
    let mut device = DeviceLearner::alone(case.model(seed)?, device, Pace { stats: 1 }, seed)?;
    let (mut cpu, mut reordered) = (case.cpu(seed, 1)?, case.cpu(seed, 2)?);
    for step in 0..3 {
        cpu.update(&Batch::new(case, 1000 + step).view())?;
    }
    let before = cpu.save();
    device.load(&before)?;
    reordered.load(&before)?;
    let (mut found, mut wanted) = (UpdateStats::default(), UpdateStats::default());
    for step in 0..updates {
        let batch = Batch::new(case, step % 20);
        found = device.update(&batch.view())?;
        wanted = cpu.update(&batch.view())?;
        reordered.update(&batch.view())?;
    }
    let (device, cpu, reordered) = (device.save(), cpu.save(), reordered.save());
    let moment = |name: &str| name.contains(".adam.");
    Ok(Agreement {
        updates,
        moments: apart(&device, &cpu, moment)?,
        parameters: apart(&device, &cpu, |name| !moment(name))?,
        reordered: apart(&reordered, &cpu, |name| !moment(name))?,
        statistics: super::state::distance(&found, &wanted),
    })
}

/// The largest relative distance between arrays of two checkpoints, and the array's name.
fn apart(found: &[u8], wanted: &[u8], counts: impl Fn(&str) -> bool) -> Result<(f64, String), NetsError> {
    let damaged = |error: safetensors::SafeTensorError| NetsError::Damaged { reason: error.to_string() };
    let found = SafeTensors::deserialize(found).map_err(damaged)?;
    let wanted = SafeTensors::deserialize(wanted).map_err(damaged)?;
    let mut worst = (0.0, String::new());
    for (name, view) in wanted.tensors().into_iter().filter(|(name, _)| counts(name)) {
        let other = found.tensor(&name).map_err(damaged)?;
        let numbers = |bytes: &[u8]| -> Vec<f64> {
            bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
        };
        let (a, b) = (numbers(other.data()), numbers(view.data()));
        let square = |terms: &mut dyn Iterator<Item = f64>| terms.map(|x| x * x).sum::<f64>().sqrt();
        let difference = square(&mut a.iter().zip(&b).map(|(a, b)| a - b));
        let distance = if difference > 0.0 { difference / square(&mut b.iter().copied()) } else { 0.0 };
        // What is no number is as far as can be.
        if distance > worst.0 || distance.is_nan() {
            worst = (distance, name);
        }
    }
    Ok(worst)
}

/// Words that the ceiling's copy reads: more than any cache holds.
const COPIED: usize = 1 << 26;
const BLOCKS: usize = 2112;
const THREADS: usize = 256;
const ROUNDS: usize = 4096;

/// Bytes and floating-point operations per second that `device`, of any model, reaches at best; `None` where times mean nothing.
///
/// # Errors
/// Of the device.
pub fn ceilings(device: &mut dyn Device) -> Result<Option<(f64, f64)>, NetsError> {
    let (mut arena, mut batch) = (Arena::default(), Arena::default());
    arena.add("from", COPIED);
    arena.add("to", COPIED);
    batch.add("nothing", 1);
    let mut list = LaunchList::new(arena, batch, 1);
    let [from, to] = [Argument::Read("from"), Argument::Write("to")];
    list.push(Launch::new("copy_words", BLOCKS, THREADS, 0, vec![from, to, Argument::Word(COPIED as u32)]));
    list.push(Launch::new("multiply_adds", BLOCKS, THREADS, 0, vec![from, to, Argument::Word(ROUNDS as u32)]));
    device.prepare(&list)?;
    // The first times are those of a card that wakes up.
    device.time(3)?;
    Ok(device.time(20)?.map(|seconds| {
        let bytes = 2.0 * 4.0 * COPIED as f64;
        let operations = 2.0 * 16.0 * (BLOCKS * THREADS * ROUNDS) as f64;
        (bytes / seconds[0], operations / seconds[1])
    }))
}

/// The least that a launch of an update has to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// The kernel.
    pub kernel: &'static str,
    /// Bytes of the pieces that it reads and writes, each once.
    pub bytes: f64,
    /// Floating-point operations of its matrix products.
    pub operations: f64,
}

/// The work of every launch of an update of `runs` runs, in the list's order.
#[must_use]
pub fn work(model: &Model, capacity: Capacity, runs: usize) -> Vec<Work> {
    let list = super::Program::new(model, capacity, runs).list;
    let Capacity { transitions: t, windows: w } = capacity;
    let (s, m) = (t + w, model.samples);
    let layers = |network: &super::DeviceNetwork| {
        let [input, h1, h2, out] = network.sizes;
        [input * h1, h1 * h2, h2 * out]
    };
    let [policy, critic] = model.networks.each_ref().map(layers);
    let action_part = model.action * model.networks[1].sizes[1];
    let mut gradients = [policy, critic].into_iter();
    list.launches
        .iter()
        .map(|launch| {
            let frames = match &model.kind {
                Kind::Frames(frames) => Some(frames),
                Kind::Numbers { .. } => None,
            };
            let multiply_adds = match launch.kernel {
                _ if frames.is_some() => frames.map_or(0, |frames| frames.multiply_adds(launch, t, s)),
                "act" => s * policy.iter().sum::<usize>(),
                "value_states" => s * (critic[0] - action_part),
                "values" => (s * m + t) * (action_part + critic[1] + critic[2]),
                "forward_policy" => t * policy.iter().sum::<usize>(),
                "forward_critic" => t * critic.iter().sum::<usize>(),
                "backward_policy" => t * (policy[1] + policy[2]),
                "backward_critic" => t * (critic[1] + critic[2]),
                "gradients" => t * gradients.next().map_or(0, |layers| layers.iter().sum()),
                _ => 0,
            };
            let named = launch.arguments.iter().map(|argument| match argument {
                Argument::Read(name) | Argument::Write(name) => list.arena.get(name).len,
                Argument::Batch(name) => list.batch.get(name).len,
                _ => 0,
            });
            let others = launch.reads.iter().chain(&launch.writes).map(|name| list.arena.get(name).len);
            let words: usize = named.chain(others).sum();
            Work {
                kernel: launch.kernel,
                bytes: (4 * runs * words) as f64,
                operations: (2 * runs * multiply_adds) as f64,
            }
        })
        .collect()
}
