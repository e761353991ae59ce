//! The learner from frames to discrete actions against the CPU's.

use mpo_core::{Categorical, Transitions, retrace_windows};
use mpo_nets::{
    Algorithm, BatchView, GradientReducer, LearnerConfig, LearnerStep, NetworkConfig, PixelActivations, PixelNetwork,
    PixelShape, PixelTorso, TemperatureMode, UpdateStats,
    cuda::{Argument, Capacity, DeviceLearner, Emulator, Model, Pace, Population},
    noise::Noise,
    pixel_learner,
};

use crate::{
    data::{Kind, arrays, distance, emulator, gathered},
    updates::{apart, close_stats},
};

const SHAPE: PixelShape = PixelShape { stack: 2, height: 36, width: 36, actions: 5 };

/// Windows of different lengths over random frames.
struct Data {
    lengths: Vec<u32>,
    frames: Vec<u8>,
    actions: Vec<u32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Data {
    fn new(windows: u32, seed: u64) -> Self {
        let lengths: Vec<u32> = (0..windows).map(|w| 1 + (w + seed as u32) % 4).collect();
        let transitions: usize = lengths.iter().map(|&n| n as usize).sum();
        let draw = |stream, len| {
            let mut values = vec![0.0; len];
            Noise::new(10 * seed + stream).fill(&mut values);
            values
        };
        let bytes = draw(1, (transitions + lengths.len()) * SHAPE.state_len());
        Self {
            frames: bytes.iter().map(|x| (128.0 + 60.0 * x).clamp(0.0, 255.0) as u8).collect(),
            actions: draw(2, transitions).iter().map(|x| (x.abs() * 37.0) as u32 % SHAPE.actions as u32).collect(),
            rewards: draw(3, transitions),
            discounts: (0..transitions).map(|t| if t % 7 == 3 { 0.0 } else { 1.0 }).collect(),
            log_probs: draw(4, transitions).iter().map(|x| 0.3 * x - 1.6).collect(),
            lengths,
        }
    }

    fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &self.lengths,
            frames: &self.frames,
            discrete_actions: &self.actions,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
            ..BatchView::default()
        }
    }
}

fn network(torso: PixelTorso) -> NetworkConfig {
    NetworkConfig { pixel_torso: torso, ..NetworkConfig::default() }
}

fn config() -> LearnerConfig {
    LearnerConfig { target_period: 3, retrace_lambda: 0.9, ..LearnerConfig::default() }
}

fn model(torso: PixelTorso, config: &LearnerConfig, seed: u64) -> Model {
    Model::frames(&SHAPE, &network(torso), config, seed).expect("settings that a device takes")
}

fn device(torso: PixelTorso, config: &LearnerConfig, seed: u64) -> Option<DeviceLearner> {
    let model = model(torso, config, seed);
    let device = emulator(&model)?;
    Some(DeviceLearner::alone(model, device, Pace { stats: 1 }, seed).expect("the emulation has room"))
}

fn cpu(torso: PixelTorso, config: &LearnerConfig, seed: u64) -> Box<dyn LearnerStep> {
    pixel_learner(&SHAPE, &network(torso), config, seed).expect("sound settings")
}

/// The small torso's learner, for tests of all kinds.
#[derive(Debug)]
pub(crate) struct Frames {
    torso: PixelTorso,
    config: LearnerConfig,
}

impl Frames {
    pub(crate) fn small() -> Self {
        Self { torso: PixelTorso::Small, config: config() }
    }
}

impl Kind for Frames {
    fn cpu(&self, seed: u64) -> Box<dyn LearnerStep> {
        cpu(self.torso, &self.config, seed)
    }

    fn device(&self, seed: u64) -> Option<DeviceLearner> {
        device(self.torso, &self.config, seed)
    }

    fn update(
        &self,
        learner: &mut dyn LearnerStep,
        workers: &mut dyn GradientReducer,
        windows: u32,
        seed: u64,
    ) -> UpdateStats {
        learner.update_with(&Data::new(windows, seed).view(), workers).expect("finite")
    }
}

