//! PPO: several passes over the newest episodes, the ratio of probabilities clipped (Schulman et al. 2017).

use mpo_core::{
    Transitions, WeightedActions, Workspace, critic_loss, gae, normalise_advantages, policy_gradient, ppo_clip,
};

use super::{
    Alone, BatchView, Demand, GradientReducer, LearnerStep, UpdateStats, check_finite,
    online::OnlinePolicy,
    reduction::{Fingerprint, FlatGradient},
    trained::{StateNetwork, Trained},
};
use crate::{
    GaussianHead, LearnerConfig, NetsError, Network,
    checkpoint::{Reader, Writer},
    noise::Noise,
};

/// States whose values are computed in one pass: the activations of a whole round of Atari's would take hundreds of megabytes.
const ROWS_TOGETHER: usize = 256;

/// What PPO's policy chooses among: the part of a step that depends on it.
pub(super) trait Actions<N: StateNetwork>: std::fmt::Debug + Send {
    /// Takes in the actions of a batch's transitions `rows`.
    fn gather(&mut self, batch: &BatchView<'_>, rows: &[u32]);

    /// The gathered actions' log-probabilities under the online policy in their states.
    fn log_probs(&mut self, policy: &mut Trained<N>, states: &[N::Number], log_probs: &mut [f32]);

    /// Fills the policy's gradient with that of `-mean_t [ w_t log pi(a_t|s_t) + entropy_weight H(s_t) ]`, after
    /// [`log_probs`](Self::log_probs), and what of `stats` concerns the policy's spread.
    fn gradient(
        &mut self,
        policy: &mut Trained<N>,
        states: &[N::Number],
        weights: &[f32],
        entropy_weight: f32,
        stats: &mut UpdateStats,
    );
}

/// Continuous actions.
#[derive(Debug)]
pub(super) struct GaussianActions {
    /// Dimensions of an action.
    size: usize,
    actions: Vec<f32>,
    online: OnlinePolicy,
    workspace: Workspace<f32>,
}

impl GaussianActions {
    pub(super) fn new(head: GaussianHead) -> Self {
        let size = head.action();
        Self { size, actions: Vec::new(), online: OnlinePolicy::new(head), workspace: Workspace::new(size, 1) }
    }
}

impl Actions<Network> for GaussianActions {
    fn gather(&mut self, batch: &BatchView<'_>, rows: &[u32]) {
        self.actions.clear();
        for t in rows.iter().map(|&t| t as usize) {
            self.actions.extend_from_slice(&batch.actions[t * self.size..(t + 1) * self.size]);
        }
    }

    fn log_probs(&mut self, policy: &mut Trained, states: &[f32], log_probs: &mut [f32]) {
        self.online.forward(policy, states, log_probs.len());
        self.online.policy().log_prob(&self.actions, log_probs, &mut self.workspace);
    }

