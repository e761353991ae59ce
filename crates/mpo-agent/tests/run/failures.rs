//! Errors name the thing, the step and the way back.

use std::fs;

use mpo_agent::{AgentError, CpuLearners, LearnerFactory, Parts, Run, Shape, Silent, evaluate_with};
use mpo_envs::{EnvError, Environment, TimeStep};
use mpo_nets::{BatchView, LearnerConfig, LearnerStep, NetsError, NetworkConfig, UpdateStats};
use tempfile::tempdir;

use crate::common::{Fault, PointMass, chain, checkpoints, config, faulty, parts, resume, train};

fn train_error(parts: &Parts) -> (tempfile::TempDir, String) {
    let directory = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(directory.path(), config(&[]), parts).expect("a new directory");
    let error = run.train(&mut Silent).expect_err("something goes wrong");
    (directory, chain(&error))
}

#[test]
fn an_environment_that_fails_is_named_with_step_and_checkpoint() {
    let (directory, message) = train_error(&faulty(Fault::Error(330)));
    let last = checkpoints(directory.path()).pop().expect("a checkpoint after 200 steps");
    for part in ["test/point-mass", "after environment step 329", &last, "a test"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    let (_directory, message) = train_error(&faulty(Fault::Error(3)));
    assert!(message.contains("there is no checkpoint yet"), "{message}");
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    let (_directory, message) = train_error(&faulty(Fault::NanObservation(130)));
    assert!(message.contains("the observation holds NaN") && message.contains("step 129"), "{message}");
    let (_directory, message) = train_error(&faulty(Fault::NanReward(130)));
    assert!(message.contains("the reward holds NaN") && message.contains("step 129"), "{message}");
}

/// A sound learner until an update whose loss is not finite, or whose policy is not, or that panics.
struct Unsound {
    inner: Box<dyn LearnerStep>,
    parameters: Option<Vec<f32>>,
    panics: bool,
    last: u64,
}

impl LearnerStep for Unsound {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        if self.inner.updates() < self.last {
            return self.inner.update(batch);
        }
        assert!(!self.panics, "a learner's own mistake");
        if self.parameters.is_some() {
            self.parameters = Some(vec![f32::NAN; self.inner.policy_parameters().len()]);
            return self.inner.update(batch);
        }
        Err(NetsError::NonFinite { update: self.last + 1, quantity: "critic loss", value: f32::NAN })
    }

    fn updates(&self) -> u64 {
        self.inner.updates()
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        self.inner.flops(transitions, windows)
    }

    fn policy_parameters(&self) -> &[f32] {
        match &self.parameters {
            Some(parameters) if !parameters.is_empty() => parameters,
            _ => self.inner.policy_parameters(),
        }
    }

    fn save(&self) -> Vec<u8> {
        self.inner.save()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        self.inner.load(bytes)
    }
}

#[derive(Default)]
struct UnsoundLearners {
    silent: bool,
    panics: bool,
}

impl LearnerFactory for UnsoundLearners {
    fn make(
        &self,
        shape: Shape,
        network: &NetworkConfig,
        learner: &LearnerConfig,
        seed: u64,
    ) -> Result<Box<dyn LearnerStep>, AgentError> {
        let inner = CpuLearners.make(shape, network, learner, seed)?;
        Ok(Box::new(Unsound { inner, parameters: self.silent.then(Vec::new), panics: self.panics, last: 60 }))
    }
}

