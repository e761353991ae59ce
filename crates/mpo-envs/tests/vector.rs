//! Environments stepped together: the same numbers on any number of threads, and failures that name the environment.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mpo_envs::{
    EnvError, Environment, ObservationPart, RandomState, Spec, StepType, TimeStep, VectorEnvironment, suite,
};

mod common;

/// A walk in the plane whose episodes have random lengths. An action of 7 is refused, one of 8 panics.
struct Walk {
    spec: Spec,
    random: RandomState,
    state: [f64; 2],
    left: usize,
}

impl Walk {
    fn boxed(seed: u32) -> Box<dyn Environment> {
        let spec = Spec {
            observation: vec![ObservationPart { name: "place".to_owned(), len: 2 }],
            frame: None,
            discrete_actions: None,
            action_minimum: vec![-1.0],
            action_maximum: vec![1.0],
            control_timestep: 0.1,
            episode_steps: 9,
        };
        Box::new(Self { spec, random: RandomState::new(seed), state: [0.0; 2], left: 0 })
    }

    fn time_step(&self, step_type: StepType, discount: f64) -> TimeStep<'_> {
        let reward = if step_type == StepType::First { 0.0 } else { self.state[0] };
        TimeStep { step_type, reward, discount, observation: &self.state, frame: &[] }
    }
}

impl Environment for Walk {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.state = [self.random.random_sample(), self.random.random_sample()];
        self.left = 1 + (9.0 * self.random.random_sample()) as usize;
        Ok(self.time_step(StepType::First, 1.0))
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert!(action[0] < 8.0, "a walk of {} is too far", action[0]);
        if self.left == 0 {
            return self.reset();
        }
        if action[0] >= 7.0 {
            self.left = 0;
            return Err(EnvError::NonFiniteAction { task: "walk", time: 0.5, index: 0, value: action[0] });
        }
        self.state = [self.state[1], self.state[0] + action[0] * self.random.randn()];
        self.left -= 1;
        let ended = self.left == 0;
        Ok(self.time_step(if ended { StepType::Last } else { StepType::Mid }, if ended { 0.0 } else { 1.0 }))
    }

    fn save_state(&self) -> Vec<u8> {
        self.random.to_bytes()
    }

    fn restore_state(&mut self, _: &[u8]) -> Result<(), EnvError> {
        unreachable!("no test restores a walk")
    }
}

fn walks(count: u32, threads: usize) -> VectorEnvironment {
    VectorEnvironment::new((0..count).map(Walk::boxed).collect(), threads).expect("enough threads")
}

/// All that `steps` random steps answer, as bits.
fn course(vector: &mut VectorEnvironment, steps: usize) -> Vec<u64> {
    let mut random = RandomState::new(5);
    let mut actions = vec![0.0; vector.count() * vector.spec().action_len()];
    let mut bits = Vec::new();
    vector.reset().expect("a reset");
    for _ in 0..steps {
        actions.fill_with(|| random.uniform(-1.0, 1.0));
        let rows = vector.step(&actions).expect("a step");
        bits.extend(rows.step_types.iter().map(|step_type| *step_type as u64));
        let numbers = rows.rewards.iter().chain(rows.discounts).chain(rows.observations);
        bits.extend(numbers.map(|number| number.to_bits()));
    }
    bits
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let expected = course(&mut walks(7, 1), 200);
    for threads in [2, 3, 5, 7, 20] {
        let mut vector = walks(7, threads);
        assert_eq!(vector.threads(), threads.min(7));
        assert_eq!(course(&mut vector, 200), expected, "{threads} threads");
    }
}

#[test]
fn the_number_of_threads_changes_nothing_in_mujoco() {
    if !common::mujoco_is_here() {
        return;
    }
    for task in ["cheetah-run", "finger-turn_hard"] {
        let course = |threads| course(&mut VectorEnvironment::load(task, 3..8, threads).expect("a vector"), 40);
        let expected = course(1);
        for threads in [2, 4] {
            assert_eq!(course(threads), expected, "{task} on {threads} threads");
        }
    }
}

