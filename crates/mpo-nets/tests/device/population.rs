//! Runs side by side: each as if it were alone.

use std::thread;

use mpo_nets::{
    LearnerStep,
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

#[test]
fn a_full_population_and_other_settings_are_refused() {
    let case = Case::small();
    if emulator(&case.model(0)).is_none() {
        return;
    }
    let population = population(2);
    let first = population.join(case.model(0), 0).expect("a place");
    let mut other = case.clone();
    other.config.epsilon = 0.2;
    let error = population.join(other.model(1), 1).expect_err("another epsilon").to_string();
    assert!(error.contains("share all settings but the seed"), "{error}");
    let _second = population.join(case.model(1), 1).expect("a place");
    assert!(population.join(case.model(2), 2).expect_err("full").to_string().contains("all 2 places"));
    drop(first);
    population.join(case.model(2), 2).expect("a place that was left");
}
