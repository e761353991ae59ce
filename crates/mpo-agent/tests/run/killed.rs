//! A process that is killed, and a disk that is full, for real: the tests run themselves as a child.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mpo_agent::{Run, Silent};
use tempfile::tempdir;

use crate::common::{assert_same, chain, checkpoints, config, parts, read, resume, train};

const DIRECTORY: &str = "MPO_AGENT_TEST_DIRECTORY";
const FAILURE: &str = "failure.txt";

/// What the child does: begins or resumes the run in the directory it is given.
#[test]
#[ignore = "the other tests of this file run it as a child process"]
fn child() {
    let directory = std::env::var(DIRECTORY).expect("the parent names the directory");
    let directory = Path::new(&directory);
    let run = if directory.join("config.toml").exists() {
        Run::resume_with(directory, &parts())
    } else {
        Run::create_with(directory, config(&[]), &parts())
    };
    if let Err(error) = run.and_then(|mut run| run.train(&mut Silent)) {
        std::fs::write(directory.join(FAILURE), chain(&error)).expect("a small file");
        panic!("the parent reads {FAILURE}");
    }
}

/// This test program as a child that trains in `directory`, started by a shell after `setup`.
fn command(setup: &str, directory: &Path) -> Command {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{setup} exec \"$0\" --exact killed::child --ignored")])
        .arg(program)
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Starts the child and kills it as soon as `now` holds, or lets it end.
fn kill_when(directory: &Path, now: impl Fn() -> bool) {
    let mut child = command("", directory).spawn().expect("the child starts");
    while !now() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("the child ends");
}

#[test]
fn a_process_killed_again_and_again_ends_with_the_same_bytes() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    let killed = tempdir().expect("a temporary directory");
    let path = killed.path();
    let rows = || std::fs::read_to_string(path.join("metrics.csv")).map_or(0, |text| text.lines().count());
    // Before the first checkpoint, in the middle of writing one, and between two of them; wherever the
    // kills fall in truth, the result must be the same.
    kill_when(path, || rows() > 2);
    kill_when(path, || path.join("checkpoints/.writing").exists());
    kill_when(path, || rows() > 8);
    kill_when(path, || path.join("checkpoints/.writing/learner.safetensors").exists());
    kill_when(path, || rows() > 14);
    assert!(!path.join("done.json").exists(), "the last kill came before the end");
    let (run, _) = resume(path);
    assert_same((whole.path(), &whole_run), (path, &run));
}

#[test]
fn a_full_disk_names_the_file_and_leaves_the_last_checkpoint_whole() {
    let whole = tempdir().expect("a temporary directory");
    let (whole_run, _) = train(whole.path(), config(&[]));
    let full = tempdir().expect("a temporary directory");
    // The kill may also leave the next one half-written.
    let finished = || checkpoints(full.path()).into_iter().rfind(|name| name != ".writing");
    kill_when(full.path(), || full.path().join("checkpoints").is_dir() && finished().is_some());
    let good = finished().expect("the first one");
    // A limit on the size of files makes writes fail as a full disk does, and at the same calls.
    let learner = full.path().join("checkpoints").join(&good).join("learner.safetensors");
    let blocks = std::fs::metadata(learner).expect("a checkpoint").len() / 512 - 1;
    let status = command(&format!("trap '' XFSZ; ulimit -f {blocks};"), full.path()).status();
    assert!(!status.expect("the child runs").success());
    let failure = read(full.path(), FAILURE);
    assert!(failure.contains("cannot write") && failure.contains("learner.safetensors"), "{failure}");
    assert!(failure.contains(&format!("the last checkpoint is {}", full.path().display())), "{failure}");
    assert!(failure.contains(&good), "{failure}");
    assert_eq!(checkpoints(full.path()), [good], "the space was given back");
    // With space again, the run goes on as if nothing had been.
    let (run, _) = resume(full.path());
    assert!(run.warnings().is_empty());
    assert_same((whole.path(), &whole_run), (full.path(), &run));
}

#[test]
fn a_row_that_cannot_be_written_names_its_file() {
    for name in ["metrics.csv", "eval.csv", "timing.csv"] {
        let full = tempdir().expect("a temporary directory");
        std::os::unix::fs::symlink("/dev/full", full.path().join(name)).expect("writable");
        let error = Run::create_with(full.path(), config(&[]), &parts()).expect_err("the disk is full");
        let message = chain(&error);
        assert!(message.contains("cannot write") && message.contains(name), "{message}");
        assert!(!full.path().join("config.toml").exists(), "it is no run yet");
    }
}
