//! Runs side by side: each as if it were alone.

use std::thread;

use mpo_nets::{
    Algorithm, LearnerConfig, LearnerStep,
    cuda::{DeviceLearner, Emulator, Model, Pace, Population},
};

use crate::data::{Case, emulator};

fn population(runs: usize) -> Population {
    Population::new(runs, Pace { stats: 1 }, |model: &Model| Ok(Box::new(Emulator::new(model)?)))
}

fn train(case: &Case, mut learner: DeviceLearner, seed: u64, updates: u64) -> Vec<u8> {
    for step in 0..updates {
        // Batches of different sizes, and a run's own.
        learner.update(&case.data(3 + (step + seed) as u32 % 4, 100 * seed + step).view()).expect("finite");
    }
    learner.save()
}

#[test]
fn every_run_of_a_population_equals_the_single_run_bit_for_bit() {
    let case = Case::small();
    if emulator(&case.model(0)).is_none() {
        return;
    }
    let population = population(3);
    // One ends early: the others go on without it.
    let updates = |seed: u64| if seed == 1 { 3 } else { 7 };
    let together: Vec<Vec<u8>> = thread::scope(|scope| {
        let learners: Vec<DeviceLearner> =
            (0..3).map(|seed| population.join(case.model(seed), seed).expect("a place")).collect();
        let threads: Vec<_> = learners
            .into_iter()
            .zip(0..)
            .map(|(learner, seed)| {
                scope.spawn({
                    let case = &case;
                    move || train(case, learner, seed, updates(seed))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("the run ends")).collect()
    });
    for (seed, bytes) in (0..).zip(together) {
        let alone = train(&case, case.device(seed).expect("a compiler, as above"), seed, updates(seed));
        assert!(bytes == alone, "seed {seed}");
    }
}

/// The cases of a sweep: each turns one setting that kernels read from the run's control block.
fn sweep(case: &Case) -> Vec<Case> {
    let turns: [fn(&mut LearnerConfig); 11] = [
        |config| config.discount = 0.9,
        |config| config.retrace_lambda = 0.3,
        |config| config.epsilon = 0.5,
        |config| config.epsilon_mean = 0.02,
        |config| config.epsilon_covariance = 0.01,
        |config| config.epsilon_joint = 0.02,
        |config| config.gradient_clip = 0.1,
        |config| config.policy_learning_rate = 3e-3,
        |config| config.critic_learning_rate = 3e-3,
        |config| config.dual_learning_rate = 0.05,
        |config| config.target_period = 2,
    ];
    let turned = turns.map(|turn| {
        let mut turned = case.clone();
        turn(&mut turned.config);
        turned
    });
    [case.clone()].into_iter().chain(turned).collect()
}

#[test]
fn runs_of_different_settings_side_by_side_equal_the_single_runs() {
    for joint in [false, true] {
        let mut case = Case::small();
        if joint {
            case.config.algorithm = Algorithm::MpoJointKl;
        }
        if emulator(&case.model(0)).is_none() {
            return;
        }
        let cases = sweep(&case);
        let population = population(cases.len());
        let together: Vec<Vec<u8>> = thread::scope(|scope| {
            let learners: Vec<DeviceLearner> =
                cases.iter().map(|case| population.join(case.model(0), 0).expect("a place")).collect();
            let threads: Vec<_> = learners
                .into_iter()
                .zip(&cases)
                .map(|(learner, case)| scope.spawn(move || train(case, learner, 0, 5)))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("the run ends")).collect()
        });
        for (number, (case, bytes)) in cases.iter().zip(&together).enumerate() {
            let alone = train(case, case.device(0).expect("a compiler, as above"), 0, 5);
            assert!(*bytes == alone, "case {number}");
            // The joint bound stands for those of mean and covariance, and they for it.
            let idle = if joint { 4..=5 } else { 6..=6 };
            let same = *bytes == together[0];
            assert_eq!(same, number == 0 || idle.contains(&number), "case {number}: whether the setting has no part");
        }
    }
}

#[test]
fn a_full_population_and_other_kernels_are_refused() {
    let case = Case::small();
    if emulator(&case.model(0)).is_none() {
        return;
    }
    let population = population(2);
    let first = population.join(case.model(0), 0).expect("a place");
    let mut other = case.clone();
    other.config.action_samples += 1;
    let error = population.join(other.model(1), 1).expect_err("another number of samples").to_string();
    assert!(error.contains("share networks, kind of learner and samples"), "{error}");
    let _second = population.join(case.model(1), 1).expect("a place");
    assert!(population.join(case.model(2), 2).expect_err("full").to_string().contains("all 2 places"));
    drop(first);
    population.join(case.model(2), 2).expect("a place that was left");
}
