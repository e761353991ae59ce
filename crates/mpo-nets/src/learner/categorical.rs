//! Learners over discrete actions, whose expectations are exact sums.

use mpo_core::{
    Categorical, Transitions, categorical_e_step, categorical_m_step, categorical_solve_temperature, critic_loss,
    n_step_windows, retrace_windows,
};

use super::{
    BatchView, UpdateStats,
    duals::Duals,
    evaluation::keep_least,
    off_policy::Objective,
    ppo::Actions,
    trained::{StateNetwork, Trained},
};
use crate::{LearnerConfig, PixelShape, TemperatureMode, noise::Noise};

/// MPO over discrete actions: T transitions in W windows, S = T + W states, A actions.
///
/// ```text
/// Q'      = the least of the target critics' values
/// V'(s)  = sum_a pi'(a|s) Q'(s, a)                                 Retrace (paper eq. 13) with these and the taken Q', or n steps
/// q(a|s) ~ pi'(a|s) exp( Q'(s, a) / eta )                          the prior stays in (eq. 7)
/// loss   = mean_s [ -sum_a q(a|s) log pi(a|s) + alpha KL(pi' || pi) ]
/// ```
/// The dual variables are the temperature and alpha, the multiplier of the one bound `epsilon_mean`.
#[derive(Debug)]
pub(super) struct ExactMpo<T> {
    config: LearnerConfig,
    /// Numbers of a state.
    observation: usize,
    actions: usize,
    /// States with a transition first, then those that end the windows.
    states: Vec<T>,
    /// Target policy and values, `[S, A]`, and the states' values, `[S]`.
    logits: Vec<f32>,
    q: Vec<f32>,
    v: Vec<f32>,
    /// Values of another critic than the first, `[S, A]`.
    other: Vec<f32>,
    /// Per transition, `[T]`.
    taken: Vec<usize>,
    q_t: Vec<f32>,
    v_tp1: Vec<f32>,
    discount_t: Vec<f32>,
    log_rho_t: Vec<f32>,
    targets: Vec<f32>,
    q_online_t: Vec<f32>,
    d_q_t: Vec<f32>,
    /// Online critic, then online policy, and the gradients by their outputs, `[T, A]`.
    online: Vec<f32>,
    d_online: Vec<f32>,
    /// `q(a|s)`, `[T, A]`.
    weights: Vec<f32>,
}

impl<T: Copy + Default> ExactMpo<T> {
    /// The objective, and the dual variables that it starts from.
    pub(super) fn new(shape: &PixelShape, config: &LearnerConfig) -> (Self, Vec<f32>) {
        let objective = Self {
            observation: shape.state_len(),
            actions: shape.actions,
            states: Vec::new(),
            logits: Vec::new(),
            q: Vec::new(),
            v: Vec::new(),
            other: Vec::new(),
            taken: Vec::new(),
            q_t: Vec::new(),
            v_tp1: Vec::new(),
            discount_t: Vec::new(),
            log_rho_t: Vec::new(),
            targets: Vec::new(),
            q_online_t: Vec::new(),
            d_q_t: Vec::new(),
            online: Vec::new(),
            d_online: Vec::new(),
            weights: Vec::new(),
            config: config.clone(),
        };
        (objective, vec![config.initial_temperature, config.initial_alpha_mean])
    }

    /// Takes in a batch: sizes the memory and puts the states in order. Returns T.
    fn begin(&mut self, batch: &BatchView<'_>, observations: &[T]) -> usize {
        let (t, w) = batch.sizes(observations, self.observation);
        assert_eq!(batch.discrete_actions.len(), t, "discrete actions of the batch");
        let (s, a) = (t + w, self.actions);
        self.states.resize(s * self.observation, T::default());
        for (buffer, len) in [
            (&mut self.logits, s * a),
            (&mut self.q, s * a),
            (&mut self.v, s),
            (&mut self.q_t, t),
            (&mut self.v_tp1, t),
            (&mut self.discount_t, t),
            (&mut self.log_rho_t, t),
            (&mut self.targets, t),
            (&mut self.q_online_t, t),
            (&mut self.d_q_t, t),
            (&mut self.online, t * a),
            (&mut self.d_online, t * a),
            (&mut self.weights, t * a),
        ] {
            buffer.resize(len, 0.0);
        }
        batch.gather(observations, self.observation, &mut self.states);
        take_actions(batch.discrete_actions, a, &mut self.taken);
        t
    }

