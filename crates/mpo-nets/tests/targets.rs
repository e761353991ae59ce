//! The learner's Retrace targets against eq. 13 written as its double sum, from the parameters in the learner's own checkpoint.

use mpo_core::{Covariance, Gaussian, Workspace};
use mpo_nets::{
    Activations, BatchView, GaussianHead, Layout, LearnerConfig, LearnerStep, Network, NetworkConfig, Torso,
    learner_for, noise::Noise,
};
use safetensors::SafeTensors;

const OBS: usize = 3;
const SAMPLES: usize = 4;
const SEED: u64 = 11;

/// One network of a checkpoint, with its places.
fn network(checkpoint: &[u8], prefix: &str, inputs: &[&str]) -> (Network, Vec<f32>) {
    let tensors = SafeTensors::deserialize(checkpoint).expect("a checkpoint");
    let rest = ["torso.bias", "torso.scale", "torso.shift", "hidden.weight", "hidden.bias", "head.weight", "head.bias"];
    let mut shapes: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut values = Vec::new();
    for &name in inputs.iter().chain(&rest) {
        let tensor = tensors.tensor(&format!("{prefix}.{name}")).expect("the checkpoint has every tensor");
        shapes.push((name, tensor.shape().to_vec()));
        values.extend(tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)));
    }
    let shapes: Vec<(&str, &[usize])> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
    (Network::from_layout(&Layout::from_shapes(&shapes), Torso::LayerNorm), values)
}

fn forward((network, p): &(Network, Vec<f32>), inputs: &[&[f32]], rows: usize) -> Vec<f32> {
    let mut out = vec![0.0; rows * network.output()];
    network.forward(p, inputs, rows, &mut Activations::default(), &mut out);
    out
}

fn noise_position(checkpoint: &[u8]) -> u64 {
    let (_, header) = SafeTensors::read_metadata(checkpoint).expect("a checkpoint");
    let numbers = header.metadata().as_ref().expect("numbers")["numbers"].clone();
    let pair = numbers.split(' ').find_map(|pair| pair.strip_prefix("noise.position=")).expect("the noise's position");
    pair.parse().expect("a number")
}

fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

#[test]
fn the_critic_is_fitted_to_equation_13() {
    let network_config = NetworkConfig { policy_hidden: [32, 32], critic_hidden: [32, 32], ..NetworkConfig::default() };
    let mpo = LearnerConfig {
        action_samples: SAMPLES,
        retrace_lambda: 0.9,
        target_period: 3,
        policy_learning_rate: 1e-2,
        critic_learning_rate: 1e-2,
        ..LearnerConfig::default()
    };
    let mut learner: Box<dyn LearnerStep> = learner_for!(3, 1, &network_config, &mpo, SEED).expect("sound settings");
    let lengths = [4_u32, 1, 3, 5];
    let (transitions, windows) = (13, lengths.len());
    let observations = draw(1, (transitions + windows) * OBS);
    let (actions, rewards) = (draw(2, transitions), draw(3, transitions));
    let log_probs: Vec<f32> = draw(4, transitions).iter().map(|x| 0.5 * x - 1.0).collect();
    let mut discounts = vec![1.0; transitions];
    (discounts[2], discounts[7]) = (0.0, 0.0);
    let batch = BatchView {
        lengths: &lengths,
        observations: &observations,
        actions: &actions,
        rewards: &rewards,
        discounts: &discounts,
        log_probs: &log_probs,
        ..BatchView::default()
    };
    for _ in 0..40 {
        learner.update(&batch).expect("finite");
    }
    let checkpoint = learner.save();
    let stats = learner.update(&batch).expect("finite");

    let policy = network(&checkpoint, "policy.target", &["observation"]);
    let target = network(&checkpoint, "critic.target", &["observation", "action"]);
    let online = network(&checkpoint, "critic.online", &["observation", "action"]);
    // The learner's order of states, which decides which noise is whose: those with a transition, then the windows' last.
    let mut order = Vec::new();
    let mut last = Vec::new();
    let mut row = 0;
    for &length in &lengths {
        order.extend(row..row + length as usize);
        last.push(row + length as usize);
        row += length as usize + 1;
    }
    order.extend(&last);
    let mut noise = vec![0.0; order.len() * SAMPLES];
    Noise::at(SEED, noise_position(&checkpoint)).fill(&mut noise);

    let head = GaussianHead::new(1, Covariance::Diagonal, network_config.initial_stddev);
    let state = |row: usize| &observations[row * OBS..(row + 1) * OBS];
    let gaussian = |row: usize| {
        let raw = forward(&policy, &[state(row)], 1);
        let (mut mean, mut factor) = ([0.0], [0.0]);
        head.forward(&raw, &mut mean, &mut factor);
        (mean, factor)
    };
    let q = |critic: &(Network, Vec<f32>), row: usize, action: f32| {
        f64::from(forward(critic, &[state(row), &[action.clamp(-1.0, 1.0)]], 1)[0])
    };
    let value = |row: usize| {
        let (mean, factor) = gaussian(row);
        let at = order.iter().position(|&r| r == row).expect("every state is in the order");
        let sampled = noise[at * SAMPLES..(at + 1) * SAMPLES].iter().map(|z| mean[0] + factor[0] * z);
        sampled.map(|action| q(&target, row, action)).sum::<f64>() / SAMPLES as f64
    };
    let (gamma, lambda) = (f64::from(mpo.discount), f64::from(mpo.retrace_lambda));
    let (mut sum, mut squares, mut first, mut row) = (0.0, 0.0, 0, 0);
    for &length in &lengths {
        let length = length as usize;
        let trace = |k: usize| {
            let (mean, factor) = gaussian(row + k);
            let mut log_prob = [0.0];
            let policy = Gaussian::new(Covariance::Diagonal, 1, &mean, &factor);
            policy.log_prob(&[actions[first + k]], &mut log_prob, &mut Workspace::new(1, 1));
            lambda * f64::from(log_prob[0] - log_probs[first + k]).exp().min(1.0)
        };
        for t in 0..length {
            let mut goal = q(&target, row + t, actions[first + t]);
            let mut weight = 1.0;
            for j in t..length {
                if j > t {
                    weight *= gamma * f64::from(discounts[first + j - 1]) * trace(j);
                }
                let next = gamma * f64::from(discounts[first + j]) * value(row + j + 1);
                goal += weight * (f64::from(rewards[first + j]) + next - q(&target, row + j, actions[first + j]));
            }
            sum += goal;
            squares += (q(&online, row + t, actions[first + t]) - goal).powi(2);
        }
        first += length;
        row += length + 1;
    }
    let (mean, loss) = (sum / transitions as f64, squares / transitions as f64);
    assert!((f64::from(stats.target_mean) - mean).abs() < 1e-4, "mean target {} and {mean}", stats.target_mean);
    assert!(
        (f64::from(stats.critic_loss) - loss).abs() < 1e-4 * loss.max(1.0),
        "loss {} and {loss}",
        stats.critic_loss
    );
}
