//! The program from outside: exit codes, and errors that name the cure. Nothing here needs `MuJoCo`.

mod common;

use std::{fs, path::Path};

use assert_cmd::Command;
use common::{rising, write_run, write_run_of};
use mpo_agent::{Parts, Shape};
use mpo_envs::{FrameSpec, Spec};

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
    fails(folder.path(), &["table", "arcade", "."], 2, &["control-suite", "atari", "all"]);
    let arguments = ["train", "cheetah-run", "--algorithm", "dppg"];
    fails(folder.path(), &arguments, 2, &["invalid value 'dppg'", "mpo_joint_kl", "'ddpg'", "actor_critic"]);
    fails(folder.path(), &["train", "--resume", "x", "--algorithm", "epg"], 2, &["cannot be used with"]);
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
fn an_example_trains_without_mujoco_and_is_evaluated_but_has_no_picture() {
    let folder = folder();
    let mut arguments = vec!["train", "example/pendulum", "--steps", "600"];
    for setting in [
        "network.policy_hidden=[32,32]",
        "network.critic_hidden=[32,32]",
        "learner.action_samples=2",
        "replay.capacity=2000",
        "replay.sequences=2",
        "training.warmup_steps=200",
        "training.updates_per_step=0.1",
        "training.evaluation_episodes=1",
    ] {
        arguments.extend(["--set", setting]);
    }
    let (code, stdout, stderr) = mpo(folder.path(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    let run = "runs/example/pendulum/seed-0";
    assert!(stdout.contains("finished at step 600") && stdout.contains(run), "{stdout}");
    let (code, stdout, stderr) = mpo(folder.path(), &["eval", run, "--episodes", "2"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    fails(folder.path(), &["play", run, "--png", "a.png"], 1, &["example/pendulum draws no pictures"]);
    fails(folder.path(), &["train", "example/pendulun"], 1, &["unknown task `example/pendulun`", "`example/pendulum`"]);
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
    assert_eq!(cells[1..6], ["MPO", "100k", "3", "589.0", "539.9–638.1"]);
    assert!(line.contains("235.5"), "{line}");
    let csv = fs::read_to_string(folder.path().join("out/t.csv")).expect("the CSV was written");
    assert!(
        csv.starts_with("task,learner,algorithm,headline,steps,")
            && csv.contains("\nwalker-walk,MPO,mpo,true,100000,3,true,589.01"),
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
fn what_is_compared_has_folders_of_its_own() {
    let folder = folder();
    let dry = |rest: &str| {
        experiment(folder.path(), &format!("seeds = 1\nsteps = 10000\ntasks = [\"cheetah-run\"]\n{rest}"));
        let (code, stdout, stderr) =
            mpo(folder.path(), &["experiment", "experiment.toml", "--runs", "out", "--dry-run"]);
        assert_eq!(code, 0, "{rest}\n{stderr}");
        stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        dry("algorithms = [\"mpo\", \"ppo\"]\nasymptotes = { ppo = 30_000 }\nfigure = 4"),
        ["out/mpo/cheetah-run/seed-0\t10k steps", "out/ppo/cheetah-run/seed-0\t30k steps"]
    );
    assert_eq!(
        dry("[[variants]]\nname = \"base\"\n[[variants]]\nname = \"b-2\"\nset.learner.target_period = 200"),
        ["out/base/cheetah-run/seed-0\t10k steps", "out/b-2/cheetah-run/seed-0\t10k steps"]
    );
    assert_eq!(dry("algorithms = [\"epg\"]"), ["out/cheetah-run/seed-0\t10k steps"]);
}

#[test]
fn a_contradictory_comparison_is_refused() {
    let folder = folder();
    let check = |rest: &str, parts: &[&str]| {
        experiment(folder.path(), &format!("seeds = 1\nsteps = 10\ntasks = [\"cheetah-run\"]\n{rest}"));
        fails(folder.path(), &["experiment", "experiment.toml", "--runs", "runs"], 1, parts);
    };
    check("algorithms = [\"dppg\"]", &["unknown variant `dppg`", "`ddpg`", "`mpo_joint_kl`"]);
    check("algorithms = [\"mpo\", \"mpo\"]", &["`mpo` stands twice"]);
    check("algorithms = [\"mpo\"]\n[[variants]]\nname = \"a\"", &["algorithms or variants, not both"]);
    check("[[variants]]\nname = \"../a\"", &["variant `../a` cannot be a folder"]);
    check("[[variants]]\nname = \"a\"\nset.learner.discont = 1", &["unknown key `learner.discont`"]);
    check("[[variants]]\nname = \"a\"\nsteps = 5", &["unknown field `steps`"]);
    check("algorithms = [\"ppo\"]\nasymptotes = { ppo = 5 }", &["asymptotes.ppo = 5 must be more than steps = 10"]);
    check("algorithms = [\"ppo\"]\nasymptotes = { ppo = 50 }", &["steps = 10", "training.evaluation_period = 10000"]);
    check("asymptotes = { dppg = 50 }", &["dppg", "ddpg"]);
    check("figure = 3\nalgorithms = [\"ppo\"]", &["figure = 3", "figures 2 and 4"]);
    check("figure = 2", &["name them in `algorithms`"]);
}

#[test]
fn learners_are_tabulated_and_drawn_beside_each_other() {
    let folder = folder();
    for (algorithm, end) in [("mpo", 900.0), ("ddpg", 300.0)] {
        let root = folder.path().join("runs").join(algorithm);
        write_run_of(&root, algorithm, "walker-walk", 0, true, &rising(100_000, end));
        write_run_of(&root, algorithm, "walker-run", 0, true, &rising(200_000, 0.5 * end));
    }
    let (code, stdout, stderr) = mpo(folder.path(), &["table", "control-suite", "runs"]);
    assert_eq!(code, 0, "{stderr}");
    let begins =
        |cells: &[&str]| stdout.lines().any(|line| line.split_whitespace().take(cells.len()).eq(cells.iter().copied()));
    for cells in [
        ["MPO", "442", "884"],
        ["DDPG", "147", "295"],
        ["walker-walk*", "MPO", "100k"],
        ["walker-walk*", "DDPG", "100k"],
    ] {
        assert!(begins(&cells), "{cells:?} is missing:\n{stdout}");
    }
    assert!(stdout.contains("Mean, normalised"), "{stdout}");
    let (code, _, stderr) = mpo(folder.path(), &["plot", "runs", "-o", "f.svg", "--until", "100000"]);
    assert_eq!(code, 0, "{stderr}");
    let drawn = fs::read_to_string(folder.path().join("f.svg")).expect("the figure was written");
    assert!(drawn.contains("final level of longer runs: MPO 200k, DDPG 200k steps"), "{drawn}");
}

/// Every experiment file of the repository, by folder and name.
fn experiments() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments");
    let list = |folder: &Path| -> Vec<std::path::PathBuf> {
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect()
    };
    let mut files: Vec<_> = list(&root).iter().filter(|path| path.is_dir()).flat_map(|folder| list(folder)).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

#[test]
fn every_experiment_of_the_repository_parses() {
    let files = experiments();
    assert!(files.len() >= 17, "{files:?}");
    for file in files {
        let folder = folder();
        let name = file.display().to_string();
        let (code, stdout, stderr) = mpo(folder.path(), &["experiment", &name, "--runs", "out", "--dry-run"]);
        assert_eq!(code, 0, "{name}: {stderr}");
        assert!(stdout.contains("seed-0"), "{name}: {stdout}");
    }
}

/// A shape of the task's kind, without what its environment needs at run time.
fn shape(task: &str) -> Shape {
    let (side, actions) = match mpo_envs::atari::find(task) {
        Ok(game) if game.name == task => (84, game.actions),
        _ if task == "example/catch" => (36, 3),
        _ => return Shape::vector(3, 1),
    };
    let spec = Spec {
        observation: Vec::new(),
        frame: Some(FrameSpec { height: side, width: side, stack: 4 }),
        discrete_actions: Some(actions),
        action_minimum: vec![0.0],
        action_maximum: vec![actions as f64 - 1.0],
        control_timestep: 0.1,
        episode_steps: 10,
    };
    Shape::of(&spec).expect("frames with discrete actions have a shape")
}

/// A network of a width that is not compiled in would fail after hours, at its run's turn.
#[test]
fn every_learner_of_the_repositorys_experiments_can_be_made() {
    let mut made = std::collections::BTreeSet::new();
    for file in experiments() {
        let experiment = mpo_bench::experiment::Experiment::read(&file).expect("the file is right");
        for job in experiment.jobs(Path::new("out"), Some(1), None).expect("its settings are right") {
            let (network, learner) = (&job.config.network, &job.config.learner);
            let shape = shape(&job.config.task);
            if made.insert(format!("{network:?} {learner:?} {}", shape.pixels.is_some())) {
                let result = Parts::default().learners.make(shape, network, learner, 0);
                assert!(result.is_ok(), "{}: {}: {:?}", file.display(), job.name, result.err());
            }
        }
    }
    assert!(made.len() >= 20, "{made:?}");
}

#[test]
fn figures_have_their_learners_and_tasks_at_every_preset() {
    for (figure, learners, tasks) in [(2, 7, 3), (4, 4, 28)] {
        for preset in ["quick", "standard", "paper"] {
            let file = experiments()
                .into_iter()
                .find(|path| path.ends_with(format!("figure-{figure}/{preset}.toml")))
                .expect("the preset has a file");
            let experiment = mpo_bench::experiment::Experiment::read(&file).expect("the file is right");
            let found = experiment.tasks(None).expect("the tasks are known").len();
            assert_eq!((experiment.algorithms.len(), found), (learners, tasks), "{}", file.display());
            assert_eq!(experiment.figure, Some(figure), "{}", file.display());
        }
    }
}

#[test]
fn the_sweep_turns_every_knob_on_six_tasks() {
    for name in ["default", "quick"] {
        let file = experiments()
            .into_iter()
            .find(|path| path.ends_with(format!("sweep/{name}.toml")))
            .expect("the sweep has a file");
        let experiment = mpo_bench::experiment::Experiment::read(&file).expect("the file is right");
        assert!(experiment.tasks(None).expect("the tasks are known").len() >= 6, "{name}");
        let sets: Vec<String> = experiment.variants.iter().map(|variant| variant.set.to_string()).collect();
        for knob in [
            "updates_per_step",
            "target_period",
            "epsilon_mean",
            "epsilon_covariance",
            "action_samples",
            "steps",
            "policy_hidden",
            "torso",
        ] {
            assert!(sets.iter().any(|set| set.contains(knob)), "{name} does not turn {knob}: {sets:?}");
        }
        assert!(experiment.variants.iter().any(|variant| variant.set.is_empty()), "{name} has no plain variant");
    }
}

#[test]
fn a_film_needs_a_run_and_a_sensible_size() {
    let folder = folder();
    fails(folder.path(), &["play", "nowhere"], 2, &["--gif"]);
    fails(folder.path(), &["play", "nowhere", "--png", "a.png"], 1, &["nowhere"]);
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif"], 1, &["nowhere"]);
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif", "--size", "320"], 2, &["WIDTHxHEIGHT"]);
    fails(folder.path(), &["play", "nowhere", "--gif", "a.gif", "--size", "90000x10"], 1, &["at most 65535 pixels"]);
    assert!(!folder.path().join("a.gif").exists());
}

#[cfg(unix)]
#[test]
fn a_supervised_job_that_fails_or_hangs_before_the_run_has_begun_is_not_tried_again() {
    let folder = folder();
    let supervise = |launcher: &str, parts: &[&str]| {
        let words = ["supervise", "--run", "a", "--patience", "0.3", "--launcher", launcher, "--", "example/pendulum"];
        fails(folder.path(), &words, 1, parts);
    };
    supervise("false", &["the job failed (exit status: 1) before the run had begun"]);
    fs::write(folder.path().join("hang"), "exec sleep 100\n").expect("the folder can be written");
    supervise("sh hang", &["no episode ended for 0.3 s, and the job was killed before the run had begun"]);
    supervise("no-such-launcher", &["cannot start no-such-launcher"]);
    fails(folder.path(), &["supervise", "--run", "a"], 2, &["TRAIN ARGUMENTS"]);
}

#[cfg(unix)]
#[test]
fn a_supervised_run_that_dies_is_taken_up_until_it_ends() {
    let folder = folder();
    // A launcher whose first job dies once the run has begun; those after it do as they are told.
    let script = "#!/bin/sh\nif [ -e died ]; then exec \"$1\" train --resume a; fi\ntouch died\n\
                  \"$1\" train example/pendulum --steps 600 --set training.warmup_steps=1000 --run a\nexit 7\n";
    let path = folder.path().join("launcher");
    fs::write(&path, script).expect("the folder can be written");
    let words = ["supervise", "--run", "a", "--launcher", "sh launcher", "--", "example/pendulum"];
    let (code, stdout, stderr) = mpo(folder.path(), &words);
    assert_eq!(code, 0, "{stdout}\n{stderr}");
    assert!(stderr.contains("the job failed (exit status: 7); taking the run up again (1 of 10)"), "{stderr}");
    assert!(folder.path().join("a/done.json").is_file());
}

#[cfg(not(feature = "mpi"))]
#[test]
fn without_the_feature_distributed_training_says_how_to_build_it() {
    let folder = folder();
    let parts = ["built without MPI", "libclang", "cargo build --release -p mpo-bench --features mpi"];
    fails(folder.path(), &["train", "example/pendulum", "--distributed"], 1, &parts);
    fails(folder.path(), &["train", "example/pendulum", "--reduction", "rank_order"], 2, &["--distributed"]);
}
