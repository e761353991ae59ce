//! DDPG: the policy's action ascends the critic.

use mpo_core::deterministic_policy_gradient;

use super::super::{UpdateStats, duals::Duals, evaluation::Evaluation, online::OnlinePolicy, trained::Trained};
use super::Improvement;
use crate::GaussianHead;

/// The learner of [`Algorithm::Ddpg`](crate::Algorithm::Ddpg), for a deterministic head.
#[derive(Debug)]
pub(in super::super) struct Deterministic {
    action: usize,
    online: OnlinePolicy,
    q: Vec<f32>,
    ones: Vec<f32>,
    dq_da: Vec<f32>,
}

impl Deterministic {
    pub(in super::super) fn new(head: &GaussianHead) -> Self {
        Self {
            action: head.action(),
            online: OnlinePolicy::new(head.clone()),
            q: Vec::new(),
            ones: Vec::new(),
            dq_da: Vec::new(),
        }
    }
}

impl Improvement for Deterministic {
    fn gradient(
        &mut self,
        evaluation: &Evaluation,
        policy: &mut Trained,
        critic: &mut Trained,
        _: &mut Duals,
        stats: &mut UpdateStats,
    ) {
        let (states, rows) = (evaluation.states(), evaluation.transitions());
        self.q.resize(rows, 0.0);
        self.ones.resize(rows, 1.0);
        self.dq_da.resize(rows * self.action, 0.0);

        self.online.forward(policy, states, rows);
        let inputs = [states, self.online.mean()];
        critic.forward_inputs(&inputs, rows, &mut self.q);
        let d_action = &mut [(1, &mut self.dq_da[..])];
        critic.network.backward_inputs(&critic.parameters, rows, &mut critic.activations, &self.ones, d_action);
        let (_, gradient) = self.online.parts();
        deterministic_policy_gradient(&self.dq_da, self.action, None, gradient.mean);
        gradient.factor.fill(0.0);
        self.online.backward(policy, states);
        stats.policy_loss = -self.q.iter().sum::<f32>() / rows as f32;
        stats.stddev_mean = self.online.mean_stddev();
    }
}