#[test]
fn one_update_from_frames_agrees() {
    for torso in [PixelTorso::Small, PixelTorso::Dqn] {
        let config = config();
        let Some(mut device) = device(torso, &config, 5) else { return };
        let mut cpu = cpu(torso, &config, 5);
        // From a state in which targets differ from the online networks, so that nothing is zero.
        for step in 0..4 {
            cpu.update(&Data::new(4, step).view()).expect("finite");
        }
        device.load(&cpu.save()).expect("the CPU's checkpoint");
        let data = Data::new(5, 9);
        let (a, b) = (device.update(&data.view()).expect("finite"), cpu.update(&data.view()).expect("finite"));
        close_stats(&a, &b, 1e-4, &format!("{torso:?}"));
        assert!((a.entropy - b.entropy).abs() < 1e-4 * b.entropy, "{}, the CPU's {}", a.entropy, b.entropy);
        let (device, cpu) = (device.save(), cpu.save());
        for part in ["adam.first", "adam.second", "online", "target", "duals.raw"] {
            let (distance, name) = apart(&device, &cpu, part);
            assert!(distance < 1e-4, "{torso:?}: {name} differs by {distance:e}");
        }
    }
}

#[test]
fn several_updates_from_frames_stay_close_and_checkpoints_go_both_ways() {
    let config = config();
    let Some(mut device) = device(PixelTorso::Small, &config, 2) else { return };
    let mut cpu = cpu(PixelTorso::Small, &config, 2);
    for step in 0..8 {
        // Batches of different sizes, over two copies into the targets.
        let data = Data::new(3 + step as u32 % 3, step);
        device.update(&data.view()).expect("finite");
        cpu.update(&data.view()).expect("finite");
    }
    let (found, wanted) = (device.save(), cpu.save());
    for part in ["online", "target", "duals.raw"] {
        let (distance, name) = apart(&found, &wanted, part);
        assert!(distance < 1e-3, "{name} differs by {distance:e}");
    }
    cpu.load(&found).expect("the device's checkpoint");
    assert_eq!(cpu.updates(), 8);
    assert!(apart(&found, &cpu.save(), "").0 < 1e-9);
}

/// Every piece that the kernels leave, against the functions that say what it is.
#[test]
fn outputs_targets_and_gradients_are_the_oracles() {
    let (torso, config) = (PixelTorso::Dqn, config());
    let Some(mut device) = device(torso, &config, 7) else { return };
    let mut cpu = cpu(torso, &config, 7);
    for step in 0..4 {
        cpu.update(&Data::new(4, step).view()).expect("finite");
    }
    let before = cpu.save();
    device.load(&before).expect("the CPU's checkpoint");
    let (model, data) = (model(torso, &config, 7), Data::new(5, 9));
    device.update(&data.view()).expect("finite");
    let piece = |name: &str, len: usize| device.inspect(name).expect("the device works")[..len].to_vec();
    let arrays = arrays(&before);
    let (t, s, a) = (data.rewards.len(), data.rewards.len() + data.lengths.len(), SHAPE.actions);
    let states = gathered(&data.frames, SHAPE.state_len(), &data.lengths);
    let mut outputs = Vec::new();
    for (index, name) in ["policy", "critic"].into_iter().enumerate() {
        let layout = &model.networks[index].layout;
        let network = PixelNetwork::from_layout(layout, SHAPE.height, SHAPE.width);
        let flat = |part: &str| -> Vec<f32> {
            let names = layout.entries().iter().map(|entry| format!("{name}.{part}.{}", entry.name));
            let found = names.map(|name| arrays.iter().find(|(other, _)| *other == name).expect("an array"));
            found.flat_map(|(_, numbers)| numbers.clone()).collect()
        };
        let mut activations = PixelActivations::default();
        let mut target = vec![0.0; s * a];
        network.forward(&flat("target"), &states, s, &mut activations, &mut target);
        assert!(distance(&piece(&format!("{name}.target.out"), s * a), &target) < 1e-5, "{name}'s target");
        let (online, states) = (flat("online"), &states[..t * SHAPE.state_len()]);
        let mut out = vec![0.0; t * a];
        network.forward(&online, states, t, &mut activations, &mut out);
        assert!(distance(&piece(&format!("{name}.online.out"), t * a), &out) < 1e-5, "{name}, online");
        let (d_out, mut gradient) = (piece(&format!("{name}.d_out"), t * a), vec![0.0; online.len()]);
        network.backward(&online, states, t, &mut activations, &d_out, &mut gradient);
        let found = piece(&format!("{name}.gradient"), gradient.len());
        for entry in layout.entries() {
            let apart = distance(&found[entry.range.clone()], &gradient[entry.range.clone()]);
            assert!(apart < 1e-4, "{name}.{} differs by {apart:e}", entry.name);
        }
        outputs.push(target);
    }

    let (policy, q) = (Categorical::new(a, &outputs[0]), &outputs[1]);
    let mut v = vec![0.0; s];
    policy.expectation(q, &mut v);
    assert!(distance(&piece("v", s), &v) < 1e-5, "values of states");
    let taken: Vec<usize> = data.actions.iter().map(|&action| action as usize).collect();
    let mut log_rho = vec![0.0; t];
    Categorical::new(a, &outputs[0][..t * a]).log_prob(&taken, &mut log_rho);
    log_rho.iter_mut().zip(&data.log_probs).for_each(|(rho, b)| *rho -= b);
    let q_t: Vec<f32> = taken.iter().enumerate().map(|(row, action)| q[row * a + action]).collect();
    let (mut v_tp1, mut at) = (Vec::new(), 0);
    for (window, &length) in data.lengths.iter().enumerate() {
        v_tp1.extend_from_slice(&v[at + 1..at + length as usize]);
        v_tp1.push(v[t + window]);
        at += length as usize;
    }
    let discount_t: Vec<f32> = data.discounts.iter().map(|d| config.discount * d).collect();
    let transitions = Transitions { q_t: &q_t, v_tp1: &v_tp1, r_t: &data.rewards, discount_t: &discount_t };
    let mut targets = vec![0.0; t];
    retrace_windows(&data.lengths, transitions, &log_rho, config.retrace_lambda, &mut targets);
    assert!(distance(&piece("targets", t), &targets) < 1e-5, "targets");
}

