//! Learners from pixels as a whole: they learn, continue from a checkpoint bit for bit, and refuse what they cannot use.

use mpo_nets::{
    Algorithm, BatchView, Convolutional, Cpu, LearnerConfig, LearnerStep, NetsError, NetworkConfig, PixelActingPolicy,
    PixelShape, PixelTorso, TemperatureMode, initial_parameters, pixel_learner,
};

use crate::naive::draw;

const SHAPE: PixelShape = PixelShape { stack: 2, height: 36, width: 36, actions: 3 };
const STATE: usize = 2 * 36 * 36;

pub(crate) fn small() -> NetworkConfig {
    NetworkConfig { pixel_torso: PixelTorso::Small, ..NetworkConfig::default() }
}

/// A number in `[0, 1)` for each of `len`.
fn uniform(stream: u64, len: usize) -> Vec<f32> {
    // The fraction of a normal number times a large one is as good as uniform.
    draw(stream, len).iter().map(|z| (z * 97.3).rem_euclid(1.0).min(0.999_999)).collect()
}

/// Dim noise with a bright square in the left, middle or right third: the action that pays.
fn picture(third: usize, seed: u64) -> Vec<u8> {
    let (noise, place) = (draw(seed, STATE), uniform(seed + 1, 2));
    let (x, y) = (12 * third + (place[0] * 7.0) as usize, (place[1] * 31.0) as usize);
    let inside = |i: usize| (x..x + 5).contains(&(i % 36)) && (y..y + 5).contains(&(i / 36 % 36));
    noise
        .iter()
        .enumerate()
        .map(|(i, z)| if inside(i) { 220 } else { (30.0 + 10.0 * z).clamp(0.0, 255.0) as u8 })
        .collect()
}

/// Windows of one transition, whose second state does not matter: a bandit.
struct Bandit {
    lengths: Vec<u32>,
    frames: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Bandit {
    /// `windows` pictures and what `act` does with them, action and log-probability.
    fn new(windows: usize, seed: u64, mut act: impl FnMut(&[u8], f32) -> (u32, f32)) -> Self {
        let thirds = uniform(seed, windows);
        let draws = uniform(seed + 1, windows);
        let (mut frames, mut actions, mut rewards, mut log_probs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (window, (third, draw)) in thirds.iter().zip(draws).enumerate() {
            let third = (third * 3.0) as usize;
            let state = picture(third, 1000 * seed + 10 * window as u64);
            let (action, log_prob) = act(&state, draw);
            frames.extend(state.repeat(2));
            actions.push(action);
            rewards.push(if action as usize == third { 1.0 } else { 0.0 });
            log_probs.push(log_prob);
        }
        Self { lengths: vec![1; windows], discounts: vec![0.0; windows], frames, actions, rewards, log_probs }
    }

    fn at_random(windows: usize, seed: u64) -> Self {
        Self::new(windows, seed, |_, draw| ((draw * 3.0) as u32, -(3.0_f32.ln())))
    }

    fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &self.lengths,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
            frames: &self.frames,
            discrete_actions: &self.actions,
            ..BatchView::default()
        }
    }
}

/// How many of a hundred pictures the policy answers with the right third.
fn score(parameters: &[f32]) -> usize {
    let mut policy = PixelActingPolicy::new(&SHAPE, &small()).expect("compiled sizes");
    policy.load(parameters);
    (0..100).filter(|&i| policy.greedy(&picture(i % 3, 999_000 + 10 * i as u64)) as usize == i % 3).count()
}

fn learner(config: &LearnerConfig, seed: u64) -> Box<dyn LearnerStep> {
    pixel_learner(&SHAPE, &small(), config, seed).expect("sound settings")
}

#[test]
fn mpo_learns_a_contextual_bandit_from_frames() {
    for temperature in [TemperatureMode::Sgd, TemperatureMode::Exact] {
        let config = LearnerConfig { temperature, target_period: 20, ..LearnerConfig::default() };
        let mut learner = learner(&config, 1);
        let before = score(learner.policy_parameters());
        let mut last = 0.0;
        for step in 0..240 {
            let stats = learner.update(&Bandit::at_random(32, step % 16).view()).expect("finite");
            last = stats.entropy;
        }
        let after = score(learner.policy_parameters());
        assert!(before < 60 && after >= 95, "{temperature:?}: {before} right before, {after} after");
        assert!(last < 0.9 * 3.0_f32.ln(), "an entropy of {last} after learning");
    }
}

#[test]
fn ppo_learns_it_on_its_own_policys_data() {
    let mut config = LearnerConfig { algorithm: Algorithm::Ppo, ..LearnerConfig::default() };
    (config.ppo.minibatch, config.ppo.epochs) = (32, 4);
    let mut learner = learner(&config, 1);
    let mut policy = PixelActingPolicy::new(&SHAPE, &small()).expect("compiled sizes");
    for round in 0..40 {
        policy.load(learner.policy_parameters());
        let data = Bandit::new(64, round, |state, draw| policy.sample(state, draw));
        learner.update(&data.view()).expect("finite");
    }
    let after = score(learner.policy_parameters());
    assert!(after >= 95, "{after} of 100 right");
}

