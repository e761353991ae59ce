//! A learner's whole gradient, read from its optimiser's first moments, against finite differences of the loss written out in
//! double precision from the parameters in its checkpoint.

use mpo_core::{Categorical, Transitions, categorical_e_step, gae, normalise_advantages, ppo_clip, sigmoid, softplus};
use mpo_nets::{
    Algorithm, BatchView, LearnerConfig, LearnerStep, PixelShape, TemperatureMode, UpdateStats, pixel_learner,
};
use safetensors::SafeTensors;

use crate::{
    learner::small,
    naive::{Sizes, draw, frames, naive, wide},
};

const A: usize = 3;
const SIZES: Sizes = Sizes { stack: 2, height: 36, width: 36, channels: [8, 16, 16], units: 64, output: A };
const LENGTHS: [u32; 3] = [4, 1, 3];
const T: usize = 8;
const BETA1: f64 = 0.9;

struct Data {
    frames: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Data {
    fn new() -> Self {
        let mut discounts = vec![1.0; T];
        // A life lost in the middle of the first window; the last window ends with the game.
        (discounts[1], discounts[T - 1]) = (0.0, 0.0);
        Self {
            frames: frames((T + LENGTHS.len()) * SIZES.state_len(), 1),
            actions: draw(2, T).iter().map(|z| (z.abs() * 7.0) as u32 % A as u32).collect(),
            rewards: draw(3, T),
            log_probs: draw(4, T).iter().map(|z| 0.4 * z - 1.1).collect(),
            discounts,
        }
    }

    fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &LENGTHS,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
            frames: &self.frames,
            discrete_actions: &self.actions,
            ..BatchView::default()
        }
    }

    fn taken(&self) -> Vec<usize> {
        self.actions.iter().map(|&action| action as usize).collect()
    }

    /// Eq. 13 as its double sum, or n steps, from the values `q` `[T, A]` of the states, `v` `[T]` of those after them and the evaluated
    /// policy's log-probabilities.
    fn targets(&self, config: &LearnerConfig, q: &[f64], v: &[f64], log_pi: &[f64]) -> Vec<f64> {
        let (discount, lambda) = (f64::from(config.discount), f64::from(config.retrace_lambda));
        let taken = self.taken();
        let after = |t: usize| discount * f64::from(self.discounts[t]);
        let reward = |t: usize| f64::from(self.rewards[t]);
        let mut targets = Vec::new();
        for length in LENGTHS.map(|n| n as usize) {
            let end = targets.len() + length;
            for t in targets.len()..end {
                let (mut target, mut factor) = (0.0, 1.0);
                if let Some(steps) = config.n_step {
                    let last = (t + steps).min(end) - 1;
                    for j in t..=last {
                        target += factor * reward(j);
                        factor *= after(j);
                    }
                    targets.push(target + factor * v[last]);
                    continue;
                }
                target += q[t * A + taken[t]];
                for j in t..end {
                    if j > t {
                        let ratio = (log_pi[j] - f64::from(self.log_probs[j])).exp();
                        factor *= after(j - 1) * lambda * ratio.min(1.0);
                    }
                    target += factor * (reward(j) + after(j) * v[j] - q[j * A + taken[j]]);
                }
                targets.push(target);
            }
        }
        targets
    }

    /// The states of the transitions, and of their ends.
    fn states(&self) -> (Vec<&[u8]>, Vec<&[u8]>) {
        let all: Vec<&[u8]> = self.frames.chunks(SIZES.state_len()).collect();
        let (mut first, mut next, mut state) = (Vec::new(), Vec::new(), 0);
        for length in LENGTHS {
            for _ in 0..length {
                first.push(all[state]);
                next.push(all[state + 1]);
                state += 1;
            }
            state += 1;
        }
        (first, next)
    }
}

/// All tensors of a network in a checkpoint, one after another.
fn network(checkpoint: &[u8], prefix: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(checkpoint).expect("a checkpoint");
    let mut values = Vec::new();
    for entry in SIZES.layout().entries() {
        let tensor = tensors.tensor(&format!("{prefix}.{}", entry.name)).expect("the checkpoint has every tensor");
        values.extend(tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))));
    }
    values
}

fn duals(checkpoint: &[u8], part: &str) -> Vec<f64> {
    let tensors = SafeTensors::deserialize(checkpoint).expect("a checkpoint");
    let tensor = tensors.tensor(&format!("duals.{part}")).expect("the checkpoint has duals");
    tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
}

/// The gradient of the one step between two checkpoints, whose first moments are `m' = 0.9 m + 0.1 g`.
fn gradient(before: &[f64], after: &[f64]) -> Vec<f64> {
    before.iter().zip(after).map(|(m, next)| (next - BETA1 * m) / (1.0 - BETA1)).collect()
}

/// Network outputs in `states`, one row after another.
fn outputs(sizes: &Sizes, p: &[f64], states: &[&[u8]]) -> Vec<f64> {
    states.iter().flat_map(|state| naive(sizes, p, state)).collect()
}

