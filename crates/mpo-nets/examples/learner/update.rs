//! One update of MPO put together from the crate's parts, for networks of any width, with a clock between the phases.

use std::time::Instant;

use mpo_core::{
    Constraint, Covariance, Gaussian, HeadGradient, KlSplit, Transitions, WeightedActions, Workspace, e_step, m_step,
    retrace_windows,
};
use mpo_nets::{
    Activations, Adam, FixedParameters, GaussianHead, Layout, Network, Precision, Threads, Torso, clip_by_global_norm,
    noise::Noise,
};

pub(crate) const STEPS: usize = 8;

/// What an update's cost depends on.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) observation: usize,
    pub(crate) action: usize,
    pub(crate) policy: usize,
    pub(crate) critic: usize,
    pub(crate) windows: usize,
    pub(crate) samples: usize,
    pub(crate) torso: Torso,
    pub(crate) precision: Precision,
}

impl Shape {
    pub(crate) fn walker(torso: Torso, precision: Precision) -> Self {
        Self { observation: 24, action: 6, policy: 100, critic: 200, windows: 32, samples: 20, torso, precision }
    }

    pub(crate) fn humanoid(torso: Torso, precision: Precision) -> Self {
        Self { observation: 67, action: 21, policy: 200, critic: 300, ..Self::walker(torso, precision) }
    }
}

pub(crate) const PHASES: [&str; 8] = [
    "target policy",
    "noise and samples",
    "values of samples",
    "Retrace",
    "critic's gradient",
    "E-step",
    "M-step and policy's gradient",
    "clip and Adam",
];

struct Side {
    network: Network,
    parameters: Vec<f32>,
    target: FixedParameters,
    gradient: Vec<f32>,
    adam: Adam,
    activations: Activations,
}

impl Side {
    fn new(inputs: &[(&str, usize)], width: usize, output: usize, shape: Shape, threads: &Threads, seed: u64) -> Self {
        let mut shapes: Vec<(&str, Vec<usize>)> = inputs.iter().map(|&(name, n)| (name, vec![width, n])).collect();
        for name in ["torso.bias", "torso.scale", "torso.shift"] {
            shapes.push((name, vec![width]));
        }
        shapes.extend([
            ("hidden.weight", vec![width, width]),
            ("hidden.bias", vec![width]),
            ("head.weight", vec![output, width]),
            ("head.bias", vec![output]),
        ]);
        let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        let layout = Layout::from_shapes(&shapes);
        let network = Network::from_layout(&layout, shape.torso);
        let parameters = draw(seed, layout.len()).iter().map(|x| 0.5 * x / (width as f32).sqrt()).collect::<Vec<_>>();
        Self {
            target: FixedParameters::with_precision(&network, &parameters, shape.precision),
            gradient: vec![0.0; parameters.len()],
            adam: Adam::new(parameters.len(), 5e-4),
            activations: Activations::new(threads),
            network,
            parameters,
        }
    }

    fn step(&mut self) {
        let (_, factor) = clip_by_global_norm(&self.gradient, 40.0);
        self.adam.update(&mut self.parameters, &self.gradient, factor);
    }
}

fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

/// Networks, a batch of random numbers and the memory of an update.
pub(crate) struct Update {
    shape: Shape,
    head: GaussianHead,
    policy: Side,
    critic: Side,
    noise: Noise,
    workspace: Workspace<f32>,
    lengths: Vec<u32>,
    states: Vec<f32>,
    taken: Vec<f32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
    raw: Vec<f32>,
    mean: Vec<f32>,
    factor: Vec<f32>,
    normals: Vec<f32>,
    actions: Vec<f32>,
    q: Vec<f32>,
    q_t: Vec<f32>,
    v_tp1: Vec<f32>,
    log_rho: Vec<f32>,
    targets: Vec<f32>,
    d_q: Vec<f32>,
    weights: Vec<f32>,
    d_raw: Vec<f32>,
    d_mean: Vec<f32>,
    d_factor: Vec<f32>,
}

impl Update {
    pub(crate) fn new(shape: Shape, threads: usize) -> Self {
        let threads = Threads::new(threads);
        let head = GaussianHead::new(shape.action, Covariance::Diagonal, 0.5);
        let (t, n, m) = (shape.windows * STEPS, shape.action, shape.samples);
        let s = t + shape.windows;
        let inputs = [("observation", shape.observation), ("action", n)];
        Self {
            policy: Side::new(&inputs[..1], shape.policy, head.raw_len(), shape, &threads, 1),
            critic: Side::new(&inputs, shape.critic, 1, shape, &threads, 2),
            noise: Noise::new(0),
            workspace: Workspace::new(n, m),
            lengths: vec![STEPS as u32; shape.windows],
            states: draw(3, s * shape.observation),
            taken: draw(4, t * n),
            rewards: draw(5, t),
            discounts: vec![0.99; t],
            log_probs: draw(6, t).iter().map(|x| x - 5.0).collect(),
            raw: vec![0.0; s * head.raw_len()],
            mean: vec![0.0; s * n],
            factor: vec![0.0; s * n],
            normals: vec![0.0; s * m * n],
            actions: vec![0.0; s * m * n],
            q: vec![0.0; s * m],
            q_t: vec![0.0; t],
            v_tp1: vec![0.0; t],
            log_rho: vec![0.0; t],
            targets: vec![0.0; t],
            d_q: vec![0.0; t],
            weights: vec![0.0; t * m],
            d_raw: vec![0.0; t * head.raw_len()],
            d_mean: vec![0.0; t * n],
            d_factor: vec![0.0; t * n],
            head,
            shape,
        }
    }

