//! Settings of the networks and of the learners, as they stand in a run's `config.toml`.

use mpo_core::{Covariance, KlSplit};
use serde::{Deserialize, Serialize};

use crate::NetsError;

/// The learning algorithm. All share networks, optimiser and, but for PPO, replay; Figures 2 and 4 of the paper compare them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// MPO: the weights of sampled actions bounded by a KL, mean and covariance bounded apart (paper Alg. 2).
    #[default]
    Mpo,
    /// MPO with a parametric variational distribution: the policy itself ascends the samples' advantages within the two
    /// bounds (paper Alg. 3, App. D.4).
    MpoParametric,
    /// MPO with one bound on the whole KL of the M-step (paper eq. 12), an ablation of Figure 2.
    MpoJointKl,
    /// Expected policy gradient: M samples per state, Retrace, entropy bonus, no bound.
    Epg,
    /// The same along one sample per state; the others, if there are any, value the state.
    ActorCritic,
    /// Deep deterministic policy gradient: one-step targets, a deterministic policy, constant exploration noise.
    Ddpg,
    /// Proximal policy optimisation: on-policy, clipped ratios, generalised advantages.
    Ppo,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Mpo, Self::MpoParametric, Self::MpoJointKl, Self::Epg, Self::ActorCritic, Self::Ddpg, Self::Ppo];

    /// The name in settings and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mpo => "mpo",
            Self::MpoParametric => "mpo_parametric",
            Self::MpoJointKl => "mpo_joint_kl",
            Self::Epg => "epg",
            Self::ActorCritic => "actor_critic",
            Self::Ddpg => "ddpg",
            Self::Ppo => "ppo",
        }
    }

    /// The name in figures and tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mpo => "MPO",
            Self::MpoParametric => "MPO (parametric)",
            Self::MpoJointKl => "MPO (joint KL)",
            Self::Epg => "EPG + Retrace + entropy",
            Self::ActorCritic => "Actor-critic + Retrace",
            Self::Ddpg => "DDPG",
            Self::Ppo => "PPO",
        }
    }
}

/// What kind of policy the network's head describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// A Gaussian whose mean and covariance the head gives.
    Gaussian,
    /// An action `tanh(raw)`; exploring adds Gaussian noise of the constant deviation `initial_stddev`.
    Deterministic,
}

/// What follows the first linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Torso {
    /// `LayerNorm`, then tanh (Acme's torso; Furuta et al. 2021 find it decisive).
    LayerNorm,
    /// ELU, as after every other layer.
    Plain,
}

/// Widths of the convolutional torso of policies over pixels: channels of the three convolutions, units of the dense layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PixelTorso {
    /// 32, 64, 64 and 512, the deep Q-network's (Mnih et al. 2015).
    #[default]
    Dqn,
    /// 8, 16, 16 and 64, an eighth of the deep Q-network's arithmetic or less: for small pictures, tests, and games where a processor is all
    /// there is.
    Small,
}

/// How the E-step's temperature follows its dual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureMode {
    /// One Adam step on the dual an update.
    Sgd,
    /// The dual's minimiser for every batch.
    Exact,
}

/// The numbers in which a product is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision throughout.
    #[default]
    F32,
    /// Factors rounded to bfloat16 (8 bits of mantissa), sums in single precision.
    Bf16,
    /// Factors rounded to TF32 (11 bits of mantissa), sums in single precision: what a card's tensor cores compute. The processor rounds
    /// alike and gains nothing by it.
    Tf32,
}

/// The networks' architecture. Learners from pixels have use for `pixel_torso` alone, and the others none for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Widths of the policy's two hidden layers.
    pub policy_hidden: [usize; 2],
    /// Widths of the critic's two hidden layers.
    pub critic_hidden: [usize; 2],
    /// What follows the first linear layer.
    pub torso: Torso,
    /// Gaussian, or deterministic as DDPG needs it.
    pub policy: PolicyKind,
    /// Dense or diagonal covariance of a Gaussian policy.
    pub covariance: Covariance,
    /// Standard deviation of every action dimension before training; of a deterministic policy's exploration, always.
    pub initial_stddev: f32,
    /// Bound that no standard deviation of a Gaussian policy passes; infinite where the algorithm itself keeps it in check.
    pub maximum_stddev: f32,
    /// Whether the critic sees actions clipped to `[-1, 1]`, as the environment applies them.
    pub clip_critic_actions: bool,
    /// Widths of networks over pixels.
    pub pixel_torso: PixelTorso,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            policy_hidden: [100, 100],
            critic_hidden: [200, 200],
            torso: Torso::LayerNorm,
            policy: PolicyKind::Gaussian,
            covariance: Covariance::Diagonal,
            initial_stddev: 0.5,
            maximum_stddev: f32::INFINITY,
            clip_critic_actions: true,
            pixel_torso: PixelTorso::Dqn,
        }
    }
}