/// The gradient along a random direction in each tensor against the loss's difference.
fn agree(name: &str, sizes: &Sizes, p: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    for (index, entry) in sizes.layout().entries().iter().enumerate() {
        let direction = wide(&draw(50 + index as u64, entry.range.len()));
        let moved = |step: f64| {
            let mut p = p.to_vec();
            p[entry.range.clone()].iter_mut().zip(&direction).for_each(|(p, d)| *p += step * d);
            loss(&p)
        };
        let numeric = (moved(1e-8) - moved(-1e-8)) / 2e-8;
        let found = &gradient[entry.range.clone()];
        let exact: f64 = found.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let size = found.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(size > 0.0, "{name}.{}: no gradient", entry.name);
        // The moments are single precision, and their difference loses a digit.
        assert!(
            (numeric - exact).abs() < 2e-3 * size.max(1e-4),
            "{name}.{}: {numeric}, {exact}, norm {size}",
            entry.name
        );
    }
}

/// Checkpoints before and after one update, and what it said; some updates have moved the networks from their targets.
fn one_update(config: &LearnerConfig, data: &Data, warm: usize) -> (Vec<u8>, Vec<u8>, UpdateStats) {
    let shape = PixelShape { stack: 2, height: 36, width: 36, actions: A };
    let mut learner: Box<dyn LearnerStep> = pixel_learner(&shape, &small(), config, 5).expect("sound settings");
    for _ in 0..warm {
        learner.update(&data.view()).expect("finite");
    }
    let before = learner.save();
    let stats = learner.update(&data.view()).expect("finite");
    (before, learner.save(), stats)
}

#[test]
fn mpos_gradients_are_those_of_its_losses() {
    let data = Data::new();
    let (sgd, exact) = (TemperatureMode::Sgd, TemperatureMode::Exact);
    for (temperature, critics, n_step) in [(sgd, 1, None), (exact, 1, None), (sgd, 2, None), (sgd, 1, Some(2))] {
        let names = &["critic", "critic_2"][..critics];
        let config = LearnerConfig {
            temperature,
            critics,
            n_step,
            retrace_lambda: 0.9,
            target_period: 6,
            policy_learning_rate: 3e-3,
            critic_learning_rate: 3e-3,
            initial_temperature: -1.0,
            gradient_clip: 1e9,
            ..LearnerConfig::default()
        };
        let (before, after, stats) = one_update(&config, &data, 10);
        let (states, next) = data.states();
        let of = |part: &str, states: &[&[u8]]| outputs(&SIZES, &network(&before, part), states);
        // Of two critics the lesser value counts.
        let least = |states: &[&[u8]]| {
            let values = names.iter().map(|name| of(&format!("{name}.target"), states));
            values.reduce(|a, b| a.iter().zip(b).map(|(a, b)| a.min(b)).collect()).expect("a critic")
        };
        let (prior, q) = (of("policy.target", &states), least(&states));
        let (next_prior, next_q) = (of("policy.target", &next), least(&next));

        let mut v = vec![0.0; T];
        Categorical::new(A, &next_prior).expectation(&next_q, &mut v);
        let taken = data.taken();
        let mut log_pi = vec![0.0; T];
        Categorical::new(A, &prior).log_prob(&taken, &mut log_pi);
        let targets = data.targets(&config, &q, &v, &log_pi);
        let mean = targets.iter().sum::<f64>() / T as f64;
        assert!((f64::from(stats.target_mean) - mean).abs() < 1e-5, "{} and {mean}", stats.target_mean);
        // A return ends where a life does.
        assert!((targets[1] - f64::from(data.rewards[1])).abs() < 1e-12);

        let critic_loss = |p: &[f64]| {
            let values = outputs(&SIZES, p, &states);
            (0..T).map(|t| (values[t * A + taken[t]] - targets[t]).powi(2)).sum::<f64>() / T as f64
        };
        let moments = |part: &str| gradient(&network(&before, part), &network(&after, part));
        let mut loss = 0.0;
        for name in names {
            let critic = network(&before, &format!("{name}.online"));
            loss += critic_loss(&critic) / critics as f64;
            agree(name, &SIZES, &critic, &moments(&format!("{name}.adam.first")), critic_loss);
        }
        assert!((f64::from(stats.critic_loss) - loss).abs() < 1e-4 * loss.max(1.0));

        let raw = duals(&before, "raw");
        let eta = f64::from(stats.temperature);
        if temperature == TemperatureMode::Sgd {
            assert!((eta - softplus(raw[0])).abs() < 1e-6);
        } else {
            assert!((stats.kl_q - config.epsilon).abs() < 1e-4, "the bound is met: {}", stats.kl_q);
        }
        let alpha = softplus(raw[1]) + 1e-8;
        let mut weights = vec![0.0; T * A];
        let prior_policy = Categorical::new(A, &prior);
        let e = categorical_e_step(&prior_policy, &q, eta, f64::from(config.epsilon), &mut weights);
        let divergence = |logits: &[f64]| {
            let mut kl = vec![0.0; T];
            prior_policy.kl(&Categorical::new(A, logits), &mut kl);
            kl.iter().sum::<f64>() / T as f64
        };
        let policy = network(&before, "policy.online");
        let policy_loss = |p: &[f64]| {
            let logits = outputs(&SIZES, p, &states);
            let mut loss = alpha * divergence(&logits);
            for (w, l) in weights.chunks(A).zip(logits.chunks(A)) {
                let log_z = l.iter().map(|l| l.exp()).sum::<f64>().ln();
                loss -= w.iter().zip(l).map(|(w, l)| w * (l - log_z)).sum::<f64>() / T as f64;
            }
            loss
        };
        agree("policy", &SIZES, &policy, &moments("policy.adam.first"), policy_loss);

        let kl = divergence(&outputs(&SIZES, &policy, &states));
        assert!(kl > 1e-5 && (f64::from(stats.kl_mean) - kl).abs() < 1e-4 * kl.max(1e-2), "{} and {kl}", stats.kl_mean);
        let d_duals = gradient(&duals(&before, "adam.first"), &duals(&after, "adam.first"));
        let d_eta = if temperature == TemperatureMode::Sgd { e.d_eta * sigmoid(raw[0]) } else { 0.0 };
        let d_alpha = (f64::from(config.epsilon_mean) - kl) * sigmoid(raw[1]);
        for (found, wanted) in d_duals.iter().zip([d_eta, d_alpha]) {
            assert!((found - wanted).abs() < 1e-5, "duals: {d_duals:?}, {d_eta} {d_alpha}");
        }
    }
}

