//! The random policy's return per task: the floor of every table, measured by us and checked in as
//! `data/random.csv`. `mpo random` writes the file anew.

use std::sync::OnceLock;

use anyhow::Context as _;
use mpo_envs::{StepType, suite};
use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use crate::{catalogue, cli::RandomOptions, output, summary};

/// Return of uniformly random actions on one task.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Baseline {
    /// Short name, `cartpole-swingup`, `atari/pong`.
    pub task: String,
    /// Mean return over the episodes.
    pub mean: f64,
    /// Population standard deviation over the episodes.
    pub std: f64,
    /// How many episodes were played.
    pub episodes: usize,
    /// Mean distance covered, in metres; none off courses.
    pub distance: Option<f64>,
    /// Mean number of obstacles passed.
    pub obstacles: Option<f64>,
}

/// Every measured baseline.
///
/// # Panics
/// Never for a checked-in file that its test has parsed.
pub fn measured() -> &'static [Baseline] {
    static BASELINES: OnceLock<Vec<Baseline>> = OnceLock::new();
    BASELINES.get_or_init(|| {
        // Rows off courses may be without their last columns.
        csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(include_str!("../data/random.csv").as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .expect("data/random.csv is part of the program and parses")
    })
}

/// The random policy on `task`, if it has been measured.
#[must_use]
pub fn of_task(task: &str) -> Option<&'static Baseline> {
    measured().iter().find(|baseline| baseline.task == task)
}

/// The random policy's mean return on `task`, if it has been measured.
#[must_use]
pub fn mean_return(task: &str) -> Option<f64> {
    of_task(task).map(|baseline| baseline.mean)
}

/// Runs `mpo random`: prints one CSV row per task, in the format of `data/random.csv`.
///
/// # Errors
/// If a task is unknown, `MuJoCo` or ALE is missing, or an episode fails.
pub fn command(options: &RandomOptions) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for name in &options.tasks {
        tasks.push(catalogue::find(name)?);
    }
    if tasks.is_empty() {
        tasks.extend(suite::tasks().iter().map(|task| task.name.to_owned()));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    for task in tasks {
        let baseline = measure(&task, options.episodes, options.seed)?;
        let round = |figure: f64| (figure * 100.0).round() / 100.0;
        writer.serialize(Baseline {
            mean: round(baseline.mean),
            std: round(baseline.std),
            distance: baseline.distance.map(round),
            obstacles: baseline.obstacles.map(round),
            ..baseline
        })?;
        writer.flush()?;
        output::print(&String::from_utf8_lossy(writer.get_ref()))?;
        writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    }
    Ok(())
}

/// Plays `episodes` episodes of `task` with actions drawn uniformly, within their bounds or of all discrete ones. The
/// environment and the actions have a stream each, both seeded with `seed`.
///
/// # Errors
/// If the environment cannot be loaded or an episode fails.
pub fn measure(task: &str, episodes: usize, seed: u32) -> anyhow::Result<Baseline> {
    let mut environment = mpo_envs::load(task, seed)?;
    let spec = environment.spec();
    let bounds: Vec<(f64, f64)> =
        spec.action_minimum.iter().copied().zip(spec.action_maximum.iter().copied()).collect();
    let discrete = spec.discrete_actions;
    let mut noise = Xoshiro256PlusPlus::seed_from_u64(u64::from(seed));
    let mut action = vec![0.0; bounds.len()];
    let mut returns = Vec::with_capacity(episodes);
    let (mut distances, mut obstacles) = (Vec::new(), Vec::new());
    for episode in 0..episodes {
        let context = || format!("{task}, random episode {episode}");
        environment.reset().with_context(context)?;
        let mut total = 0.0;
        loop {
            draw(discrete, &bounds, &mut noise, &mut action);
            let step = environment.step(&action).with_context(context)?;
            total += step.reward;
            if step.step_type == StepType::Last {
                break;
            }
        }
        returns.push(total);
        if let Some(progress) = environment.progress() {
            distances.push(progress.distance);
            obstacles.push(progress.obstacles as f64);
        }
    }
    let mean = |figures: &[f64]| (!figures.is_empty()).then(|| summary::mean(figures));
    Ok(Baseline {
        task: task.to_owned(),
        mean: summary::mean(&returns),
        std: summary::std(&returns),
        episodes,
        distance: mean(&distances),
        obstacles: mean(&obstacles),
    })
}

/// A uniformly random action: one of so many, or numbers within bounds.
fn draw(discrete: Option<usize>, bounds: &[(f64, f64)], noise: &mut Xoshiro256PlusPlus, action: &mut [f64]) {
    for (value, &(minimum, maximum)) in action.iter_mut().zip(bounds) {
        *value = match discrete {
            Some(count) => noise.random_range(0..count) as f64,
            None => minimum + (maximum - minimum) * noise.random::<f64>(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::courses;

    #[test]
    fn every_discrete_action_is_as_likely() {
        let mut noise = Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut counts, mut action) = ([0_usize; 6], [0.0]);
        for _ in 0..6_000 {
            draw(Some(6), &[(0.0, 5.0)], &mut noise, &mut action);
            counts[action[0] as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..=1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_checked_in_file_names_registered_tasks_once() {
        let mut seen = std::collections::BTreeSet::new();
        for baseline in measured() {
            assert_eq!(catalogue::find(&baseline.task).ok().as_ref(), Some(&baseline.task), "no task's short name");
            assert!(seen.insert(&baseline.task), "{} stands twice", baseline.task);
            if let Some((lowest, highest)) = catalogue::range(&baseline.task) {
                assert!((lowest..=highest).contains(&baseline.mean), "{baseline:?}");
            }
            assert!(baseline.episodes > 0, "{baseline:?}");
            assert_eq!(baseline.distance.is_some(), courses::is_course(&baseline.task), "{baseline:?}");
        }
        assert!(crate::atari::HEADLINE.iter().all(|&(task, _)| mean_return(task).is_some()));
        assert!(mpo_envs::parkour::tasks().iter().all(|task| mean_return(task.name).is_some()));
    }

    #[test]
    fn chance_catches_one_in_four() {
        let baseline = measure("example/catch", 2_000, 0).expect("the task needs nothing");
        // Three of twelve columns are above the paddle: one in four is caught.
        assert!((baseline.mean + 0.5).abs() < 0.06, "{baseline:?}");
        assert_eq!(measure("example/catch", 2_000, 0).ok().map(|again| again.mean), Some(baseline.mean));
    }
}
