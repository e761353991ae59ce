//! Settings of the networks and of MPO, as they stand in a run's `config.toml`.

use mpo_core::{Covariance, KlSplit};
use serde::{Deserialize, Serialize};

use crate::NetsError;

/// What follows the first linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Torso {
    /// `LayerNorm`, then tanh (Acme's torso; Furuta et al. 2021 find it decisive).
    LayerNorm,
    /// ELU, as after every other layer.
    Plain,
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

/// The networks' architecture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Widths of the policy's two hidden layers.
    pub policy_hidden: [usize; 2],
    /// Widths of the critic's two hidden layers.
    pub critic_hidden: [usize; 2],
    /// What follows the first linear layer.
    pub torso: Torso,
    /// Dense or diagonal covariance.
    pub covariance: Covariance,
    /// Standard deviation of every action dimension before training.
    pub initial_stddev: f32,
    /// Whether the critic sees actions clipped to `[-1, 1]`, as the environment applies them.
    pub clip_critic_actions: bool,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            policy_hidden: [100, 100],
            critic_hidden: [200, 200],
            torso: Torso::LayerNorm,
            covariance: Covariance::Diagonal,
            initial_stddev: 0.5,
            clip_critic_actions: true,
        }
    }
}

/// Hyper-parameters of MPO's update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MpoConfig {
    /// Discount factor gamma.
    pub discount: f32,
    /// Retrace's lambda.
    pub retrace_lambda: f32,
    /// Actions sampled per state, M, for the E-step and for the value of the next state.
    pub action_samples: usize,
    /// Bound epsilon on the E-step's KL.
    pub epsilon: f32,
    /// Bound on the M-step's KL in the mean.
    pub epsilon_mean: f32,
    /// Bound on the M-step's KL in the covariance.
    pub epsilon_covariance: f32,
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
    /// Multiplier of the mean's KL before softplus, at the start.
    pub initial_alpha_mean: f32,
    /// Multiplier of the covariance's KL before softplus, at the start.
    pub initial_alpha_covariance: f32,
    /// Updates between two copies of the networks into their targets.
    pub target_period: u64,
    /// Largest global norm of a network's gradient.
    pub gradient_clip: f32,
}

impl Default for MpoConfig {
    fn default() -> Self {
        Self {
            discount: 0.99,
            retrace_lambda: 1.0,
            action_samples: 20,
            epsilon: 0.1,
            epsilon_mean: 0.1,
            epsilon_covariance: 1e-4,
            temperature: TemperatureMode::Sgd,
            kl_split: KlSplit::Decoupled,
            policy_learning_rate: 5e-4,
            critic_learning_rate: 5e-4,
            dual_learning_rate: 1e-2,
            initial_temperature: 1.0,
            initial_alpha_mean: 1.0,
            initial_alpha_covariance: 10.0,
            target_period: 100,
            gradient_clip: 40.0,
        }
    }
}

impl NetworkConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// [`NetsError::Setting`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), NetsError> {
        positive("network.initial_stddev", self.initial_stddev)
    }
}

impl MpoConfig {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// [`NetsError::Setting`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), NetsError> {
        unit("learner.discount", self.discount)?;
        unit("learner.retrace_lambda", self.retrace_lambda)?;
        for (key, value) in [
            ("learner.epsilon", self.epsilon),
            ("learner.epsilon_mean", self.epsilon_mean),
            ("learner.epsilon_covariance", self.epsilon_covariance),
            ("learner.policy_learning_rate", self.policy_learning_rate),
            ("learner.critic_learning_rate", self.critic_learning_rate),
            ("learner.dual_learning_rate", self.dual_learning_rate),
            ("learner.gradient_clip", self.gradient_clip),
        ] {
            positive(key, value)?;
        }
        for (key, value) in
            [("learner.action_samples", self.action_samples as u64), ("learner.target_period", self.target_period)]
        {
            if value == 0 {
                return Err(setting(key, &value, "at least 1"));
            }
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
