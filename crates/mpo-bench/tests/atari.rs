//! Games and frames: settings, tables, figures and films. What needs ALE is skipped where it is not installed, unless
//! `MPO_REQUIRE_ATARI` is set, as `cargo xtask test` does.

#[allow(dead_code, reason = "what is written of other algorithms belongs to the other tests")]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::{rising, write_run};
use mpo_agent::{Algorithm, Config, Profile};
use mpo_bench::{
    plot::{self, Figure},
    records,
};
use mpo_envs::assets::AtariAssets;

/// The smallest networks and few updates: what is tested is the run, not its learning.
const SMALL: [&str; 8] = [
    "network.pixel_torso=small",
    "replay.capacity=2000",
    "replay.sequences=2",
    "replay.steps=4",
    "training.warmup_steps=100",
    "training.updates_per_step=0.1",
    "training.evaluation_episodes=2",
    "training.evaluation_period=150",
];

/// Runs `mpo` in `folder`; returns whether it succeeded, standard output and standard error.
fn mpo(folder: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mpo"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn config(profile: Profile, sets: &[(&str, &str)]) -> Config {
    let sets: Vec<(String, String)> = sets.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Config::resolve(profile, None, &sets).expect("sound settings")
}

#[test]
fn games_have_settings_of_their_own_under_every_profile() {
    for profile in [Profile::Default, Profile::Paper] {
        let pong = config(profile, &[("task", "atari/pong")]);
        assert_eq!(pong.training.reward_clip, Some(1.0), "{profile}");
        assert_eq!(pong.replay.sequences * pong.replay.steps, 32, "{profile}");
        assert!((pong.training.updates_per_step - 0.25).abs() < 1e-12, "{profile}");
        let walker = config(profile, &[("task", "control/walker-walk")]);
        assert_eq!((walker.training.reward_clip, walker.replay.sequences), (None, 32), "{profile}");
        assert!((pong.learner.policy_learning_rate - walker.learner.policy_learning_rate).abs() < 1e-12);
    }
    let ppo = config(Profile::Default, &[("task", "atari/pong"), ("learner.algorithm", "ppo")]);
    assert_eq!((ppo.learner.ppo.minibatch, ppo.learner.ppo.horizon), (256, 1024));
    assert_eq!((ppo.replay.capacity, ppo.training.reward_clip), (100_000, Some(1.0)));
    let mine = config(Profile::Default, &[("task", "atari/pong"), ("replay.capacity", "500")]);
    assert_eq!(mine.replay.capacity, 500, "the user has the last word");
    let again = config(Profile::Default, &[("task", "control/walker-walk"), ("learner.algorithm", "ppo")]);
    assert_eq!(again.learner.ppo.minibatch, 100);
}

#[test]
fn a_folder_of_games_and_tasks_has_both_tables() {
    let folder = folder();
    let runs = folder.path().join("mpo");
    write_run(&runs, "atari/boxing", 0, true, &[(0, -20.0), (50_000, 30.0), (100_000, 10.0)]);
    write_run(&runs, "atari/boxing", 1, true, &[(0, -20.0), (50_000, 10.0), (100_000, 12.0)]);
    write_run(&runs, "walker-walk", 0, true, &rising(100_000, 500.0));
    let found = records::find(&[runs]).expect("the runs can be read");
    assert!(found.iter().all(|record| record.group.as_deref() == Some("mpo")), "{found:?}");

    let table = |arguments: &[&str]| {
        let (success, stdout, stderr) = mpo(folder.path(), &[&["table"], arguments].concat());
        assert!(success, "{stderr}");
        (stdout, stderr)
    };
    let (games, note) = table(&["atari", "mpo"]);
    assert!(note.contains("mpo table control-suite"), "{note}");
    let line = games.lines().find(|line| line.starts_with("Boxing")).expect("the game has a row");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..9], ["Boxing", "MPO", "400k", "2", "21.0", "16.5", "to", "25.5", "11.0"], "{games}");
    assert!(!games.contains("walker"), "{games}");
    let (tasks, _) = table(&["control-suite", "mpo", "--json"]);
    assert!(tasks.contains("walker-walk") && !tasks.contains("boxing"), "{tasks}");
    let (both, note) = table(&["all", ".", "--csv", "t.csv", "--markdown", "t.md"]);
    assert!(both.contains("walker-walk*") && both.contains("Boxing") && note.is_empty(), "{both}{note}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("it was written");
    assert!(read("t.csv").contains("\nwalker-walk,") && read("t-atari.csv").contains("\natari/boxing,"));
    assert!(read("t.md").contains("| Boxing | MPO | 400k |"), "{}", read("t.md"));
    let (success, _, stderr) = mpo(folder.path(), &["table", "control-suite", "mpo/atari"]);
    assert!(!success && stderr.contains("try `mpo table atari`"), "{stderr}");
}

