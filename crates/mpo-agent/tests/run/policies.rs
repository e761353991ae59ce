//! The policy of a run on disk.

use mpo_agent::{Actor, EnvironmentLoop, Run, Seeds, Shape, Silent, evaluate_with, load_policy_with};
use mpo_envs::Environment;
use mpo_replay::{Action, Batch, ReplayBuffer};
use tempfile::tempdir;

use crate::common::{PointMass, Watcher, config, parts, read, train};

#[test]
fn the_runs_own_seed_repeats_its_last_evaluation() {
    let directory = tempdir().expect("a temporary directory");
    let (run, outcome) = train(directory.path(), config(&[("seed", "4")]));
    let last = outcome.evaluation.expect("there is one at the end");
    let evaluation = evaluate_with(directory.path(), 2, 4, &parts()).expect("there is a checkpoint");
    assert_eq!(evaluation.summary, last);
    assert!(evaluation.checkpoint.ends_with(format!("checkpoints/{:09}", run.step())));
    let other = evaluate_with(directory.path(), 3, 5, &parts()).expect("there is a checkpoint");
    assert_eq!(other.summary.returns.len(), 3);
    assert_ne!(other.summary.returns[0].to_bits(), last.returns[0].to_bits());
}

#[test]
fn training_may_leave_its_episodes_early_and_evaluation_does_not() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[("training.episode_steps", "15")]));
    // A third of the episodes would end by themselves, most of them later.
    let lengths = |file: &str| -> Vec<usize> {
        let rows = read(directory.path(), file);
        rows.lines().skip(1).map(|row| row.split(',').nth(3).and_then(|n| n.parse().ok()).expect("a length")).collect()
    };
    let (training, evaluation) = (lengths("metrics.csv"), lengths("eval.csv"));
    assert!(training.iter().all(|&length| length <= 15), "{training:?}");
    assert!(training.iter().filter(|&&length| length == 15).count() > training.len() / 2, "{training:?}");
    assert!(evaluation.contains(&PointMass::EPISODE), "{evaluation:?}");
}

#[test]
fn an_episode_that_is_left_has_the_discount_it_had_and_no_window_goes_beyond() {
    let environment = Box::new(PointMass::new(1, None));
    let (spec, config) = (environment.spec().clone(), config(&[]));
    let actor = Actor::new(&spec, &config.network, Seeds::new(0).stream("actor")).expect("sound settings");
    let replay = ReplayBuffer::new(Shape::of(&spec).expect("numbers").layout(), 1000, 1);
    let mut writer = replay.writer(0).expect("nobody else writes");
    let mut acting = EnvironmentLoop::new(environment, actor).leaving_after(6);
    let episodes: Vec<u64> =
        (0..40).map(|_| acting.run_episode(&mut writer, |_| Ok(())).expect("sound").length).collect();
    assert!(episodes.iter().all(|&length| length <= 6), "{episodes:?}");
    let mut batch = Batch::new();
    replay.sample(&mut Seeds::new(0).stream("replay"), 200, 20, &mut batch).expect("something is stored");
    assert!(batch.iter().all(|window| window.rewards.len() <= 6), "a window reaches into the next episode");
    let whole = batch.iter().filter(|window| window.rewards.len() == 6);
    let left = whole.filter(|window| window.discounts[5].to_bits() == 1.0_f32.to_bits()).count();
    assert!(left > 10, "{left} whole episodes were left with a discount of one");
}

#[test]
fn a_loaded_policy_acts_within_the_bounds() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    let (loaded, mut actor) = load_policy_with(directory.path(), &parts()).expect("there is a checkpoint");
    assert_eq!(loaded, config(&[]));
    let mut environment = PointMass::new(0, None);
    actor.observe(&environment.reset().expect("it always can")).expect("finite numbers");
    let mean = actor.act_mean().expect("finite numbers").to_vec();
    assert_eq!(mean, actor.act_mean().expect("finite numbers"));
    for _ in 0..100 {
        let decision = actor.act().expect("finite numbers");
        let Action::Continuous(action) = decision.action else { panic!("the task is continuous") };
        assert!(decision.applied[0].abs() <= 1.0);
        let clipped = f64::from(action[0]).clamp(-1.0, 1.0);
        assert_eq!(decision.applied[0].to_bits(), clipped.to_bits());
    }
}

#[test]
fn training_learns_to_reach_the_target() {
    let directory = tempdir().expect("a temporary directory");
    let longer = config(&[
        ("steps", "6000"),
        ("training.updates_per_step", "1.0"),
        ("training.evaluation_period", "6000"),
        ("training.evaluation_episodes", "20"),
        ("training.checkpoint_period", "6000"),
        ("learner.action_samples", "10"),
        ("learner.epsilon_covariance", "1e-3"),
        ("replay.capacity", "6000"),
        ("replay.sequences", "16"),
        ("learner.policy_learning_rate", "1e-3"),
        ("learner.critic_learning_rate", "1e-3"),
    ]);
    let mut run = Run::create_with(directory.path(), longer, &parts()).expect("a new directory");
    let mut watcher = Watcher::default();
    run.train(&mut watcher).expect("nothing goes wrong");
    let per_step = |index: usize| {
        let summary = &watcher.evaluations[index];
        summary.returns.iter().sum::<f64>() / summary.lengths.iter().sum::<u64>() as f64
    };
    let (before, after) = (per_step(0), per_step(watcher.evaluations.len() - 1));
    // 1 is the reward at the target; standing still gives about 1 - 2/3.
    assert!(after > 0.6 && after > before + 0.15, "reward per step went from {before} to {after}");
    run.train(&mut Silent).expect("a finished run returns at once");
}
