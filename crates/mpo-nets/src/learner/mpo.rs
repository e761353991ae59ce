//! MPO on the CPU: Retrace, E-step, M-step and Adam on two networks and their targets.

use mpo_core::{
    Constraint, Gaussian, HeadGradient, Multiplier, Temperature, Transitions, WeightedActions, Workspace, e_step,
    m_step, retrace_windows, solve_temperature,
};

use super::{BatchView, LearnerStep, UpdateStats, build::Initial};
use crate::{
    Activations, Adam, GaussianHead, Layout, MpoConfig, NetsError, Network, NetworkConfig, TemperatureMode,
    checkpoint::{Reader, Writer},
    clip_by_global_norm,
    kernels::clip_unit,
    noise::Noise,
};

/// A network with its target copy, optimiser and scratch.
#[derive(Debug)]
struct Trained {
    name: &'static str,
    network: Network,
    layout: Layout,
    parameters: Vec<f32>,
    target: Vec<f32>,
    gradient: Vec<f32>,
    adam: Adam,
    activations: Activations,
}

impl Trained {
    fn new(name: &'static str, (layout, parameters): Initial, config: &NetworkConfig, learning_rate: f32) -> Self {
        Self {
            name,
            network: Network::from_layout(&layout, config.torso),
            target: parameters.clone(),
            gradient: vec![0.0; parameters.len()],
            adam: Adam::new(parameters.len(), learning_rate),
            activations: Activations::default(),
            layout,
            parameters,
        }
    }

    fn save(&self, writer: &mut Writer) {
        let (step, first, second) = self.adam.state();
        let parts = [
            ("online", &self.parameters[..]),
            ("target", &self.target),
            ("adam.first", first),
            ("adam.second", second),
        ];
        for (part, values) in parts {
            for entry in self.layout.entries() {
                writer.array(
                    format!("{}.{part}.{}", self.name, entry.name),
                    &entry.shape,
                    &values[entry.range.clone()],
                );
            }
        }
        writer.number(format!("{}.adam.step", self.name), step);
    }

    /// The four buffers and the optimiser's step, checked but not yet put in place.
    fn read(&self, reader: &Reader<'_>) -> Result<([Vec<f32>; 4], u64), NetsError> {
        let read = |part: &str| -> Result<Vec<f32>, NetsError> {
            let mut values = Vec::with_capacity(self.parameters.len());
            for entry in self.layout.entries() {
                values.extend(reader.array(&format!("{}.{part}.{}", self.name, entry.name), &entry.shape)?);
            }
            Ok(values)
        };
        let buffers = [read("online")?, read("target")?, read("adam.first")?, read("adam.second")?];
        Ok((buffers, reader.number(&format!("{}.adam.step", self.name))?))
    }

    fn put(&mut self, ([online, target, first, second], step): ([Vec<f32>; 4], u64)) {
        self.parameters = online;
        self.target = target;
        self.adam.set_state(step, &first, &second);
    }
}

/// The dual variables before softplus, in the order of their buffer.
#[derive(Debug)]
struct Duals {
    raw: [f32; 3],
    adam: Adam,
}

impl Duals {
    fn temperature(&self) -> Temperature<f32> {
        Temperature::from_raw(self.raw[0])
    }

    fn alpha_mean(&self) -> Multiplier<f32> {
        Multiplier::from_raw(self.raw[1])
    }

    fn alpha_covariance(&self) -> Multiplier<f32> {
        Multiplier::from_raw(self.raw[2])
    }
}

/// Arrays of one update; T transitions in W windows, S = T + W states, M samples, n action dimensions.
#[derive(Debug, Default)]
struct Buffers {
    /// `[S, observation]`: first the T states with a transition, then the W states that end the windows, so that what
    /// concerns transitions is contiguous.
    states: Vec<f32>,
    /// Target head of all states: raw, mean `[S, n]`, factor.
    raw: Vec<f32>,
    mean: Vec<f32>,
    factor: Vec<f32>,
    noise: Vec<f32>,
    /// Sampled actions `[S, M, n]`, and as the critic sees them.
    actions: Vec<f32>,
    clipped: Vec<f32>,
    /// Taken actions as the critic sees them `[T, n]`.
    taken: Vec<f32>,
    /// Target values `[S, M]`.
    q: Vec<f32>,
    /// Per transition `[T]`.
    q_t: Vec<f32>,
    v_tp1: Vec<f32>,
    discount_t: Vec<f32>,
    log_rho_t: Vec<f32>,
    targets: Vec<f32>,
    q_online: Vec<f32>,
    d_q: Vec<f32>,
    /// E-step weights `[T, M]`.
    weights: Vec<f32>,
    /// Online head of the T states and its gradients.
    online_raw: Vec<f32>,
    online_mean: Vec<f32>,
    online_factor: Vec<f32>,
    d_raw: Vec<f32>,
    d_mean: Vec<f32>,
    d_factor: Vec<f32>,
}