#[test]
fn runs_from_frames_side_by_side_equal_the_single_runs_bit_for_bit() {
    let (torso, config) = (PixelTorso::Small, config());
    if emulator(&model(torso, &config, 0)).is_none() {
        return;
    }
    let train = |mut learner: DeviceLearner, seed: u64| {
        for step in 0..4 {
            learner.update(&Data::new(2 + (step + seed) as u32 % 3, 10 * seed + step).view()).expect("finite");
        }
        learner.save()
    };
    let population = Population::new(2, Pace { stats: 1 }, |model: &Model| Ok(Box::new(Emulator::new(model)?)));
    let together: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let learners: Vec<_> =
            (0..2).map(|seed| population.join(model(torso, &config, seed), seed).expect("a place")).collect();
        let threads: Vec<_> =
            learners.into_iter().zip(0..).map(|(learner, seed)| scope.spawn(move || train(learner, seed))).collect();
        threads.into_iter().map(|thread| thread.join().expect("the run ends")).collect()
    });
    for (seed, bytes) in (0..).zip(together) {
        let alone = train(device(torso, &config, seed).expect("a compiler, as above"), seed);
        assert!(bytes == alone, "seed {seed}");
    }
}

#[test]
fn whatever_two_launches_from_frames_share_is_ordered_between_them_if_one_writes_it() {
    let model = model(PixelTorso::Dqn, &config(), 0);
    let list = Population::launch_list(&model, Capacity { transitions: 32, windows: 4 }, 1);
    let names: Vec<&str> = list.launches.iter().map(|launch| launch.kernel).collect();
    let place = |kernel: &str| names.iter().position(|name| *name == kernel).expect("in the list");
    assert!(list.ordered(place("forward_head"), place("retrace_discrete")));
    assert!(list.ordered(place("retrace_discrete"), place("finish")));
    // The four passes of the networks run side by side.
    let first: Vec<usize> = (0..names.len()).filter(|&i| names[i] == "convolve_1").collect();
    assert_eq!(first.len(), 4);
    assert!(first.iter().all(|&i| list.launches[i].after.is_empty()));
    let written = |index: usize| {
        let arguments = list.launches[index].arguments.iter();
        arguments.filter_map(|argument| if let Argument::Write(name) = argument { Some(*name) } else { None })
    };
    for later in 0..names.len() {
        for earlier in 0..later {
            let clash = written(earlier).any(|name| written(later).any(|other| other == name));
            assert!(!clash || list.ordered(earlier, later), "{} and {}", names[earlier], names[later]);
        }
    }
}

#[test]
fn what_only_the_cpu_does_from_frames_is_refused_by_name() {
    let refused = |change: fn(&mut LearnerConfig)| {
        let mut config = config();
        change(&mut config);
        let made = Model::frames(&SHAPE, &network(PixelTorso::Small), &config, 0);
        made.map(|_| ()).expect_err("not there").to_string()
    };
    assert!(refused(|config| config.algorithm = Algorithm::Ppo).contains("`learner.algorithm` is ppo"));
    assert!(refused(|config| config.critics = 2).contains("`learner.critics` is 2"));
    assert!(refused(|config| config.n_step = Some(3)).contains("`learner.n_step` is 3"));
    assert!(refused(|config| config.temperature = TemperatureMode::Exact).contains("`learner.temperature` is exact"));
}
