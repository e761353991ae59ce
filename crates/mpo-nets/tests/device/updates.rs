//! Whole updates against the CPU's learner.

use mpo_nets::{Algorithm, Covariance, KlSplit, LearnerStep, NetsError, Torso, UpdateStats};

use crate::data::{Case, arrays, distance};

/// What statistics are compared by.
fn numbers(stats: &UpdateStats) -> [(&'static str, f32); 13] {
    [
        ("critic loss", stats.critic_loss),
        ("policy loss", stats.policy_loss),
        ("temperature", stats.temperature),
        ("alpha mean", stats.alpha_mean),
        ("alpha covariance", stats.alpha_covariance),
        ("kl q", stats.kl_q),
        ("kl mean", stats.kl_mean),
        ("kl covariance", stats.kl_covariance),
        ("q mean", stats.q_mean),
        ("target mean", stats.target_mean),
        ("policy norm", stats.policy_grad_norm),
        ("critic norm", stats.critic_grad_norm),
        ("deviation", stats.stddev_mean),
    ]
}

pub(crate) fn close_stats(device: &UpdateStats, cpu: &UpdateStats, tolerance: f32, what: &str) {
    for ((name, a), (_, b)) in numbers(device).into_iter().zip(numbers(cpu)) {
        // Sums of a batch's terms of either sign; at the first update the divergences are exactly zero.
        assert!((a - b).abs() <= tolerance * b.abs() + 2e-6, "{what}: {name} is {a}, the CPU's {b}");
    }
}

/// The largest distance between two checkpoints' arrays whose names hold `part`.
pub(crate) fn apart(device: &[u8], cpu: &[u8], part: &str) -> (f64, String) {
    let (device, cpu) = (arrays(device), arrays(cpu));
    let device: Vec<_> = device.into_iter().filter(|(name, _)| name != "stats").collect();
    assert_eq!(device.len(), cpu.len(), "arrays of the checkpoints");
    let mut worst = (0.0, String::new());
    for ((name, a), (other, b)) in device.iter().zip(&cpu) {
        assert_eq!(name, other);
        let found = distance(a, b);
        if name.contains(part) && found > worst.0 {
            worst = (found, name.clone());
        }
    }
    worst
}

/// One update from the same state with the same batch: Adam's first moment is a tenth of the clipped gradient.
fn one_update_agrees(case: &Case, windows: u32) {
    let Some(mut device) = case.device(5) else { return };
    let mut cpu = case.cpu(5);
    // From a state in which targets differ from the online networks, so that nothing is zero.
    for step in 0..4 {
        cpu.update(&case.data(windows, step).view()).expect("finite");
    }
    let before = cpu.save();
    device.load(&before).expect("the CPU's checkpoint");
    let data = case.data(windows, 9);
    let (a, b) = (device.update(&data.view()).expect("finite"), cpu.update(&data.view()).expect("finite"));
    close_stats(&a, &b, 1e-4, &format!("{case:?}"));
    let (device, cpu) = (device.save(), cpu.save());
    // Gradients in the moments, then what the optimisers make of them.
    for part in ["adam.first", "adam.second", "online", "target", "duals.raw"] {
        let (distance, name) = apart(&device, &cpu, part);
        assert!(distance < 1e-4, "{case:?}: {name} differs by {distance:e}");
    }
}

#[test]
fn one_update_of_the_default_settings_agrees() {
    one_update_agrees(&Case::small(), 9);
}

#[test]
fn one_update_of_the_walkers_networks_agrees() {
    one_update_agrees(&Case::walker(), 8);
}

#[test]
fn one_update_with_a_full_covariance_agrees_in_both_splits() {
    let exact = Case::full();
    one_update_agrees(&exact, 7);
    let mut decoupled = exact;
    decoupled.config.kl_split = KlSplit::Decoupled;
    one_update_agrees(&decoupled, 7);
}

#[test]
fn one_update_of_networks_of_two_torsos_agrees() {
    let mut case = Case::two_torsos();
    one_update_agrees(&case, 9);
    case.network.torso = Torso::Plain;
    case.network.covariance = Covariance::Full;
    one_update_agrees(&case, 6);
}

#[test]
fn one_update_on_tensor_cores_agrees() {
    one_update_agrees(&Case::tensor_cores(), 6);
}

#[test]
fn one_update_of_the_humanoids_networks_agrees() {
    let mut case = Case { observation: 67, action: 21, ..Case::small() };
    case.network.policy_hidden = [200, 200];
    case.network.critic_hidden = [300, 300];
    case.network.covariance = Covariance::Full;
    one_update_agrees(&case, 3);
}

#[test]
fn one_update_of_other_settings_agrees() {
    let mut plain = Case::small();
    plain.network.torso = Torso::Plain;
    plain.network.clip_critic_actions = false;
    plain.network.maximum_stddev = 0.8;
    plain.config.retrace_lambda = 0.7;
    plain.config.gradient_clip = 0.05;
    one_update_agrees(&plain, 9);
    let mut joint = Case { observation: 15, action: 4, ..Case::small() };
    joint.config.algorithm = Algorithm::MpoJointKl;
    joint.config.action_samples = 40;
    one_update_agrees(&joint, 5);
    let mut exact = joint;
    exact.config.algorithm = Algorithm::Mpo;
    exact.config.kl_split = KlSplit::Exact;
    one_update_agrees(&exact, 5);
}

/// Rounding grows along a trajectory of updates; how fast shows from two CPU learners whose sums run in different orders.
#[test]
fn a_hundred_updates_drift_no_further_than_two_orders_of_summation() {
    let case = Case::small();
    let Some(mut device) = case.device(5) else { return };
    let mut other = case.clone();
    other.config.threads = 2;
    let (mut cpu, mut reordered) = (case.cpu(5), other.cpu(5));
    for step in 0..100 {
        let data = case.data(14, step % 10);
        for learner in [&mut cpu, &mut reordered] {
            learner.update(&data.view()).expect("finite");
        }
        device.update(&data.view()).expect("finite");
    }
    let (device, cpu, reordered) = (device.save(), cpu.save(), reordered.save());
    let (drift, name) = apart(&device, &cpu, "online");
    let (reference, _) = apart(&reordered, &cpu, "online");
    // The device's order differs in more places than two threads' does, and its activations in the last bit.
    assert!(reference > 0.0 && drift < 20.0 * reference.max(1e-6), "{name}: {drift:e} against {reference:e}");
}

#[test]
fn a_larger_batch_makes_room_and_loses_nothing() {
    let case = Case::small();
    let Some(mut device) = case.device(5) else { return };
    let mut cpu = case.cpu(5);
    for (step, windows) in [2, 3, 40, 5, 60].into_iter().enumerate() {
        let data = case.data(windows, step as u64);
        let (a, b) = (device.update(&data.view()).expect("finite"), cpu.update(&data.view()).expect("finite"));
        close_stats(&a, &b, 1e-3, &format!("{windows} windows"));
    }
    assert!(apart(&device.save(), &cpu.save(), "online").0 < 1e-3);
}

#[test]
fn a_device_learner_continues_bit_for_bit_and_on_the_cpu() {
    let case = Case::small();
    let (Some(mut original), Some(mut restored)) = (case.device(5), case.device(5)) else { return };
    for step in 0..5 {
        original.update(&case.data(6, step).view()).expect("finite");
    }
    let bytes = original.save();
    restored.load(&bytes).expect("its own checkpoint");
    assert_eq!((restored.updates(), restored.save() == bytes), (5, true));
    for step in 5..9 {
        let data = case.data(6, step);
        let (a, b) = (original.update(&data.view()), restored.update(&data.view()));
        assert_eq!(a.expect("finite"), b.expect("finite"));
    }
    assert!(original.save() == restored.save());
    assert_eq!(original.policy_parameters(), restored.policy_parameters());
    case.cpu(5).load(&bytes).expect("a device's checkpoint");
}

#[test]
fn what_is_not_finite_is_named_and_leaves_the_parameters_alone() {
    let case = Case::small();
    let Some(mut device) = case.device(5) else { return };
    device.update(&case.data(6, 0).view()).expect("finite");
    let before = device.policy_parameters().to_vec();
    let mut data = case.data(6, 1);
    data.rewards[4] = f32::NAN;
    let error = device.update(&data.view()).expect_err("a NaN reward");
    assert!(error.to_string().contains("update 2: the critic's target is NaN"), "{error}");
    assert!(matches!(error, NetsError::NonFinite { update: 2, .. }));
    assert_eq!(device.policy_parameters(), before);
    assert_eq!(device.updates(), 1);
}

#[test]
fn a_foreign_checkpoint_is_refused_and_changes_nothing() {
    let case = Case::small();
    let Some(mut device) = case.device(5) else { return };
    let before = device.save();
    let other = Case { observation: 15, action: 4, ..Case::small() }.cpu(5).save();
    assert!(matches!(device.load(&other), Err(NetsError::Mismatch { .. })));
    assert!(matches!(device.load(&before[..40]), Err(NetsError::Damaged { .. })));
    assert!(device.save() == before);
}

#[test]
fn what_only_the_cpu_does_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Case)| {
        let mut case = Case::small();
        change(&mut case);
        let networks = Case::small().networks(0);
        mpo_nets::cuda::Model::new(networks, &case.network, &case.config).map(|_| ()).expect_err("refused").to_string()
    };
    let algorithm = refused(&|case| case.config.algorithm = Algorithm::Epg);
    assert!(algorithm.contains("`learner.algorithm` is epg") && algorithm.contains("--device cpu"), "{algorithm}");
    let exact = refused(&|case| case.config.temperature = mpo_nets::TemperatureMode::Exact);
    assert!(exact.contains("`learner.temperature` is exact"), "{exact}");
    let penalty = refused(&|case| case.config.epsilon_penalty = Some(1e-3));
    assert!(penalty.contains("`learner.epsilon_penalty` is 0.001"), "{penalty}");
    let steps = refused(&|case| case.config.n_step = Some(5));
    assert!(steps.contains("`learner.n_step` is 5"), "{steps}");
    let critics = refused(&|case| case.config.critics = 2);
    assert!(critics.contains("`learner.critics` is 2"), "{critics}");
}