#[test]
fn a_loaded_learner_continues_bit_for_bit_and_refuses_anothers_checkpoint() {
    for (algorithm, other) in [(Algorithm::Mpo, Algorithm::Ppo), (Algorithm::Ppo, Algorithm::Mpo)] {
        let config = LearnerConfig { algorithm, target_period: 3, threads: 2, ..LearnerConfig::default() };
        let data: Vec<Bandit> = (0..4).map(|seed| Bandit::at_random(9, seed)).collect();
        let [mut original, mut restored] = [learner(&config, 3), learner(&config, 3)];
        for data in &data {
            original.update(&data.view()).expect("finite");
        }
        restored.load(&original.save()).expect("its own checkpoint");
        assert_eq!(restored.save(), original.save());
        for data in &data {
            let (a, b) = (original.update(&data.view()), restored.update(&data.view()));
            assert_eq!(a.expect("finite"), b.expect("finite"), "{}", algorithm.name());
        }
        assert_eq!(original.save(), restored.save());
        let config = LearnerConfig { algorithm: other, ..config };
        let error = learner(&config, 3).load(&original.save()).expect_err("another algorithm's");
        assert!(matches!(error, NetsError::Mismatch { .. }), "{error}");
    }
}

/// The learner's networks are put together of parts; the whole is the public module type's.
#[test]
fn a_learner_begins_as_its_module_type_does() {
    type Policy = Convolutional<2, 36, 36, 8, 16, 16, 16, 64, 3, f32, Cpu>;
    let (layout, parameters) = initial_parameters::<Policy>(7);
    assert_eq!(learner(&LearnerConfig::default(), 7).policy_parameters(), parameters);
    let names: Vec<&str> = layout.entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names[..2], ["torso.conv1.weight", "torso.conv1.bias"]);
    assert_eq!(names[8..], ["head.weight", "head.bias"]);
    // Uniform weights of variance 2 / inputs, and biases of zero.
    let weight = &parameters[layout.entries()[2].range.clone()];
    let variance = weight.iter().map(|w| w * w).sum::<f32>() / weight.len() as f32;
    assert!((variance * 64.0 - 1.0).abs() < 0.1, "variance {variance} for 128 inputs");
    assert!(parameters[layout.entries()[3].range.clone()].iter().all(|b| b.abs() <= 0.0));
}

#[test]
fn what_cannot_be_built_is_refused_by_name() {
    let refused = |shape: &PixelShape, network: &NetworkConfig, config: &LearnerConfig| {
        pixel_learner(shape, network, config, 0).map(|_| ()).expect_err("unsound").to_string()
    };
    let config = LearnerConfig { algorithm: Algorithm::Epg, ..LearnerConfig::default() };
    assert!(refused(&SHAPE, &small(), &config).contains("`learner.algorithm` is epg, but must be mpo or ppo"));
    let config = LearnerConfig { epsilon: -1.0, ..LearnerConfig::default() };
    assert!(refused(&SHAPE, &small(), &config).contains("learner.epsilon"));
    let config = LearnerConfig::default();
    let large = refused(&PixelShape { height: 40, ..SHAPE }, &small(), &config);
    assert!(large.contains("height: 40") && large.contains("4x84x84 Dqn"), "{large}");
    assert!(refused(&PixelShape { actions: 19, ..SHAPE }, &small(), &config).contains("2 to 18 actions"));
}

#[test]
fn actions_are_drawn_as_often_as_their_probabilities_say() {
    let mut policy = PixelActingPolicy::new(&SHAPE, &small()).expect("compiled sizes");
    let count = learner(&LearnerConfig::default(), 5).policy_parameters().len();
    let mut parameters: Vec<f32> = draw(8, count).iter().map(|x| 0.1 * x).collect();
    policy.load(&parameters);
    let state = picture(1, 4);
    let logits = policy.logits(&state).to_vec();
    let total: f32 = logits.iter().map(|l| l.exp()).sum();
    let mut counts = [0_u32; 3];
    for i in 0..3000 {
        let (action, log_prob) = policy.sample(&state, (i as f32 + 0.5) / 3000.0);
        counts[action as usize] += 1;
        assert!((log_prob - (logits[action as usize].exp() / total).ln()).abs() < 1e-5);
    }
    for (count, logit) in counts.iter().zip(&logits) {
        // Uniforms on a grid: a count is right up to the ends of its interval.
        assert!((*count as f32 - 3000.0 * logit.exp() / total).abs() < 2.0, "{counts:?} for {logits:?}");
    }
    // The largest uniform below one still finds an action that can happen.
    parameters[count - 3..].copy_from_slice(&[0.0, 0.0, -1e4]);
    policy.load(&parameters);
    assert!(policy.sample(&state, 1.0 - f32::EPSILON / 2.0).0 < 2);
    parameters[count - 3..].copy_from_slice(&[0.0, 1e4, 0.0]);
    policy.load(&parameters);
    assert_eq!(policy.greedy(&state), 1);
}