#[test]
fn a_learner_whose_loss_is_not_finite_is_named_with_step_and_checkpoint() {
    let loud = Parts { learners: Box::new(UnsoundLearners::default()), ..parts() };
    let (directory, message) = train_error(&loud);
    let last = checkpoints(directory.path()).pop().expect("a checkpoint after 200 steps");
    // 61 updates are due at 0.3 per step when 100 + 204 steps are done.
    for part in ["update 61", "critic loss", "environment step 304", &last] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_policy_that_is_not_finite_never_reaches_the_environment() {
    let silent =
        Parts { learners: Box::new(UnsoundLearners { silent: true, ..UnsoundLearners::default() }), ..parts() };
    let (_directory, message) = train_error(&silent);
    assert!(message.contains("the action holds NaN"), "{message}");
}

#[test]
fn a_learner_that_panics_beside_its_actors_does_not_leave_them_waiting() {
    let directory = tempdir().expect("a temporary directory");
    let parts = parts().learning_by(UnsoundLearners { panics: true, ..UnsoundLearners::default() });
    let settings = config(&[("training.actors", "2")]);
    let mut run = Run::create_with(directory.path(), settings, &parts).expect("a new directory");
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.train(&mut Silent)));
    assert!(ended.is_err(), "the panic goes on in the run's own thread");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    fs::write(&file, b"").expect("writable");
    let inside = file.join("run");
    let error = Run::create_with(&inside, config(&[]), &parts()).expect_err("a file is no directory");
    assert!(matches!(error, AgentError::Io { .. }));
    assert!(error.to_string().contains(&inside.display().to_string()), "{error}");
}

#[test]
fn a_directory_holds_one_run_and_one_process() {
    let directory = tempdir().expect("a temporary directory");
    let path = directory.path();
    let error = Run::resume_with(path, &parts()).expect_err("there is no run");
    assert!(matches!(error, AgentError::NotARun { .. }), "{error}");
    let error = evaluate_with(path, 1, 0, &parts()).expect_err("there is no run");
    assert!(matches!(error, AgentError::NotARun { .. }), "{error}");

    let run = Run::create_with(path, config(&[]), &parts()).expect("an empty directory");
    let error = Run::resume_with(path, &parts()).expect_err("the first run holds the lock");
    assert!(matches!(error, AgentError::RunBusy { .. }), "{error}");
    let error = evaluate_with(path, 1, 0, &parts()).expect_err("there is no checkpoint");
    assert!(matches!(error, AgentError::NoCheckpoint { .. }), "{error}");
    drop(run);

    let error = Run::create_with(path, config(&[]), &parts()).expect_err("there is a run");
    assert!(matches!(error, AgentError::RunExists { .. }), "{error}");
    assert!(error.to_string().contains("--resume"), "{error}");
    let (run, _) = resume(path);
    assert!(run.warnings()[0].to_string().contains("from its beginning"));
}

#[test]
fn a_run_that_cannot_begin_leaves_its_directory_free() {
    let directory = tempdir().expect("a temporary directory");
    let none = Parts::with_environments(|_: &str, _: u32| -> Result<Box<dyn Environment>, EnvError> {
        Err(EnvError::NoFreeState { task: "none", attempts: 1 })
    });
    Run::create_with(directory.path(), config(&[]), &none).expect_err("there is no environment");
    train(directory.path(), config(&[]));
}

/// A point mass that says its actions have other bounds.
struct Wide(PointMass, mpo_envs::Spec);

impl Environment for Wide {
    fn spec(&self) -> &mpo_envs::Spec {
        &self.1
    }
    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.0.reset()
    }
    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        self.0.step(action)
    }
    fn save_state(&self) -> Vec<u8> {
        self.0.save_state()
    }
    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.0.restore_state(state)
    }
}

#[test]
fn action_bounds_that_the_critic_cannot_see_are_refused() {
    let wide = Parts::with_environments(|_: &str, seed: u32| {
        let inner = PointMass::new(seed, None);
        let spec = mpo_envs::Spec { action_maximum: vec![2.0], ..inner.spec().clone() };
        Ok(Box::new(Wide(inner, spec)) as Box<dyn Environment>)
    });
    let directory = tempdir().expect("a temporary directory");
    let error = Run::create_with(directory.path(), config(&[]), &wide).expect_err("bounds of 2");
    assert!(error.to_string().contains("[-1, 2]"), "{error}");
    let unclipped = config(&[("network.clip_critic_actions", "false")]);
    Run::create_with(directory.path(), unclipped, &wide).expect("the critic sees all of it");
}
