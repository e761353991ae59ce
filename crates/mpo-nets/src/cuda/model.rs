//! What a learner is to the device: its networks' sizes and its settings, as text before the kernels.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::frames::{self, Frames};
use crate::{
    Algorithm, Covariance, GaussianHead, KlSplit, Layout, LearnerConfig, NetsError, NetworkConfig, PixelNetwork,
    PixelShape, PolicyKind, Precision, TemperatureMode, Torso,
    layout::Entry,
    learner::{InitialNetworks, pixel_networks},
};

/// Rows of sampled actions that a warp values at once: of the usual 256 states with 20 samples, about a block for each
/// multiprocessor of the card that is aimed at.
const VALUE_ROWS: usize = 6;

/// The same on tensor cores: a tile's.
const TILE_ROWS: usize = 16;

/// The sources in the order in which they need each other: of kernels for observations of numbers and Gaussian policies, and of those
/// for frames and discrete actions.
const NUMBERS: [&str; 8] = [
    include_str!("kernels/gaussian.cu"),
    include_str!("kernels/act.cu"),
    include_str!("kernels/values.cu"),
    include_str!("kernels/retrace.cu"),
    include_str!("kernels/improve.cu"),
    include_str!("kernels/forward.cu"),
    include_str!("kernels/backward.cu"),
    include_str!("kernels/gradients.cu"),
];
const FRAMES: [&str; 2] = [include_str!("kernels/pixels.cu"), include_str!("kernels/discrete.cu")];

/// What stands before and behind either.
const PRELUDE: [&str; 3] =
    [include_str!("kernels/prelude.cu"), include_str!("kernels/targets.cu"), include_str!("kernels/finish.cu")];
const REST: [&str; 3] =
    [include_str!("kernels/workers.cu"), include_str!("kernels/adam.cu"), include_str!("kernels/ceiling.cu")];

/// Kernels that no update launches: they find out what the device can do.
const CEILINGS: [&str; 2] = ["copy_words", "multiply_adds"];

/// Kernels of several workers' update alone.
const TOGETHER: [&str; 3] = ["weigh", "unweigh", "finish_together"];

/// The kernels of the update of one learner with a Gaussian policy, by name.
pub const KERNELS: [&str; 12] = [
    "act",
    "value_states",
    "values",
    "retrace",
    "improve",
    "forward_policy",
    "forward_critic",
    "backward_policy",
    "backward_critic",
    "gradients",
    "finish",
    "adam",
];

/// The first word of the settings in the control block, behind what kernels/prelude.cu names.
pub(super) const SETTINGS: usize = 16;

/// A setting that a run has for itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setting {
    Real(f32),
    Whole(u32),
}

impl Setting {
    pub(super) fn word(self) -> u32 {
        match self {
            Self::Real(value) => value.to_bits(),
            Self::Whole(value) => value,
        }
    }
}

/// A network's place on the device.
#[derive(Clone, Debug)]
pub struct DeviceNetwork {
    /// Its name in checkpoints.
    pub name: &'static str,
    /// The table of its parameters.
    pub layout: Layout,
    /// Parameters of a learner at the beginning.
    pub initial: Vec<f32>,
    /// Inputs, hidden units, outputs; over frames: bytes of a state, features, units, outputs.
    pub sizes: [usize; 4],
    /// Whether products forward read the weights the other way round than the checkpoint has them.
    turned: bool,
}

/// Sizes and settings of a learner. The kernels are compiled for all but numbers that runs of one population
/// may differ in: KL bounds, learning rates, discount, lambda, clip and target period.
#[derive(Clone, Debug)]
pub struct Model {
    /// Numbers of an observation; of frames, their bytes.
    pub observation: usize,
    /// How many of them, the last, have a torso of their own: none in networks of one torso.
    pub part: usize,
    /// Dimensions of an action; with discrete actions, how many there are.
    pub action: usize,
    /// Actions sampled per state; none of discrete ones.
    pub samples: usize,
    /// Numbers of a row of the head's factor.
    pub factor: usize,
    /// Whether the covariance is full.
    pub full: bool,
    /// The policy's network, then the critic's.
    pub networks: [DeviceNetwork; 2],
    /// Dual variables before softplus, at the beginning.
    pub duals: Vec<f32>,
    pub(super) kind: Kind,
    config: LearnerConfig,
}

