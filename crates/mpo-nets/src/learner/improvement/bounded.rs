//! MPO: weighted maximum likelihood within a bound on the divergence from the target policy.

use mpo_core::{
    Constraint, MStep, WeightedActions, Workspace, advantage_weights, e_step, m_step, out_of_bounds_cost,
    solve_temperature,
};

use super::super::{UpdateStats, duals::Duals, evaluation::Evaluation, online::OnlinePolicy, trained::Trained};
use super::Improvement;
use crate::{Algorithm, GaussianHead, LearnerConfig, TemperatureMode};

/// Where the weights of the samples come from.
#[derive(Debug)]
enum Weights {
    /// The E-step: `softmax(Q / eta)` of samples of the target policy, the temperature from its dual (paper eqs. 7-9).
    /// The temperature is the first dual variable.
    Softmax,
    /// Advantages of samples of the online policy (paper Alg. 3); the target policy's head is then needed beside.
    Advantage { target: OnlinePolicy },
}

/// The MPO family: two ways to weigh, one bound or two.
#[derive(Debug)]
pub(in super::super) struct Bounded {
    config: LearnerConfig,
    weigh: Weights,
    /// Whether one multiplier bounds the whole KL.
    joint: bool,
    penalty: Option<Penalty>,
    weights: Vec<f32>,
    online: OnlinePolicy,
    workspace: Workspace<f32>,
}

/// The second objective of MO-MPO: actions outside of the bounds, [-1, 1] in every dimension. Its temperature is the last dual
/// variable.
#[derive(Debug)]
struct Penalty {
    epsilon: f32,
    /// Least and greatest action, `[n]` each.
    bounds: [Vec<f32>; 2],
    cost: Vec<f32>,
    weights: Vec<f32>,
}

impl Penalty {
    fn new(epsilon: f32, action: usize) -> Self {
        Self { epsilon, bounds: [-1.0, 1.0].map(|bound| vec![bound; action]), cost: Vec::new(), weights: Vec::new() }
    }

    /// Adds the weights of its E-step to `weights`.
    fn weigh(&mut self, evaluation: &Evaluation, duals: &mut Duals, weights: &mut [f32]) {
        let Self { epsilon, bounds: [minimum, maximum], cost, weights: own } = self;
        cost.resize(weights.len(), 0.0);
        own.resize(weights.len(), 0.0);
        out_of_bounds_cost(evaluation.actions(), minimum, maximum, cost);
        let last = duals.gradient.len() - 1;
        let raw = duals.temperature(last);
        let e = e_step(cost, evaluation.samples(), raw.value(), *epsilon, own);
        duals.gradient[last] = raw.gradient(e.d_eta);
        weights.iter_mut().zip(own).for_each(|(weight, own)| *weight += *own);
    }
}

impl Bounded {
    pub(in super::super) fn new(head: &GaussianHead, config: &LearnerConfig) -> Self {
        let weigh = match config.algorithm {
            Algorithm::MpoParametric => Weights::Advantage { target: OnlinePolicy::new(head.clone()) },
            _ => Weights::Softmax,
        };
        Self {
            weigh,
            joint: config.algorithm == Algorithm::MpoJointKl,
            penalty: penalised(config).map(|epsilon| Penalty::new(epsilon, head.action())),
            weights: Vec::new(),
            online: OnlinePolicy::new(head.clone()),
            workspace: Workspace::new(head.action(), config.action_samples),
            config: config.clone(),
        }
    }

    /// The dual variables before softplus at the start: temperature, if there is one, then multipliers, then the penalty's
    /// temperature.
    pub(in super::super) fn initial_duals(config: &LearnerConfig) -> Vec<f32> {
        let (eta, mean, covariance) =
            (config.initial_temperature, config.initial_alpha_mean, config.initial_alpha_covariance);
        let mut duals = match config.algorithm {
            Algorithm::MpoParametric => vec![mean, covariance],
            Algorithm::MpoJointKl => vec![eta, mean],
            _ => vec![eta, mean, covariance],
        };
        duals.extend(penalised(config).map(|_| eta));
        duals
    }

