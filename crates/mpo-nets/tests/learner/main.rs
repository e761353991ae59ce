//! The learner as a whole: it learns, its checkpoint continues bit for bit, and it refuses what it cannot use.

mod critics;

use mpo_nets::{
    Algorithm, BatchView, Covariance, Demand, GaussianHead, KlSplit, LearnerConfig, LearnerStep, NetsError,
    NetworkConfig, PolicyKind, Precision, TemperatureMode, Torso, learner_for, noise::Noise,
};

const OBS: usize = 3;
const ACT: usize = 1;

/// A batch of windows of different lengths.
struct Data {
    lengths: Vec<u32>,
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Data {
    /// Random states and actions; the reward is highest for the action 0.3, whatever the state.
    fn new(seed: u64) -> Self {
        let lengths: Vec<u32> = (0..16).map(|w| 1 + w % 5).collect();
        let transitions: usize = lengths.iter().map(|&n| n as usize).sum();
        let draw = |stream, len| {
            let mut values = vec![0.0; len];
            Noise::new(10 * seed + stream).fill(&mut values);
            values
        };
        let actions = draw(1, transitions * ACT);
        Self {
            observations: draw(2, (transitions + lengths.len()) * OBS),
            rewards: actions.iter().map(|a| 1.0 - (a.clamp(-1.0, 1.0) - 0.3).abs()).collect(),
            discounts: (0..transitions).map(|t| if t % 7 == 0 { 0.0 } else { 1.0 }).collect(),
            log_probs: actions.iter().map(|a| -0.5 * a * a - 0.919).collect(),
            lengths,
            actions,
        }
    }

    /// Replaces the actions by those of a policy, and the rewards by theirs.
    fn act(&mut self, policy: &mut mpo_nets::ActingPolicy, parameters: &[f32], round: u64) {
        policy.load(parameters);
        let mut noise = vec![0.0; self.actions.len()];
        Noise::new(1000 + round).fill(&mut noise);
        let mut state = 0;
        let mut t = 0;
        for &length in &self.lengths {
            for _ in 0..length {
                let observation = &self.observations[state * OBS..(state + 1) * OBS];
                self.log_probs[t] = policy.sample(observation, &noise[t..=t], &mut self.actions[t..=t]);
                self.rewards[t] = 1.0 - (self.actions[t].clamp(-1.0, 1.0) - 0.3).abs();
                (state, t) = (state + 1, t + 1);
            }
            state += 1;
        }
    }

    fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &self.lengths,
            observations: &self.observations,
            actions: &self.actions,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
            ..BatchView::default()
        }
    }
}

fn small() -> NetworkConfig {
    NetworkConfig { policy_hidden: [32, 32], critic_hidden: [32, 32], ..NetworkConfig::default() }
}

fn learner(network: &NetworkConfig, mpo: &LearnerConfig, seed: u64) -> Box<dyn LearnerStep> {
    learner_for!(3, 1, network, mpo, seed).expect("the settings are sound")
}

#[test]
fn every_variant_finds_the_best_action_of_a_bandit() {
    for (covariance, kl_split, temperature, torso) in [
        (Covariance::Diagonal, KlSplit::Decoupled, TemperatureMode::Sgd, Torso::LayerNorm),
        (Covariance::Full, KlSplit::Decoupled, TemperatureMode::Sgd, Torso::Plain),
        (Covariance::Full, KlSplit::Exact, TemperatureMode::Exact, Torso::LayerNorm),
        (Covariance::Diagonal, KlSplit::Exact, TemperatureMode::Exact, Torso::Plain),
    ] {
        let network = NetworkConfig { covariance, torso, ..small() };
        // A bandit: no future, so that the reward alone decides.
        let mpo = LearnerConfig { kl_split, temperature, discount: 0.0, target_period: 20, ..LearnerConfig::default() };
        let mut learner = learner(&network, &mpo, 1);
        let data: Vec<Data> = (0..20).map(Data::new).collect();
        for step in 0..1200 {
            learner.update(&data[step % data.len()].view()).expect("finite");
        }
        let mean = mean_action(&network, learner.policy_parameters());
        assert!((mean - 0.3).abs() < 0.12, "{covariance:?} {kl_split:?} {temperature:?}: mean {mean}");
    }
}