impl Buffers {
    fn resize(&mut self, transitions: usize, windows: usize, observation: usize, samples: usize, head: &GaussianHead) {
        let (t, s, n) = (transitions, transitions + windows, head.action());
        self.states.resize(s * observation, 0.0);
        for (buffer, len) in [
            (&mut self.raw, s * head.raw_len()),
            (&mut self.mean, s * n),
            (&mut self.factor, s * head.factor_len()),
            (&mut self.noise, s * samples * n),
            (&mut self.actions, s * samples * n),
            (&mut self.clipped, s * samples * n),
            (&mut self.taken, t * n),
            (&mut self.q, s * samples),
            (&mut self.q_t, t),
            (&mut self.v_tp1, t),
            (&mut self.discount_t, t),
            (&mut self.log_rho_t, t),
            (&mut self.targets, t),
            (&mut self.q_online, t),
            (&mut self.d_q, t),
            (&mut self.weights, t * samples),
            (&mut self.online_raw, t * head.raw_len()),
            (&mut self.online_mean, t * n),
            (&mut self.online_factor, t * head.factor_len()),
            (&mut self.d_raw, t * head.raw_len()),
            (&mut self.d_mean, t * n),
            (&mut self.d_factor, t * head.factor_len()),
        ] {
            buffer.resize(len, 0.0);
        }
    }

    /// Copies the packed observations into the order of `states`.
    fn gather(&mut self, batch: &BatchView<'_>, transitions: usize, observation: usize) {
        let (with_transition, last) = self.states.split_at_mut(transitions * observation);
        let (mut from, mut to) = (0, 0);
        for (&length, last) in batch.lengths.iter().zip(last.chunks_exact_mut(observation)) {
            let len = length as usize * observation;
            with_transition[to..to + len].copy_from_slice(&batch.observations[from..from + len]);
            last.copy_from_slice(&batch.observations[from + len..from + len + observation]);
            to += len;
            from += len + observation;
        }
    }
}

/// The learner of MPO with run-time sizes; made by [`cpu_learner`](crate::cpu_learner) from statically-shaped networks.
#[derive(Debug)]
pub struct MpoLearner {
    config: MpoConfig,
    clip_actions: bool,
    observation: usize,
    head: GaussianHead,
    policy: Trained,
    critic: Trained,
    duals: Duals,
    noise: Noise,
    updates: u64,
    buffers: Buffers,
    workspace: Workspace<f32>,
}

impl MpoLearner {
    pub(crate) fn new(
        policy: Initial,
        critic: Initial,
        observation: usize,
        action: usize,
        network: &NetworkConfig,
        config: &MpoConfig,
        seed: u64,
    ) -> Self {
        Self {
            clip_actions: network.clip_critic_actions,
            observation,
            head: GaussianHead::new(action, network.covariance, network.initial_stddev),
            policy: Trained::new("policy", policy, network, config.policy_learning_rate),
            critic: Trained::new("critic", critic, network, config.critic_learning_rate),
            duals: Duals {
                raw: [config.initial_temperature, config.initial_alpha_mean, config.initial_alpha_covariance],
                adam: Adam::new(3, config.dual_learning_rate),
            },
            noise: Noise::new(seed),
            updates: 0,
            buffers: Buffers::default(),
            workspace: Workspace::new(action, config.action_samples),
            config: config.clone(),
        }
    }

    /// Samples actions from the target policy in every state and values them with the target critic.
    fn evaluate_target(&mut self) {
        let b = &mut self.buffers;
        let rows = b.states.len() / self.observation;
        let policy = &mut self.policy;
        policy.network.forward(&policy.target, &[&b.states], rows, &mut policy.activations, &mut b.raw);
        self.head.forward(&b.raw, &mut b.mean, &mut b.factor);
        self.noise.fill(&mut b.noise);
        let target = Gaussian::new(self.head.covariance(), self.head.action(), &b.mean, &b.factor);
        target.sample(&b.noise, &mut b.actions, &mut self.workspace);
        let actions = if self.clip_actions {
            clip_unit(&b.actions, &mut b.clipped);
            &b.clipped
        } else {
            &b.actions
        };
        let critic = &mut self.critic;
        let samples = self.config.action_samples;
        critic.network.evaluate_actions(&critic.target, &b.states, actions, samples, &mut critic.activations, &mut b.q);
    }