    /// Fills the weights; returns the index of the first multiplier.
    fn weigh(&mut self, evaluation: &Evaluation, duals: &mut Duals, stats: &mut UpdateStats) -> usize {
        let (q, samples) = (evaluation.q(), evaluation.samples());
        self.weights.resize(q.len(), 0.0);
        match self.weigh {
            Weights::Advantage { .. } => {
                advantage_weights(q, samples, &mut self.weights);
                0
            }
            Weights::Softmax => {
                let epsilon = self.config.epsilon;
                let raw = duals.temperature(0);
                let eta = match self.config.temperature {
                    TemperatureMode::Sgd => raw.value(),
                    // Where no temperature reaches the bound, weights at the smallest one are greedy, as they should be.
                    TemperatureMode::Exact => {
                        let solution = solve_temperature(q, samples, epsilon, None);
                        solution.temperature.unwrap_or(mpo_core::FLOOR as f32)
                    }
                };
                let e = e_step(q, samples, eta, epsilon, &mut self.weights);
                duals.gradient[0] = match self.config.temperature {
                    TemperatureMode::Sgd => raw.gradient(e.d_eta),
                    TemperatureMode::Exact => 0.0,
                };
                (stats.temperature, stats.kl_q) = (eta, e.kl);
                if let Some(penalty) = &mut self.penalty {
                    penalty.weigh(evaluation, duals, &mut self.weights);
                }
                1
            }
        }
    }

    /// The multipliers' gradients, after the M-step found the divergences.
    fn bound(&self, first: usize, m: &MStep<f32>, duals: &mut Duals) {
        if self.joint {
            duals.gradient[first] = duals.multiplier(first).gradient(self.config.epsilon_joint, m.kl());
        } else {
            let bounds = [(self.config.epsilon_mean, m.kl_mean), (self.config.epsilon_covariance, m.kl_covariance)];
            for (index, (epsilon, kl)) in (first..).zip(bounds) {
                duals.gradient[index] = duals.multiplier(index).gradient(epsilon, kl);
            }
        }
    }
}

/// The bound of the penalty, for the algorithms that know it.
fn penalised(config: &LearnerConfig) -> Option<f32> {
    config.epsilon_penalty.filter(|_| config.algorithm != Algorithm::MpoParametric)
}

impl Improvement for Bounded {
    fn gradient(
        &mut self,
        evaluation: &Evaluation,
        policy: &mut Trained,
        _: &mut Trained,
        duals: &mut Duals,
        stats: &mut UpdateStats,
    ) {
        let first = self.weigh(evaluation, duals, stats);
        let (states, rows) = (evaluation.states(), evaluation.transitions());
        if let Weights::Advantage { target } = &mut self.weigh {
            target.forward_target(policy, states, rows);
        }
        self.online.forward(policy, states, rows);
        let target = match &self.weigh {
            Weights::Advantage { target } => target.policy(),
            Weights::Softmax => evaluation.policy(),
        };
        stats.alpha_mean = duals.multiplier(first).value();
        let constraint = if self.joint {
            stats.alpha_covariance = stats.alpha_mean;
            Constraint::Joint { alpha: stats.alpha_mean }
        } else {
            stats.alpha_covariance = duals.multiplier(first + 1).value();
            Constraint::Split {
                split: self.config.kl_split,
                alpha_mean: stats.alpha_mean,
                alpha_covariance: stats.alpha_covariance,
            }
        };
        let samples = WeightedActions { actions: evaluation.actions(), weights: &self.weights };
        let (online, gradient) = self.online.parts();
        let m = m_step(constraint, &target, &online, samples, gradient, &mut self.workspace);
        self.online.backward(policy, states);
        self.bound(first, &m, duals);
        (stats.policy_loss, stats.kl_mean, stats.kl_covariance) = (m.policy_loss, m.kl_mean, m.kl_covariance);
        stats.stddev_mean = self.online.mean_stddev();
    }
}
