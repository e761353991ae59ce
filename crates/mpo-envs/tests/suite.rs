//! What holds for every task of the suite.

use std::fs;

use mpo_envs::assets::Assets;
use mpo_envs::{EnvError, StepType, suite};

#[path = "common/actions.rs"]
mod actions;
mod common;
#[path = "common/trajectory.rs"]
mod trajectory;
use trajectory::trajectory;

#[test]
fn every_task_has_the_shape_that_the_table_says() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in suite::tasks() {
        let mut environment = suite::load(info.name, 0).expect("the task loads");
        let spec = environment.spec();
        assert_eq!(spec.observation_len(), info.observation, "{}", info.name);
        assert_eq!(spec.action_len(), info.action, "{}", info.name);
        assert_eq!(spec.action_minimum, vec![-1.0; info.action], "{}", info.name);
        assert_eq!(spec.action_maximum, vec![1.0; info.action], "{}", info.name);
        assert!((spec.control_timestep - info.control_timestep).abs() < 1e-12, "{}", info.name);
        assert_eq!(spec.episode_steps, info.episode_steps, "{}", info.name);
        let first = environment.reset().expect("a reset");
        assert_eq!((first.step_type, first.observation.len()), (StepType::First, info.observation), "{}", info.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_episodes_and_another_seed_others() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in suite::tasks() {
        let [mut first, mut second, mut other] = [7, 7, 8].map(|seed| suite::load(info.name, seed).expect("a task"));
        for episode in 0..2 {
            let expected = trajectory(first.as_mut(), 20, episode);
            assert_eq!(expected, trajectory(second.as_mut(), 20, episode), "{}", info.name);
            assert_ne!(expected, trajectory(other.as_mut(), 20, episode), "{}", info.name);
        }
    }
}

#[test]
fn environments_in_many_threads_do_not_disturb_each_other() {
    if !common::mujoco_is_here() {
        return;
    }
    let episode = || {
        let mut environment = suite::load("humanoid-run", 11).expect("a task");
        trajectory(environment.as_mut(), 50, 0)
    };
    let expected = episode();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(episode)).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no panic"), expected);
        }
    });
}

#[test]
fn a_restored_environment_continues_identically() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in suite::tasks() {
        let mut original = suite::load(info.name, 3).expect("a task");
        trajectory(original.as_mut(), 20, 0);
        let state = original.save_state();
        let mut restored = suite::load(info.name, 99).expect("a task");
        // The restored one has a past of its own, which must not show.
        trajectory(restored.as_mut(), 10, 1);
        restored.restore_state(&state).expect("a state of the same task");
        assert_eq!(restored.save_state(), state, "{}", info.name);
        for episode in 2..4 {
            let expected = trajectory(original.as_mut(), 20, episode);
            assert_eq!(expected, trajectory(restored.as_mut(), 20, episode), "{}", info.name);
        }
    }
}

#[test]
fn foreign_and_damaged_states_are_refused_and_change_nothing() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut environment = suite::load("reacher-easy", 0).expect("a task");
    let own = environment.save_state();
    let foreign = suite::load("reacher-hard", 1).expect("a task").save_state();
    for (bytes, reason) in [
        (foreign.as_slice(), "another task"),
        (&own[..100], "the bytes end early"),
        (&own[..own.len() - 1], "the model's part has"),
        (&[], "another task"),
    ] {
        let error = environment.restore_state(bytes).expect_err("not a state of this task");
        assert!(matches!(error, EnvError::InvalidState { task: "reacher-easy", .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(environment.save_state(), own);
    }
}

#[test]
fn an_episode_ends_at_the_time_limit_with_discount_one_and_another_begins() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut environment = suite::load("pendulum-swingup", 0).expect("a task");
    // A step before any reset starts an episode, as in dm_env.
    assert_eq!(environment.step(&[0.0]).expect("a step").step_type, StepType::First);
    for count in 1..=1000 {
        let step = environment.step(&[1.0]).expect("a step");
        let expected = if count == 1000 { StepType::Last } else { StepType::Mid };
        assert_eq!((step.step_type, step.discount), (expected, 1.0), "step {count}");
    }
    assert_eq!(environment.step(&[0.0]).expect("a step").step_type, StepType::First);
}

#[test]
fn a_non_finite_action_is_an_error_and_the_next_reset_works() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut environment = suite::load("cheetah-run", 0).expect("a task");
    environment.reset().expect("a reset");
    environment.step(&[0.0; 6]).expect("a step");
    for value in [f64::NAN, f64::INFINITY] {
        let error = environment.step(&[0.0, 0.0, value, 0.0, 0.0, 0.0]).expect_err("a bad action").to_string();
        let expected =
            format!("task `cheetah-run` was given a non-finite action at simulation time 0.01 s: action[2] is {value}");
        assert_eq!(error, expected);
        assert_eq!(environment.reset().expect("a reset").step_type, StepType::First);
        assert_eq!(environment.step(&[0.0; 6]).expect("a step").step_type, StepType::Mid);
    }
}