    /// Retrace targets of all transitions (paper eq. 13).
    fn evaluate_retrace(&mut self, batch: &BatchView<'_>) {
        let b = &mut self.buffers;
        let (transitions, samples, n) = (batch.rewards.len(), self.config.action_samples, self.head.action());
        if self.clip_actions {
            clip_unit(batch.actions, &mut b.taken);
        } else {
            b.taken.copy_from_slice(batch.actions);
        }
        let critic = &mut self.critic;
        let states = &b.states[..transitions * self.observation];
        critic.network.evaluate_actions(&critic.target, states, &b.taken, 1, &mut critic.activations, &mut b.q_t);

        let value = |state: usize| b.q[state * samples..(state + 1) * samples].iter().sum::<f32>() / samples as f32;
        let mut t = 0;
        for (w, &length) in batch.lengths.iter().enumerate() {
            let end = t + length as usize;
            while t < end {
                b.v_tp1[t] = value(if t + 1 < end { t + 1 } else { transitions + w });
                t += 1;
            }
        }
        for (gamma_d, d) in b.discount_t.iter_mut().zip(batch.discounts) {
            *gamma_d = self.config.discount * d;
        }
        let factors = &b.factor[..transitions * self.head.factor_len()];
        let target = Gaussian::new(self.head.covariance(), n, &b.mean[..transitions * n], factors);
        target.log_prob(batch.actions, &mut b.log_rho_t, &mut self.workspace);
        for (log_rho, log_b) in b.log_rho_t.iter_mut().zip(batch.log_probs) {
            *log_rho -= log_b;
        }
        let window = Transitions { q_t: &b.q_t, v_tp1: &b.v_tp1, r_t: batch.rewards, discount_t: &b.discount_t };
        retrace_windows(batch.lengths, window, &b.log_rho_t, self.config.retrace_lambda, &mut b.targets);
    }

    /// The critic's squared error and its gradient; returns the loss and the mean value.
    fn critic_gradient(&mut self) -> (f32, f32) {
        let b = &mut self.buffers;
        let transitions = b.targets.len();
        let critic = &mut self.critic;
        let inputs = [&b.states[..transitions * self.observation], &b.taken[..]];
        critic.network.forward(&critic.parameters, &inputs, transitions, &mut critic.activations, &mut b.q_online);
        let (mut loss, mut sum) = (0.0, 0.0);
        for ((d, &q), &y) in b.d_q.iter_mut().zip(&b.q_online).zip(&b.targets) {
            loss += (q - y) * (q - y);
            sum += q;
            *d = 2.0 * (q - y) / transitions as f32;
        }
        critic.network.backward(
            &critic.parameters,
            &inputs,
            transitions,
            &mut critic.activations,
            &b.d_q,
            &mut critic.gradient,
            &mut [],
        );
        (loss / transitions as f32, sum / transitions as f32)
    }

    /// E-step and M-step on the states with a transition; fills the policy's gradient and returns the duals'.
    fn policy_gradient(&mut self, stats: &mut UpdateStats) -> [f32; 3] {
        let b = &mut self.buffers;
        let (transitions, samples, n) = (b.targets.len(), self.config.action_samples, self.head.action());
        let q = &b.q[..transitions * samples];
        let raw_temperature = self.duals.temperature();
        let eta = match self.config.temperature {
            TemperatureMode::Sgd => raw_temperature.value(),
            // Where no temperature reaches the bound, weights at the smallest one are greedy, as they should be.
            TemperatureMode::Exact => {
                solve_temperature(q, samples, self.config.epsilon, None).temperature.unwrap_or(mpo_core::FLOOR as f32)
            }
        };
        let e = e_step(q, samples, eta, self.config.epsilon, &mut b.weights);

        let states = &b.states[..transitions * self.observation];
        let policy = &mut self.policy;
        policy.network.forward(&policy.parameters, &[states], transitions, &mut policy.activations, &mut b.online_raw);
        self.head.forward(&b.online_raw, &mut b.online_mean, &mut b.online_factor);
        let covariance = self.head.covariance();
        let target_factor = &b.factor[..transitions * self.head.factor_len()];
        let target = Gaussian::new(covariance, n, &b.mean[..transitions * n], target_factor);
        let online = Gaussian::new(covariance, n, &b.online_mean, &b.online_factor);
        let (alpha_mean, alpha_covariance) = (self.duals.alpha_mean(), self.duals.alpha_covariance());
        let constraint = Constraint::Split {
            split: self.config.kl_split,
            alpha_mean: alpha_mean.value(),
            alpha_covariance: alpha_covariance.value(),
        };
        let actions = WeightedActions { actions: &b.actions[..transitions * samples * n], weights: &b.weights };
        let gradient = HeadGradient { mean: &mut b.d_mean, factor: &mut b.d_factor };
        let m = m_step(constraint, &target, &online, actions, gradient, &mut self.workspace);
        self.head.backward(&b.online_raw, &b.d_mean, &b.d_factor, &mut b.d_raw);
        policy.network.backward(
            &policy.parameters,
            &[states],
            transitions,
            &mut policy.activations,
            &b.d_raw,
            &mut policy.gradient,
            &mut [],
        );

        stats.policy_loss = m.policy_loss;
        stats.temperature = eta;
        stats.alpha_mean = alpha_mean.value();
        stats.alpha_covariance = alpha_covariance.value();
        stats.kl_q = e.kl;
        stats.kl_mean = m.kl_mean;
        stats.kl_covariance = m.kl_covariance;
        stats.stddev_mean = self.head.mean_stddev(&b.online_factor);
        [
            match self.config.temperature {
                TemperatureMode::Sgd => raw_temperature.gradient(e.d_eta),
                TemperatureMode::Exact => 0.0,
            },
            alpha_mean.gradient(self.config.epsilon_mean, m.kl_mean),
            alpha_covariance.gradient(self.config.epsilon_covariance, m.kl_covariance),
        ]
    }
}

