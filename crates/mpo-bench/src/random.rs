//! The random policy's return per task: the floor of every table, measured by us and checked in as
//! `data/random.csv`. `mpo random` writes the file anew.

use std::sync::OnceLock;

use anyhow::Context as _;
use mpo_envs::{StepType, suite};
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{cli::RandomOptions, output, summary};

/// Return of uniformly random actions on one task.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Baseline {
    /// Suite name, `cartpole-swingup`.
    pub task: String,
    /// Mean return over the episodes.
    pub mean: f64,
    /// Population standard deviation over the episodes.
    pub std: f64,
    /// How many episodes were played.
    pub episodes: usize,
}

/// Every measured baseline.
///
/// # Panics
/// Never for a checked-in file that its test has parsed.
pub fn measured() -> &'static [Baseline] {
    static BASELINES: OnceLock<Vec<Baseline>> = OnceLock::new();
    BASELINES.get_or_init(|| {
        csv::Reader::from_reader(include_str!("../data/random.csv").as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .expect("data/random.csv is part of the program and parses")
    })
}

/// The random policy's mean return on `task`, if it has been measured.
#[must_use]
pub fn mean_return(task: &str) -> Option<f64> {
    measured().iter().find(|baseline| baseline.task == task).map(|baseline| baseline.mean)
}

/// Runs `mpo random`: prints one CSV row per task, in the format of `data/random.csv`.
///
/// # Errors
/// If a task is unknown, `MuJoCo` is missing or an episode fails.
pub fn command(options: &RandomOptions) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for name in &options.tasks {
        tasks.push(suite::find(name)?);
    }
    if tasks.is_empty() {
        tasks.extend(suite::tasks());
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for task in tasks {
        let baseline = measure(task.name, options.episodes, options.seed)?;
        writer.serialize(Baseline {
            mean: (baseline.mean * 100.0).round() / 100.0,
            std: (baseline.std * 100.0).round() / 100.0,
            ..baseline
        })?;
        writer.flush()?;
        output::print(&String::from_utf8_lossy(writer.get_ref()))?;
        writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    }
    Ok(())
}

/// Plays `episodes` episodes of `task` with actions drawn uniformly within their bounds. The environment and the
/// actions have a stream each, both seeded with `seed`.
///
/// # Errors
/// If the environment cannot be loaded or an episode fails.
pub fn measure(task: &str, episodes: usize, seed: u32) -> anyhow::Result<Baseline> {
    let mut environment = suite::load(task, seed)?;
    let bounds: Vec<(f64, f64)> = {
        let spec = environment.spec();
        spec.action_minimum.iter().copied().zip(spec.action_maximum.iter().copied()).collect()
    };
    let mut noise = Xoshiro256PlusPlus::seed_from_u64(u64::from(seed));
    let mut action = vec![0.0; bounds.len()];
    let mut returns = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        let context = || format!("{task}, random episode {episode}");
        environment.reset().with_context(context)?;
        let mut total = 0.0;
        loop {
            for (value, &(minimum, maximum)) in action.iter_mut().zip(&bounds) {
                *value = minimum + (maximum - minimum) * noise.random::<f64>();
            }
            let step = environment.step(&action).with_context(context)?;
            total += step.reward;
            if step.step_type == StepType::Last {
                break;
            }
        }
        returns.push(total);
    }
    Ok(Baseline { task: task.to_owned(), mean: summary::mean(&returns), std: summary::std(&returns), episodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_file_names_registered_tasks_once() {
        let mut seen = std::collections::BTreeSet::new();
        for baseline in measured() {
            assert!(suite::find(&baseline.task).is_ok(), "{} is no task", baseline.task);
            assert!(seen.insert(&baseline.task), "{} stands twice", baseline.task);
            assert!((0.0..=1000.0).contains(&baseline.mean), "{baseline:?}");
            assert!(baseline.episodes > 0, "{baseline:?}");
        }
    }
}
