//! Trains a list of runs, some of them side by side.
//!
//! Each run has a thread and all random streams to itself, so its files do not depend on how many train at once.

use std::{
    fs, panic,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, anyhow, bail};
use mpo_agent::{Config, Outcome, Parts, Reason, Run, Workers};
use toml::Value;

use crate::{crew::Crew, progress::Progress};

/// Makes the environment and learner factories of one run.
pub type MakeParts<'a> = &'a (dyn Fn() -> Parts + Sync);

/// One run to train.
#[derive(Clone, Debug)]
pub struct Job {
    /// What to call it: `walker-walk seed 0`.
    pub name: String,
    /// Its run directory.
    pub dir: PathBuf,
    /// What an experiment calls its settings, where it compares several.
    pub variant: Option<String>,
    /// Its settings.
    pub config: Config,
    /// What to do with a run that is already there.
    pub existing: Existing,
}

/// What to do with a run that is already there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Existing {
    /// Refuse: a new run was asked for.
    Refuse,
    /// Go on with it if it was made with the same settings, and refuse otherwise.
    Continue,
}

/// What became of a job.
#[derive(Debug)]
pub enum Ended {
    /// The run had already reached its end.
    Before,
    /// It trained to its end.
    Finished(Outcome),
    /// It was asked to stop, wrote a checkpoint and can be resumed.
    Stopped(Outcome),
    /// It was not begun: the stop came before its turn.
    NotBegun,
    /// It failed.
    Failed(anyhow::Error),
}

/// Trains `jobs` in their order, `at_a_time`, each by the whole crew. A run that fails does not stop the others, unless the crew is an
/// MPI job. Once `stop` is set, runs under way end with their episode and no other begins.
///
/// # Panics
/// If a run panics, once the others have ended.
pub fn train(
    jobs: &[Job],
    at_a_time: usize,
    progress: &Progress,
    stop: &AtomicBool,
    parts: MakeParts<'_>,
    crew: &Crew,
) -> Vec<Ended> {
    let ended: Vec<Mutex<Ended>> = jobs.iter().map(|_| Mutex::new(Ended::NotBegun)).collect();
    for_each(jobs.len(), at_a_time, |index| {
        let end = train_one(&jobs[index], progress, stop, parts, crew);
        let end = end.unwrap_or_else(|error| Ended::Failed(crew.fail(error)));
        *ended[index].lock().unwrap_or_else(PoisonError::into_inner) = end;
    });
    ended.into_iter().map(|end| end.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

/// Calls `work` with every index below `count`, in rising order, on `workers` threads.
///
/// # Panics
/// If `work` does.
pub fn for_each(count: usize, workers: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.min(count))
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            break;
                        }
                        work(index);
                    }
                })
            })
            .collect();
        for thread in threads {
            if let Err(payload) = thread.join() {
                panic::resume_unwind(payload);
            }
        }
    });
}

fn train_one(
    job: &Job,
    progress: &Progress,
    stop: &AtomicBool,
    parts: MakeParts<'_>,
    crew: &Crew,
) -> anyhow::Result<Ended> {
    let mut workers = crew.enlist(job.config.training.reduction);
    let state = agreed([stop.load(Ordering::Relaxed).into(), state(&job.dir) as u64], &mut *workers)?;
    let mut run = match (state, job.existing) {
        (None, _) => return Ok(Ended::NotBegun),
        (Some(State::Absent), _) | (_, Existing::Refuse) => {
            Run::create_among(&job.dir, job.config.clone(), &parts(), workers)?
        }
        (Some(State::Done), Existing::Continue) => {
            check_settings(job)?;
            return Ok(Ended::Before);
        }
        (Some(State::Begun), Existing::Continue) => {
            check_settings(job)?;
            Run::resume_among(&job.dir, &parts(), workers)?
        }
    };
    let mut observer = progress.run(&job.name, run.step(), run.config().steps, stop);
    let outcome = run.train(&mut observer)?;
    Ok(match outcome.reason {
        Reason::Stopped => Ended::Stopped(outcome),
        _ => Ended::Finished(outcome),
    })
}