/// Hyper-parameters of an update. Those that an algorithm has no use for are ignored by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearnerConfig {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Discount factor gamma.
    pub discount: f32,
    /// Retrace's lambda.
    pub retrace_lambda: f32,
    /// Rewards of an n-step target, which then takes Retrace's place: what followed in the replay is followed without correction, up
    /// to this many steps or the window's end, for the sake of a reward's reach where Retrace cuts nearly every trace. Without it the
    /// targets are Retrace's, DDPG's of one step.
    pub n_step: Option<usize>,
    /// Actions sampled per state, M, for the E-step and for the value of the next state.
    pub action_samples: usize,
    /// Bound epsilon on the E-step's KL.
    pub epsilon: f32,
    /// Bound on the M-step's KL in the mean; over discrete actions on the one KL there is.
    pub epsilon_mean: f32,
    /// Bound on the M-step's KL in the covariance.
    pub epsilon_covariance: f32,
    /// Bound on the M-step's whole KL, for the algorithm with the joint constraint.
    pub epsilon_joint: f32,
    /// Bound on the KL of a second E-step, whose values are minus the sampled actions' distances to the bounds; its weights are
    /// added to the first's, so that the policy's mean stays where actions differ (Abdolmaleki et al. 2020). `mpo` and
    /// `mpo_joint_kl`; without it, as in the paper, means may leave the bounds.
    pub epsilon_penalty: Option<f32>,
    /// How the temperature is found.
    pub temperature: TemperatureMode,
    /// How the M-step's KL is split into mean and covariance.
    pub kl_split: KlSplit,
    /// Adam's step size for the policy.
    pub policy_learning_rate: f32,
    /// Adam's step size for the critic.
    pub critic_learning_rate: f32,
    /// Adam's step size for temperature and multipliers.
    pub dual_learning_rate: f32,
    /// Temperature eta before softplus, at the start.
    pub initial_temperature: f32,
    /// Multiplier of the mean's KL, of the joint one, or of that over discrete actions, before softplus, at the start.
    pub initial_alpha_mean: f32,
    /// Multiplier of the covariance's KL before softplus, at the start.
    pub initial_alpha_covariance: f32,
    /// Updates between two copies of the networks into their targets.
    pub target_period: u64,
    /// Precision of the target critic's widest product when it values actions, most of an update's arithmetic. Its first layer and
    /// its head, and all that gradients flow through, are in single precision whatever this is. Networks over pixels or of two torsos ignore it.
    pub target_precision: Precision,
    /// Largest global norm of a network's gradient.
    pub gradient_clip: f32,
    /// Critics, 1 or 2, each with a target, a gradient and an optimiser of its own. Two begin apart and learn the same targets, for which
    /// the lesser of their target values counts (clipped double Q, Fujimoto et al. 2018): a critic's errors, which a policy seeks out, are
    /// then shared by both or bring nothing. The paper has one.
    pub critics: usize,
    /// Weight of the entropy in the policy's objective, nats: EPG, actor-critic and PPO.
    pub entropy_weight: f32,
    /// Whether EPG subtracts the mean of a state's samples from their values, and the actor-critic that of the others from
    /// its one; without, as printed, the gradient is the same in expectation (EPG's up to `(M - 1) / M`), and noisier.
    pub baseline: bool,
    /// Threads that share an update's passes over the batch, 1 to 32. Sums, and so the run's numbers, depend on it.
    pub threads: usize,
    /// Settings of PPO alone.
    pub ppo: PpoConfig,
}

/// Hyper-parameters of PPO (Schulman et al. 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Transitions collected, in whole episodes, before each round of updates: at least this many.
    pub horizon: usize,
    /// Passes over them.
    pub epochs: usize,
    /// Transitions in a mini-batch.
    pub minibatch: usize,
    /// Bound on the ratio's distance from one.
    pub clip: f32,
    /// Lambda of the generalised advantage estimate.
    pub gae_lambda: f32,
}

impl Default for PpoConfig {
    fn default() -> Self {
        Self { horizon: 2000, epochs: 10, minibatch: 100, clip: 0.2, gae_lambda: 0.95 }
    }
}

