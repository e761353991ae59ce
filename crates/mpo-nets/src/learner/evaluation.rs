//! Policy evaluation, the half of an update that all off-policy learners share: actions sampled in every state, their target
//! values, the targets of the transitions, and the critic's gradient.

use mpo_core::{Gaussian, Transitions, Workspace, n_step_windows, retrace_windows};

use super::{BatchView, UpdateStats, trained::Trained};
use crate::{GaussianHead, LearnerConfig, NetworkConfig, kernels::clip_unit, noise::Noise};

/// Which policy is evaluated, and how its expectation is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluated {
    /// M samples of the target policy, Retrace: the MPO family, whose next policy is fitted near the target's.
    Target,
    /// M samples of the online policy, Retrace: learners that ascend along their own samples.
    Online,
    /// The target policy's mean, one-step targets unless more are asked for: DDPG.
    TargetMean,
}

/// What evaluating found, and the memory it takes. T transitions in W windows, S = T + W states, M samples, n action dimensions.
#[derive(Debug)]
pub(super) struct Evaluation {
    evaluated: Evaluated,
    head: GaussianHead,
    clip_actions: bool,
    observation: usize,
    samples: usize,
    discount: f32,
    lambda: f32,
    /// Steps of uncorrected targets; `None` for Retrace.
    n_step: Option<usize>,
    transitions: usize,
    /// `[S, observation]`: first the T states with a transition, then the W states that end the windows, so that what
    /// concerns transitions is contiguous.
    states: Vec<f32>,
    /// Head of the evaluated policy in all states: raw, mean `[S, n]`, factor.
    raw: Vec<f32>,
    mean: Vec<f32>,
    factor: Vec<f32>,
    noise: Vec<f32>,
    /// Sampled actions `[S, M, n]`, and as the critic sees them.
    actions: Vec<f32>,
    clipped: Vec<f32>,
    /// Taken actions as the critic sees them `[T, n]`.
    taken: Vec<f32>,
    /// Target values `[S, M]`: of several critics the least.
    q: Vec<f32>,
    /// Those of another critic than the first.
    other: Vec<f32>,
    /// Per transition `[T]`.
    q_t: Vec<f32>,
    v_tp1: Vec<f32>,
    discount_t: Vec<f32>,
    log_rho_t: Vec<f32>,
    targets: Vec<f32>,
    q_online: Vec<f32>,
    d_q: Vec<f32>,
    workspace: Workspace<f32>,
}

impl Evaluation {
    pub(super) fn new(
        evaluated: Evaluated,
        observation: usize,
        head: GaussianHead,
        network: &NetworkConfig,
        config: &LearnerConfig,
    ) -> Self {
        let samples = if evaluated == Evaluated::TargetMean { 1 } else { config.action_samples };
        Self {
            workspace: Workspace::new(head.action(), samples),
            clip_actions: network.clip_critic_actions,
            discount: config.discount,
            lambda: config.retrace_lambda,
            n_step: config.n_step.or((evaluated == Evaluated::TargetMean).then_some(1)),
            transitions: 0,
            evaluated,
            head,
            observation,
            samples,
            states: Vec::new(),
            raw: Vec::new(),
            mean: Vec::new(),
            factor: Vec::new(),
            noise: Vec::new(),
            actions: Vec::new(),
            clipped: Vec::new(),
            taken: Vec::new(),
            q: Vec::new(),
            other: Vec::new(),
            q_t: Vec::new(),
            v_tp1: Vec::new(),
            discount_t: Vec::new(),
            log_rho_t: Vec::new(),
            targets: Vec::new(),
            q_online: Vec::new(),
            d_q: Vec::new(),
        }
    }

    /// Takes in a batch: sizes the memory and puts the states in order.
    pub(super) fn begin(&mut self, batch: &BatchView<'_>) {
        let (t, w) = batch.sizes(batch.observations, self.observation);
        self.transitions = t;
        let (s, m, n) = (t + w, self.samples, self.head.action());
        for (buffer, len) in [
            (&mut self.states, s * self.observation),
            (&mut self.raw, s * self.head.raw_len()),
            (&mut self.mean, s * n),
            (&mut self.factor, s * self.head.factor_len()),
            (&mut self.noise, s * m * n),
            (&mut self.actions, s * m * n),
            (&mut self.clipped, s * m * n),
            (&mut self.taken, t * n),
            (&mut self.q, s * m),
            (&mut self.q_t, t),
            (&mut self.v_tp1, t),
            (&mut self.discount_t, t),
            (&mut self.log_rho_t, t),
            (&mut self.targets, t),
            (&mut self.q_online, t),
            (&mut self.d_q, t),
        ] {
            buffer.resize(len, 0.0);
        }
        batch.gather(batch.observations, self.observation, &mut self.states);
    }

    /// The states with a transition, `[T, observation]`.
    pub(super) fn states(&self) -> &[f32] {
        &self.states[..self.transitions * self.observation]
    }

    /// Number of transitions T.
    pub(super) fn transitions(&self) -> usize {
        self.transitions
    }

    /// Number of samples M per state.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Target values of the T states' samples, `[T, M]`.
    pub(super) fn q(&self) -> &[f32] {
        &self.q[..self.transitions * self.samples]
    }