/// The largest action is the best, and beyond the bound all are equal: nothing but the penalty keeps the mean near it.
#[test]
fn the_penalty_keeps_the_mean_within_the_bounds() {
    let mean = |epsilon_penalty| {
        let config = LearnerConfig { discount: 0.0, target_period: 20, epsilon_penalty, ..LearnerConfig::default() };
        let mut learner = learner(&small(), &config, 1);
        let mut data: Vec<Data> = (0..20).map(Data::new).collect();
        for part in &mut data {
            part.rewards = part.actions.iter().map(|action| action.clamp(-1.0, 1.0)).collect();
        }
        for step in 0..1500 {
            learner.update(&data[step % data.len()].view()).expect("finite");
        }
        mean_action(&small(), learner.policy_parameters())
    };
    // As strong as the values' own E-step, so that it shows within a few updates.
    let (free, kept) = (mean(None), mean(Some(0.1)));
    assert!(free > 1.3, "without the penalty the mean is {free}");
    assert!((0.3..1.2).contains(&kept), "with it {kept}");
}

/// Settings under which `algorithm` can be built.
fn settings(algorithm: Algorithm) -> (NetworkConfig, LearnerConfig) {
    let mut network = small();
    let mut config = LearnerConfig { algorithm, discount: 0.0, target_period: 20, ..LearnerConfig::default() };
    config.ppo.minibatch = 40;
    if algorithm == Algorithm::Ddpg {
        network.policy = PolicyKind::Deterministic;
    }
    (network, config)
}

/// The mean of a learner's policy over many states.
fn mean_action(network: &NetworkConfig, parameters: &[f32]) -> f32 {
    let mut policy = mpo_nets::ActingPolicy::new(OBS, ACT, network).expect("sound settings");
    policy.load(parameters);
    let (mut states, mut action, mut sum) = (vec![0.0; 100 * OBS], [0.0], 0.0);
    Noise::new(77).fill(&mut states);
    for state in states.chunks_exact(OBS) {
        policy.mean(state, &mut action);
        sum += action[0];
    }
    sum / 100.0
}

#[test]
fn every_algorithm_finds_the_best_action_of_a_bandit() {
    for algorithm in Algorithm::ALL {
        let (network, config) = settings(algorithm);
        let mut learner = learner(&network, &config, 1);
        let on_policy = learner.demand() != Demand::Replay;
        let mut policy = mpo_nets::ActingPolicy::new(OBS, ACT, &network).expect("sound settings");
        for round in 0..if on_policy { 60 } else { 2500 } {
            let mut data = Data::new(round % 20);
            if on_policy {
                data.act(&mut policy, learner.policy_parameters(), round);
            }
            learner.update(&data.view()).expect("finite");
        }
        let mean = mean_action(&network, learner.policy_parameters());
        assert!((mean - 0.3).abs() < 0.15, "{}: mean {mean}", algorithm.name());
    }
}

#[test]
fn every_algorithm_continues_bit_for_bit_and_refuses_anothers_checkpoint() {
    let data: Vec<Data> = (0..5).map(Data::new).collect();
    for algorithm in Algorithm::ALL {
        let (network, config) = settings(algorithm);
        let [mut original, mut restored] = [3, 4].map(|seed| learner(&network, &config, seed));
        for data in &data {
            original.update(&data.view()).expect("finite");
        }
        // The noise is a key and a position; the key is the seed's, so only a learner of the same seed continues alike.
        assert!(restored.load(&original.save()).is_ok());
        restored = learner(&network, &config, 3);
        restored.load(&original.save()).expect("its own checkpoint");
        for data in &data {
            let (a, b) = (original.update(&data.view()), restored.update(&data.view()));
            assert_eq!(a.expect("finite"), b.expect("finite"), "{}", algorithm.name());
        }
        assert_eq!(original.save(), restored.save(), "{}", algorithm.name());
        let other = if algorithm == Algorithm::Ppo { Algorithm::Mpo } else { Algorithm::Ppo };
        let (network, config) = settings(other);
        assert!(matches!(learner(&network, &config, 3).load(&original.save()), Err(NetsError::Mismatch { .. })));
    }
}