/// What states are, and with them policies and kernels.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Numbers, and a Gaussian policy.
    Numbers { torso: Torso, head: GaussianHead, clip_actions: bool },
    /// Frames, and discrete actions.
    Frames(Box<Frames>),
}

impl Model {
    /// The learner of these networks and settings.
    ///
    /// # Errors
    /// [`NetsError::Setting`] for what only the CPU's learner does.
    pub fn new(initial: InitialNetworks, network: &NetworkConfig, config: &LearnerConfig) -> Result<Self, NetsError> {
        supports(network, config)?;
        let InitialNetworks { observation, action, policy, mut critics } = initial;
        let critic = critics.remove(0);
        let head = GaussianHead::of(action, network);
        let joint = config.algorithm == Algorithm::MpoJointKl;
        let mut duals = vec![config.initial_temperature, config.initial_alpha_mean];
        duals.extend((!joint).then_some(config.initial_alpha_covariance));
        let [p1, p2] = network.policy_hidden;
        let [c1, c2] = network.critic_hidden;
        let branch = policy.0.entries().iter().find(|entry| entry.name == "branch.observation");
        Ok(Self {
            observation,
            part: branch.map_or(0, |entry| entry.shape[1]),
            action,
            samples: config.action_samples,
            factor: head.factor_len(),
            full: head.covariance() == Covariance::Full,
            networks: [
                DeviceNetwork {
                    name: "policy",
                    layout: policy.0,
                    initial: policy.1,
                    sizes: [observation, p1, p2, head.raw_len()],
                    turned: true,
                },
                DeviceNetwork {
                    name: "critic",
                    layout: critic.0,
                    initial: critic.1,
                    sizes: [observation + action, c1, c2, 1],
                    turned: true,
                },
            ],
            duals,
            kind: Kind::Numbers { torso: network.torso, head, clip_actions: network.clip_critic_actions },
            config: config.clone(),
        })
    }

    /// The learner from frames of `shape` to discrete actions, its parameters drawn from `seed`, as
    /// [`pixel_learner`](crate::pixel_learner).
    ///
    /// # Errors
    /// [`NetsError::Setting`] for what only the CPU's learner does; [`NetsError::Pixels`] for sizes that are not compiled in.
    pub fn frames(
        shape: &PixelShape,
        network: &NetworkConfig,
        config: &LearnerConfig,
        seed: u64,
    ) -> Result<Self, NetsError> {
        supports_frames(config)?;
        let (policy, mut critics) = pixel_networks(shape, network, config, seed)?;
        let frames = Frames { shape: *shape, network: PixelNetwork::from_layout(&policy.0, shape.height, shape.width) };
        let device = |name, (layout, initial): (Layout, Vec<f32>)| {
            let sizes = [shape.state_len(), frames.features(), frames.network.sizes().units, shape.actions];
            DeviceNetwork { name, layout, initial, sizes, turned: false }
        };
        Ok(Self {
            observation: shape.state_len(),
            part: 0,
            action: shape.actions,
            samples: 0,
            factor: 0,
            full: false,
            networks: [device("policy", policy), device("critic", critics.remove(0))],
            duals: vec![config.initial_temperature, config.initial_alpha_mean],
            kind: Kind::Frames(Box::new(frames)),
            config: config.clone(),
        })
    }

