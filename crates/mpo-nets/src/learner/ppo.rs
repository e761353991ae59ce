//! PPO: several passes over the newest episodes, the ratio of probabilities clipped (Schulman et al. 2017).

use mpo_core::{
    Transitions, WeightedActions, Workspace, critic_loss, gae, normalise_advantages, policy_gradient, ppo_clip,
};

use super::{
    BatchView, Demand, LearnerStep, UpdateStats, build::Initial, check_finite, online::OnlinePolicy, trained::Trained,
};
use crate::{
    GaussianHead, LearnerConfig, NetsError, NetworkConfig, Threads,
    checkpoint::{Reader, Writer},
    noise::Noise,
};

/// The on-policy learner: the policy of all the others, and a value of states for a critic.
#[derive(Debug)]
pub(super) struct PpoLearner {
    config: LearnerConfig,
    observation: usize,
    action: usize,
    policy: Trained,
    value: Trained,
    noise: Noise,
    updates: u64,
    rollout: Rollout,
    minibatch: Minibatch,
    online: OnlinePolicy,
    workspace: Workspace<f32>,
}

/// What one round learns from: T transitions in W windows.
#[derive(Debug, Default)]
struct Rollout {
    /// `[T + W, observation]`, the states with a transition first.
    states: Vec<f32>,
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
#[derive(Debug, Default)]
struct Minibatch {
    states: Vec<f32>,
    actions: Vec<f32>,
    behaviour: Vec<f32>,
    advantages: Vec<f32>,
    returns: Vec<f32>,
    log_probs: Vec<f32>,
    weights: Vec<f32>,
    values: Vec<f32>,
    d_values: Vec<f32>,
}

impl Rollout {
    /// Values, advantages and returns of a batch under the present value network.
    fn assess(&mut self, batch: &BatchView<'_>, observation: usize, value: &mut Trained, config: &LearnerConfig) {
        let (t, w) = batch.sizes(observation);
        self.states.resize((t + w) * observation, 0.0);
        self.values.resize(t + w, 0.0);
        for buffer in [&mut self.v_tp1, &mut self.discount_t, &mut self.advantages, &mut self.returns, &mut self.keys] {
            buffer.resize(t, 0.0);
        }
        batch.gather(observation, &mut self.states);
        value.forward(&[&self.states], t + w, &mut self.values);
        let mut start = 0;
        for (window, &length) in batch.lengths.iter().enumerate() {
            let end = start + length as usize;
            self.v_tp1[start..end - 1].copy_from_slice(&self.values[start + 1..end]);
            self.v_tp1[end - 1] = self.values[t + window];
            start = end;
        }
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

impl Minibatch {
    fn gather(&mut self, batch: &BatchView<'_>, rollout: &Rollout, rows: &[u32], observation: usize, action: usize) {
        for buffer in
            [&mut self.states, &mut self.actions, &mut self.behaviour, &mut self.advantages, &mut self.returns]
        {
            buffer.clear();
        }
        for t in rows.iter().map(|&t| t as usize) {
            self.states.extend_from_slice(&rollout.states[t * observation..(t + 1) * observation]);
            self.actions.extend_from_slice(&batch.actions[t * action..(t + 1) * action]);
            self.behaviour.push(batch.log_probs[t]);
            self.advantages.push(rollout.advantages[t]);
            self.returns.push(rollout.returns[t]);
        }
        for buffer in [&mut self.log_probs, &mut self.weights, &mut self.values, &mut self.d_values] {
            buffer.resize(rows.len(), 0.0);
        }
    }
}

impl PpoLearner {
    pub(super) fn new(
        policy: Initial,
        value: Initial,
        (observation, action): (usize, usize),
        network: &NetworkConfig,
        config: &LearnerConfig,
        seed: u64,
    ) -> Self {
        let threads = Threads::new(config.threads);
        Self {
            observation,
            action,
            policy: Trained::new("policy", policy, network, config.policy_learning_rate, &threads),
            value: Trained::new("value", value, network, config.critic_learning_rate, &threads),
            noise: Noise::new(seed),
            updates: 0,
            rollout: Rollout::default(),
            minibatch: Minibatch::default(),
            online: OnlinePolicy::new(GaussianHead::of(action, network)),
            workspace: Workspace::new(action, 1),
            config: config.clone(),
        }
    }

    /// One step of both optimisers on the minibatch at hand.
    fn step(&mut self) -> Result<UpdateStats, NetsError> {
        let Self { policy, value, minibatch: b, online, workspace, config, .. } = self;
        let rows = b.returns.len();
        let mut stats = UpdateStats::default();
        online.forward(policy, &b.states, rows);
        online.policy().log_prob(&b.actions, &mut b.log_probs, workspace);
        stats.policy_loss = ppo_clip(&b.log_probs, &b.behaviour, &b.advantages, config.ppo.clip, &mut b.weights);
        // The surrogate's slope by each log-probability, as the weights of a policy gradient, which takes the mean again.
        b.weights.iter_mut().for_each(|slope| *slope *= -(rows as f32));
        let actions = WeightedActions { actions: &b.actions, weights: &b.weights };
        let (gaussian, gradient) = online.parts();
        policy_gradient(&gaussian, actions, config.entropy_weight, gradient, workspace);
        online.backward(policy, &b.states);
        stats.stddev_mean = online.mean_stddev();

        value.forward(&[&b.states], rows, &mut b.values);
        stats.critic_loss = critic_loss(&b.values, &b.returns, &mut b.d_values);
        value.backward(&[&b.states], rows, &b.d_values);
        stats.q_mean = b.values.iter().sum::<f32>() / rows as f32;
        stats.target_mean = b.returns.iter().sum::<f32>() / rows as f32;

        let (policy_norm, value_norm) = (policy.norm(config.gradient_clip), value.norm(config.gradient_clip));
        (stats.policy_grad_norm, stats.critic_grad_norm) = (policy_norm.norm, value_norm.norm);
        check_finite(self.updates + 1, &stats, 0.0)?;
        policy.step(policy_norm);
        value.step(value_norm);
        self.updates += 1;
        Ok(stats)
    }
}

impl LearnerStep for PpoLearner {
    /// One round: all passes over the batch, which must be of the present policy. The statistics are the last pass's means.
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        self.rollout.assess(batch, self.observation, &mut self.value, &self.config);
        let mut mean = UpdateStats::default();
        for _ in 0..self.config.ppo.epochs {
            self.rollout.shuffle(&mut self.noise);
            mean = UpdateStats::default();
            let (transitions, size) = (batch.rewards.len(), self.config.ppo.minibatch);
            // What is left over after whole minibatches sits out this pass; the next shuffles anew.
            let minibatches = (transitions / size).max(1);
            for index in 0..minibatches {
                let rows = index * size..((index + 1) * size).min(transitions);
                let rows = &self.rollout.order[rows];
                self.minibatch.gather(batch, &self.rollout, rows, self.observation, self.action);
                let stats = self.step()?;
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
