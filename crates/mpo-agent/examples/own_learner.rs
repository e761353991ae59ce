//! A learner of your own, in the ordinary loop: advantage-weighted regression (Peng et al. 2019).
//!
//! It values states by temporal differences and imitates the replay's actions, each weighted by the exponential of its
//! advantage. All that it must implement is [`LearnerStep`]; networks, optimiser, mathematics, replay, evaluation,
//! checkpoints and resuming come from the crates.
//!
//! `cargo run --release --example own_learner -- /tmp/awr` trains it on the cart-pole for 60,000 steps; run it again and it
//! resumes, or, if it is done, plays.

use std::path::Path;

use mpo_agent::{AgentError, Config, EvaluationSummary, Observer, Parts, Profile, Run, Shape, evaluate_with};
use mpo_core::{Gaussian, HeadGradient, WeightedActions, Workspace, critic_loss, policy_gradient, td_targets};
use mpo_nets::{
    Activations, Adam, BatchView, Cpu, GaussianHead, LayerNormTorso, LearnerConfig, LearnerStep, NetsError, Network,
    NetworkConfig, Perceptron, Torso, UpdateStats, clip_by_global_norm, initial_parameters,
};

const OBSERVATION: usize = 5;
const ACTION: usize = 1;

type Policy = Perceptron<OBSERVATION, { 2 * ACTION }, 100, 100, LayerNormTorso, f32, Cpu>;
type Value = Perceptron<OBSERVATION, 1, 200, 200, LayerNormTorso, f32, Cpu>;

/// A network, its parameters and their optimiser.
struct Trained {
    network: Network,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    adam: Adam,
    activations: Activations,
}

impl Trained {
    fn new((layout, parameters): (mpo_nets::Layout, Vec<f32>), learning_rate: f32) -> Self {
        Self {
            network: Network::from_layout(&layout, Torso::LayerNorm),
            gradient: vec![0.0; parameters.len()],
            adam: Adam::new(parameters.len(), learning_rate),
            activations: Activations::default(),
            parameters,
        }
    }

    fn forward(&mut self, states: &[f32], out: &mut [f32]) {
        let rows = states.len() / OBSERVATION;
        self.network.forward(&self.parameters, &[states], rows, &mut self.activations, out);
    }

    fn step(&mut self, states: &[f32], d_out: &[f32]) -> f32 {
        let (rows, inputs) = (states.len() / OBSERVATION, [states]);
        let (p, a) = (&self.parameters, &mut self.activations);
        self.network.backward(p, &inputs, rows, a, d_out, &mut self.gradient, &mut []);
        let (norm, factor) = clip_by_global_norm(&self.gradient, 40.0);
        self.adam.update(&mut self.parameters, &self.gradient, factor);
        norm
    }
}

struct AdvantageWeightedRegression {
    discount: f32,
    head: GaussianHead,
    policy: Trained,
    value: Trained,
    updates: u64,
}

impl AdvantageWeightedRegression {
    fn new(network: &NetworkConfig, config: &LearnerConfig, seed: u64) -> Self {
        Self {
            discount: config.discount,
            head: GaussianHead::of(ACTION, network),
            policy: Trained::new(initial_parameters::<Policy>(seed), config.policy_learning_rate),
            value: Trained::new(initial_parameters::<Value>(seed), config.critic_learning_rate),
            updates: 0,
        }
    }
}

impl LearnerStep for AdvantageWeightedRegression {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        // Every state of every window is followed by its successor; the last of a window has no transition.
        let t = batch.rewards.len();
        let (mut states, mut next) = (Vec::new(), Vec::new());
        let mut first = 0;
        for length in batch.lengths.iter().map(|&length| length as usize) {
            let row = |i: usize| i * OBSERVATION;
            states.extend_from_slice(&batch.observations[row(first)..row(first + length)]);
            next.extend_from_slice(&batch.observations[row(first + 1)..row(first + length + 1)]);
            first += length + 1;
        }
        let [mut v_next, mut v, mut targets, mut d_v, mut weights] = std::array::from_fn(|_| vec![0.0; t]);
        self.value.forward(&next, &mut v_next);
        let discount: Vec<f32> = batch.discounts.iter().map(|d| self.discount * d).collect();
        td_targets(&v_next, batch.rewards, &discount, &mut targets);
        self.value.forward(&states, &mut v);
        let critic_loss = critic_loss(&v, &targets, &mut d_v);
        if !critic_loss.is_finite() {
            return Err(NetsError::NonFinite {
                update: self.updates + 1,
                quantity: "the value's loss",
                value: critic_loss,
            });
        }

