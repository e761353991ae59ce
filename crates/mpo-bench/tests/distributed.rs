//! `mpo train --distributed` as jobs of two processes. Needs Open MPI's `mpirun`; built with the feature `mpi` only.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

/// What a job of so many processes of `mpo` says, in an empty folder. It may run as root, on fewer processors than processes.
fn job(processes: usize, folder: &Path, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_mpo");
    let mut command = match processes {
        1 => Command::new(program),
        _ => {
            let mut command = Command::new("mpirun");
            command.args(["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]);
            command.args(["-np", &processes.to_string(), program]);
            command
        }
    };
    for variable in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        command.env(variable, "1");
    }
    command.current_dir(folder).args(arguments).output().expect("mpirun is installed: see .ci/run")
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