    fn gradient(
        &mut self,
        policy: &mut Trained,
        states: &[f32],
        weights: &[f32],
        entropy_weight: f32,
        stats: &mut UpdateStats,
    ) {
        let actions = WeightedActions { actions: &self.actions, weights };
        let (gaussian, gradient) = self.online.parts();
        policy_gradient(&gaussian, actions, entropy_weight, gradient, &mut self.workspace);
        self.online.backward(policy, states);
        stats.stddev_mean = self.online.mean_stddev();
    }
}

/// The on-policy learner: the policy of all the others, and a value of states for a critic.
#[derive(Debug)]
pub(super) struct PpoLearner<N: StateNetwork, A: Actions<N>> {
    config: LearnerConfig,
    /// Numbers of a state.
    observation: usize,
    policy: Trained<N>,
    value: Trained<N>,
    noise: Noise,
    updates: u64,
    rollout: Rollout<N>,
    minibatch: Minibatch<N>,
    actions: A,
    flat: FlatGradient,
}

/// What one round learns from: T transitions in W windows.
#[derive(Debug)]
struct Rollout<N: StateNetwork> {
    /// `[T + W, observation]`, the states with a transition first.
    states: Vec<N::Number>,
    values: Vec<f32>,
    v_tp1: Vec<f32>,
    discount_t: Vec<f32>,
    /// Generalised advantages, normalised over the round, `[T]`.
    advantages: Vec<f32>,
    /// Lambda-returns, the value's targets, `[T]`.
    returns: Vec<f32>,
    /// Sorting the transitions by random keys shuffles them.
    keys: Vec<f32>,
    order: Vec<u32>,
}

/// The rows of one step of the optimiser.
#[derive(Debug)]
struct Minibatch<N: StateNetwork> {
    states: Vec<N::Number>,
    behaviour: Vec<f32>,
    advantages: Vec<f32>,
    returns: Vec<f32>,
    log_probs: Vec<f32>,
    weights: Vec<f32>,
    values: Vec<f32>,
    d_values: Vec<f32>,
}

impl<N: StateNetwork> Rollout<N> {
    fn new() -> Self {
        Self {
            states: Vec::new(),
            values: Vec::new(),
            v_tp1: Vec::new(),
            discount_t: Vec::new(),
            advantages: Vec::new(),
            returns: Vec::new(),
            keys: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Values, advantages and returns of a batch under the present value network.
    fn assess(&mut self, batch: &BatchView<'_>, observation: usize, value: &mut Trained<N>, config: &LearnerConfig) {
        let observations = N::states(batch);
        let (t, w) = batch.sizes(observations, observation);
        self.states.resize((t + w) * observation, N::Number::default());
        self.values.resize(t + w, 0.0);
        for buffer in [&mut self.v_tp1, &mut self.discount_t, &mut self.advantages, &mut self.returns, &mut self.keys] {
            buffer.resize(t, 0.0);
        }
        batch.gather(observations, observation, &mut self.states);
        let chunks = self.states.chunks(ROWS_TOGETHER * observation).zip(self.values.chunks_mut(ROWS_TOGETHER));
        for (states, values) in chunks {
            value.forward(states, values.len(), values);
        }
        batch.value_next_states(|state| self.values[state], &mut self.v_tp1);
        for (gamma_d, d) in self.discount_t.iter_mut().zip(batch.discounts) {
            *gamma_d = config.discount * d;
        }
        let q_t = &self.values[..t];
        let transitions = Transitions { q_t, v_tp1: &self.v_tp1, r_t: batch.rewards, discount_t: &self.discount_t };
        gae(batch.lengths, transitions, config.ppo.gae_lambda, &mut self.advantages);
        for ((target, advantage), value) in self.returns.iter_mut().zip(&self.advantages).zip(q_t) {
            *target = advantage + value;
        }
        normalise_advantages(&mut self.advantages);
    }

    /// A new random order of the transitions.
    fn shuffle(&mut self, noise: &mut Noise) {
        noise.fill(&mut self.keys);
        self.order.clear();
        self.order.extend(0..self.keys.len() as u32);
        self.order.sort_unstable_by(|&a, &b| self.keys[a as usize].total_cmp(&self.keys[b as usize]).then(a.cmp(&b)));
    }
}

impl<N: StateNetwork> Minibatch<N> {
    fn new() -> Self {
        Self {
            states: Vec::new(),
            behaviour: Vec::new(),
            advantages: Vec::new(),
            returns: Vec::new(),
            log_probs: Vec::new(),
            weights: Vec::new(),
            values: Vec::new(),
            d_values: Vec::new(),
        }
    }

    fn gather(&mut self, batch: &BatchView<'_>, rollout: &Rollout<N>, rows: &[u32], observation: usize) {
        self.states.clear();
        for buffer in [&mut self.behaviour, &mut self.advantages, &mut self.returns] {
            buffer.clear();
        }
        for t in rows.iter().map(|&t| t as usize) {
            self.states.extend_from_slice(&rollout.states[t * observation..(t + 1) * observation]);
            self.behaviour.push(batch.log_probs[t]);
            self.advantages.push(rollout.advantages[t]);
            self.returns.push(rollout.returns[t]);
        }
        for buffer in [&mut self.log_probs, &mut self.weights, &mut self.values, &mut self.d_values] {
            buffer.resize(rows.len(), 0.0);
        }
    }
}

impl<N: StateNetwork, A: Actions<N>> PpoLearner<N, A> {
    /// For states of `observation` numbers.
    pub(super) fn new(
        (policy, mut values): (Trained<N>, Vec<Trained<N>>),
        observation: usize,
        actions: A,
        config: &LearnerConfig,
        seed: u64,
    ) -> Self {
        Self {
            observation,
            policy,
            value: values.remove(0),
            noise: Noise::new(seed),
            updates: 0,
            rollout: Rollout::new(),
            minibatch: Minibatch::new(),
            actions,
            flat: FlatGradient::default(),
            config: config.clone(),
        }
    }

    /// One step of both optimisers on the minibatches at hand.
    fn step(&mut self, workers: &mut dyn GradientReducer) -> Result<UpdateStats, NetsError> {
        let Self { policy, value, minibatch: b, actions, config, .. } = self;
        let rows = b.returns.len();
        let mut stats = UpdateStats::default();
        actions.log_probs(policy, &b.states, &mut b.log_probs);
        stats.policy_loss = ppo_clip(&b.log_probs, &b.behaviour, &b.advantages, config.ppo.clip, &mut b.weights);
        // The surrogate's slope by each log-probability, as the weights of a policy gradient, which takes the mean again.
        b.weights.iter_mut().for_each(|slope| *slope *= -(rows as f32));
        actions.gradient(policy, &b.states, &b.weights, config.entropy_weight, &mut stats);

        value.forward(&b.states, rows, &mut b.values);
        stats.critic_loss = critic_loss(&b.values, &b.returns, &mut b.d_values);
        value.backward(&b.states, rows, &b.d_values);
        stats.q_mean = b.values.iter().sum::<f32>() / rows as f32;
        stats.target_mean = b.returns.iter().sum::<f32>() / rows as f32;
        self.flat.reduce(workers, rows, &mut [&mut value.gradient, &mut policy.gradient], &mut stats)?;

        stats.policy_grad_norm = policy.norm(config.gradient_clip);
        stats.critic_grad_norm = value.norm(config.gradient_clip);
        check_finite(self.updates + 1, &stats, 0.0)?;
        policy.step();
        value.step();
        self.updates += 1;
        Ok(stats)
    }
}

impl<N: StateNetwork, A: Actions<N>> LearnerStep for PpoLearner<N, A> {
    /// One round: all passes over the batch, which must be of the present policy. The statistics are the last pass's means.
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        self.update_with(batch, &mut Alone)
    }

    /// Each worker normalises its own advantages; all make as many steps as the one with the fewest minibatches.
    fn update_with(
        &mut self,
        batch: &BatchView<'_>,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, NetsError> {
        self.rollout.assess(batch, self.observation, &mut self.value, &self.config);
        let (transitions, size) = (batch.rewards.len(), self.config.ppo.minibatch);
        // What is left over after whole minibatches sits out a pass; the next shuffles anew.
        let minibatches = workers.least((transitions / size).max(1))?;
        let mut mean = UpdateStats::default();
        for _ in 0..self.config.ppo.epochs {
            self.rollout.shuffle(&mut self.noise);
            mean = UpdateStats::default();
            for index in 0..minibatches {
                let rows = index * size..((index + 1) * size).min(transitions);
                let rows = &self.rollout.order[rows];
                self.minibatch.gather(batch, &self.rollout, rows, self.observation);
                self.actions.gather(batch, rows);
                let stats = self.step(workers)?;
                mean.add_share(&stats, minibatches);
            }
        }
        Ok(mean)
    }

    fn demand(&self) -> Demand {
        Demand::OnPolicy { transitions: self.config.ppo.horizon }
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        let (policy, value) = (&self.policy.network, &self.value.network);
        let pass = policy.training_flops(transitions) + value.training_flops(transitions);
        value.forward_flops(transitions + windows) + self.config.ppo.epochs * pass
    }

    fn policy_parameters(&self) -> &[f32] {
        &self.policy.parameters
    }

    fn fingerprint(&self) -> u64 {
        let networks = self.value.fingerprint(self.policy.fingerprint(Fingerprint::new()));
        networks.add_number(self.updates).finish()
    }

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.policy.save(&mut writer);
        self.value.save(&mut writer);
        writer.number("noise.position", self.noise.position());
        writer.number("updates", self.updates);
        writer.finish()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        let reader = Reader::new(bytes)?;
        let (policy, value) = (self.policy.read(&reader)?, self.value.read(&reader)?);
        let (position, updates) = (reader.number("noise.position")?, reader.number("updates")?);
        self.policy.put(policy);
        self.value.put(value);
        self.noise.seek(position);
        self.updates = updates;
        Ok(())
    }
}
