//! The program from outside: exit codes, and errors that name the cure. Nothing here needs `MuJoCo`.

mod common;

use std::{fs, path::Path};

use assert_cmd::Command;
use common::{rising, write_run};

/// Runs `mpo` in an empty folder without any cache; returns exit code, standard output and standard error.
fn mpo(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("mpo")
        .expect("the program is built with its tests")
        .current_dir(folder)
        .env("MPO_CACHE", folder.join("no-cache"))
        .env_remove("MPO_MUJOCO_LIBRARY")
        .env_remove("MPO_DM_CONTROL")
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("an exit code"), text(&output.stdout), text(&output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Asserts that the command fails with `code` and that its error holds every part.
fn fails(folder: &Path, arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, stdout, stderr) = mpo(folder, arguments);
    assert_eq!(found, code, "{arguments:?}\n{stdout}\n{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?} does not say {part:?}:\n{stderr}");
    }
}

#[test]
fn wrong_usage_is_two() {
    let folder = folder();
    fails(folder.path(), &["train"], 2, &["<TASK>"]);
    fails(folder.path(), &["train", "cheetah-run", "--seeds", "5..5"], 2, &["for example 0..5"]);
    fails(folder.path(), &["train", "cheetah-run", "--seed", "1", "--seeds", "0..2"], 2, &["cannot be used with"]);
    fails(folder.path(), &["train", "cheetah-run", "--set", "nothing"], 2, &["a setting is KEY=VALUE"]);
    fails(folder.path(), &["train", "--resume", "x", "--steps", "5"], 2, &["cannot be used with"]);
    fails(folder.path(), &["train", "cheetah-run", "--profile", "papr"], 2, &["`default` and `paper`"]);
    fails(folder.path(), &["table", "atari", "."], 2, &["control-suite"]);
}

#[test]
fn a_misspelt_task_or_setting_names_the_nearest() {
    let folder = folder();
    fails(folder.path(), &["train", "control/cheeta-run"], 1, &["unknown task `control/cheeta-run`", "`cheetah-run`"]);
    let arguments = ["train", "cheetah-run", "--set", "learner.discont=0.9"];
    fails(folder.path(), &arguments, 1, &["unknown key `learner.discont`", "`learner.discount`"]);
    let arguments = ["train", "cheetah-run", "--set", "learner.discount=high"];
    fails(folder.path(), &arguments, 1, &["learner.discount"]);
    fails(folder.path(), &["random", "walker-wolk"], 1, &["`walker-walk`"]);
    assert!(!folder.path().join("runs").exists(), "a failed start leaves nothing behind");
}

#[test]
fn missing_mujoco_says_how_to_get_it() {
    let folder = folder();
    for arguments in [&["train", "cheetah-run"][..], &["random", "cheetah-run"]] {
        fails(folder.path(), arguments, 1, &["no-cache", "cargo xtask setup", "MPO_MUJOCO_LIBRARY"]);
    }
    experiment(folder.path(), "seeds = 1\nsteps = 10\ntasks = [\"cheetah-run\"]");
    let arguments = ["experiment", "experiment.toml", "--runs", "runs"];
    fails(folder.path(), &arguments, 1, &["cargo xtask setup", "MPO_MUJOCO_LIBRARY"]);
}

#[test]
fn what_is_no_run_says_so() {
    let folder = folder();
    fs::create_dir(folder.path().join("empty")).expect("the folder can be made");
    for arguments in [&["eval", "nowhere"][..], &["eval", "empty"], &["train", "--resume", "empty"]] {
        fails(folder.path(), arguments, 1, &[arguments[arguments.len() - 1], "mpo train"]);
    }
    fails(folder.path(), &["table", "control-suite", "nowhere"], 1, &["there is no directory nowhere"]);
    fails(folder.path(), &["plot", "empty", "-o", "f.svg"], 1, &["empty holds no run", "mpo train TASK"]);
}

#[test]
fn a_run_without_checkpoint_cannot_be_evaluated() {
    let folder = folder();
    write_run(folder.path(), "walker-walk", 0, false, &[(0, 20.0)]);
    fails(folder.path(), &["eval", "walker-walk/seed-0"], 1, &["no checkpoint", "checkpoint_period"]);
}

#[test]
fn a_run_is_not_overwritten() {
    let folder = folder();
    write_run(folder.path(), "walker-walk", 0, true, &[(0, 20.0)]);
    let arguments = ["train", "walker-walk", "--run", "walker-walk/seed-0"];
    fails(folder.path(), &arguments, 1, &["already holds a run", "mpo train --resume"]);
}