#[test]
fn a_policy_and_an_algorithm_that_do_not_suit_each_other_are_refused() {
    let refused = |network: &NetworkConfig, config: &LearnerConfig| {
        learner_for!(3, 1, network, config, 0).map(|_| ()).expect_err("unsound").to_string()
    };
    let (deterministic, ddpg) = settings(Algorithm::Ddpg);
    assert!(refused(&small(), &ddpg).contains("`network.policy` is gaussian"));
    assert!(refused(&deterministic, &LearnerConfig::default()).contains("`network.policy` is deterministic"));
    let several = LearnerConfig { algorithm: Algorithm::ActorCritic, baseline: false, ..LearnerConfig::default() };
    assert!(refused(&small(), &several).contains("epg follows them all"));
    let lone = LearnerConfig { action_samples: 1, baseline: true, ..several };
    assert!(refused(&small(), &lone).contains("no other to compare it with"));
    let one = LearnerConfig { algorithm: Algorithm::MpoParametric, action_samples: 1, ..LearnerConfig::default() };
    assert!(refused(&small(), &one).contains("at least 2"));
}

#[test]
fn a_loaded_learner_continues_bit_for_bit() {
    for (target_precision, critics) in [(Precision::F32, 1), (Precision::Bf16, 1), (Precision::F32, 2)] {
        let config = LearnerConfig { target_period: 7, target_precision, critics, ..LearnerConfig::default() };
        continues_bit_for_bit(&config);
    }
}

fn continues_bit_for_bit(mpo: &LearnerConfig) {
    let network = small();
    let data: Vec<Data> = (0..5).map(Data::new).collect();
    let mut original = learner(&network, mpo, 3);
    for step in 0..23 {
        original.update(&data[step % 5].view()).expect("finite");
    }
    let bytes = original.save();
    let mut restored = learner(&network, mpo, 3);
    restored.load(&bytes).expect("its own checkpoint");
    assert_eq!(restored.updates(), 23);
    assert_eq!(restored.save(), bytes, "equal learners have equal bytes");
    for step in 23..40 {
        let (a, b) = (original.update(&data[step % 5].view()), restored.update(&data[step % 5].view()));
        assert_eq!(a.expect("finite"), b.expect("finite"));
    }
    assert_eq!(original.save(), restored.save());
}

#[test]
fn a_foreign_or_damaged_checkpoint_is_refused_by_name_and_changes_nothing() {
    let mut learner = learner(&small(), &LearnerConfig::default(), 3);
    let before = learner.save();
    let other = learner_for!(4, 2, &small(), &LearnerConfig::default(), 3).expect("sound").save();
    let error = learner.load(&other).expect_err("another shape");
    assert!(matches!(&error, NetsError::Mismatch { tensor, .. } if tensor == "policy.online.observation"), "{error}");
    assert!(error.to_string().contains("another task"));
    let error = learner.load(&before[..before.len() / 2]).expect_err("half a file");
    assert!(matches!(error, NetsError::Damaged { .. }), "{error}");
    assert_eq!(learner.save(), before);
}

#[test]
fn what_is_not_finite_is_named_and_leaves_the_parameters_alone() {
    let mut learner = learner(&small(), &LearnerConfig::default(), 3);
    let mut data = Data::new(0);
    data.rewards[4] = f32::NAN;
    let before = learner.policy_parameters().to_vec();
    let error = learner.update(&data.view()).expect_err("a NaN reward");
    assert!(error.to_string().contains("update 1: the critic's target is NaN"), "{error}");
    assert_eq!(learner.policy_parameters(), before);
    assert_eq!(learner.updates(), 0);
}

