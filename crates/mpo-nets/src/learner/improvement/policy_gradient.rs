//! EPG and actor-critic: the likelihood-ratio gradient over the policy's own samples, or over one of them, with an entropy
//! bonus and no bound.

use mpo_core::{WeightedActions, Workspace, advantage_weights, policy_gradient, q_weights, single_sample_weights};

use super::super::{UpdateStats, duals::Duals, evaluation::Evaluation, online::OnlinePolicy, trained::Trained};
use super::Improvement;
use crate::{Algorithm, GaussianHead, LearnerConfig};

/// The learner of [`Algorithm::Epg`] and, following one sample per state, of [`Algorithm::ActorCritic`].
#[derive(Debug)]
pub(in super::super) struct PolicyGradient {
    entropy_weight: f32,
    weigh: fn(&[f32], usize, &mut [f32]),
    weights: Vec<f32>,
    online: OnlinePolicy,
    workspace: Workspace<f32>,
}

impl PolicyGradient {
    pub(in super::super) fn new(head: &GaussianHead, config: &LearnerConfig) -> Self {
        Self {
            entropy_weight: config.entropy_weight,
            weigh: match (config.algorithm, config.baseline) {
                (Algorithm::ActorCritic, true) => single_sample_weights,
                (_, true) => advantage_weights,
                (_, false) => q_weights,
            },
            weights: Vec::new(),
            online: OnlinePolicy::new(head.clone()),
            workspace: Workspace::new(head.action(), config.action_samples),
        }
    }
}

impl Improvement for PolicyGradient {
    fn gradient(
        &mut self,
        evaluation: &Evaluation,
        policy: &mut Trained,
        _: &mut Trained,
        _: &mut Duals,
        stats: &mut UpdateStats,
    ) {
        let (q, samples) = (evaluation.q(), evaluation.samples());
        self.weights.resize(q.len(), 0.0);
        (self.weigh)(q, samples, &mut self.weights);
        let states = evaluation.states();
        self.online.forward(policy, states, evaluation.transitions());
        let actions = WeightedActions { actions: evaluation.actions(), weights: &self.weights };
        let (online, gradient) = self.online.parts();
        stats.policy_loss = policy_gradient(&online, actions, self.entropy_weight, gradient, &mut self.workspace);
        self.online.backward(policy, states);
        stats.stddev_mean = self.online.mean_stddev();
    }
}
