//! `mpo train --distributed` as jobs of two processes. Needs Open MPI's `mpirun`; built with the feature `mpi` only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use rustix::process::{Pid, Signal, kill_process};

/// Starts so many processes of `mpo`. They may run as root, on fewer processors than there are processes.
const LAUNCHER: &str = "mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -np";

fn mpo(folder: &Path, launcher: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_mpo");
    let mut words = launcher.split(' ').filter(|word| !word.is_empty());
    let mut command = match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    };
    for variable in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        command.env(variable, "1");
    }
    command.current_dir(folder);
    command
}

/// What a job of so many processes of `mpo` says.
fn job(processes: usize, folder: &Path, arguments: &[&str]) -> Output {
    let launcher = if processes == 1 { String::new() } else { format!("{LAUNCHER} {processes}") };
    mpo(folder, &launcher).args(arguments).output().expect("mpirun is installed: see .ci/run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A short training of the pendulum.
const TRAIN: [&str; 18] = [
    "train",
    "example/pendulum",
    "--distributed",
    "--steps",
    "1600",
    "--set",
    "network.policy_hidden=[32, 32]",
    "--set",
    "network.critic_hidden=[32, 32]",
    "--set",
    "training.updates_per_step=0.1",
    "--set",
    "training.warmup_steps=400",
    "--set",
    "training.checkpoint_period=800",
    "--set",
    "training.evaluation_episodes=1",
    "--run",
];

fn train(folder: &Path, run: &str, reduction: &str) -> Output {
    job(2, folder, &[&TRAIN[..], &[run, "--reduction", reduction]].concat())
}

/// The tensors of a run's newest checkpoint, in the order of their names.
fn networks(run: &Path) -> Vec<(String, Vec<u8>)> {
    let checkpoints = fs::read_dir(run.join("checkpoints")).expect("the run has checkpoints");
    let newest = checkpoints.map(|entry| entry.expect("readable").path()).max().expect("at least one");
    let bytes = fs::read(newest.join("learner.safetensors")).expect("a checkpoint");
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize);
    let header: serde_json::Value = serde_json::from_slice(header).expect("a JSON header");
    let tensors = header.as_object().expect("an object").iter().filter(|(name, _)| *name != "__metadata__");
    let tensors = tensors.map(|(name, tensor)| {
        let offset = |index: usize| tensor["data_offsets"][index].as_u64().expect("an offset") as usize;
        (name.clone(), data[offset(0)..offset(1)].to_vec())
    });
    tensors.collect()
}

#[test]
fn two_processes_train_one_policy_and_in_rank_order_repeat_themselves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    for (run, reduction) in [("a", "rank_order"), ("b", "rank_order"), ("c", "all_reduce")] {
        let output = train(path, run, reduction);
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{reduction}\n{stdout}\n{stderr}");
        assert_eq!(stdout.matches("finished at step").count(), 1, "one of them speaks\n{stdout}");
    }
    let file = |run: &str, name: &str| fs::read_to_string(path.join(run).join(name)).expect("a run has this file");
    for name in ["metrics.csv", "eval.csv"] {
        assert_eq!(file("a", name), file("b", name), "{name}");
    }
    assert!(networks(&path.join("a")) == networks(&path.join("b")), "the networks are the same bits");
    assert!(file("c", "config.toml").contains("workers = 2"), "{}", file("c", "config.toml"));

    // The run is over for the right number of workers, and for no other.
    let output = job(2, path, &["train", "--resume", "a", "--distributed"]);
    assert!(output.status.success() && text(&output.stderr).contains("has already reached its end"));
    let output = job(1, path, &["train", "--resume", "a"]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("training.workers = 2, but 1 is here; start it as `mpirun -np 2"), "{stderr}");
    // A distributed run's policy is a policy like any other.
    let output = job(1, path, &["eval", "a", "--episodes", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn an_error_of_one_process_ends_the_job() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("a")).expect("writable");
    fs::write(folder.path().join("a/config.toml"), "").expect("writable");
    // Only the first process looks whether a run is there already; the other would wait for it for ever.
    let output = train(folder.path(), "a", "all_reduce");
    assert!(!output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("error: worker 0: a already holds a run"), "{stderr}");
}

#[test]
fn outside_a_job_there_is_one_worker_and_a_word_about_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = job(1, folder.path(), &[&TRAIN[..], &["a"]].concat());
    let stderr = text(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("there is one worker only: start several as `mpirun -np 4 mpo train"), "{stderr}");
}

