//! `mpo supervise`: trains, and takes the run up again whenever its processes fail, are killed or come to no end.
//!
//! MPI ends a job when one of its processes dies, and does not notice when a network between hosts is cut: so the supervisor waits
//! for the launcher's exit, and watches `metrics.csv`, which grows with every episode. What it reads of the clock decides when a
//! job is given up, never what one computes.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    cli::SuperviseOptions,
    interrupt::{self, Ending},
    output,
    pool::{self, State},
};

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What a job that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// How an attempt came to its end.
enum End {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// No episode ended for too long, and it was killed.
    Hung,
}

/// Runs `mpo supervise`.
///
/// # Errors
/// If the job cannot be started, fails before the run has begun, or fails once more than it may.
pub fn command(options: &SuperviseOptions) -> anyhow::Result<Ending> {
    let stop = interrupt::install()?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut failures = 0;
    loop {
        let begun = pool::state(&options.run) != State::Absent;
        let mut job = job(&program, options, begun);
        let end = attempt(&mut job, options, stop)?;
        let failure = match end {
            End::Exited(status) if status.success() => return Ok(Ending::Complete),
            End::Exited(_) if stop.load(Ordering::Relaxed) => return Ok(Ending::Interrupted),
            End::Exited(status) => format!("the job failed ({status})"),
            End::Hung => format!("no episode ended for {} s, and the job was killed", options.patience),
        };
        if pool::state(&options.run) == State::Absent {
            bail!("{failure} before the run had begun; what it said stands above");
        }
        failures += 1;
        if failures > options.restarts {
            bail!("{failure}; it was restarted {} times, which are all that --restarts allows", options.restarts);
        }
        output::note(&format!("{failure}; taking the run up again ({failures} of {})", options.restarts));
    }
}

/// The job of one attempt.
fn job(program: &Path, options: &SuperviseOptions, begun: bool) -> Command {
    let mut launcher = options.launcher.as_deref().unwrap_or_default().split_whitespace();
    let mut command = match launcher.next() {
        Some(first) => {
            let mut command = Command::new(first);
            command.args(launcher).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.arg("train");
    if begun {
        command.arg("--resume").arg(&options.run);
    } else {
        command.args(&options.arguments).arg("--run").arg(&options.run);
    }
    if options.launcher.is_some() {
        command.arg("--distributed");
    }
    command
}

/// Starts the job and waits for its end, its hanging, or the user's Ctrl-C, which it is passed.
fn attempt(job: &mut Command, options: &SuperviseOptions, stop: &AtomicBool) -> anyhow::Result<End> {
    let rows = options.run.join("metrics.csv");
    let length = || fs::metadata(&rows).map_or(0, |metadata| metadata.len());
    apart(job);
    let mut child = job.spawn().with_context(|| format!("cannot start {}", job.get_program().display()))?;
    let (mut seen, mut since) = (length(), Instant::now());
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        if stop.load(Ordering::Relaxed) && !passed_on {
            ask(&child);
            passed_on = true;
        }
        let now = length();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
        if since.elapsed().as_secs_f64() > options.patience {
            end(&mut child)?;
            return Ok(End::Hung);
        }
        thread::sleep(LOOK);
    }
}

/// Asks a job to end, and kills all of it if it does not.
fn end(child: &mut Child) -> anyhow::Result<()> {
    ask(child);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if child.try_wait()?.is_some() {
            break;
        }
        thread::sleep(LOOK);
    }
    // Also after the launcher's end: a process of its that hangs may have outlived it.
    kill(child);
    child.wait()?;
    Ok(())
}

/// Has the job's processes in a group of their own, which a signal reaches together.
#[cfg(unix)]
fn apart(job: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    job.process_group(0);
}

#[cfg(unix)]
fn ask(child: &Child) {
    // A process that has ended needs no signal.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM);
}

#[cfg(unix)]
fn kill(child: &mut Child) {
    // As above.
    let _ = rustix::process::kill_process_group(rustix::process::Pid::from_child(child), rustix::process::Signal::KILL);
}

#[cfg(not(unix))]
fn apart(_: &mut Command) {}

#[cfg(not(unix))]
fn ask(_: &Child) {}

#[cfg(not(unix))]
fn kill(child: &mut Child) {
    // A process that has ended needs no signal.
    let _ = child.kill();
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{self, Cli};

    fn words(arguments: &[&str], begun: bool) -> String {
        let line = ["mpo", "supervise", "--run", "runs/a"].iter().chain(arguments);
        let cli::Command::Supervise(options) = Cli::parse_from(line).command else { panic!("it is `mpo supervise`") };
        let job = job(Path::new("mpo"), &options, begun);
        let words = std::iter::once(job.get_program()).chain(job.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_run_that_has_begun_is_resumed() {
        let alone = ["--", "control/cheetah-run", "--steps", "5"];
        assert_eq!(words(&alone, false), "mpo train control/cheetah-run --steps 5 --run runs/a");
        assert_eq!(words(&alone, true), "mpo train --resume runs/a");
        let job = ["--launcher", "mpirun -np 4", "--", "control/cheetah-run"];
        assert_eq!(words(&job, false), "mpirun -np 4 mpo train control/cheetah-run --run runs/a --distributed");
        assert_eq!(words(&job, true), "mpirun -np 4 mpo train --resume runs/a --distributed");
    }
}