impl LearnerStep for MpoLearner {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        let (transitions, windows) = (batch.rewards.len(), batch.lengths.len());
        assert!(transitions > 0, "an update needs at least one transition");
        assert_eq!(batch.observations.len(), (transitions + windows) * self.observation, "observations of the batch");
        self.buffers.resize(transitions, windows, self.observation, self.config.action_samples, &self.head);
        self.buffers.gather(batch, transitions, self.observation);

        let mut stats = UpdateStats::default();
        self.evaluate_target();
        self.evaluate_retrace(batch);
        (stats.critic_loss, stats.q_mean) = self.critic_gradient();
        stats.target_mean = self.buffers.targets.iter().sum::<f32>() / transitions as f32;
        let d_duals = self.policy_gradient(&mut stats);
        let clip = self.config.gradient_clip;
        let (policy_norm, policy_factor) = clip_by_global_norm(&self.policy.gradient, clip);
        let (critic_norm, critic_factor) = clip_by_global_norm(&self.critic.gradient, clip);
        (stats.policy_grad_norm, stats.critic_grad_norm) = (policy_norm, critic_norm);
        let checked = [
            ("the Retrace target", stats.target_mean),
            ("the critic's loss", stats.critic_loss),
            ("the E-step's KL", stats.kl_q),
            ("the policy's loss", stats.policy_loss),
            ("the policy's gradient norm", policy_norm),
            ("the critic's gradient norm", critic_norm),
            ("the dual variables' gradient", d_duals.iter().sum()),
        ];
        if let Some(&(quantity, value)) = checked.iter().find(|(_, value)| !value.is_finite()) {
            return Err(NetsError::NonFinite { update: self.updates + 1, quantity, value });
        }

        self.policy.adam.update(&mut self.policy.parameters, &self.policy.gradient, policy_factor);
        self.critic.adam.update(&mut self.critic.parameters, &self.critic.gradient, critic_factor);
        self.duals.adam.update(&mut self.duals.raw, &d_duals, 1.0);
        self.updates += 1;
        if self.updates.is_multiple_of(self.config.target_period) {
            for network in [&mut self.policy, &mut self.critic] {
                network.target.copy_from_slice(&network.parameters);
            }
        }
        Ok(stats)
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        let states = transitions + windows;
        let (policy, critic) = (&self.policy.network, &self.critic.network);
        // A backward pass costs a product for the weights' gradient and one for the activations', except at the inputs.
        let training = |network: &Network| 3 * network.forward_flops(transitions);
        policy.forward_flops(states)
            + critic.evaluate_actions_flops(states, self.config.action_samples)
            + critic.forward_flops(transitions)
            + training(critic)
            + training(policy)
    }

    fn policy_parameters(&self) -> &[f32] {
        &self.policy.parameters
    }

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.policy.save(&mut writer);
        self.critic.save(&mut writer);
        let (step, first, second) = self.duals.adam.state();
        for (name, values) in [("raw", &self.duals.raw[..]), ("adam.first", first), ("adam.second", second)] {
            writer.array(format!("duals.{name}"), &[3], values);
        }
        writer.number("duals.adam.step", step);
        writer.number("noise.position", self.noise.position());
        writer.number("updates", self.updates);
        writer.finish()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        let reader = Reader::new(bytes)?;
        // All is read and checked before anything is changed.
        let policy = self.policy.read(&reader)?;
        let critic = self.critic.read(&reader)?;
        let raw = reader.array("duals.raw", &[3])?;
        let first = reader.array("duals.adam.first", &[3])?;
        let second = reader.array("duals.adam.second", &[3])?;
        let step = reader.number("duals.adam.step")?;
        let position = reader.number("noise.position")?;
        let updates = reader.number("updates")?;

        self.policy.put(policy);
        self.critic.put(critic);
        self.duals.raw.copy_from_slice(&raw);
        self.duals.adam.set_state(step, &first, &second);
        self.noise.seek(position);
        self.updates = updates;
        Ok(())
    }
}