    /// Floating-point operations of the matrix products.
    pub(crate) fn flops(&self) -> usize {
        let t = self.shape.windows * STEPS;
        let s = t + self.shape.windows;
        let (policy, critic) = (&self.policy.network, &self.critic.network);
        policy.forward_flops(s)
            + critic.evaluate_actions_flops(s, self.shape.samples)
            + critic.forward_flops(t)
            + critic.training_flops(t)
            + policy.training_flops(t)
    }

    /// Bytes that an update has to read or write at least, were all that fits into a cache kept there: batch, samples and their
    /// values, online and target parameters, gradients, both moments.
    pub(crate) fn bytes(&self) -> usize {
        let batch = self.states.len() + self.taken.len() + self.rewards.len() * 3;
        let samples = 2 * (self.normals.len() + self.actions.len() + self.q.len() + self.weights.len());
        // Read: target, online, gradient, two moments. Written: online, gradient, two moments.
        let parameters = 9 * (self.policy.parameters.len() + self.critic.parameters.len());
        4 * (batch + samples + parameters)
    }

    /// One update; adds each phase's seconds to `seconds`.
    pub(crate) fn run(&mut self, seconds: &mut [f64; PHASES.len()]) {
        let mut last = Instant::now();
        let mut lap = |phase: usize| {
            let now = Instant::now();
            seconds[phase] += (now - last).as_secs_f64();
            last = now;
        };
        let (n, m, t) = (self.shape.action, self.shape.samples, self.rewards.len());
        let s = t + self.shape.windows;
        let states = &self.states[..t * self.shape.observation];

        let policy = &mut self.policy;
        policy.network.forward_fixed(&policy.target, &[&self.states], s, &mut policy.activations, &mut self.raw);
        self.head.forward(&self.raw, &mut self.mean, &mut self.factor);
        lap(0);
        self.noise.fill(&mut self.normals);
        let all = Gaussian::new(Covariance::Diagonal, n, &self.mean, &self.factor);
        all.sample(&self.normals, &mut self.actions, &mut self.workspace);
        lap(1);
        let critic = &mut self.critic;
        let (network, activations) = (&critic.network, &mut critic.activations);
        network.evaluate_actions_fixed(&critic.target, &self.states, &self.actions, m, activations, &mut self.q);
        lap(2);

        network.evaluate_actions_fixed(&critic.target, states, &self.taken, 1, activations, &mut self.q_t);
        for (i, v) in self.v_tp1.iter_mut().enumerate() {
            let next = if (i + 1) % STEPS == 0 { t + i / STEPS } else { i + 1 };
            *v = self.q[next * m..(next + 1) * m].iter().sum::<f32>() / m as f32;
        }
        let old = Gaussian::new(Covariance::Diagonal, n, &self.mean[..t * n], &self.factor[..t * n]);
        old.log_prob(&self.taken, &mut self.log_rho, &mut self.workspace);
        for (log_rho, log_b) in self.log_rho.iter_mut().zip(&self.log_probs) {
            *log_rho -= log_b;
        }
        let window =
            Transitions { q_t: &self.q_t, v_tp1: &self.v_tp1, r_t: &self.rewards, discount_t: &self.discounts };
        retrace_windows(&self.lengths, window, &self.log_rho, 1.0, &mut self.targets);
        lap(3);

        network.forward(&critic.parameters, &[states, &self.taken], t, activations, &mut self.d_q);
        for (d, y) in self.d_q.iter_mut().zip(&self.targets) {
            *d = 2.0 * (*d - y) / t as f32;
        }
        let inputs = [states, &self.taken[..]];
        network.backward(&critic.parameters, &inputs, t, activations, &self.d_q, &mut critic.gradient, &mut []);
        lap(4);

        e_step(&self.q[..t * m], m, 1.0, 0.1, &mut self.weights);
        lap(5);

        let raw = &mut self.raw[..t * self.head.raw_len()];
        policy.network.forward(&policy.parameters, &[states], t, &mut policy.activations, raw);
        // The target's head is still needed: the online one goes where its gradient will.
        self.head.forward(raw, &mut self.d_mean, &mut self.d_factor);
        let (online_mean, online_factor) = (self.d_mean.clone(), self.d_factor.clone());
        let online = Gaussian::new(Covariance::Diagonal, n, &online_mean, &online_factor);
        let constraint = Constraint::Split { split: KlSplit::Decoupled, alpha_mean: 1.0, alpha_covariance: 10.0 };
        let samples = WeightedActions { actions: &self.actions[..t * m * n], weights: &self.weights };
        let gradient = HeadGradient { mean: &mut self.d_mean, factor: &mut self.d_factor };
        m_step(constraint, &old, &online, samples, gradient, &mut self.workspace);
        self.head.backward(raw, &self.d_mean, &self.d_factor, &mut self.d_raw);
        let (gradient, activations) = (&mut policy.gradient, &mut policy.activations);
        policy.network.backward(&policy.parameters, &[states], t, activations, &self.d_raw, gradient, &mut []);
        lap(6);

        policy.step();
        critic.step();
        lap(7);
    }
}
