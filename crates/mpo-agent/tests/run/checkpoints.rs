//! Damaged checkpoints, and checkpoints of something else.

use std::fs;
use std::path::{Path, PathBuf};

use mpo_agent::{AgentError, Run};
use tempfile::tempdir;

use crate::common::{Watcher, assert_same, chain, checkpoints, config, parts, read, resume, train};

fn newest(directory: &Path) -> PathBuf {
    directory.join("checkpoints").join(checkpoints(directory).pop().expect("a checkpoint"))
}

/// Flips one bit in the middle of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("writable");
}

fn resume_error(directory: &Path) -> AgentError {
    Run::resume_with(directory, &parts()).expect_err("the run cannot be resumed")
}

#[test]
fn two_checkpoints_are_kept_and_each_lists_its_files() {
    let directory = tempdir().expect("a temporary directory");
    let mut run = Run::create_with(directory.path(), config(&[]), &parts()).expect("a new directory");
    let mut watcher = Watcher::default();
    run.train(&mut watcher).expect("nothing goes wrong");
    assert_eq!(watcher.checkpoints.len(), 3, "after 200, 400 and 600 steps");
    let kept: Vec<String> = watcher.checkpoints[1..].iter().map(|step| format!("{step:09}")).collect();
    assert_eq!(checkpoints(directory.path()), kept);
    let manifest = read(&newest(directory.path()), "MANIFEST.json");
    for name in ["learner.safetensors", "replay.bin", "run.json"] {
        assert!(manifest.contains(name), "{manifest}");
    }
}

#[test]
fn a_damaged_newest_checkpoint_is_named_and_the_one_before_it_used() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    for name in ["learner.safetensors", "replay.bin", "run.json", "MANIFEST.json"] {
        let directory = tempdir().expect("a temporary directory");
        train(directory.path(), config(&[]));
        let damaged = newest(directory.path());
        damage(&damaged.join(name));
        let mut run = Run::resume_with(directory.path(), &parts()).expect("there is an older one");
        let mut watcher = Watcher::default();
        run.train(&mut watcher).expect("nothing goes wrong");
        assert_eq!(watcher.warnings.len(), 1);
        let warning = &watcher.warnings[0];
        assert!(warning.contains(&damaged.display().to_string()) && warning.contains(name), "{warning}");
        assert_same((whole.path(), &whole_run), (directory.path(), &run));
    }
}

#[test]
fn a_checkpoint_that_lost_a_file_is_damaged_too() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    fs::remove_file(newest(directory.path()).join("replay.bin")).expect("writable");
    let run = Run::resume_with(directory.path(), &parts()).expect("there is an older one");
    assert!(run.warnings()[0].to_string().contains("replay.bin"));
}

#[test]
fn when_every_checkpoint_is_damaged_the_error_names_each() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    let names = checkpoints(directory.path());
    for name in &names {
        damage(&directory.path().join("checkpoints").join(name).join("learner.safetensors"));
    }
    let before = read(directory.path(), "metrics.csv");
    let message = chain(&resume_error(directory.path()));
    assert!(names.iter().all(|name| message.contains(name)), "{message}");
    assert_eq!(read(directory.path(), "metrics.csv"), before, "nothing was lost by trying");
}

#[test]
fn what_a_killed_process_left_half_written_is_ignored_and_removed() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    let half = directory.path().join("checkpoints/.writing");
    fs::create_dir(&half).expect("writable");
    fs::write(half.join("learner.safetensors"), b"half").expect("writable");
    let longer = read(directory.path(), "config.toml").replace("steps = 600", "steps = 700");
    fs::write(directory.path().join("config.toml"), longer).expect("writable");
    let (run, _) = resume(directory.path());
    assert!(run.warnings().is_empty());
    assert!(!half.exists());
}

#[test]
fn a_checkpoint_of_another_task_or_setting_is_refused_by_name() {
    let [one, other] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
    train(one.path(), config(&[]));
    for (key, value, shown) in [
        ("task", "test/another", "task = \"test/point-mass\""),
        ("learner.discount", "0.9", "learner.discount = 0.99"),
        ("seed", "5", "seed = 0"),
        ("training.stop_at_return", "7", "training.stop_at_return = nothing"),
    ] {
        let changed = config(&[(key, value)]).to_toml();
        fs::write(other.path().join("config.toml"), changed).expect("writable");
        let target = other.path().join("checkpoints/000000400");
        fs::create_dir_all(&target).expect("writable");
        for file in fs::read_dir(newest(one.path())).expect("readable") {
            let file = file.expect("readable");
            fs::copy(file.path(), target.join(file.file_name())).expect("writable");
        }
        let message = chain(&resume_error(other.path()));
        assert!(message.contains(shown) && message.contains("000000400"), "{message}");
    }
}

#[test]
fn a_metrics_file_that_lost_rows_is_an_error() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    let path = directory.path().join("metrics.csv");
    let text = fs::read(&path).expect("readable");
    fs::write(&path, &text[..text.len() / 2]).expect("writable");
    let error = resume_error(directory.path());
    assert!(matches!(error, AgentError::Truncated { .. }), "{error}");
    assert!(error.to_string().contains("metrics.csv"));
}
