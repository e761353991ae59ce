//! Every kernel against its oracle, fed with what the device itself found before it.

use mpo_core::{
    Constraint, Gaussian, HeadGradient, KlSplit, Multiplier, Temperature, Transitions, WeightedActions, Workspace,
    e_step, m_step, retrace_windows,
};
use mpo_nets::{
    Activations, Adam, Covariance, FixedParameters, GaussianHead, LearnerStep, Network, Precision, clip_by_global_norm,
    cuda::{DeviceLearner, Model},
    noise::Noise,
};

use crate::data::{Case, Data, arrays, distance, gathered};

/// A network of a checkpoint: online and target parameters, the optimiser's moments.
struct Side {
    network: Network,
    online: Vec<f32>,
    target: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
}

/// A device learner that made one update, the batch, and what was before it.
struct Probe {
    case: Case,
    model: Model,
    device: DeviceLearner,
    data: Data,
    states: Vec<f32>,
    transitions: usize,
    policy: Side,
    critic: Side,
    duals: Vec<f32>,
    position: u64,
}

impl Probe {
    fn new(case: Case) -> Option<Self> {
        let mut device = case.device(5)?;
        let mut cpu = case.cpu(5);
        let mut position = Noise::new(5);
        for step in 0..4 {
            let data = case.data(6, step);
            cpu.update(&data.view()).expect("finite");
            let states = data.observations.len() / case.observation;
            position.fill(&mut vec![0.0; states * case.config.action_samples * case.action]);
        }
        let before = cpu.save();
        device.load(&before).expect("the CPU's checkpoint");
        let (model, data) = (case.model(5), case.data(6, 9));
        device.update(&data.view()).expect("finite");
        let arrays = arrays(&before);
        let side = |index: usize| {
            let network = &model.networks[index];
            let flat = |part: &str| -> Vec<f32> {
                let entries = network.layout.entries().iter();
                let names = entries.map(|entry| format!("{}.{part}.{}", network.name, entry.name));
                let found = names.map(|name| arrays.iter().find(|(other, _)| *other == name).expect("an array"));
                found.flat_map(|(_, numbers)| numbers.clone()).collect()
            };
            let [online, target, first, second] = ["online", "target", "adam.first", "adam.second"].map(flat);
            let network = Network::from_layout(&network.layout, case.network.torso);
            Side { network, online, target, first, second }
        };
        let (policy, critic) = (side(0), side(1));
        let duals = arrays.iter().find(|(name, _)| name == "duals.raw").expect("duals").1.clone();
        let transitions = data.rewards.len();
        let position = position.position();
        let states = gathered(&data.observations, case.observation, &data.lengths);
        Some(Self { case, model, device, data, states, transitions, policy, critic, duals, position })
    }

    /// The device's numbers of a piece, the first `len` of them.
    fn piece(&self, name: &str, len: usize) -> Vec<f32> {
        self.device.inspect(name).expect("the device works")[..len].to_vec()
    }

    fn check(&self, name: &str, want: &[f32], tolerance: f64) {
        let found = distance(&self.piece(name, want.len()), want);
        assert!(found < tolerance, "{name} differs by {found:e} of its size ({:?})", self.case);
    }

    fn head(&self) -> GaussianHead {
        GaussianHead::of(self.case.action, &self.case.network)
    }
}

fn clipped(case: &Case, actions: &[f32]) -> Vec<f32> {
    let clip = case.network.clip_critic_actions;
    actions.iter().map(|&a| if clip { a.clamp(-1.0, 1.0) } else { a }).collect()
}

/// The settings whose kernels differ.
fn cases() -> [Case; 4] {
    let mut decoupled = Case::full();
    decoupled.config.kl_split = KlSplit::Decoupled;
    [Case::small(), Case::full(), decoupled, Case::two_torsos()]
}

// Sums of at most some hundred terms in another order, through two layers: a few times their number in the last bits.
const ROUNDING: f64 = 1e-5;