        // exp(A / beta), normalised so that the sharpest weights are of order one.
        for ((weight, target), v) in weights.iter_mut().zip(&targets).zip(&v) {
            *weight = ((target - v) / 0.05).clamp(-5.0, 3.0).exp();
        }
        let [mut raw, mut d_raw] = std::array::from_fn(|_| vec![0.0; t * self.head.raw_len()]);
        let [mut mean, mut factor, mut d_mean, mut d_factor] = std::array::from_fn(|_| vec![0.0; t * ACTION]);
        self.policy.forward(&states, &mut raw);
        self.head.forward(&raw, &mut mean, &mut factor);
        let policy = Gaussian::new(self.head.covariance(), ACTION, &mean, &factor);
        let actions = WeightedActions { actions: batch.actions, weights: &weights };
        let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
        let policy_loss = policy_gradient(&policy, actions, 1e-3, gradient, &mut Workspace::new(ACTION, 1));
        self.head.backward(&raw, &d_mean, &d_factor, &mut d_raw);

        self.updates += 1;
        Ok(UpdateStats {
            critic_loss,
            policy_loss,
            critic_grad_norm: self.value.step(&states, &d_v),
            policy_grad_norm: self.policy.step(&states, &d_raw),
            target_mean: targets.iter().sum::<f32>() / t as f32,
            ..UpdateStats::default()
        })
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, _: usize) -> usize {
        3 * self.policy.network.forward_flops(transitions) + 4 * self.value.network.forward_flops(transitions)
    }

    fn policy_parameters(&self) -> &[f32] {
        &self.policy.parameters
    }

    /// Parameters, moments and step counts one after another; a learner of consequence would name them.
    fn save(&self) -> Vec<u8> {
        let mut bytes = self.updates.to_le_bytes().to_vec();
        for trained in [&self.policy, &self.value] {
            let (_, first, second) = trained.adam.state();
            let numbers = trained.parameters.iter().chain(first).chain(second);
            bytes.extend(numbers.flat_map(|x| x.to_le_bytes()));
        }
        bytes
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        let expected = 8 + 12 * (self.policy.parameters.len() + self.value.parameters.len());
        let Some((updates, numbers)) = bytes.split_first_chunk::<8>().filter(|_| bytes.len() == expected) else {
            return Err(NetsError::Damaged { reason: format!("{} bytes, not {expected}", bytes.len()) });
        };
        self.updates = u64::from_le_bytes(*updates);
        let mut numbers = numbers.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
        for trained in [&mut self.policy, &mut self.value] {
            let mut take = || numbers.by_ref().take(trained.parameters.len()).collect::<Vec<f32>>();
            let (parameters, first, second) = (take(), take(), take());
            trained.parameters = parameters;
            trained.adam.set_state(self.updates, &first, &second);
        }
        Ok(())
    }
}

struct Printer;

#[expect(clippy::print_stdout, reason = "an example shows what happens")]
impl Observer for Printer {
    fn on_evaluation(&mut self, summary: &EvaluationSummary) {
        println!("step {:>6}  return of the mean policy {:.1}", summary.step, summary.mean());
    }
}

fn make(
    shape: Shape,
    network: &NetworkConfig,
    config: &LearnerConfig,
    seed: u64,
) -> Result<Box<dyn LearnerStep>, AgentError> {
    if (shape.observation, shape.action) != (OBSERVATION, ACTION) {
        return Err(AgentError::UnsupportedShape { shape });
    }
    Ok(Box::new(AdvantageWeightedRegression::new(network, config, seed)))
}

#[expect(clippy::print_stdout, reason = "an example shows what happens")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "runs/own-learner".to_owned());
    let directory = Path::new(&directory);
    let parts = Parts::default().learning_by(make);
    let mut run = if directory.join("config.toml").exists() {
        Run::resume_with(directory, &parts)?
    } else {
        let sets = [("task", "control/cartpole-balance"), ("steps", "60_000")];
        let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Run::create_with(directory, Config::resolve(Profile::Default, None, &sets)?, &parts)?
    };
    run.train(&mut Printer)?;
    let evaluation = evaluate_with(directory, 10, 1, &parts)?;
    println!("ten episodes of the mean policy: {:.1} of 1000", evaluation.summary.mean());
    Ok(())
}