#[test]
fn a_warning_of_mujoco_is_an_error_and_the_next_reset_works() {
    if !common::mujoco_is_here() {
        return;
    }
    // A walker with hips so strong that the simulation cannot follow.
    let found = Assets::locate().expect("the files are here");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("common")).expect("a folder");
    for name in ["common/materials.xml", "common/skybox.xml", "common/visual.xml", "walker.xml"] {
        let text = fs::read_to_string(found.suite.join(name)).expect("a file of the suite");
        fs::write(folder.path().join(name), text.replace("gear=\"100\"", "gear=\"1e14\"")).expect("a file");
    }
    let assets = Assets { suite: folder.path().to_owned(), ..found };
    let mut environment = suite::load_with(&assets, "walker-walk", 0).expect("a task");
    for _ in 0..2 {
        environment.reset().expect("a reset");
        for _ in 0..2 {
            assert_eq!(environment.step(&[0.0; 6]).expect("a step without force").step_type, StepType::Mid);
        }
        let error = environment.step(&[1.0; 6]).expect_err("a warning");
        let EnvError::Diverged { task: "walker-walk", time, warning } = &error else { panic!("{error:?}") };
        assert!((time - 0.05).abs() < 1e-12, "{error}");
        assert!(warning.contains("mjWARN_BADQ"), "{error}");
        assert!(error.to_string().starts_with("task `walker-walk` became invalid at simulation time 0.05"), "{error}");
        assert_eq!(environment.step(&[0.0; 6]).expect("a new episode").step_type, StepType::First);
    }
}

#[test]
fn a_state_that_is_beyond_all_measure_is_an_error_at_once() {
    if !common::mujoco_is_here() {
        return;
    }
    // A cart whose first acceleration passes, but not what the stages of the Runge-Kutta step make of it.
    let found = Assets::locate().expect("the files are here");
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("common")).expect("a folder");
    for name in ["common/materials.xml", "common/skybox.xml", "common/visual.xml", "cartpole.xml"] {
        let text = fs::read_to_string(found.suite.join(name)).expect("a file of the suite");
        fs::write(folder.path().join(name), text.replace("gear=\"10\"", "gear=\"1e9\"")).expect("a file");
    }
    let assets = Assets { suite: folder.path().to_owned(), ..found };
    let mut environment = suite::load_with(&assets, "cartpole-balance", 0).expect("a task");
    environment.reset().expect("a reset");
    let error = environment.step(&[1.0]).expect_err("a warning in the step that led there").to_string();
    assert!(error.contains("simulation time 0 s") && error.contains("mjWARN_BADQ"), "{error}");
    assert_eq!(environment.step(&[0.0]).expect("a new episode").step_type, StepType::First);
}

#[test]
fn an_action_of_the_wrong_length_panics() {
    if !common::mujoco_is_here() {
        return;
    }
    let panic = std::panic::catch_unwind(|| {
        let _ = suite::load("cartpole-balance", 0).expect("a task").step(&[0.0, 0.0]);
    });
    let message = panic.expect_err("a panic").downcast::<String>().expect("a message");
    assert!(message.contains("length of the action for `cartpole-balance`"), "{message}");
}

#[test]
fn names_are_found_with_and_without_the_prefix_and_unknown_ones_name_the_nearest() {
    assert_eq!(suite::find("control/walker-run").expect("a task").name, "walker-run");
    assert_eq!(suite::find("swimmer-swimmer15").expect("a task").action, 14);
    for (name, nearest) in [("humanoid_walk", "humanoid-walk"), ("control/cartpole-ballance", "cartpole-balance")] {
        let Err(EnvError::UnknownTask { name: asked, nearest: found }) = suite::load(name, 0) else {
            panic!("`{name}` is no task");
        };
        assert_eq!((asked.as_str(), found), (name, nearest));
    }
}

#[test]
fn the_table_lists_the_28_benchmarking_tasks_of_which_18_are_the_headline() {
    assert_eq!(suite::tasks().len(), 28);
    assert_eq!(suite::tasks().iter().filter(|task| task.headline).count(), 18);
    assert!(suite::tasks().is_sorted_by_key(|task| task.name));
    for task in suite::tasks() {
        assert_eq!(task.name, format!("{}-{}", task.domain, task.task));
    }
}