#[test]
fn a_games_panel_has_its_own_scale_and_levels() {
    let folder = folder();
    write_run(folder.path(), "atari/boxing", 0, true, &[(0, -20.0), (100_000, 60.0)]);
    write_run(folder.path(), "atari/qbert", 0, true, &[(0, 100.0), (100_000, 300.0)]);
    write_run(folder.path(), "example/catch", 0, true, &[(0, -0.5), (10_000, 1.0)]);
    let records = records::find(&[folder.path().to_owned()]).expect("the runs can be read");
    let figure = Figure::new(None, &records, None);
    let tasks: Vec<&str> = figure.panels.iter().map(|panel| panel.task.as_str()).collect();
    assert_eq!(tasks, ["atari/qbert", "atari/boxing", "example/catch"]);
    let document = plot::svg(&figure).expect("the figure can be drawn");
    let lines: Vec<&str> = document.lines().collect();
    for text in [
        // Qbert's axis ends far below human and MPO; Boxing's has both.
        "above: human 13455, MPO 10317",
        "0.5",
        "-0.5",
        "published MPO at 200M frames",
        "human",
        "random policy",
        "60.0",
        "1.00",
        "return of an episode against environment steps, in games 4 frames each",
    ] {
        assert!(lines.contains(&text), "{text} is missing:\n{document}");
    }
    assert!(figure.panels[1].human.is_some() && figure.panels[1].level == Some(0));
    assert!(!lines.contains(&"1000") && !lines.contains(&"-0"), "no scale of a thousand");
    assert_eq!(lines.iter().filter(|line| line.starts_with("above")).count(), 1);
}

/// Trains `task` a little in `folder`; returns the run's folder.
fn trained(folder: &Path, task: &str, steps: &str, more: &[&str]) -> PathBuf {
    let mut arguments = vec!["train", task, "--run", "run", "--steps", steps];
    for setting in SMALL.iter().chain(more) {
        arguments.extend(["--set", setting]);
    }
    let (success, stdout, stderr) = mpo(folder, &arguments);
    assert!(success, "{stdout}{stderr}");
    folder.join("run")
}

/// Width, height and number of frames of a GIF.
fn film(path: &Path) -> (u16, u16, usize) {
    let mut decoder =
        gif::DecodeOptions::new().read_info(fs::File::open(path).expect("the film is there")).expect("a GIF");
    let mut frames = 0;
    while decoder.read_next_frame().expect("a sound frame").is_some() {
        frames += 1;
    }
    (decoder.width(), decoder.height(), frames)
}

