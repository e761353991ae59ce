//! Equal settings, equal bytes, whatever happens in between.

use mpo_agent::{Reason, Run, Silent};
use tempfile::tempdir;

use crate::common::{Fault, Watcher, assert_same, chain, config, faulty, parts, read, resume, train};

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let [a, b, c] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
    let (run_a, outcome) = train(a.path(), config(&[]));
    let (run_b, _) = train(b.path(), config(&[]));
    let (run_c, _) = train(c.path(), config(&[("seed", "1")]));
    assert_same((a.path(), &run_a), (b.path(), &run_b));
    assert_ne!(run_a.policy_parameters(), run_c.policy_parameters());
    assert_ne!(read(a.path(), "metrics.csv"), read(c.path(), "metrics.csv"));
    // 0.3 updates for every step after the first 100.
    assert_eq!(outcome.updates, (outcome.step - 100) * 3 / 10);
    assert_eq!(outcome.reason, Reason::Steps);
}

#[test]
fn a_run_that_broke_off_anywhere_goes_on_to_the_same_bytes() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    // Before the first checkpoint, within an episode soon after one, and long after one.
    for step in [30, 215, 390] {
        let broken = tempdir().expect("a temporary directory");
        let parts = faulty(Fault::Error(step));
        let mut run = Run::create_with(broken.path(), config(&[]), &parts).expect("a new directory");
        run.train(&mut Silent).expect_err("the environment fails");
        drop(run);
        let (run, outcome) = resume(broken.path());
        assert_eq!(outcome.reason, Reason::Steps);
        assert_same((whole.path(), &whole_run), (broken.path(), &run));
    }
}

#[test]
fn a_run_that_was_asked_to_stop_goes_on_to_the_same_bytes() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    let stopped = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(stopped.path(), config(&[]), &parts()).expect("a new directory");
    // Stopped again and again: at once, and after every few episodes.
    for episodes in [0, 1, 4, 0] {
        let mut watcher = Watcher { stop_after: Some(episodes), ..Watcher::default() };
        let outcome = run.train(&mut watcher).expect("nothing goes wrong");
        assert_eq!((outcome.reason, watcher.episodes.len()), (Reason::Stopped, episodes));
        assert_eq!(watcher.checkpoints.last(), Some(&outcome.step));
        assert!(!stopped.path().join("done.json").exists());
        drop(run);
        run = Run::resume_with(stopped.path(), &parts()).expect("the run can be resumed");
        assert_eq!(run.step(), outcome.step);
    }
    run.train(&mut Silent).expect("nothing goes wrong");
    for name in ["metrics.csv", "eval.csv"] {
        assert_eq!(read(whole.path(), name), read(stopped.path(), name));
    }
    assert_eq!(whole_run.policy_parameters(), run.policy_parameters());
}

#[test]
fn a_run_may_go_on_in_the_same_process_after_a_stop() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    let stopped = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(stopped.path(), config(&[]), &parts()).expect("a new directory");
    let mut watcher = Watcher { stop_after: Some(3), ..Watcher::default() };
    run.train(&mut watcher).expect("nothing goes wrong");
    run.train(&mut Silent).expect("nothing goes wrong");
    assert_eq!(whole_run.policy_parameters(), run.policy_parameters());
}

#[test]
fn a_finished_run_returns_at_once_and_goes_on_when_given_more_steps() {
    let long = tempdir().expect("a temporary directory");
    // Evaluations only at the beginning and the end: the end of the first part adds one.
    let rare = ("training.evaluation_period", "1000000");
    let (long_run, _) = train(long.path(), config(&[rare, ("steps", "500")]));
    let short = tempdir().expect("a temporary directory");
    let (short_run, first) = train(short.path(), config(&[rare, ("steps", "300")]));
    assert!(short_run.is_done());
    drop(short_run);

    let before = read(short.path(), "metrics.csv");
    let (again, outcome) = resume(short.path());
    assert_eq!((outcome.step, outcome.reason), (first.step, Reason::Steps));
    assert_eq!(read(short.path(), "metrics.csv"), before);
    drop(again);

    let longer = read(short.path(), "config.toml").replace("steps = 300", "steps = 500");
    std::fs::write(short.path().join("config.toml"), longer).expect("writable");
    let (run, outcome) = resume(short.path());
    assert!(outcome.step >= 500);
    assert_eq!(read(short.path(), "metrics.csv"), read(long.path(), "metrics.csv"));
    assert_eq!(run.policy_parameters(), long_run.policy_parameters());
}

#[test]
fn a_run_that_failed_in_memory_refuses_to_go_on_there() {
    let directory = tempdir().expect("a temporary directory");
    let parts = faulty(Fault::Error(30));
    let mut run = Run::create_with(directory.path(), config(&[]), &parts).expect("a new directory");
    run.train(&mut Silent).expect_err("the environment fails");
    let error = run.train(&mut Silent).expect_err("the run is incomplete");
    assert!(chain(&error).contains("Run::resume"), "{}", chain(&error));
}

#[test]
fn a_mean_return_that_is_enough_ends_the_run() {
    let directory = tempdir().expect("a temporary directory");
    let enough = ("training.stop_at_return", "-1e9");
    let (run, outcome) = train(directory.path(), config(&[enough]));
    assert_eq!(outcome.reason, Reason::Return);
    assert!(outcome.step < 200, "the first evaluation after step 0 was enough");
    drop(run);
    // Also if the process was killed before it could write that it was done.
    std::fs::remove_file(directory.path().join("done.json")).expect("the run was done");
    let (_, outcome) = resume(directory.path());
    assert_eq!(outcome.reason, Reason::Return);
    assert!(read(directory.path(), "done.json").contains("\"return\""));
}

#[test]
fn a_policy_refreshed_within_episodes_is_resumed_exactly_too() {
    let refresh = ("training.policy_refresh_steps", "7");
    let [whole, between, broken] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
    let (whole_run, _) = train(whole.path(), config(&[refresh]));
    let (between_run, _) = train(between.path(), config(&[]));
    assert_ne!(whole_run.policy_parameters(), between_run.policy_parameters());
    let parts = faulty(Fault::Error(333));
    let mut run = Run::create_with(broken.path(), config(&[refresh]), &parts).expect("a new directory");
    run.train(&mut Silent).expect_err("the environment fails");
    drop(run);
    let (run, _) = resume(broken.path());
    assert_same((whole.path(), &whole_run), (broken.path(), &run));
}
