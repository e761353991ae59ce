//! The environments give the same episodes as `dm_control`, recorded by `alignment/record.py`.

use std::path::{Path, PathBuf};

use mpo_envs::suite;

#[path = "common/actions.rs"]
mod actions;
mod common;
#[path = "common/recording.rs"]
mod recording;
use recording::{TOLERANCE, replay};

/// The recorded files: those committed, or all in the folder that `MPO_ALIGNMENT` names.
fn records() -> Vec<PathBuf> {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alignment");
    let folder = std::env::var_os("MPO_ALIGNMENT").map_or_else(committed, PathBuf::from);
    let entries = std::fs::read_dir(&folder).expect("the folder of recorded trajectories");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
#[allow(clippy::print_stdout, reason = "the report is read with --nocapture")]
fn every_task_replays_dm_control() {
    if !common::mujoco_is_here() {
        return;
    }
    let files = records();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a recorded trajectory");
        let (observations, rewards) = replay(&serde_json::from_str(&text).expect("JSON"));
        let name = file.file_stem().expect("a name").to_string_lossy();
        println!("{name}: observations {}; rewards {}", observations.report(), rewards.report());
        assert!(observations.largest <= TOLERANCE, "{name}: observations: {}", observations.report());
        assert!(rewards.largest <= TOLERANCE, "{name}: rewards: {}", rewards.report());
    }
    if std::env::var_os("MPO_ALIGNMENT").is_none() {
        let names: Vec<_> = files.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
        let tasks: Vec<_> = suite::tasks().iter().map(|task| task.name).collect();
        assert_eq!(names, tasks, "one recorded file for every task");
    }
}