impl Default for LearnerConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Mpo,
            discount: 0.99,
            retrace_lambda: 1.0,
            n_step: None,
            action_samples: 20,
            epsilon: 0.1,
            epsilon_mean: 0.1,
            epsilon_covariance: 1e-4,
            epsilon_joint: 0.1,
            epsilon_penalty: None,
            temperature: TemperatureMode::Sgd,
            kl_split: KlSplit::Decoupled,
            policy_learning_rate: 5e-4,
            critic_learning_rate: 5e-4,
            dual_learning_rate: 1e-2,
            initial_temperature: 1.0,
            initial_alpha_mean: 1.0,
            initial_alpha_covariance: 10.0,
            target_period: 100,
            target_precision: Precision::F32,
            gradient_clip: 40.0,
            critics: 1,
            entropy_weight: 1e-3,
            baseline: true,
            threads: 1,
            ppo: PpoConfig::default(),
        }
    }
}

impl NetworkConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// [`NetsError::Setting`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), NetsError> {
        positive("network.initial_stddev", self.initial_stddev)?;
        if self.maximum_stddev > self.initial_stddev {
            return Ok(());
        }
        Err(setting("network.maximum_stddev", &self.maximum_stddev, "above network.initial_stddev; `inf` is no bound"))
    }
}

impl LearnerConfig {
    /// How many critics the algorithm trains: PPO has the one.
    pub(crate) fn critics(&self) -> usize {
        if self.algorithm == Algorithm::Ppo { 1 } else { self.critics }
    }

    /// Checks every setting's range.
    ///
    /// # Errors
    /// [`NetsError::Setting`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), NetsError> {
        unit("learner.discount", self.discount)?;
        unit("learner.retrace_lambda", self.retrace_lambda)?;
        unit("learner.ppo.gae_lambda", self.ppo.gae_lambda)?;
        for (key, value) in [
            ("learner.epsilon", self.epsilon),
            ("learner.epsilon_mean", self.epsilon_mean),
            ("learner.epsilon_covariance", self.epsilon_covariance),
            ("learner.policy_learning_rate", self.policy_learning_rate),
            ("learner.critic_learning_rate", self.critic_learning_rate),
            ("learner.dual_learning_rate", self.dual_learning_rate),
            ("learner.gradient_clip", self.gradient_clip),
            ("learner.epsilon_joint", self.epsilon_joint),
            ("learner.ppo.clip", self.ppo.clip),
        ] {
            positive(key, value)?;
        }
        if self.n_step == Some(0) {
            return Err(setting("learner.n_step", &0, "at least 1; without it targets are Retrace's"));
        }
        self.epsilon_penalty.map_or(Ok(()), |epsilon| positive("learner.epsilon_penalty", epsilon))?;
        for (key, value) in [
            ("learner.action_samples", self.action_samples as u64),
            ("learner.target_period", self.target_period),
            ("learner.ppo.horizon", self.ppo.horizon as u64),
            ("learner.ppo.epochs", self.ppo.epochs as u64),
            ("learner.ppo.minibatch", self.ppo.minibatch as u64),
        ] {
            if value == 0 {
                return Err(setting(key, &value, "at least 1"));
            }
        }
        if !(self.entropy_weight.is_finite() && self.entropy_weight >= 0.0) {
            return Err(setting("learner.entropy_weight", &self.entropy_weight, "a finite number, at least 0"));
        }
        if !(1..=2).contains(&self.critics) {
            return Err(setting("learner.critics", &self.critics, "1 or 2"));
        }
        if !(1..=crate::threads::MOST).contains(&self.threads) {
            return Err(setting("learner.threads", &self.threads, "between 1 and 32"));
        }
        let samples = self.action_samples;
        // Of several samples without a baseline all would be followed, as by epg.
        if self.algorithm == Algorithm::ActorCritic && self.baseline != (samples > 1) {
            let (value, must) = if self.baseline {
                ("true", "false for actor_critic with one action sample: there is no other to compare it with")
            } else {
                ("false", "true for actor_critic with several action samples; epg follows them all without")
            };
            return Err(NetsError::Setting { key: "learner.baseline", value: value.to_owned(), must });
        }
        if self.algorithm == Algorithm::MpoParametric && samples < 2 {
            return Err(setting(
                "learner.action_samples",
                &samples,
                "at least 2 for mpo_parametric: of one sample the advantage is zero",
            ));
        }
        Ok(())
    }
}

fn setting(key: &'static str, value: &impl ToString, must: &'static str) -> NetsError {
    NetsError::Setting { key, value: value.to_string(), must }
}

fn positive(key: &'static str, value: f32) -> Result<(), NetsError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(setting(key, &value, "a finite number above 0")) }
}

fn unit(key: &'static str, value: f32) -> Result<(), NetsError> {
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(setting(key, &value, "between 0 and 1")) }
}
