//! One update of an algorithm: the interface that the CPU and, in [`cuda`](crate::cuda), a device implement.
//!
//! An off-policy update is an [evaluation](evaluation) of the policy, the same for all, and an
//! [improvement](improvement), in which they differ; PPO, which learns from its own policy's newest data, stands beside them.
//! Over discrete actions both halves are exact sums ([categorical](categorical)).

mod build;
mod categorical;
mod duals;
mod evaluation;
mod improvement;
mod off_policy;
mod online;
mod pixels;
mod ppo;
mod reduction;
mod trained;

pub(crate) use build::policy_network;
pub use build::{InitialNetworks, cpu_learner, initial_networks, initial_parameters};
pub(crate) use duals::SavedDuals;
pub(crate) use off_policy::sampled_flops;
pub use pixels::pixel_learner;
pub(crate) use pixels::{pixel_networks, pixel_policy_network};
pub use reduction::{Alone, GradientReducer};
pub(crate) use trained::SavedNetwork;

use crate::NetsError;
pub(crate) use reduction::Fingerprint;

/// A batch of windows of consecutive transitions, packed: window `w` has `lengths[w] = n` transitions and `n + 1` observations.
///
/// A learner reads the observations and actions of its own kind: `observations` and `actions`, or, made by
/// [`pixel_learner`](crate::pixel_learner), `frames` and `discrete_actions`. The others are empty.
///
/// With T = sum of `lengths` and W their number:
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchView<'a> {
    /// Transitions of each window, `[W]`, each at least 1.
    pub lengths: &'a [u32],
    /// States of each window with the one after its last transition, `[T + W, observation]`.
    pub observations: &'a [f32],
    /// Actions as sampled, before clipping, `[T, action]`.
    pub actions: &'a [f32],
    /// Rewards, `[T]`.
    pub rewards: &'a [f32],
    /// The environment's discounts, `[T]`: 0 at a true termination, 1 otherwise. A 0 in the middle of a window ends the
    /// returns of what came before it (a lost life).
    pub discounts: &'a [f32],
    /// Log-probability (density, of a continuous one) of each action under the policy that chose it, `[T]`.
    pub log_probs: &'a [f32],
    /// States of pixels, `[T + W, stack, height, width]`, in the order of `observations`; else empty.
    pub frames: &'a [u8],
    /// Indices of discrete actions, `[T]`; else empty.
    pub discrete_actions: &'a [u32],
}

impl BatchView<'_> {
    /// Transitions and windows.
    ///
    /// # Panics
    /// If there is no transition, or `observations`, of `size` numbers per state, are not those of the batch.
    pub(crate) fn sizes<T>(&self, observations: &[T], size: usize) -> (usize, usize) {
        let (transitions, windows) = (self.rewards.len(), self.lengths.len());
        assert!(transitions > 0, "an update needs at least one transition");
        assert_eq!(observations.len(), (transitions + windows) * size, "observations of the batch");
        (transitions, windows)
    }

    /// Copies the packed `observations`, of `observation` numbers each, into `states`: the T states with a transition, then the
    /// W that end the windows.
    pub(crate) fn gather<T: Copy>(&self, observations: &[T], observation: usize, states: &mut [T]) {
        let (with_transition, last) = states.split_at_mut(self.rewards.len() * observation);
        let (mut from, mut to) = (0, 0);
        for (&length, last) in self.lengths.iter().zip(last.chunks_exact_mut(observation)) {
            let len = length as usize * observation;
            with_transition[to..to + len].copy_from_slice(&observations[from..from + len]);
            last.copy_from_slice(&observations[from + len..from + len + observation]);
            to += len;
            from += len + observation;
        }
    }

    /// The value of the state after each transition, `[T]`, from the values of states in the order of [`gather`](Self::gather).
    fn value_next_states(&self, value: impl Fn(usize) -> f32, v_tp1: &mut [f32]) {
        let (transitions, mut t) = (self.rewards.len(), 0);
        for (w, &length) in self.lengths.iter().enumerate() {
            let end = t + length as usize;
            while t < end {
                v_tp1[t] = value(if t + 1 < end { t + 1 } else { transitions + w });
                t += 1;
            }
        }
    }
}

/// What an update found; every field is a mean over the batch, and 0 where the algorithm knows no such thing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateStats {
    /// Squared error of the critic against its targets; of several, as in all that concerns critics, their mean.
    pub critic_loss: f32,
    /// What the policy descends, without the KL terms: MPO's negative weighted log-likelihood.
    pub policy_loss: f32,
    /// Temperature eta, in units of Q.
    pub temperature: f32,
    /// Multiplier of the mean's KL, or of the one over discrete actions.
    pub alpha_mean: f32,
    /// Multiplier of the covariance's KL.
    pub alpha_covariance: f32,
    /// KL of the E-step's weights from uniform, or from the prior over discrete actions, nats.
    pub kl_q: f32,
    /// The M-step's KL in the mean, or the one of a policy over discrete actions, nats.
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
    /// The online policy's entropy, nats, of a policy over discrete actions.
    pub entropy: f32,
}

impl UpdateStats {
    /// Every field.
    fn values_mut(&mut self) -> [&mut f32; 14] {
        [
            &mut self.critic_loss,
            &mut self.policy_loss,
            &mut self.temperature,
            &mut self.alpha_mean,
            &mut self.alpha_covariance,
            &mut self.kl_q,
            &mut self.kl_mean,
            &mut self.kl_covariance,
            &mut self.q_mean,
            &mut self.target_mean,
            &mut self.policy_grad_norm,
            &mut self.critic_grad_norm,
            &mut self.stddev_mean,
            &mut self.entropy,
        ]
    }

    /// Sums over critics become their means.
    fn share_critics(&mut self, critics: usize) {
        self.critic_loss /= critics as f32;
        self.q_mean /= critics as f32;
    }

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
            (&mut self.entropy, other.entropy),
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

    /// Makes one update together with other workers, all of which call this with a batch of their own: along the gradient
    /// that one learner would have on all their transitions. Statistics, too, are means over all.
    ///
    /// A learner that does not implement it trains alone.
    ///
    /// # Errors
    /// As [`update`](Self::update), in all workers alike; [`NetsError::Workers`] when another is gone, or this learner knows no
    /// others.
    ///
    /// # Panics
    /// As [`update`](Self::update).
    fn update_with(
        &mut self,
        batch: &BatchView<'_>,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, NetsError> {
        if workers.workers() == 1 {
            return self.update(batch);
        }
        let reason = "this learner does not implement LearnerStep::update_with, so it can only train alone";
        Err(NetsError::Workers { reason: reason.to_owned() })
    }

    /// A hash of all that must be equal in all workers between updates.
    fn fingerprint(&self) -> u64 {
        Fingerprint::new().add(self.policy_parameters()).finish()
    }

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