#[test]
fn ppos_gradients_are_those_of_its_losses() {
    let data = Data::new();
    let mut config = LearnerConfig {
        algorithm: Algorithm::Ppo,
        policy_learning_rate: 3e-3,
        critic_learning_rate: 3e-3,
        entropy_weight: 0.05,
        gradient_clip: 1e9,
        ..LearnerConfig::default()
    };
    // One pass over one minibatch is one step.
    (config.ppo.epochs, config.ppo.minibatch) = (1, T);
    let (before, after, stats) = one_update(&config, &data, 6);
    let (states, next) = data.states();
    let value_sizes = Sizes { output: 1, ..SIZES };
    let value_network = |checkpoint: &[u8], part: &str| {
        let tensors = SafeTensors::deserialize(checkpoint).expect("a checkpoint");
        let read = |name: &String| {
            let tensor = tensors.tensor(&format!("value.{part}.{name}")).expect("every tensor");
            tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect::<Vec<_>>()
        };
        value_sizes.layout().entries().iter().flat_map(|entry| read(&entry.name)).collect::<Vec<f64>>()
    };
    let value = value_network(&before, "online");
    let (v, v_tp1) = (outputs(&value_sizes, &value, &states), outputs(&value_sizes, &value, &next));
    let rewards = wide(&data.rewards);
    let discounts: Vec<f64> = data.discounts.iter().map(|d| f64::from(config.discount * d)).collect();
    let transitions = Transitions { q_t: &v, v_tp1: &v_tp1, r_t: &rewards, discount_t: &discounts };
    let mut advantages = vec![0.0; T];
    gae(&LENGTHS, transitions, f64::from(config.ppo.gae_lambda), &mut advantages);
    let returns: Vec<f64> = advantages.iter().zip(&v).map(|(a, v)| a + v).collect();
    normalise_advantages(&mut advantages);

    let value_loss = |p: &[f64]| {
        let values = outputs(&value_sizes, p, &states);
        values.iter().zip(&returns).map(|(v, y)| (v - y).powi(2)).sum::<f64>() / T as f64
    };
    let moments = gradient(&value_network(&before, "adam.first"), &value_network(&after, "adam.first"));
    agree("value", &value_sizes, &value, &moments, value_loss);

    let taken: Vec<usize> = data.actions.iter().map(|&a| a as usize).collect();
    let behaviour = wide(&data.log_probs);
    let policy = network(&before, "policy.online");
    let parts = |p: &[f64]| {
        let logits = outputs(&SIZES, p, &states);
        let online = Categorical::new(A, &logits);
        let (mut log_probs, mut entropies) = (vec![0.0; T], vec![0.0; T]);
        online.log_prob(&taken, &mut log_probs);
        online.entropy(&mut entropies);
        let clip = f64::from(config.ppo.clip);
        let surrogate = ppo_clip(&log_probs, &behaviour, &advantages, clip, &mut [0.0; T]);
        (surrogate, entropies.iter().sum::<f64>() / T as f64)
    };
    let (surrogate, entropy) = parts(&policy);
    assert!((f64::from(stats.policy_loss) - surrogate).abs() < 1e-4, "{} and {surrogate}", stats.policy_loss);
    assert!((f64::from(stats.entropy) - entropy).abs() < 1e-5, "{} and {entropy}", stats.entropy);
    let moments = gradient(&network(&before, "policy.adam.first"), &network(&after, "policy.adam.first"));
    agree("policy", &SIZES, &policy, &moments, |p| {
        let (surrogate, entropy) = parts(p);
        surrogate - f64::from(config.entropy_weight) * entropy
    });
}