#[test]
fn act_is_the_target_policy_its_samples_and_the_taken_actions_ratios() {
    for probe in cases().into_iter().filter_map(Probe::new) {
        let (case, head) = (&probe.case, probe.head());
        let (n, m, count) = (case.action, case.config.action_samples, probe.states.len() / case.observation);
        let fixed = FixedParameters::new(&probe.policy.network, &probe.policy.target);
        let mut raw = vec![0.0; count * head.raw_len()];
        let mut activations = Activations::default();
        probe.policy.network.forward_fixed(&fixed, &[&probe.states], count, &mut activations, &mut raw);
        let (mut mean, mut factor) = (vec![0.0; count * n], vec![0.0; count * head.factor_len()]);
        head.forward(&raw, &mut mean, &mut factor);
        probe.check("mean", &mean, ROUNDING);
        probe.check("factor", &factor, ROUNDING);
        let mut noise = vec![0.0; count * m * n];
        Noise::at(5, probe.position).fill(&mut noise);
        let (mut actions, mut workspace) = (noise.clone(), Workspace::new(n, m));
        Gaussian::new(head.covariance(), n, &mean, &factor).sample(&noise, &mut actions, &mut workspace);
        probe.check("actions", &actions, ROUNDING);
        let t = probe.transitions;
        let taken = Gaussian::new(head.covariance(), n, &mean[..t * n], &factor[..t * head.factor_len()]);
        let mut log_rho = vec![0.0; t];
        taken.log_prob(&probe.data.actions, &mut log_rho, &mut workspace);
        log_rho.iter_mut().zip(&probe.data.log_probs).for_each(|(rho, b)| *rho -= b);
        probe.check("log_rho", &log_rho, ROUNDING);
    }
}

#[test]
fn values_are_the_target_critics() {
    for probe in cases().into_iter().chain([Case::tensor_cores()]).filter_map(Probe::new) {
        let (case, t) = (&probe.case, probe.transitions);
        let precision = case.config.target_precision;
        // Single units that lie in the middle between two numbers of TF32 may be taken for the other.
        let tolerance = if precision == Precision::F32 { ROUNDING } else { 5e-5 };
        let (m, count) = (case.config.action_samples, probe.states.len() / case.observation);
        let actions = clipped(case, &probe.piece("actions", count * m * case.action));
        let (mut q, mut activations) = (vec![0.0; count * m], Activations::default());
        let Side { network, target, .. } = &probe.critic;
        let fixed = FixedParameters::with_precision(network, target, precision);
        network.evaluate_actions_fixed(&fixed, &probe.states, &actions, m, &mut activations, &mut q);
        probe.check("q", &q, tolerance);
        if precision != Precision::F32 {
            let mut single = q.clone();
            network.evaluate_actions(target, &probe.states, &actions, m, &mut activations, &mut single);
            let apart = distance(&q, &single);
            assert!(apart > tolerance, "the precision is seen: {apart:e}");
        }
        let (states, taken) = (&probe.states[..t * case.observation], clipped(case, &probe.data.actions));
        let mut q_taken = vec![0.0; t];
        network.evaluate_actions_fixed(&fixed, states, &taken, 1, &mut activations, &mut q_taken);
        probe.check("q_taken", &q_taken, tolerance);
    }
}

#[test]
fn retrace_gives_the_targets_and_the_critics_slope() {
    let Some(probe) = Probe::new(Case { config: lambda(0.8), ..Case::small() }) else { return };
    let (t, w) = (probe.transitions, probe.data.lengths.len());
    let m = probe.case.config.action_samples;
    let q = probe.piece("q", (t + w) * m);
    let value = |state: usize| q[state * m..(state + 1) * m].iter().sum::<f32>() / m as f32;
    let (mut v_tp1, mut at) = (Vec::new(), 0);
    for (window, &length) in probe.data.lengths.iter().enumerate() {
        v_tp1.extend((at + 1..at + length as usize).map(value));
        v_tp1.push(value(t + window));
        at += length as usize;
    }
    let discount_t: Vec<f32> = probe.data.discounts.iter().map(|d| probe.case.config.discount * d).collect();
    let (q_t, log_rho) = (probe.piece("q_taken", t), probe.piece("log_rho", t));
    let window = Transitions { q_t: &q_t, v_tp1: &v_tp1, r_t: &probe.data.rewards, discount_t: &discount_t };
    let mut targets = vec![0.0; t];
    retrace_windows(&probe.data.lengths, window, &log_rho, probe.case.config.retrace_lambda, &mut targets);
    probe.check("targets", &targets, 1e-6);
    let online = probe.piece("critic.out", t);
    let slope: Vec<f32> = online.iter().zip(&targets).map(|(q, y)| 2.0 * (q - y) / t as f32).collect();
    probe.check("critic.d_out", &slope, ROUNDING);
}