    /// The T states' samples before clipping, `[T, M, n]`.
    pub(super) fn actions(&self) -> &[f32] {
        &self.actions[..self.transitions * self.samples * self.head.action()]
    }

    /// The evaluated policy in the T states.
    pub(super) fn policy(&self) -> Gaussian<'_, f32> {
        let (t, n) = (self.transitions, self.head.action());
        let factor = &self.factor[..t * self.head.factor_len()];
        Gaussian::new(self.head.covariance(), n, &self.mean[..t * n], factor)
    }

    /// Mean of the transitions' targets.
    pub(super) fn target_mean(&self) -> f32 {
        self.targets.iter().sum::<f32>() / self.transitions as f32
    }

    /// Samples actions in every state and values them with the target critics, once for all that follows.
    pub(super) fn sample(&mut self, policy: &mut Trained, critics: &mut [Trained], noise: &mut Noise) {
        let rows = self.states.len() / self.observation;
        match self.evaluated {
            Evaluated::Online => policy.forward(&self.states, rows, &mut self.raw),
            Evaluated::Target | Evaluated::TargetMean => policy.forward_target(&self.states, rows, &mut self.raw),
        }
        self.head.forward(&self.raw, &mut self.mean, &mut self.factor);
        if self.evaluated == Evaluated::TargetMean {
            self.actions.copy_from_slice(&self.mean);
        } else {
            noise.fill_on(&policy.threads, &mut self.noise);
            let policy = Gaussian::new(self.head.covariance(), self.head.action(), &self.mean, &self.factor);
            policy.sample(&self.noise, &mut self.actions, &mut self.workspace);
        }
        let actions = if self.clip_actions {
            clip_unit(&self.actions, &mut self.clipped);
            &self.clipped
        } else {
            &self.actions
        };
        least(critics, &self.states, actions, self.samples, &mut self.q, &mut self.other);
    }

    /// The transitions' targets: Retrace (paper eq. 13), or several steps without correction; for DDPG one.
    pub(super) fn evaluate(&mut self, batch: &BatchView<'_>, critics: &mut [Trained]) {
        if self.clip_actions {
            clip_unit(batch.actions, &mut self.taken);
        } else {
            self.taken.copy_from_slice(batch.actions);
        }
        // The value of a state is the mean over its samples.
        let m = self.samples;
        let value = |state: usize| self.q[state * m..(state + 1) * m].iter().sum::<f32>() / m as f32;
        batch.value_next_states(value, &mut self.v_tp1);
        for (gamma_d, d) in self.discount_t.iter_mut().zip(batch.discounts) {
            *gamma_d = self.discount * d;
        }
        if let Some(steps) = self.n_step {
            n_step_windows(batch.lengths, &self.v_tp1, batch.rewards, &self.discount_t, steps, &mut self.targets);
            return;
        }
        let states = &self.states[..self.transitions * self.observation];
        least(critics, states, &self.taken, 1, &mut self.q_t, &mut self.other);
        let (t, n) = (self.transitions, self.head.action());
        let factor = &self.factor[..t * self.head.factor_len()];
        let policy = Gaussian::new(self.head.covariance(), n, &self.mean[..t * n], factor);
        policy.log_prob(batch.actions, &mut self.log_rho_t, &mut self.workspace);
        for (log_rho, log_b) in self.log_rho_t.iter_mut().zip(batch.log_probs) {
            *log_rho -= log_b;
        }
        let window =
            Transitions { q_t: &self.q_t, v_tp1: &self.v_tp1, r_t: batch.rewards, discount_t: &self.discount_t };
        retrace_windows(batch.lengths, window, &self.log_rho_t, self.lambda, &mut self.targets);
    }

    /// A critic's squared error against the targets and its gradient; adds the loss and the mean value to `stats`.
    pub(super) fn critic_gradient(&mut self, critic: &mut Trained, stats: &mut UpdateStats) {
        let transitions = self.transitions;
        let inputs = [&self.states[..transitions * self.observation], &self.taken[..]];
        critic.forward_inputs(&inputs, transitions, &mut self.q_online);
        let (mut loss, mut sum) = (0.0, 0.0);
        for ((d, &q), &y) in self.d_q.iter_mut().zip(&self.q_online).zip(&self.targets) {
            loss += (q - y) * (q - y);
            sum += q;
            *d = 2.0 * (q - y) / transitions as f32;
        }
        critic.backward_inputs(&inputs, transitions, &self.d_q);
        stats.critic_loss += loss / transitions as f32;
        stats.q_mean += sum / transitions as f32;
    }
}

/// The least of the target critics' values, `q` `[states, samples]`, of `samples` actions in each state. `other` is scratch.
fn least(
    critics: &mut [Trained],
    states: &[f32],
    actions: &[f32],
    samples: usize,
    q: &mut [f32],
    other: &mut Vec<f32>,
) {
    let (first, others) = critics.split_at_mut(1);
    first[0].evaluate_actions_target(states, actions, samples, q);
    for critic in others {
        other.resize(q.len(), 0.0);
        critic.evaluate_actions_target(states, actions, samples, other);
        keep_least(q, other);
    }
}

/// `q = min(q, other)`.
pub(super) fn keep_least(q: &mut [f32], other: &[f32]) {
    q.iter_mut().zip(other).for_each(|(q, &other)| *q = q.min(other));
}