    /// The critic's targets, from the target networks' outputs in all states.
    fn evaluate(&mut self, batch: &BatchView<'_>) {
        let (t, a) = (self.taken.len(), self.actions);
        Categorical::new(a, &self.logits).expectation(&self.q, &mut self.v);
        batch.value_next_states(|state| self.v[state], &mut self.v_tp1);
        for (gamma_d, d) in self.discount_t.iter_mut().zip(batch.discounts) {
            *gamma_d = self.config.discount * d;
        }
        if let Some(steps) = self.config.n_step {
            n_step_windows(batch.lengths, &self.v_tp1, batch.rewards, &self.discount_t, steps, &mut self.targets);
            return;
        }
        Categorical::new(a, &self.logits[..t * a]).log_prob(&self.taken, &mut self.log_rho_t);
        for (log_rho, log_b) in self.log_rho_t.iter_mut().zip(batch.log_probs) {
            *log_rho -= log_b;
        }
        pick(&self.q, &self.taken, a, &mut self.q_t);
        let transitions =
            Transitions { q_t: &self.q_t, v_tp1: &self.v_tp1, r_t: batch.rewards, discount_t: &self.discount_t };
        retrace_windows(batch.lengths, transitions, &self.log_rho_t, self.config.retrace_lambda, &mut self.targets);
    }

    /// Fills the weights by the temperature, and the temperature's gradient.
    fn weigh(&mut self, duals: &mut Duals, stats: &mut UpdateStats) {
        let len = self.weights.len();
        let (target, q, epsilon) =
            (Categorical::new(self.actions, &self.logits[..len]), &self.q[..len], self.config.epsilon);
        let raw = duals.temperature(0);
        let eta = match self.config.temperature {
            TemperatureMode::Sgd => raw.value(),
            // Where no temperature reaches the bound, weights at the smallest one are greedy, as they should be.
            TemperatureMode::Exact => {
                let solution = categorical_solve_temperature(&target, q, epsilon, None, &mut self.weights);
                solution.temperature.unwrap_or(mpo_core::FLOOR as f32)
            }
        };
        let e = categorical_e_step(&target, q, eta, epsilon, &mut self.weights);
        duals.gradient[0] = match self.config.temperature {
            TemperatureMode::Sgd => raw.gradient(e.d_eta),
            TemperatureMode::Exact => 0.0,
        };
        (stats.temperature, stats.kl_q) = (eta, e.kl);
    }
}

impl<N: StateNetwork> Objective<N> for ExactMpo<N::Number> {
    fn gradient(
        &mut self,
        batch: &BatchView<'_>,
        policy: &mut Trained<N>,
        critics: &mut [Trained<N>],
        duals: &mut Duals,
        _: &mut Noise,
    ) -> UpdateStats {
        let mut stats = UpdateStats::default();
        let t = self.begin(batch, N::states(batch));
        let (rows, a) = (self.v.len(), self.actions);
        policy.forward_target(&self.states, rows, &mut self.logits);
        for (index, critic) in critics.iter_mut().enumerate() {
            if index == 0 {
                critic.forward_target(&self.states, rows, &mut self.q);
            } else {
                self.other.resize(rows * a, 0.0);
                critic.forward_target(&self.states, rows, &mut self.other);
                keep_least(&mut self.q, &self.other);
            }
        }
        self.evaluate(batch);
        stats.target_mean = mean(&self.targets);

        let states = &self.states[..t * self.observation];
        for critic in &mut *critics {
            critic.forward(states, t, &mut self.online);
            pick(&self.online, &self.taken, a, &mut self.q_online_t);
            stats.critic_loss += critic_loss(&self.q_online_t, &self.targets, &mut self.d_q_t);
            stats.q_mean += mean(&self.q_online_t);
            self.d_online.fill(0.0);
            for ((row, &action), &d) in self.d_online.chunks_exact_mut(a).zip(&self.taken).zip(&self.d_q_t) {
                row[action] = d;
            }
            critic.backward(states, t, &self.d_online);
        }
        stats.share_critics(critics.len());

        self.weigh(duals, &mut stats);
        let states = &self.states[..t * self.observation];
        policy.forward(states, t, &mut self.online);
        let (target, online) = (Categorical::new(a, &self.logits[..t * a]), Categorical::new(a, &self.online));
        let alpha = duals.multiplier(1);
        let m = categorical_m_step(alpha.value(), &target, &online, &self.weights, &mut self.d_online);
        duals.gradient[1] = alpha.gradient(self.config.epsilon_mean, m.kl);
        (stats.alpha_mean, stats.policy_loss, stats.kl_mean) = (alpha.value(), m.policy_loss, m.kl);
        // The transitions' log-ratios are no longer needed.
        online.entropy(&mut self.log_rho_t);
        stats.entropy = mean(&self.log_rho_t);
        policy.backward(states, t, &self.d_online);
        stats
    }