fn lambda(retrace_lambda: f32) -> mpo_nets::LearnerConfig {
    mpo_nets::LearnerConfig { retrace_lambda, ..Case::small().config }
}

#[test]
fn improve_is_the_e_step_the_m_step_and_the_way_back_through_the_head() {
    for probe in cases().into_iter().filter_map(Probe::new) {
        let (case, head, t) = (&probe.case, probe.head(), probe.transitions);
        let (n, m, f) = (case.action, case.config.action_samples, head.factor_len());
        let q = probe.piece("q", t * m);
        let mut weights = vec![0.0; t * m];
        e_step(&q, m, Temperature::from_raw(probe.duals[0]).value(), case.config.epsilon, &mut weights);
        probe.check("weights", &weights, ROUNDING);

        let (mean0, factor0) = (probe.piece("mean", t * n), probe.piece("factor", t * f));
        let raw = probe.piece("policy.out", t * head.raw_len());
        let (mut mean, mut factor) = (vec![0.0; t * n], vec![0.0; t * f]);
        head.forward(&raw, &mut mean, &mut factor);
        let (mut d_mean, mut d_factor) = (vec![0.0; t * n], vec![0.0; t * f]);
        let [alpha_mean, alpha_covariance] = [1, 2].map(|i| Multiplier::from_raw(probe.duals[i]).value());
        let found = m_step(
            Constraint::Split { split: case.config.kl_split, alpha_mean, alpha_covariance },
            &Gaussian::new(head.covariance(), n, &mean0, &factor0),
            &Gaussian::new(head.covariance(), n, &mean, &factor),
            WeightedActions { actions: &probe.piece("actions", t * m * n), weights: &weights },
            HeadGradient { mean: &mut d_mean, factor: &mut d_factor },
            &mut Workspace::new(n, m),
        );
        let mut d_raw = vec![0.0; raw.len()];
        head.backward(&raw, &d_mean, &d_factor, &mut d_raw);
        probe.check("policy.d_out", &d_raw, 1e-4);
        let terms = probe.device.inspect("terms").expect("the device works");
        let capacity = terms.len() / 5;
        let mean_of = |k: usize| terms[k * capacity..][..t].iter().sum::<f32>() / t as f32;
        for (k, want) in [(1, found.policy_loss), (2, found.kl_mean), (3, found.kl_covariance)] {
            assert!((mean_of(k) - want).abs() < 1e-4 * want.abs(), "term {k}: {} and {want}", mean_of(k));
        }
    }
}