#[test]
fn tasks_are_listed() {
    let folder = folder();
    let (code, stdout, _) = mpo(folder.path(), &["tasks"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("control/walker-walk"), "{stdout}");
}

#[test]
fn table_and_plot_work_from_run_directories() {
    let folder = folder();
    for seed in 0..3 {
        write_run(folder.path(), "walker-walk", seed, true, &rising(100_000, 500.0 + 100.0 * seed as f64));
    }
    let (code, stdout, stderr) =
        mpo(folder.path(), &["table", "control-suite", ".", "--csv", "out/t.csv", "--markdown", "t.md"]);
    assert_eq!(code, 0, "{stderr}");
    // 600 times (1 - e^-4); published MPO has 235.5 at 100k steps.
    let line = stdout.lines().find(|line| line.starts_with("walker-walk*")).expect("the task has a row");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[1..5], ["100k", "3", "589.0", "539.9–638.1"]);
    assert!(line.contains("235.5"), "{line}");
    let csv = fs::read_to_string(folder.path().join("out/t.csv")).expect("the CSV was written");
    assert!(
        csv.starts_with("task,headline,steps,") && csv.contains("\nwalker-walk,true,100000,3,true,589.01"),
        "{csv}"
    );
    assert!(folder.path().join("t.md").is_file());

    let (code, stdout, _) = mpo(folder.path(), &["table", "control-suite", ".", "--json"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with('[') && stdout.contains("\"seeds\": 3"), "{stdout}");

    for name in ["f.svg", "f.png"] {
        let (code, _, stderr) = mpo(folder.path(), &["plot", "walker-walk", "-o", name]);
        assert_eq!(code, 0, "{stderr}");
        assert!(folder.path().join(name).is_file());
    }
    fails(folder.path(), &["plot", ".", "-o", "f.pdf"], 1, &["f.pdf", "FILE.svg or FILE.png"]);
}

fn experiment(folder: &Path, rest: &str) {
    let text = format!("description = \"A trial\"\n{rest}\n");
    fs::write(folder.join("experiment.toml"), text).expect("the file can be written");
}

#[test]
fn an_experiment_file_is_checked() {
    let folder = folder();
    let check = |rest: &str, parts: &[&str]| {
        experiment(folder.path(), rest);
        fails(folder.path(), &["experiment", "experiment.toml", "--runs", "runs"], 1, parts);
    };
    check("seed = 1\nsteps = 10\ntasks = [\"cheetah-run\"]", &["experiment.toml", "unknown field `seed`", "`seeds`"]);
    check("steps = 10\ntasks = [\"cheetah-run\"]", &["missing field `seeds`"]);
    check("seeds = 0\nsteps = 10\ntasks = [\"cheetah-run\"]", &["seeds = 0 trains nothing"]);
    check("seeds = 1\nsteps = 10\ntasks = [\"cheeta-run\"]", &["unknown task `cheeta-run`", "`cheetah-run`"]);
    check("seeds = 1\nsteps = 10\ntasks = [\"atari-*\"]", &["no task matches atari-*", "mpo tasks"]);
    check(
        "seeds = 1\nsteps = 10\ntasks = [\"*\"]\n[set]\nlearner.discont = 0.9",
        &["unknown key `learner.discont`", "`learner.discount`"],
    );
    check("profile = \"papr\"\nseeds = 1\nsteps = 10\ntasks = [\"*\"]", &["unknown profile `papr`"]);
    fails(folder.path(), &["experiment", "none.toml", "--runs", "runs"], 1, &["none.toml"]);
}

#[test]
fn a_dry_run_lists_the_runs_and_trains_nothing() {
    let folder = folder();
    experiment(folder.path(), "seeds = 5\nsteps = 40000\ntasks = [\"walker-*\", \"cheetah-run\"]");
    let arguments = ["experiment", "experiment.toml", "--runs", "out", "--seeds", "2", "--tasks", "*-run", "--dry-run"];
    let (code, stdout, stderr) = mpo(folder.path(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    let expected: Vec<String> = ["walker-run/seed-0", "cheetah-run/seed-0", "walker-run/seed-1", "cheetah-run/seed-1"]
        .map(|run| format!("out/{run}\t40k steps"))
        .to_vec();
    assert_eq!(stdout.lines().collect::<Vec<_>>(), expected);
    assert!(stderr.contains("A trial\n4 runs, "), "{stderr}");
    assert!(stderr.contains("160k environment steps to go"), "{stderr}");
    assert!(stderr.contains("estimated time: unknown (") && stderr.contains("cargo xtask setup"), "{stderr}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn the_presets_parse() {
    let presets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/control-suite");
    for name in ["quick", "standard", "paper"] {
        let folder = folder();
        let file = presets.join(format!("{name}.toml"));
        let file = file.to_str().expect("the path is text");
        let (code, stdout, stderr) = mpo(folder.path(), &["experiment", file, "--runs", "out", "--dry-run"]);
        assert_eq!(code, 0, "{name}: {stderr}");
        assert!(stdout.lines().count() > 3, "{name}: {stdout}");
    }
}

#[test]
fn a_film_needs_a_run_and_a_sensible_size() {
    let folder = folder();
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif"], 1, &["nowhere"]);
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif", "--size", "320"], 2, &["WIDTHxHEIGHT"]);
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif", "--size", "90000x10"], 1, &["at most 65535 pixels"]);
    assert!(!folder.path().join("a.gif").exists());
}
