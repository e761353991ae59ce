//! Policy improvement, the half of an update in which the off-policy learners differ.

mod bounded;
mod deterministic;
mod policy_gradient;

pub(super) use bounded::Bounded;
pub(super) use deterministic::Deterministic;
pub(super) use policy_gradient::PolicyGradient;

use super::{UpdateStats, duals::Duals, evaluation::Evaluation, trained::Trained};

/// From sampled actions and their values to the policy's gradient.
pub(super) trait Improvement: std::fmt::Debug + Send {
    /// Fills the policy's gradient and the dual variables', and what of `stats` concerns the policy.
    ///
    /// The critic's gradient is already there and must stay; its activations are free.
    fn gradient(
        &mut self,
        evaluation: &Evaluation,
        policy: &mut Trained,
        critic: &mut Trained,
        duals: &mut Duals,
        stats: &mut UpdateStats,
    );
}
