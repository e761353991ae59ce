//! Actors in threads of their own: the same proportion of updates, whole checkpoints, and errors that name their cause.

use mpo_agent::{Reason, Run, Silent};
use tempfile::tempdir;

use crate::common::{Fault, Watcher, chain, config, faulty, parts, read};

/// Three actors, refreshed within their episodes.
const THREE: [(&str, &str); 3] = [("training.actors", "3"), ("training.policy_refresh_steps", "10"), ("steps", "1500")];

#[test]
fn updates_keep_their_proportion_to_steps() {
    let directory = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(directory.path(), config(&THREE), &parts()).expect("new");
    let mut watcher = Watcher::default();
    let outcome = run.train(&mut watcher).expect("nothing goes wrong");
    assert_eq!(outcome.reason, Reason::Steps);
    // 0.3 updates for every step after the first 100, and 50 steps per actor apart at most.
    let due = (outcome.step - 100) as f64 * 0.3;
    assert!((outcome.updates as f64 - due).abs() <= 0.3 * 50.0 * 3.0 + 1.0, "{} for {due}", outcome.updates);
    assert_eq!(watcher.episodes.len() as u64, outcome.episodes);
    // Each evaluation at its step, in order, the last at the end; at 0, and once per 150 steps.
    let steps: Vec<u64> = watcher.evaluations.iter().map(|evaluation| evaluation.step).collect();
    assert!(steps.is_sorted() && steps[0] == 0 && steps.last() == Some(&outcome.step), "{steps:?}");
    assert!(steps.len() >= 9, "{steps:?}");
    assert_eq!(read(directory.path(), "eval.csv").lines().count(), 1 + 2 * steps.len());
}

#[test]
fn a_run_with_actors_is_resumed_from_a_checkpoint_that_holds_them_all() {
    let directory = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(directory.path(), config(&THREE), &parts()).expect("new");
    let mut watcher = Watcher { stop_after: Some(6), ..Watcher::default() };
    let stopped = run.train(&mut watcher).expect("nothing goes wrong");
    assert_eq!(stopped.reason, Reason::Stopped);
    drop(run);
    let mut run = Run::resume_with(directory.path(), &parts()).expect("it can be resumed");
    assert_eq!((run.step(), run.updates()), (stopped.step, stopped.updates));
    let outcome = run.train(&mut Silent).expect("nothing goes wrong");
    assert_eq!(outcome.reason, Reason::Steps);
    assert!(outcome.updates > stopped.updates);
}

#[test]
fn one_failing_actor_ends_the_run_with_its_own_error() {
    let directory = tempdir().expect("a temporary directory");
    let parts = faulty(Fault::NanReward(90));
    let mut run = Run::create_with(directory.path(), config(&THREE), &parts).expect("new");
    let error = chain(&run.train(&mut Silent).expect_err("rewards become NaN"));
    assert!(error.contains("the reward holds NaN") && !error.contains("another thread"), "{error}");
}

#[test]
fn without_updates_nobody_waits() {
    let directory = tempdir().expect("a temporary directory");
    let settings = [THREE[0], THREE[2], ("training.updates_per_step", "0")];
    let mut run = Run::create_with(directory.path(), config(&settings), &parts()).expect("new");
    let outcome = run.train(&mut Silent).expect("nothing goes wrong");
    assert_eq!((outcome.updates, outcome.reason), (0, Reason::Steps));
}
