//! One update of an algorithm: the interface that the CPU and, later, a GPU implement.
//!
//! An off-policy update is an [evaluation](evaluation) of the policy, the same for all, and an
//! [improvement](improvement), in which they differ; PPO, which learns from its own policy's newest data, stands beside them.

mod build;
mod duals;
mod evaluation;
mod improvement;
mod off_policy;
mod online;
mod ppo;
mod trained;

pub(crate) use build::policy_network;
pub use build::{cpu_learner, initial_parameters};

use crate::NetsError;

/// A batch of windows of consecutive transitions, packed: window `w` has `lengths[w] = n` transitions and `n + 1` observations.
///
/// With T = sum of `lengths` and W their number:
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    /// Transitions of each window, `[W]`, each at least 1.
    pub lengths: &'a [u32],
    /// States of each window with the one after its last transition, `[T + W, observation]`.
    pub observations: &'a [f32],
    /// Actions as sampled, before clipping, `[T, action]`.
    pub actions: &'a [f32],
    /// Rewards, `[T]`.
    pub rewards: &'a [f32],
    /// The environment's discounts, `[T]`: 0 at a true termination, 1 otherwise.
    pub discounts: &'a [f32],
    /// Log-probability density of each action under the policy that chose it, `[T]`.
    pub log_probs: &'a [f32],
}

impl BatchView<'_> {
    /// Transitions and windows.
    ///
    /// # Panics
    /// If there is no transition, or the slices' lengths disagree with `observation` numbers per state.
    pub(crate) fn sizes(&self, observation: usize) -> (usize, usize) {
        let (transitions, windows) = (self.rewards.len(), self.lengths.len());
        assert!(transitions > 0, "an update needs at least one transition");
        assert_eq!(self.observations.len(), (transitions + windows) * observation, "observations of the batch");
        (transitions, windows)
    }

    /// Copies the packed observations into `states`: the T states with a transition, then the W that end the windows.
    pub(crate) fn gather(&self, observation: usize, states: &mut [f32]) {
        let (with_transition, last) = states.split_at_mut(self.rewards.len() * observation);
        let (mut from, mut to) = (0, 0);
        for (&length, last) in self.lengths.iter().zip(last.chunks_exact_mut(observation)) {
            let len = length as usize * observation;
            with_transition[to..to + len].copy_from_slice(&self.observations[from..from + len]);
            last.copy_from_slice(&self.observations[from + len..from + len + observation]);
            to += len;
            from += len + observation;
        }
    }
}

/// What an update found; every field is a mean over the batch, and 0 where the algorithm knows no such thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateStats {
    /// Squared error of the critic against its targets.
    pub critic_loss: f32,
    /// What the policy descends, without the KL terms: MPO's negative weighted log-likelihood.
    pub policy_loss: f32,
    /// Temperature eta, in units of Q.
    pub temperature: f32,
    /// Multiplier of the mean's KL.
    pub alpha_mean: f32,
    /// Multiplier of the covariance's KL.
    pub alpha_covariance: f32,
    /// KL of the E-step's weights from uniform, nats.
    pub kl_q: f32,
    /// The M-step's KL in the mean, nats.
    pub kl_mean: f32,
    /// The M-step's KL in the covariance, nats.
    pub kl_covariance: f32,
    /// Online critic's value of the batch's actions; PPO's, of its states.
    pub q_mean: f32,
    /// The critic's target.
    pub target_mean: f32,
    /// Norm of the policy's gradient before clipping.
    pub policy_grad_norm: f32,
    /// Norm of the critic's gradient before clipping.
    pub critic_grad_norm: f32,
    /// The online policy's standard deviation over states and dimensions.
    pub stddev_mean: f32,
}

impl UpdateStats {
    /// Adds one of `parts` equal shares of a mean.
    fn add_share(&mut self, other: &Self, parts: usize) {
        let share = 1.0 / parts as f32;
        for (sum, value) in [
            (&mut self.critic_loss, other.critic_loss),
            (&mut self.policy_loss, other.policy_loss),
            (&mut self.q_mean, other.q_mean),
            (&mut self.target_mean, other.target_mean),
            (&mut self.policy_grad_norm, other.policy_grad_norm),
            (&mut self.critic_grad_norm, other.critic_grad_norm),
            (&mut self.stddev_mean, other.stddev_mean),
        ] {
            *sum += share * value;
        }
    }
}

/// The batches that a learner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Windows drawn from a replay of all that happened, any number of times per step.
    Replay,
    /// The newest whole episodes, once at least this many transitions were collected with the present policy.
    OnPolicy {
        /// Transitions to collect.
        transitions: usize,
    },
}

/// A learner: everything that one update needs but the batch. Implement it to train an algorithm of your own.
pub trait LearnerStep: Send {
    /// Makes one update.
    ///
    /// # Errors
    /// [`NetsError::NonFinite`] when a loss is NaN or infinite; parameters and optimisers stay as they were.
    ///
    /// # Panics
    /// If the batch is empty or its slices' lengths disagree.
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError>;

    /// What [`update`](Self::update) must be given.
    fn demand(&self) -> Demand {
        Demand::Replay
    }

    /// Steps of the optimiser made.
    fn updates(&self) -> u64;

    /// Floating-point operations of the matrix products of one update on `transitions` transitions in `windows` windows,
    /// a multiply-add counting as two.
    fn flops(&self, transitions: usize, windows: usize) -> usize;

    /// The online policy's flat parameters, for [`ActingPolicy::load`](crate::ActingPolicy::load).
    fn policy_parameters(&self) -> &[f32];

    /// Everything that the next update depends on but the batch, as safetensors bytes.
    fn save(&self) -> Vec<u8>;

    /// Puts a saved state back; the updates that follow equal those of the learner that was saved, bit for bit.
    ///
    /// # Errors
    /// [`NetsError::Damaged`] or [`NetsError::Mismatch`]; the learner is unchanged then.
    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError>;
}

/// Refuses to step along anything that is not finite.
fn check_finite(update: u64, stats: &UpdateStats, duals: f32) -> Result<(), NetsError> {
    let checked = [
        ("the critic's target", stats.target_mean),
        ("the critic's loss", stats.critic_loss),
        ("the E-step's KL", stats.kl_q),
        ("the policy's loss", stats.policy_loss),
        ("the policy's gradient norm", stats.policy_grad_norm),
        ("the critic's gradient norm", stats.critic_grad_norm),
        ("the dual variables' gradient", duals),
    ];
    match checked.into_iter().find(|(_, value)| !value.is_finite()) {
        Some((quantity, value)) => Err(NetsError::NonFinite { update, quantity, value }),
        None => Ok(()),
    }
}