    /// Kernels that its learner may launch, by name.
    pub(super) fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let own: &[&'static str] = match self.kind {
            Kind::Numbers { .. } => &KERNELS,
            Kind::Frames(_) => &frames::KERNELS,
        };
        own.iter().copied().chain(TOGETHER).chain(CEILINGS)
    }

    /// Whether what follows the first layer is a normalisation.
    #[must_use]
    pub fn normalises(&self) -> bool {
        matches!(self.kind, Kind::Numbers { torso: Torso::LayerNorm, .. })
    }

    /// Torsos of each network.
    #[must_use]
    pub fn torsos(&self) -> usize {
        1 + usize::from(self.part > 0)
    }

    /// Numbers of a state's row that the target critic's values begin from: kernels/values.cu.
    pub(super) fn base_width(&self) -> usize {
        let [_, first, second, _] = self.networks[1].sizes;
        first + if self.part > 0 { second } else { 0 }
    }

    /// Numbers of the head's raw row.
    #[must_use]
    pub fn raw(&self) -> usize {
        self.action + self.factor
    }

    /// Rows of sampled actions for each warp.
    #[must_use]
    pub fn value_rows(&self) -> usize {
        if self.tensor_cores() { TILE_ROWS } else { VALUE_ROWS }
    }

    /// Whether the values' widest product is computed on tensor cores. Networks of two torsos have none of it, as on the processor.
    #[must_use]
    pub fn tensor_cores(&self) -> bool {
        self.config.target_precision == Precision::Tf32 && self.part == 0
    }

    /// Floating-point operations of the matrix products of one update, as [`LearnerStep::flops`](crate::LearnerStep::flops).
    #[must_use]
    pub fn flops(&self, transitions: usize, windows: usize) -> usize {
        match &self.kind {
            Kind::Numbers { torso, .. } => {
                let [policy, critic] =
                    self.networks.each_ref().map(|network| crate::Network::from_layout(&network.layout, *torso));
                crate::learner::sampled_flops(&policy, &critic, self.samples, transitions, windows)
            }
            Kind::Frames(frames) => {
                let network = &frames.network;
                2 * (network.forward_flops(transitions + windows) + network.training_flops(transitions))
            }
        }
    }

    /// Words of shared memory that a warp of each kernel needs, by the name of the macro.
    pub(super) fn shared(&self) -> [(&'static str, usize); 6] {
        let (n, m, raw) = (self.action, self.samples, self.raw());
        let widest = |network: &DeviceNetwork| network.sizes.into_iter().max().unwrap_or(0);
        let [policy, critic] = self.networks.each_ref().map(widest);
        let dense = if self.full { n * m + 2 * n * n } else { 0 };
        [
            ("POLICY_WIDEST", policy),
            ("CRITIC_WIDEST", critic),
            ("ACT_SHARED", policy + 2 * raw + m * n),
            ("STATES_SHARED", self.observation.max(if self.part > 0 { self.networks[1].sizes[1] } else { 0 })),
            ("VALUES_SHARED", self.value_rows() * n.max(self.networks[1].sizes[1].next_multiple_of(8))),
            ("IMPROVE_SHARED", raw + 4 * n + 3 * self.factor + m + dense),
        ]
    }

    /// What runs of one population may differ in, in the order in which it stands in the control block from [`SETTINGS`] on: the
    /// kernels are compiled for its place and not for its value.
    pub(super) fn settings(&self) -> [(&'static str, Setting); 11] {
        let config = &self.config;
        [
            ("DISCOUNT", Setting::Real(config.discount)),
            ("RETRACE_LAMBDA", Setting::Real(config.retrace_lambda)),
            ("EPSILON", Setting::Real(config.epsilon)),
            ("EPSILON_MEAN", Setting::Real(config.epsilon_mean)),
            ("EPSILON_COVARIANCE", Setting::Real(config.epsilon_covariance)),
            ("EPSILON_JOINT", Setting::Real(config.epsilon_joint)),
            ("GRADIENT_CLIP", Setting::Real(config.gradient_clip)),
            ("POLICY_LEARNING_RATE", Setting::Real(config.policy_learning_rate)),
            ("CRITIC_LEARNING_RATE", Setting::Real(config.critic_learning_rate)),
            ("DUAL_RATE", Setting::Real(config.dual_learning_rate)),
            ("TARGET_PERIOD", Setting::Whole(config.target_period as u32)),
        ]
    }

    /// The macros that stand before the kernels.
    fn defines(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "#define DUALS {}", self.duals.len());
        for (place, (name, setting)) in self.settings().iter().enumerate() {
            let (open, close) = if matches!(setting, Setting::Real(_)) { ("number(", ")") } else { ("", "") };
            let _ = writeln!(text, "#define {name} ({open}control[{}]{close})", SETTINGS + place);
        }
        match &self.kind {
            Kind::Numbers { head, clip_actions, .. } => self.define_numbers(&mut text, head, *clip_actions),
            Kind::Frames(frames) => frames.defines(&mut text),
        }
        text
    }

    fn define_numbers(&self, text: &mut String, head: &GaussianHead, clip_actions: bool) {
        let config = &self.config;
        let whole = |text: &mut String, name: &str, value: usize| {
            let _ = writeln!(text, "#define {name} {value}");
        };
        whole(text, "OBSERVATION", self.observation);
        whole(text, "PART", self.part);
        whole(text, "BASE_WIDTH", self.base_width());
        whole(text, "ACTIONS", self.action);
        whole(text, "SAMPLES", self.samples);
        whole(text, "FULL_COVARIANCE", usize::from(self.full));
        whole(text, "LAYER_NORM", usize::from(self.normalises()));
        whole(text, "CLIP_ACTIONS", usize::from(clip_actions));
        whole(text, "VALUE_ROWS", self.value_rows());
        whole(text, "TF32", usize::from(self.tensor_cores()));
        whole(text, "DISCRETE", 0);
        let joint = config.algorithm == Algorithm::MpoJointKl;
        whole(text, "JOINT", usize::from(joint));
        whole(text, "EXACT_SPLIT", usize::from(joint || config.kl_split == KlSplit::Exact));
        let (scale, squash) = head.constants();
        // Bits, so that the device's numbers are the host's.
        for (name, value) in [("HEAD_SCALE", scale), ("HEAD_SQUASH", squash)] {
            let _ = writeln!(text, "#define {name} (__uint_as_float({:#010x}u))", value.to_bits());
        }
        for (prefix, network) in ["POLICY", "CRITIC"].iter().zip(&self.networks) {
            whole(text, &format!("{prefix}_1"), network.sizes[1]);
            whole(text, &format!("{prefix}_2"), network.sizes[2]);
            for (name, tensor) in [
                ("BIAS", "torso.bias"),
                ("SCALE", "torso.scale"),
                ("SHIFT", "torso.shift"),
                ("SECOND", "hidden.weight"),
                ("SECOND_BIAS", "hidden.bias"),
                ("HEAD", "head.weight"),
                ("HEAD_BIAS", "head.bias"),
            ] {
                whole(text, &format!("{prefix}_{name}"), network.place(tensor).start);
            }
            for (name, tensor) in [
                ("BRANCH", "branch.observation"),
                ("BRANCH_BIAS", "branch.torso.bias"),
                ("BRANCH_SCALE", "branch.torso.scale"),
                ("BRANCH_SHIFT", "branch.torso.shift"),
                ("BRANCH_SECOND", "branch.hidden"),
            ] {
                let place = if self.part > 0 { network.place(tensor).start } else { 0 };
                whole(text, &format!("{prefix}_{name}"), place);
            }
        }
        whole(text, "CRITIC_ACTION", self.networks[1].layout.entries()[1].range.start);
        for (name, words) in self.shared() {
            whole(text, name, words);
        }
    }

    /// The text that is compiled.
    #[must_use]
    pub fn source(&self) -> String {
        let mut text = self.defines();
        text.extend(PRELUDE);
        match self.kind {
            Kind::Numbers { .. } => text.extend(NUMBERS),
            Kind::Frames(_) => text.extend(FRAMES),
        }
        text.extend(REST);
        text
    }
}

