//! One update of the algorithm: the interface that the CPU and, later, a GPU implement.

mod build;
mod mpo;

pub use build::cpu_learner;
pub(crate) use build::policy_network;
pub use mpo::MpoLearner;

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

/// What an update found; every field is a mean over the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateStats {
    /// Squared error of the critic against its Retrace targets.
    pub critic_loss: f32,
    /// Negative weighted log-likelihood of the M-step, without the KL terms.
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
    /// Online critic's value of the batch's actions.
    pub q_mean: f32,
    /// Retrace target.
    pub target_mean: f32,
    /// Norm of the policy's gradient before clipping.
    pub policy_grad_norm: f32,
    /// Norm of the critic's gradient before clipping.
    pub critic_grad_norm: f32,
    /// The online policy's standard deviation over states and dimensions.
    pub stddev_mean: f32,
}

/// A learner: everything that one update needs but the batch.
pub trait LearnerStep: Send {
    /// Makes one update.
    ///
    /// # Errors
    /// [`NetsError::NonFinite`] when a loss is NaN or infinite; parameters and optimisers stay as they were.
    ///
    /// # Panics
    /// If the batch is empty or its slices' lengths disagree.
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError>;

    /// Updates made.
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
