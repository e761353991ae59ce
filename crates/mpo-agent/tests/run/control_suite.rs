//! The real thing, where MuJoCo is installed; elsewhere the error that says how to install it.

use mpo_agent::{Algorithm, Config, Profile, Run, Silent};
use mpo_envs::assets::Assets;
use tempfile::tempdir;

use crate::common::{Watcher, chain, read};

fn config(task: &str) -> Config {
    let sets = [
        ("task", task),
        ("steps", "2000"),
        ("network.policy_hidden", "[32, 32]"),
        ("network.critic_hidden", "[32, 32]"),
        ("learner.action_samples", "2"),
        ("replay.sequences", "2"),
        ("replay.steps", "2"),
        ("replay.capacity", "3000"),
        ("training.updates_per_step", "0.1"),
        ("training.evaluation_period", "1000"),
        ("training.evaluation_episodes", "1"),
        ("training.checkpoint_period", "1000"),
    ];
    let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Config::resolve(Profile::Default, None, &sets).expect("sound settings")
}

#[test]
fn a_task_trains_stops_and_resumes_to_the_same_bytes() {
    let task = "control/cartpole-swingup";
    let [whole, stopped] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
    if Assets::locate().is_err() {
        let error = Run::create(whole.path(), config(task)).expect_err("MuJoCo is missing");
        assert!(chain(&error).contains("cargo xtask setup"), "{}", chain(&error));
        return;
    }
    let mut run = Run::create(whole.path(), config(task)).expect("a new directory");
    run.train(&mut Silent).expect("nothing goes wrong");
    assert!(read(whole.path(), "provenance.json").contains("mujoco_sha256"));

    let mut half = Run::create(stopped.path(), config(task)).expect("a new directory");
    half.train(&mut Watcher { stop_after: Some(1), ..Watcher::default() }).expect("nothing goes wrong");
    drop(half);
    let mut half = Run::resume(stopped.path()).expect("there is a checkpoint");
    assert_eq!(half.step(), 1000);
    half.train(&mut Silent).expect("nothing goes wrong");
    for name in ["metrics.csv", "eval.csv"] {
        assert_eq!(read(whole.path(), name), read(stopped.path(), name));
    }
    assert_eq!(run.policy_parameters(), half.policy_parameters());
}

/// A course has two kinds of observation and somewhere to get to.
#[test]
fn a_course_is_learned_by_every_learner_and_its_progress_recorded() {
    if Assets::locate().is_err() {
        return;
    }
    for (task, algorithm) in
        [("parkour/walker-hurdles", "mpo"), ("parkour/walker-flat", "ppo"), ("parkour/humanoid-slalom", "epg")]
    {
        let mut config = config(task);
        config.learner.algorithm = Algorithm::ALL.into_iter().find(|one| one.name() == algorithm).expect("a learner");
        config.learner.ppo.horizon = 200;
        (config.steps, config.training.warmup_steps, config.training.evaluation_episodes) = (1000, 100, 2);
        config.training.evaluation_period = 500;
        let [whole, stopped] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
        let mut run = Run::create(whole.path(), config.clone()).expect("a new directory");
        let outcome = run.train(&mut Silent).expect("nothing goes wrong");
        assert!(outcome.updates > 5, "{outcome:?}");
        assert!(read(whole.path(), "provenance.json").contains("\"parkour_ranges\": \"1\""));
        let (distance, obstacles) = outcome.evaluation.and_then(|last| last.mean_progress()).expect("a course");
        assert!(distance.abs() < 10.0 && obstacles < 3.0, "{distance} m, {obstacles}");
        let progress = read(whole.path(), "progress.csv");
        assert!(progress.starts_with("step,episode,distance,obstacles\n0,0,"), "{progress}");
        assert_eq!(progress.lines().count(), read(whole.path(), "eval.csv").lines().count());

        let mut half = Run::create(stopped.path(), config).expect("a new directory");
        half.train(&mut Watcher { stop_after: Some(3), ..Watcher::default() }).expect("nothing goes wrong");
        drop(half);
        let mut half = Run::resume(stopped.path()).expect("there is a checkpoint");
        half.train(&mut Silent).expect("nothing goes wrong");
        for name in ["metrics.csv", "eval.csv", "progress.csv"] {
            assert_eq!(read(whole.path(), name), read(stopped.path(), name), "{task}, {name}");
        }
    }
}

#[test]
fn several_actors_run_over_courses_at_once() {
    if Assets::locate().is_err() {
        return;
    }
    let mut config = config("parkour/walker-mixed");
    (config.steps, config.training.actors, config.training.warmup_steps) = (800, 2, 100);
    let directory = tempdir().expect("a temporary directory");
    let outcome =
        Run::create(directory.path(), config).expect("a new directory").train(&mut Silent).expect("nothing goes wrong");
    assert!(outcome.step >= 800 && outcome.updates > 20, "{outcome:?}");
    assert!(!read(directory.path(), "progress.csv").is_empty());
}

#[test]
fn an_unknown_task_names_the_nearest() {
    let directory = tempdir().expect("a temporary directory");
    let error = Run::create(directory.path(), config("control/cheetah-rum")).expect_err("no such task");
    let message = chain(&error);
    assert!(message.contains("cheetah-run") || message.contains("cargo xtask setup"), "{message}");
}