/// The first worker's view of a run's state; nothing if anybody was asked to stop.
fn agreed(own: [u64; 2], workers: &mut dyn Workers) -> anyhow::Result<Option<State>> {
    let mut all = vec![0; own.len() * workers.workers()];
    workers.gather(&own, &mut all)?;
    let stop = all.iter().step_by(own.len()).any(|&asked| asked != 0);
    let states = [State::Absent, State::Begun, State::Done];
    Ok(states.into_iter().find(|&state| state as u64 == all[1] && !stop))
}

/// Takes up a run by the whole crew.
///
/// # Errors
/// As [`Run::resume`].
pub fn resume(dir: &Path, parts: &Parts, crew: &Crew) -> anyhow::Result<Run> {
    // How gradients become one stands in the run's settings; a wrong directory is the run's to refuse.
    let reduction = Config::read(&dir.join("config.toml")).map(|config| config.training.reduction);
    Ok(Run::resume_among(dir, parts, crew.enlist(reduction.unwrap_or_default()))?)
}

/// How far the run in a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// There is none.
    Absent,
    /// It has begun and not ended.
    Begun,
    /// It has reached its end.
    Done,
}

/// How far the run in `dir` is.
#[must_use]
pub fn state(dir: &Path) -> State {
    if !dir.join("config.toml").is_file() {
        State::Absent
    } else if dir.join("done.json").is_file() {
        State::Done
    } else {
        State::Begun
    }
}

/// Steps that a job has still to train, as far as its directory tells.
#[must_use]
pub fn steps_left(job: &Job) -> u64 {
    match state(&job.dir) {
        State::Done => 0,
        State::Absent => job.config.steps,
        State::Begun => job.config.steps.saturating_sub(newest_checkpoint(&job.dir)),
    }
}

/// Step of the newest checkpoint; 0 if there is none.
fn newest_checkpoint(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir.join("checkpoints")) else { return 0 };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).max().unwrap_or(0)
}

/// Refuses a directory whose run was made with other settings.
fn check_settings(job: &Job) -> anyhow::Result<()> {
    let path = job.dir.join("config.toml");
    let table = |text: &str| text.parse::<toml::Table>().map(Value::Table);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let found = table(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let asked = table(&job.config.to_toml()).map_err(|error| anyhow!("cannot compare settings: {error}"))?;
    if let Some((key, found, asked)) = difference("", Some(&found), Some(&asked)) {
        bail!(
            "{} was trained with {key} = {found}, but {asked} is asked for: choose another folder for the runs, or \
             remove this run",
            job.dir.display()
        );
    }
    Ok(())
}

/// The first setting in which two configurations differ: its key and both values.
fn difference(key: &str, found: Option<&Value>, asked: Option<&Value>) -> Option<(String, String, String)> {
    if let (Some(Value::Table(found)), Some(Value::Table(asked))) = (found, asked) {
        let mut names: Vec<&String> = found.keys().chain(asked.keys()).collect();
        names.sort_unstable();
        names.dedup();
        return names.into_iter().find_map(|name| {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            difference(&inner, found.get(name), asked.get(name))
        });
    }
    let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    (found != asked).then(|| (key.to_owned(), show(found), show(asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Value {
        Value::Table(text.parse().expect("the test's TOML parses"))
    }

    #[test]
    fn the_first_differing_setting_is_named() {
        let found = table("steps = 10\n[learner]\ndiscount = 0.99\n");
        assert_eq!(difference("", Some(&found), Some(&found)), None);
        let asked = table("steps = 10\n[learner]\ndiscount = 0.95\n");
        let expected = ("learner.discount".to_owned(), "0.99".to_owned(), "0.95".to_owned());
        assert_eq!(difference("", Some(&found), Some(&asked)), Some(expected));
        let missing = table("steps = 10\n[learner]\n");
        let expected = ("learner.discount".to_owned(), "0.99".to_owned(), "nothing".to_owned());
        assert_eq!(difference("", Some(&found), Some(&missing)), Some(expected));
    }

    #[test]
    fn every_index_is_worked_once() {
        let calls: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
        for_each(20, 3, |index| {
            calls[index].fetch_add(1, Ordering::Relaxed);
        });
        assert!(calls.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    }
}