impl DeviceNetwork {
    /// The places of the tensor of this name, in a network of two torsos without its `main.`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn place(&self, tensor: &str) -> std::ops::Range<usize> {
        let name = |entry: &Entry| entry.name.strip_prefix("main.").unwrap_or(&entry.name) == tensor;
        let entry = self.layout.entries().iter().find(|entry| name(entry));
        entry.unwrap_or_else(|| panic!("the {} has no {tensor}", self.name)).range.clone()
    }

    /// First place, outputs and inputs of each weight that is turned.
    pub(super) fn weights(&self) -> impl Iterator<Item = [usize; 3]> + '_ {
        let matrices = self.layout.entries().iter().filter(|entry| self.turned && entry.shape.len() == 2);
        matrices.map(|entry| [entry.range.start, entry.shape[0], entry.shape[1]])
    }

    /// `from` with every weight the other way round: `[outputs, inputs]` to `[inputs, outputs]`, or back.
    pub(super) fn turn(&self, from: &[f32], back: bool) -> Vec<f32> {
        let mut to = from.to_vec();
        for [start, outputs, inputs] in self.weights() {
            for output in 0..outputs {
                for input in 0..inputs {
                    let (row, column) = (start + output * inputs + input, start + input * outputs + output);
                    if back {
                        to[row] = from[column];
                    } else {
                        to[column] = from[row];
                    }
                }
            }
        }
        to
    }
}