/// The processes of `mpo train` that MPI started for the run in `directory`.
fn ranks(directory: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("Linux");
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let of_the_run = |pid: &i32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let has =
            |bytes: &[u8], word: &str| bytes.split(|byte| *byte == 0).any(|part| part.starts_with(word.as_bytes()));
        let command = read("cmdline");
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.ends_with("mpo")
            && has(&command, &directory.display().to_string())
            && has(&read("environ"), "OMPI_COMM_WORLD_RANK=")
    };
    pids.filter(of_the_run).filter_map(Pid::from_raw).collect()
}

/// Waits until there are processes of the run, which `supervisor` looks after.
fn processes(directory: &Path, supervisor: &mut Child) -> Vec<Pid> {
    loop {
        let found = ranks(directory);
        if !found.is_empty() {
            return found;
        }
        let ended = supervisor.try_wait().expect("a process of ours");
        assert!(ended.is_none(), "the run ended before all kills: it needs more steps on this machine");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "takes minutes"]
fn a_job_killed_at_ten_random_moments_ends_with_the_same_networks() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let settings = |run: &PathBuf| -> Vec<String> {
        let train = TRAIN.iter().map(|word| (*word).to_owned());
        let mut words: Vec<String> = train.chain([run.display().to_string()]).collect();
        let at = words.iter().position(|word| word == "1600").expect("the steps");
        // So many that a fast machine, too, is killed ten times before the end.
        words[at] = "300000".to_owned();
        words.extend(["--reduction", "rank_order"].map(str::to_owned));
        words
    };
    let [whole, killed] = ["whole", "killed"].map(|name| path.join(name));
    let words = settings(&whole);
    let output = job(2, path, &words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(output.status.success(), "{}", text(&output.stderr));

    // `mpo supervise` is told the rest itself.
    let words: Vec<String> = settings(&killed).into_iter().skip(1).filter(|word| *word != "--distributed").collect();
    let at = words.iter().position(|word| word == "--run").expect("the directory");
    let words: Vec<String> = words[..at].iter().chain(&words[at + 2..]).cloned().collect();
    let mut supervisor = mpo(path, "")
        .args(["supervise", "--restarts", "10", "--launcher", &format!("{LAUNCHER} 2"), "--run"])
        .arg(&killed)
        .arg("--")
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stream = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..10 {
        processes(&killed, &mut supervisor);
        // A run that is killed before its config.toml is there has not begun, and is not taken up.
        while !killed.join("config.toml").is_file() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis(stream.random_range(0..3000)));
        let alive = processes(&killed, &mut supervisor);
        let victim = stream.random_range(0..alive.len());
        kill_process(alive[victim], Signal::KILL).expect("it is alive");
        let others: Vec<Pid> = alive.iter().copied().filter(|pid| *pid != alive[victim]).collect();
        while ranks(&killed).iter().any(|pid| others.contains(pid)) {
            thread::sleep(Duration::from_millis(5));
        }
    }
    assert!(supervisor.wait().expect("it ends").success());
    for name in ["metrics.csv", "eval.csv"] {
        let file = |run: &Path| fs::read_to_string(run.join(name)).expect("a run has this file");
        assert_eq!(file(&whole), file(&killed), "{name}");
    }
    assert!(networks(&whole) == networks(&killed), "the networks are the same bits");
}