#[test]
fn every_row_is_what_its_environment_would_have_answered_alone() {
    let mut vector = walks(5, 2);
    let mut alone: Vec<_> = (0..5).map(Walk::boxed).collect();
    let mut firsts = 0;
    for step in 0..100 {
        let actions: Vec<f64> = (0..5).map(|index| f64::from(step * 5 + index).sin()).collect();
        let rows = vector.step(&actions).expect("a step");
        for (index, environment) in alone.iter_mut().enumerate() {
            let expected = environment.step(&actions[index..=index]).expect("a step");
            let observation = &rows.observations[2 * index..2 * index + 2];
            let row = TimeStep {
                step_type: rows.step_types[index],
                reward: rows.rewards[index],
                discount: rows.discounts[index],
                observation,
                frame: &[],
            };
            assert_eq!(row, expected, "environment {index} at step {step}");
            firsts += usize::from(row.step_type == StepType::First);
        }
        assert_eq!(vector.time_steps().rewards.len(), 5);
    }
    assert!(firsts > 50, "episodes end and begin by themselves: {firsts}");
}

#[test]
fn a_failure_names_the_environment_and_the_others_go_on() {
    for threads in [1, 2, 4] {
        let (mut vector, mut untroubled) = (walks(4, threads), walks(4, 1));
        vector.reset().expect("a reset");
        untroubled.reset().expect("a reset");
        let before = vector.time_steps().observations.to_vec();
        let error = vector.step(&[0.1, 0.1, 7.0, 7.0]).expect_err("two bad actions");
        assert!(matches!(&error, EnvError::InVector { index: 2, count: 4, .. }), "{error:?}");
        assert_eq!(error.to_string(), "environment 2 of 4 failed; it starts a new episode at the next step");
        let cause = error.source().expect("the environment's own error").to_string();
        assert!(cause.contains("`walk`") && cause.contains("0.5 s") && cause.contains("action[0] is 7"), "{cause}");

        let expected = untroubled.step(&[0.1; 4]).expect("a step");
        let rows = vector.time_steps();
        assert_eq!(rows.observations[..4], expected.observations[..4], "the others have made their step");
        assert_eq!(rows.observations[4..], before[4..], "those that failed show what was before");
        assert_eq!(rows.step_types[2..], [StepType::Last; 2]);
        assert_eq!((&rows.rewards[2..], &rows.discounts[2..]), (&[0.0; 2][..], &[1.0; 2][..]));

        let rows = vector.step(&[0.1; 4]).expect("a step");
        assert_eq!(rows.step_types[2..], [StepType::First; 2], "a new episode");
    }
}

#[test]
fn a_bad_action_names_environment_task_and_time() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut vector = VectorEnvironment::load("cartpole-swingup", 0..3, 2).expect("a vector");
    vector.reset().expect("a reset");
    let error = vector.step(&[0.0, 0.0, f64::NAN]).expect_err("a bad action");
    assert!(matches!(&error, EnvError::InVector { index: 2, count: 3, .. }), "{error:?}");
    let cause = error.source().expect("the environment's own error").to_string();
    assert_eq!(cause, "task `cartpole-swingup` was given a non-finite action at simulation time 0 s: action[0] is NaN");
    assert_eq!(vector.step(&[0.0; 3]).expect("a step").step_types, [StepType::Mid, StepType::Mid, StepType::First]);
}

#[test]
fn a_panic_of_an_environment_reaches_the_caller() {
    for place in 0..3 {
        let mut vector = walks(3, 3);
        let mut actions = [0.1; 3];
        actions[place] = 8.0;
        let panic = catch_unwind(AssertUnwindSafe(|| vector.step(&actions).map(|_| ()))).expect_err("a panic");
        let message = panic.downcast::<String>().expect("a message");
        assert!(message.contains("a walk of 8 is too far"), "{message}");
        // Nothing hangs afterwards.
        vector.step(&[0.1; 3]).expect("a step");
    }
}

#[test]
fn misuse_panics_with_what_is_wrong() {
    let message = |misuse: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(misuse)).expect_err("a panic");
        panic
            .downcast::<String>()
            .map_or_else(|panic| (*panic.downcast::<&str>().expect("text")).to_owned(), |text| *text)
    };
    let wrong_length = message(&|| drop(walks(3, 2).step(&[0.0; 4]).map(|_| ())));
    assert!(wrong_length.contains("actions of 3 environments of 1 each"), "{wrong_length}");
    assert!(message(&|| drop(walks(0, 1))).contains("no environments"));
    assert!(message(&|| drop(walks(1, 0))).contains("no thread"));
    if common::mujoco_is_here() {
        let unlike = message(&|| {
            let other = suite::load("cartpole-balance", 0).expect("a task");
            drop(VectorEnvironment::new(vec![Walk::boxed(0), other], 1));
        });
        assert!(unlike.contains("environment 1 is unlike environment 0"), "{unlike}");
    }
}