/// Whether a device makes the updates of these settings.
///
/// # Errors
/// [`NetsError::Setting`] names what only the CPU's learner does.
pub fn supports(network: &NetworkConfig, config: &LearnerConfig) -> Result<(), NetsError> {
    let setting = |key, value: String, must| Err(NetsError::Setting { key, value, must });
    if !matches!(config.algorithm, Algorithm::Mpo | Algorithm::MpoJointKl) {
        let must = "mpo or mpo_joint_kl on a CUDA device; with --device cpu every algorithm runs";
        return setting("learner.algorithm", config.algorithm.name().to_owned(), must);
    }
    shared_refusals(config)?;
    if let Some(epsilon) = config.epsilon_penalty {
        return setting("learner.epsilon_penalty", epsilon.to_string(), "left away on a CUDA device");
    }
    if config.target_precision == Precision::Bf16 {
        return setting("learner.target_precision", "bf16".to_owned(), "\"f32\" or \"tf32\" on a CUDA device");
    }
    if network.policy == PolicyKind::Deterministic {
        return setting("network.policy", "deterministic".to_owned(), "\"gaussian\" on a CUDA device");
    }
    Ok(())
}

/// Whether a device makes the updates of these settings from frames.
///
/// # Errors
/// [`NetsError::Setting`] names what only the CPU's learner does.
pub fn supports_frames(config: &LearnerConfig) -> Result<(), NetsError> {
    if config.algorithm != Algorithm::Mpo {
        let must = "mpo on a CUDA device where actions are discrete; with --device cpu it may be ppo";
        return Err(NetsError::Setting { key: "learner.algorithm", value: config.algorithm.name().to_owned(), must });
    }
    shared_refusals(config)
}

/// Refuses what no kernel has of what all learners know.
fn shared_refusals(config: &LearnerConfig) -> Result<(), NetsError> {
    if config.temperature == TemperatureMode::Exact {
        let must = "\"sgd\" on a CUDA device; with --device cpu it may be \"exact\"";
        return Err(NetsError::Setting { key: "learner.temperature", value: "exact".to_owned(), must });
    }
    if let Some(steps) = config.n_step {
        let must = "left away on a CUDA device, whose targets are Retrace's";
        return Err(NetsError::Setting { key: "learner.n_step", value: steps.to_string(), must });
    }
    if config.critics != 1 {
        let must = "1 on a CUDA device; with --device cpu it may be 2";
        return Err(NetsError::Setting { key: "learner.critics", value: config.critics.to_string(), must });
    }
    Ok(())
}

/// A name for compiled kernels: the hash of all that they depend on.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(12).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
