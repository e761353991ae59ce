//! Whole runs whose learner is on a device, here the emulated one: alone, side by side, interrupted.

use std::path::Path;
use std::thread;

use mpo_agent::cuda::{Emulator, Model};
use mpo_agent::{Config, DeviceLearners, Parts, Run, Silent};

use super::common::{self, Watcher, assert_same_files, config};
use super::pixels;

/// Learners on the emulated device, for at most `together` runs.
fn learners(together: usize) -> DeviceLearners {
    DeviceLearners::on(together, |model: &Model| Ok(Box::new(Emulator::new(model)?)))
}

fn parts(learners: &DeviceLearners) -> Parts {
    common::parts().learning_by(learners.clone())
}

fn train(directory: &Path, seed: &str, learners: &DeviceLearners) -> Run {
    let config = config(&[("seed", seed), ("steps", "400")]);
    let mut run = Run::create_with(directory, config, &parts(learners)).expect("a new directory");
    run.train(&mut Silent).expect("nothing goes wrong");
    run
}

/// Whether there is a C++ compiler for the emulation; says so where there is none and none is required.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn has_compiler(directory: &Path) -> bool {
    match Run::create_with(directory.join("probe"), config(&[]), &parts(&learners(1))) {
        Ok(_) => true,
        Err(error) => {
            let why = common::chain(&error);
            assert!(std::env::var_os("MPO_REQUIRE_EMULATION").is_none() && why.contains("C++ compiler"), "{why}");
            eprintln!("skipped: {why}");
            false
        }
    }
}

#[test]
fn runs_side_by_side_on_a_device_are_those_that_train_alone() {
    let root = tempfile::tempdir().expect("a temporary folder");
    if !has_compiler(root.path()) {
        return;
    }
    let shared = learners(2);
    let [first, second] = ["0", "1"].map(|seed| root.path().join(format!("together-{seed}")));
    thread::scope(|scope| {
        for (path, seed) in [(&first, "0"), (&second, "1")] {
            let shared = &shared;
            // A run that has ended is dropped: the other would wait for its next batch.
            scope.spawn(move || drop(train(path, seed, shared)));
        }
    });
    for (path, seed) in [(&first, "0"), (&second, "1")] {
        let alone = root.path().join(format!("alone-{seed}"));
        drop(train(&alone, seed, &learners(1)));
        assert_same_files(&alone, path);
    }
}

#[test]
fn a_run_on_a_device_that_was_stopped_goes_on_to_the_same_bytes() {
    goes_on_to_the_same_bytes(&config(&[("seed", "0"), ("steps", "400")]), 7);
}

#[test]
fn a_run_from_frames_on_a_device_that_was_stopped_goes_on_to_the_same_bytes() {
    // Eleven updates.
    goes_on_to_the_same_bytes(&pixels::small(&[("steps", "330"), ("training.updates_per_step", "0.05")]), 21);
}

/// Trains once through and once stopped after so many episodes.
fn goes_on_to_the_same_bytes(settings: &Config, stop_after: usize) {
    let root = tempfile::tempdir().expect("a temporary folder");
    if !has_compiler(root.path()) {
        return;
    }
    let (whole, cut) = (root.path().join("whole"), root.path().join("cut"));
    let make = |path: &Path| Run::create_with(path, settings.clone(), &parts(&learners(1))).expect("a new directory");
    let mut through = make(&whole);
    through.train(&mut Silent).expect("nothing goes wrong");
    let mut run = make(&cut);
    run.train(&mut Watcher { stop_after: Some(stop_after), ..Watcher::default() }).expect("nothing goes wrong");
    drop(run);
    let mut resumed = Run::resume_with(&cut, &parts(&learners(1))).expect("it can be resumed");
    resumed.train(&mut Silent).expect("nothing goes wrong");
    for name in ["metrics.csv", "eval.csv"] {
        assert_eq!(common::read(&whole, name), common::read(&cut, name), "{name} differs");
    }
    assert!(through.updates() > 5, "{} updates", through.updates());
    assert_eq!(through.policy_parameters(), resumed.policy_parameters());
}
