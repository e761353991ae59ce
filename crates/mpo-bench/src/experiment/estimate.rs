//! How long an experiment will take: for display only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use mpo_agent::{Config, EpisodeRow, EvaluationSummary, Observer, Run};

use crate::{
    pool::{self, Job, MakeParts},
    records,
};

/// Seconds that `jobs` will take on `workers` threads: for every task the rate of an earlier run below `runs`, else
/// the rate of a short trial of the same domain, made on as many threads at once as will train.
///
/// # Errors
/// If a trial fails, as it does without `MuJoCo`.
pub fn seconds(jobs: &[Job], runs: &Path, workers: usize, parts: MakeParts) -> anyhow::Result<f64> {
    let left: Vec<(&Job, u64)> =
        jobs.iter().map(|job| (job, pool::steps_left(job))).filter(|&(_, steps)| steps > 0).collect();
    let mut rates: BTreeMap<&str, f64> = BTreeMap::new();
    for task in left.iter().map(|(job, _)| job.config.task.as_str()).collect::<BTreeSet<_>>() {
        if let Some(rate) = earlier(&runs.join(task.trim_start_matches("control/"))) {
            rates.insert(task, rate);
        }
    }
    let mut trials: BTreeMap<&str, &Config> = BTreeMap::new();
    for (job, _) in &left {
        if !rates.contains_key(job.config.task.as_str()) {
            trials.entry(domain(&job.config.task)).or_insert(&job.config);
        }
    }
    let trials: Vec<(&str, &Config)> = trials.into_iter().collect();
    let measured: Vec<Mutex<anyhow::Result<f64>>> =
        trials.iter().map(|_| Mutex::new(Err(anyhow!("not measured")))).collect();
    pool::for_each(trials.len(), workers, |index| {
        *measured[index].lock().unwrap_or_else(PoisonError::into_inner) = trial(trials[index].1, parts);
    });
    let mut domains = BTreeMap::new();
    for ((domain, _), rate) in trials.iter().zip(measured) {
        domains.insert(*domain, rate.into_inner().unwrap_or_else(PoisonError::into_inner)?);
    }
    let total: f64 = left
        .iter()
        .map(|(job, steps)| {
            let task = job.config.task.as_str();
            let rate = rates.get(task).or_else(|| domains.get(domain(task))).copied().unwrap_or(0.0);
            rate * *steps as f64
        })
        .sum();
    Ok(total / workers.min(left.len()).max(1) as f64)
}

fn domain(task: &str) -> &str {
    task.split_once('-').map_or(task, |(domain, _)| domain)
}

/// Seconds per step of the first run of a task that has been timed.
fn earlier(task: &Path) -> Option<f64> {
    let mut runs: Vec<_> = fs::read_dir(task).ok()?.flatten().map(|entry| entry.path()).collect();
    runs.sort();
    runs.iter().find_map(|run| records::seconds_per_step(run).ok().flatten())
}

/// Updates per step in a trial: enough to average over, few enough to be quick.
const UPDATES_PER_STEP: f64 = 0.2;

/// Seconds per step under `config`, from one episode without updates and one with a few.
fn trial(config: &Config, parts: MakeParts) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let mut short = config.clone();
    short.training.warmup_steps = 1_000;
    short.training.updates_per_step = UPDATES_PER_STEP;
    short.training.evaluation_episodes = 1;
    short.training.stop_at_return = None;
    short.training.evaluation_period = u64::MAX >> 1;
    short.training.checkpoint_period = u64::MAX >> 1;
    short.replay.capacity = 10_000;
    short.steps = 2_000;
    let mut stopwatch = Stopwatch::default();
    Run::create_with(folder.path().join("trial"), short, &parts())?.train(&mut stopwatch)?;
    stopwatch
        .seconds_per_step(config.training.updates_per_step)
        .ok_or_else(|| anyhow!("the trial run of {} made no update", config.task))
}

#[derive(Default)]
struct Stopwatch {
    last: Option<Instant>,
    plain: (f64, u64),
    learning: (f64, u64),
    updates: u64,
}

impl Stopwatch {
    fn seconds_per_step(&self, updates_per_step: f64) -> Option<f64> {
        let per_step = self.plain.0 / self.plain.1 as f64;
        let per_update = (self.learning.0 - per_step * self.learning.1 as f64).max(0.0) / self.updates as f64;
        Some(per_step + updates_per_step * per_update).filter(|seconds| seconds.is_finite())
    }
}

impl Observer for Stopwatch {
    fn on_episode(&mut self, row: &EpisodeRow) {
        let now = Instant::now();
        let seconds = self.last.map_or(0.0, |last| (now - last).as_secs_f64());
        let made = row.updates - self.updates;
        let sum = if made == 0 { &mut self.plain } else { &mut self.learning };
        *sum = (sum.0 + seconds, sum.1 + row.length);
        self.updates = row.updates;
        self.last = Some(now);
    }

    fn on_evaluation(&mut self, _: &EvaluationSummary) {
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_made_of_steps_and_updates() {
        let stopwatch = Stopwatch { last: None, plain: (0.1, 1_000), learning: (0.5, 1_000), updates: 200 };
        // 0.1 ms a step; 0.4 s for 200 updates is 2 ms an update.
        let seconds = stopwatch.seconds_per_step(1.0).expect("there were steps and updates");
        assert!((seconds - 2.1e-3).abs() < 1e-12, "{seconds}");
        assert_eq!(Stopwatch::default().seconds_per_step(1.0), None);
    }
}