#[test]
fn settings_out_of_range_and_widths_not_compiled_are_errors_that_say_so() {
    let build = |network: &NetworkConfig, mpo: &LearnerConfig| {
        learner_for!(3, 1, network, mpo, 0).map(|_| ()).expect_err("unsound")
    };
    let error = build(&small(), &LearnerConfig { epsilon: 0.0, ..LearnerConfig::default() });
    assert_eq!(error.to_string(), "`learner.epsilon` is 0, but must be a finite number above 0");
    let error = build(&small(), &LearnerConfig { n_step: Some(0), ..LearnerConfig::default() });
    assert!(error.to_string().starts_with("`learner.n_step` is 0, but must be at least 1"), "{error}");
    let error = build(&small(), &LearnerConfig { critics: 3, ..LearnerConfig::default() });
    assert_eq!(error.to_string(), "`learner.critics` is 3, but must be 1 or 2");
    let error = build(&NetworkConfig { policy_hidden: [17, 17], ..small() }, &LearnerConfig::default());
    assert!(error.to_string().contains("[17, 17]") && error.to_string().contains("[100, 100] + [200, 200]"), "{error}");
}

#[test]
fn the_target_networks_move_only_at_their_period() {
    let mpo = LearnerConfig { target_period: 3, ..LearnerConfig::default() };
    let mut learner = learner(&small(), &mpo, 3);
    let data = Data::new(0);
    let mut kls = Vec::new();
    for _ in 0..7 {
        kls.push(learner.update(&data.view()).expect("finite").kl_mean);
    }
    // The policy equals its target at the first update and right after each copy.
    for (update, kl) in kls.iter().enumerate() {
        assert_eq!(*kl == 0.0, update % 3 == 0, "update {update}: KL {kl}");
    }
}