#[test]
fn forward_and_backward_and_gradients_are_the_networks() {
    for mut case in cases() {
        for torso in [mpo_nets::Torso::LayerNorm, mpo_nets::Torso::Plain] {
            case.network.torso = torso;
            let Some(probe) = Probe::new(case.clone()) else { return };
            let (t, states) = (probe.transitions, &probe.states[..probe.transitions * case.observation]);
            let taken = clipped(&case, &probe.data.actions);
            let sides = [("policy", &probe.policy, vec![states]), ("critic", &probe.critic, vec![states, &taken])];
            for (name, side, inputs) in sides {
                let (mut activations, mut out) = (Activations::default(), vec![0.0; t * side.network.output()]);
                side.network.forward(&side.online, &inputs, t, &mut activations, &mut out);
                probe.check(&format!("{name}.out"), &out, ROUNDING);
                let d_out = probe.piece(&format!("{name}.d_out"), out.len());
                let mut gradient = vec![0.0; side.online.len()];
                side.network.backward(&side.online, &inputs, t, &mut activations, &d_out, &mut gradient, &mut []);
                let mut found = probe.piece(&format!("{name}.gradient"), gradient.len());
                if torso == mpo_nets::Torso::Plain {
                    // Scale and shift have no part in such a network, and no kernel writes their gradients.
                    let network = &probe.model.networks[usize::from(name == "critic")];
                    let second = (probe.model.torsos() == 2).then(|| network.place("branch.torso.scale"));
                    for unused in [network.place("torso.scale")].into_iter().chain(second) {
                        assert!(found[unused].iter().all(|g| g.to_bits() == 0));
                    }
                }
                for entry in probe.model.networks[usize::from(name == "critic")].layout.entries() {
                    let apart = distance(&found[entry.range.clone()], &gradient[entry.range.clone()]);
                    assert!(apart < 1e-4, "{name}.{} differs by {apart:e}", entry.name);
                }
                found.clear();
            }
        }
    }
}

#[test]
fn finish_and_adam_clip_step_and_copy() {
    let mut case = Case::small();
    case.config.gradient_clip = 0.01;
    // The update of the probe is the fifth.
    for target_period in [5, 4] {
        case.config.target_period = target_period;
        let Some(probe) = Probe::new(case.clone()) else { return };
        for (index, (name, side)) in [("policy", &probe.policy), ("critic", &probe.critic)].into_iter().enumerate() {
            let gradient = probe.piece(&format!("{name}.gradient"), side.online.len());
            let (_, factor) = clip_by_global_norm(&gradient, case.config.gradient_clip);
            assert!(factor < 1.0, "the clipping is seen");
            let mut adam = Adam::new(side.online.len(), case.config.policy_learning_rate);
            adam.set_state(4, &side.first, &side.second);
            let mut stepped = side.online.clone();
            adam.update(&mut stepped, &gradient, factor);
            let (_, first, second) = adam.state();
            probe.check(&format!("{name}.adam.first"), first, ROUNDING);
            probe.check(&format!("{name}.adam.second"), second, ROUNDING);
            let moved = |to: &[f32]| to.iter().zip(&side.online).map(|(a, b)| a - b).collect::<Vec<f32>>();
            let online = probe.piece(&format!("{name}.online"), stepped.len());
            assert!(distance(&moved(&online), &moved(&stepped)) < 1e-3, "{name}'s step");
            let turned = probe.piece(&format!("{name}.turned"), stepped.len());
            let target = probe.piece(&format!("{name}.target"), stepped.len());
            assert_eq!(turned == target, target_period == 5, "{name}: the target is copied at its period only");
            let sorted = |mut numbers: Vec<f32>| {
                numbers.sort_by(f32::total_cmp);
                numbers
            };
            assert_eq!(sorted(turned), sorted(online), "network {index}: the turned form holds the same numbers");
        }
    }
}

#[test]
fn the_devices_noise_is_the_hosts() {
    // A mean of zero and a deviation of one would show the numbers themselves; the samples' differences from the mean do too.
    let Some(probe) = Probe::new(Case::walker()) else { return };
    assert_eq!(probe.head().covariance(), Covariance::Diagonal);
    let (n, m, count) = (6, probe.case.config.action_samples, probe.states.len() / 24);
    let mut noise = vec![0.0; count * m * n];
    Noise::at(5, probe.position).fill(&mut noise);
    let (mean, factor) = (probe.piece("mean", count * n), probe.piece("factor", count * n));
    for (i, (action, z)) in probe.piece("actions", noise.len()).iter().zip(&noise).enumerate() {
        let place = i / (m * n) * n + i % n;
        let found = (action - mean[place]) / factor[place];
        assert!((found - z).abs() < 2e-5 * (1.0 + z.abs()), "number {i} is {found}, the host's {z}");
    }
}