    fn flops(&self, policy: &N, critics: &[Trained<N>], transitions: usize, windows: usize) -> usize {
        let states = transitions + windows;
        let networks = critics.iter().map(|critic| &critic.network).chain([policy]);
        networks.map(|net| net.forward_flops(states) + net.training_flops(transitions)).sum()
    }
}

/// Discrete actions of PPO.
#[derive(Debug)]
pub(super) struct DiscreteActions {
    count: usize,
    taken: Vec<usize>,
    gathered: Vec<u32>,
    /// Online policy, and the loss's gradient by it, `[rows, A]`.
    logits: Vec<f32>,
    d_logits: Vec<f32>,
    entropies: Vec<f32>,
}

impl DiscreteActions {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count,
            taken: Vec::new(),
            gathered: Vec::new(),
            logits: Vec::new(),
            d_logits: Vec::new(),
            entropies: Vec::new(),
        }
    }
}

impl<N: StateNetwork> Actions<N> for DiscreteActions {
    fn gather(&mut self, batch: &BatchView<'_>, rows: &[u32]) {
        assert_eq!(batch.discrete_actions.len(), batch.rewards.len(), "discrete actions of the batch");
        self.gathered.clear();
        self.gathered.extend(rows.iter().map(|&t| batch.discrete_actions[t as usize]));
        take_actions(&self.gathered, self.count, &mut self.taken);
    }

    fn log_probs(&mut self, policy: &mut Trained<N>, states: &[N::Number], log_probs: &mut [f32]) {
        let rows = log_probs.len();
        self.logits.resize(rows * self.count, 0.0);
        self.d_logits.resize(rows * self.count, 0.0);
        self.entropies.resize(rows, 0.0);
        policy.forward(states, rows, &mut self.logits);
        Categorical::new(self.count, &self.logits).log_prob(&self.taken, log_probs);
    }

    fn gradient(
        &mut self,
        policy: &mut Trained<N>,
        states: &[N::Number],
        weights: &[f32],
        entropy_weight: f32,
        stats: &mut UpdateStats,
    ) {
        let online = Categorical::new(self.count, &self.logits);
        online.log_prob_gradient(&self.taken, weights, entropy_weight, &mut self.d_logits);
        let rows = weights.len();
        for d in &mut self.d_logits {
            *d *= -1.0 / rows as f32;
        }
        online.entropy(&mut self.entropies);
        stats.entropy = mean(&self.entropies);
        policy.backward(states, rows, &self.d_logits);
    }
}

/// Copies indices of actions.
///
/// # Panics
/// If one is not below `actions`.
fn take_actions(indices: &[u32], actions: usize, taken: &mut Vec<usize>) {
    taken.clear();
    taken.extend(indices.iter().map(|&action| action as usize));
    if let Some(action) = taken.iter().find(|&&action| action >= actions) {
        panic!("action {action} of {actions}");
    }
}

/// `out_t = table[t, taken_t]`.
fn pick(table: &[f32], taken: &[usize], actions: usize, out: &mut [f32]) {
    for ((out, row), &action) in out.iter_mut().zip(table.chunks_exact(actions)).zip(taken) {
        *out = row[action];
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}