#[test]
fn gradients_of_the_head_are_finite_differences() {
    let heads = [Covariance::Diagonal, Covariance::Full].map(|covariance| GaussianHead::new(3, covariance, 0.5));
    let [diagonal, full] = heads.clone().map(|head| head.bounded(0.8));
    for head in heads.into_iter().chain([diagonal, full, GaussianHead::deterministic(3, 0.2)]) {
        let draw = |stream, len| {
            let mut values = vec![0.0; len];
            Noise::new(stream).fill(&mut values);
            values
        };
        let raw: Vec<f32> = draw(1, head.raw_len());
        let (d_mean, d_factor) = (draw(2, 3), draw(3, head.factor_len()));
        let loss = |raw: &[f32]| {
            let (mut mean, mut factor) = (vec![0.0; 3], vec![0.0; head.factor_len()]);
            head.forward(raw, &mut mean, &mut factor);
            let sum = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            sum(&mean, &d_mean) + sum(&factor, &d_factor)
        };
        let mut d_raw = vec![0.0; head.raw_len()];
        head.backward(&raw, &d_mean, &d_factor, &mut d_raw);
        for i in 0..raw.len() {
            let moved = |step: f32| {
                let mut raw = raw.clone();
                raw[i] += step;
                loss(&raw)
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((numeric - f64::from(d_raw[i])).abs() < 2e-3, "{head:?} {i}: {numeric} and {}", d_raw[i]);
        }
    }
}

#[test]
fn a_bounded_deviation_starts_where_it_should_and_stays_below_its_bound() {
    let head = GaussianHead::new(1, Covariance::Diagonal, 0.5).bounded(0.8);
    for (raw, low, high) in [(0.0, 0.4999, 0.5002), (1e4, 0.79, 0.8002), (-1e4, 0.0, 0.0002)] {
        let (mut mean, mut stddev) = ([0.0], [0.0]);
        head.forward(&[0.0, raw], &mut mean, &mut stddev);
        assert!((low..high).contains(&stddev[0]), "raw {raw}: {}", stddev[0]);
    }
}

#[test]
fn a_sampled_row_has_the_density_that_mpo_core_gives_it() {
    use mpo_core::{Gaussian, Workspace};
    for covariance in [Covariance::Diagonal, Covariance::Full] {
        let head = GaussianHead::new(3, covariance, 0.5);
        let mut raw = vec![0.0; head.raw_len()];
        Noise::new(4).fill(&mut raw);
        let (mut mean, mut factor, mut action) = (vec![0.0; 3], vec![0.0; head.factor_len()], vec![0.0; 3]);
        head.forward(&raw, &mut mean, &mut factor);
        let log_prob = head.sample_row(&mean, &factor, &[0.3, -1.2, 0.8], &mut action);
        let gaussian = Gaussian::new(covariance, 3, &mean, &factor);
        let (mut want, mut workspace) = ([0.0], Workspace::new(3, 1));
        gaussian.log_prob(&action, &mut want, &mut workspace);
        assert!((log_prob - want[0]).abs() < 1e-5, "{covariance:?}: {log_prob} and {}", want[0]);
        let mut sampled = vec![0.0; 3];
        gaussian.sample(&[0.3, -1.2, 0.8], &mut sampled, &mut workspace);
        for (a, b) in action.iter().zip(&sampled) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}

#[test]
fn the_fused_optimiser_is_mpo_cores_adam_after_its_clipping() {
    let mut fused = mpo_nets::Adam::new(50, 1e-2);
    let reference = mpo_core::Adam::<f64>::new(1e-2);
    let (mut parameters, mut wanted) = (vec![0.5_f32; 50], vec![0.5_f64; 50]);
    let (mut first, mut second) = (vec![0.0; 50], vec![0.0; 50]);
    for step in 1..=60 {
        let mut gradient = vec![0.0_f32; 50];
        Noise::new(step).fill(&mut gradient);
        let (norm, factor) = mpo_nets::clip_by_global_norm(&gradient, 5.0);
        fused.update(&mut parameters, &gradient, factor);
        let mut gradient: Vec<f64> = gradient.iter().map(|&g| f64::from(g)).collect();
        let wanted_norm = mpo_core::clip_by_global_norm(&mut gradient, 5.0);
        assert!((f64::from(norm) - wanted_norm).abs() < 1e-5 * wanted_norm);
        reference.step(step, &mut wanted, &gradient, &mut first, &mut second);
        for (a, b) in parameters.iter().zip(&wanted) {
            assert!((f64::from(*a) - b).abs() < 1e-5, "step {step}: {a} and {b}");
        }
    }
}

/// The reward is highest for an action that has the sign of a state's last number, which has a torso of its own.
#[test]
fn a_second_torso_is_heeded_and_every_learner_trains_it() {
    let mut network = small();
    let mpo = LearnerConfig { discount: 0.0, target_period: 20, ..LearnerConfig::default() };
    let mut learner = learner_for!(2 + 1, 1, &network, &mpo, 1).expect("sound settings");
    let mut data: Vec<Data> = (0..20).map(Data::new).collect();
    for batch in &mut data {
        let (mut state, mut t) = (0, 0);
        for &length in &batch.lengths {
            for _ in 0..length {
                let best = 0.4 * batch.observations[state * OBS + 2].signum();
                batch.rewards[t] = 1.0 - (batch.actions[t].clamp(-1.0, 1.0) - best).abs();
                (state, t) = (state + 1, t + 1);
            }
            state += 1;
        }
    }
    for step in 0..1500 {
        learner.update(&data[step % data.len()].view()).expect("finite");
    }
    let mut policy = mpo_nets::ActingPolicy::branched(OBS, 1, ACT, &network).expect("sound settings");
    policy.load(learner.policy_parameters());
    let mut action = [0.0];
    for (number, best) in [(-1.0, -0.4), (1.0, 0.4)] {
        policy.mean(&[0.2, -0.1, number], &mut action);
        assert!((action[0] - best).abs() < 0.15, "{number}: {action:?}");
    }

    let data = Data::new(3);
    for algorithm in Algorithm::ALL {
        let config;
        (network, config) = settings(algorithm);
        let make = || learner_for!(2 + 1, 1, &network, &config, 1).expect("sound settings");
        let (mut learner, mut other) = (make(), make());
        let before = learner.policy_parameters().to_vec();
        learner.update(&data.view()).expect("finite");
        let branch = before.len() - 32 * (1 + 3) - 32 * 32;
        for part in [0..branch, branch..before.len()] {
            assert!(before[part.clone()] != learner.policy_parameters()[part], "{algorithm:?}");
        }
        other.load(&learner.save()).expect("the same settings");
        learner.update(&data.view()).expect("finite");
        other.update(&data.view()).expect("finite");
        assert!(learner.policy_parameters() == other.policy_parameters(), "{algorithm:?} from its checkpoint");
    }
}