/// Width, height and pixels of a PNG.
fn picture(path: &Path) -> (u32, u32, Vec<u8>) {
    let file = std::io::BufReader::new(fs::File::open(path).expect("the picture is there"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    (info.width, info.height, pixels)
}

#[test]
fn frames_are_trained_on_tabulated_and_filmed() {
    let folder = folder();
    let run = trained(folder.path(), "example/catch", "300", &[]);
    let (success, stdout, stderr) =
        mpo(folder.path(), &["play", "run", "--gif", "film.gif", "--png", "end.png", "--seconds", "60"]);
    assert!(success, "{stderr}");
    assert!(stdout.contains("film.gif: 12 frames") && stdout.contains("\n11 steps, reward "), "{stdout}");
    // 36 pixels to a side, twelve times as large.
    assert_eq!(film(&folder.path().join("film.gif")), (432, 432, 12));
    let (width, height, pixels) = picture(&folder.path().join("end.png"));
    assert_eq!((width, height), (432, 432));
    let count = |grey: u8| pixels.chunks_exact(3).filter(|pixel| *pixel == [grey; 3]).count();
    // A cell is 3 pixels to a side and so 36 of the picture's; the object covers one, of the paddle's three if it was caught.
    assert_eq!(count(255), 36 * 36);
    let topmost = pixels.chunks_exact(3).position(|pixel| *pixel == [255; 3]).map(|at| at / 432);
    assert_eq!(topmost, Some(11 * 36), "the last moment is the catch or the miss, in the bottom row");
    assert!([2, 3].contains(&(count(128) / (36 * 36))), "{}", count(128));
    let size = ["play", "run", "--png", "small.png", "--size", "24x18"];
    assert!(mpo(folder.path(), &size).0);
    assert_eq!(picture(&folder.path().join("small.png")).0, 24);

    let record = records::read(&run).expect("the run can be read");
    assert_eq!((record.task.as_str(), record.finished), ("example/catch", true));
    let (success, stdout, _) = mpo(folder.path(), &["table", "control-suite", "run"]);
    assert!(success && stdout.contains("example/catch"), "{stdout}");
}

#[test]
fn an_experiment_of_frames_is_estimated_trained_and_drawn() {
    let folder = folder();
    let sets = "network.pixel_torso = \"small\"\nreplay.capacity = 2000\nreplay.sequences = 2\ntraining.warmup_steps = 100\n\
                training.updates_per_step = 0.1\ntraining.evaluation_episodes = 2\ntraining.evaluation_period = 100\n";
    let text = format!(
        "description = \"A trial\"\nalgorithms = [\"mpo\", \"ppo\"]\ntasks = [\"example/c*\"]\nseeds = 1\nsteps = 300\n\
         [set]\nlearner.ppo.horizon = 100\nlearner.ppo.minibatch = 50\nlearner.ppo.epochs = 1\n{sets}"
    );
    fs::write(folder.path().join("trial.toml"), text).expect("the folder can be written");
    let (success, stdout, stderr) = mpo(folder.path(), &["experiment", "trial.toml", "--runs", "out", "--dry-run"]);
    assert!(success && stderr.contains("estimated time: about "), "{stderr}");
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    let (success, stdout, stderr) = mpo(folder.path(), &["experiment", "trial.toml", "--runs", "out"]);
    assert!(success, "{stderr}");
    let titles = [Algorithm::Mpo, Algorithm::Ppo].map(Algorithm::title);
    assert!(titles.iter().all(|title| stdout.contains(title)), "{stdout}");
    assert!(stdout.contains("the task's largest return"), "catch has no scale of a thousand:\n{stdout}");
    for name in ["table.csv", "comparison.md", "learning-curves.svg", "mpo/example/catch/seed-0/done.json"] {
        assert!(folder.path().join("out").join(name).is_file(), "{name}");
    }
    assert!(!folder.path().join("out/table-atari.csv").exists());
}

/// Whether games can be played here.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn atari() -> bool {
    match AtariAssets::locate() {
        Ok(_) => true,
        Err(error) => {
            assert!(std::env::var_os("MPO_REQUIRE_ATARI").is_none(), "{error}");
            eprintln!("skipped: {error}");
            false
        }
    }
}

#[test]
fn a_game_is_trained_and_its_screen_filmed() {
    if !atari() {
        return;
    }
    let folder = folder();
    // Ended by the first evaluation after the untrained one; Q*bert's games are short.
    let sets = ["network.pixel_torso=dqn", "training.evaluation_episodes=1", "training.warmup_steps=100000"];
    let run = trained(folder.path(), "atari/qbert", "50", &sets);
    let play = ["play", "run", "--gif", "film.gif", "--png", "end.png", "--seconds", "0.5"];
    let (success, stdout, stderr) = mpo(folder.path(), &play);
    assert!(success, "{stderr}");
    assert!(stdout.contains("8 steps of the agent, 32 frames of the game, score"), "{stdout}");
    // Twice the console's 160x210.
    assert_eq!(film(&folder.path().join("film.gif")), (320, 420, 9));
    let (width, height, pixels) = picture(&folder.path().join("end.png"));
    assert_eq!((width, height), (320, 420));
    let colours: std::collections::HashSet<&[u8]> = pixels.chunks_exact(3).collect();
    assert!(colours.len() > 2 && colours.iter().any(|pixel| pixel[0] != pixel[1]), "{}", colours.len());
    let config = fs::read_to_string(run.join("config.toml")).expect("a run has settings");
    assert!(config.contains("reward_clip = 1.0"), "{config}");
    let (success, stdout, _) = mpo(folder.path(), &["table", "atari", "run"]);
    assert!(success && stdout.contains("Q*bert") && stdout.contains("13455.0"), "{stdout}");
}
