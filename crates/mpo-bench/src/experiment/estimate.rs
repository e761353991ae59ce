//! How long an experiment will take: for display only.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use mpo_agent::{Algorithm, Config, EnvironmentFactory, EpisodeRow, EvaluationSummary, Observer, Parts, Run};
use mpo_envs::{EnvError, Environment, Spec, StepType, TimeStep};

use crate::{
    pool::{self, Job, MakeParts},
    records,
};

/// Seconds that `jobs` will take on `workers` threads: each at the rate of an earlier run beside it, of the same task and
/// settings, else by a short trial of its like, made on as many threads at once as will train.
///
/// # Errors
/// If a trial fails, as it does without `MuJoCo` or, of games, ALE.
pub fn seconds(jobs: &[Job], workers: usize, parts: MakeParts<'_>) -> anyhow::Result<f64> {
    let left: Vec<(&Job, u64)> =
        jobs.iter().map(|job| (job, pool::steps_left(job))).filter(|&(_, steps)| steps > 0).collect();
    let mut rates: BTreeMap<&Path, Option<f64>> = BTreeMap::new();
    for beside in left.iter().filter_map(|(job, _)| job.dir.parent()) {
        rates.entry(beside).or_insert_with(|| earlier(beside));
    }
    let known = |job: &Job| rates.get(job.dir.parent()?).copied().flatten();
    let mut trials: BTreeMap<String, &Config> = BTreeMap::new();
    for (job, _) in left.iter().filter(|(job, _)| known(job).is_none()) {
        trials.entry(kind(&job.config)).or_insert(&job.config);
    }
    let trials: Vec<(String, &Config)> = trials.into_iter().collect();
    let measured: Vec<Mutex<anyhow::Result<Cost>>> =
        trials.iter().map(|_| Mutex::new(Err(anyhow!("not measured")))).collect();
    pool::for_each(trials.len(), workers, |index| {
        *measured[index].lock().unwrap_or_else(PoisonError::into_inner) = trial(trials[index].1, parts);
    });
    let mut costs = BTreeMap::new();
    for ((kind, _), cost) in trials.into_iter().zip(measured) {
        costs.insert(kind, cost.into_inner().unwrap_or_else(PoisonError::into_inner)?);
    }
    let total: f64 = left
        .iter()
        .map(|(job, steps)| {
            let tried = || costs.get(&kind(&job.config)).map(|cost| cost.per_step(&job.config));
            known(job).or_else(tried).unwrap_or(0.0) * *steps as f64
        })
        .sum();
    Ok(total / workers.min(left.len()).max(1) as f64)
}

/// What the cost of a step and of an update depends on: runs of the same domain that agree in it share a trial.
fn kind(config: &Config) -> String {
    let task = config.task.as_str();
    let domain = task.split_once('-').map_or(task, |(domain, _)| domain);
    let (network, replay) = (&config.network, &config.replay);
    format!(
        "{domain} {} {:?} {:?} {:?} {:?} {} {}",
        config.learner.algorithm.name(),
        network.policy_hidden,
        network.critic_hidden,
        network.torso,
        network.pixel_torso,
        config.learner.action_samples,
        replay.sequences * replay.steps,
    )
}

/// Updates per environment step under `config`.
fn updates_per_step(config: &Config) -> f64 {
    match config.learner.algorithm {
        Algorithm::Ppo => config.learner.ppo.epochs as f64 / config.learner.ppo.minibatch as f64,
        _ => config.training.updates_per_step,
    }
}

/// Seconds of a step and of an update, and the steps of an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    step: f64,
    update: f64,
    episode: f64,
}

impl Cost {
    /// Seconds per step with the updates and evaluations that `config` makes.
    fn per_step(self, config: &Config) -> f64 {
        let training = &config.training;
        // The evaluations at the beginning and the end stand beside those of every period.
        let evaluations = config.steps.div_ceil(training.evaluation_period) + 1;
        let evaluated = evaluations as f64 * training.evaluation_episodes as f64 * self.episode / config.steps as f64;
        (1.0 + evaluated) * self.step + updates_per_step(config) * self.update
    }
}

/// Seconds per step of the first run of a task that has been timed.
fn earlier(task: &Path) -> Option<f64> {
    let mut runs: Vec<_> = fs::read_dir(task).ok()?.flatten().map(|entry| entry.path()).collect();
    runs.sort();
    runs.iter().find_map(|run| records::seconds_per_step(run).ok().flatten())
}

/// Updates per step in a trial: enough to average over, few enough to be quick.
const UPDATES_PER_STEP: f64 = 0.2;
/// Steps after which a trial's episodes are cut off: a game may take half an hour.
const LONGEST: usize = 1_000;
/// Steps that an evaluation's game is taken to last, as the paper's games do at the beginning, give or take a factor of two.
const GAME: usize = 2_000;

/// The cost of a step and of an update under `config`, from an episode without updates and one with a few.
fn trial(config: &Config, parts: MakeParts<'_>) -> anyhow::Result<Cost> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let Parts { environments, learners } = parts();
    let (pixels, longest) = {
        let environment = environments.make(&config.task, 0)?;
        (environment.spec().frame.is_some(), environment.spec().episode_steps)
    };
    // Updates from frames take a hundred times as long as others.
    let half = if pixels { LONGEST as u64 / 4 } else { LONGEST as u64 };
    let mut short = config.clone();
    short.training.warmup_steps = half;
    short.training.updates_per_step = UPDATES_PER_STEP;
    short.training.evaluation_episodes = 1;
    short.training.stop_at_return = None;
    short.training.evaluation_period = u64::MAX >> 1;
    short.training.checkpoint_period = u64::MAX >> 1;
    short.replay.capacity = 10_000;
    short.learner.ppo.horizon = 2 * half as usize;
    short.steps = 2 * half;
    let cut = CutOff { environments, steps: half as usize };
    let parts = Parts { environments: Box::new(cut), learners };
    let mut stopwatch = Stopwatch::default();
    Run::create_with(folder.path().join("trial"), short, &parts)?.train(&mut stopwatch)?;
    let cost = stopwatch.cost().ok_or_else(|| anyhow!("the trial run of {} made no update", config.task))?;
    Ok(Cost { episode: if longest > LONGEST { GAME } else { longest } as f64, ..cost })
}

/// Environments whose episodes end after so many steps at the latest.
struct CutOff {
    environments: Box<dyn EnvironmentFactory>,
    steps: usize,
}

impl EnvironmentFactory for CutOff {
    fn make(&self, task: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
        Ok(Box::new(Episode { environment: self.environments.make(task, seed)?, left: 0, steps: self.steps }))
    }
}

struct Episode {
    environment: Box<dyn Environment>,
    left: usize,
    steps: usize,
}

impl Environment for Episode {
    fn spec(&self) -> &Spec {
        self.environment.spec()
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.left = self.steps;
        self.environment.reset()
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        self.left = self.left.saturating_sub(1);
        let mut step = self.environment.step(action)?;
        if self.left == 0 {
            step.step_type = StepType::Last;
        }
        Ok(step)
    }

    fn save_state(&self) -> Vec<u8> {
        self.environment.save_state()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.environment.restore_state(state)
    }
}

#[derive(Default)]
struct Stopwatch {
    last: Option<Instant>,
    plain: (f64, u64),
    learning: (f64, u64),
    updates: u64,
}

impl Stopwatch {
    fn cost(&self) -> Option<Cost> {
        let step = self.plain.0 / self.plain.1 as f64;
        let update = (self.learning.0 - step * self.learning.1 as f64).max(0.0) / self.updates as f64;
        (step + update).is_finite().then_some(Cost { step, update, episode: 0.0 })
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
    use mpo_agent::Profile;

    use super::*;

    fn config(sets: &[(&str, &str)]) -> Config {
        let task = [("task", "control/walker-walk")];
        let sets: Vec<(String, String)> =
            task.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Config::resolve(Profile::Default, None, &sets).expect("the test's settings are right")
    }

    #[test]
    fn a_rate_is_made_of_steps_and_updates() {
        let stopwatch = Stopwatch { last: None, plain: (0.1, 1_000), learning: (0.5, 1_000), updates: 200 };
        // 0.1 ms a step; 0.4 s for 200 updates is 2 ms an update.
        let cost = stopwatch.cost().expect("there were steps and updates");
        for (sets, expected) in [
            (&[("training.updates_per_step", "1.0")][..], 2.1e-3),
            (&[("learner.algorithm", "ppo"), ("learner.ppo.epochs", "5"), ("learner.ppo.minibatch", "100")], 0.2e-3),
        ] {
            let seconds = cost.per_step(&config(sets));
            assert!((seconds - expected).abs() < 1e-12, "{seconds} {sets:?}");
        }
        // Three evaluations of ten episodes of 1000 steps in 20,000 steps: one and a half further steps for each.
        let sets = [("training.updates_per_step", "0"), ("steps", "20000")];
        let seconds = Cost { episode: 1000.0, ..cost }.per_step(&config(&sets));
        assert!((seconds - 0.25e-3).abs() < 1e-12, "{seconds}");
        assert_eq!(Stopwatch::default().cost(), None);
    }

    #[test]
    fn a_trial_of_long_games_is_cut_off() {
        let cut = CutOff { environments: Box::new(mpo_agent::ControlSuite), steps: 4 };
        let mut environment = cut.make("example/catch", 0).expect("the task needs nothing");
        for _ in 0..2 {
            environment.reset().expect("it starts");
            let ends: Vec<bool> =
                (0..4).map(|_| environment.step(&[1.0]).expect("it goes on").step_type == StepType::Last).collect();
            assert_eq!(ends, [false, false, false, true]);
        }
    }

    #[test]
    fn frames_are_tried_too() {
        let tiny = [("task", "example/catch"), ("network.pixel_torso", "small"), ("replay.sequences", "2")];
        let cost = trial(&config(&tiny), &Parts::default).expect("the trial works");
        assert!(cost.step > 0.0 && cost.update > 0.0, "{cost:?}");
        assert!((cost.episode - 11.0).abs() < 1e-9, "{cost:?}");
    }

    #[test]
    fn settings_that_cost_nothing_share_a_trial() {
        let plain = kind(&config(&[]));
        assert_eq!(plain, kind(&config(&[("learner.target_period", "7"), ("training.updates_per_step", "1.0")])));
        assert_eq!(plain, kind(&config(&[("task", "control/walker-run")])));
        for (key, value) in [
            ("learner.action_samples", "7"),
            ("network.torso", "plain"),
            ("network.pixel_torso", "small"),
            ("learner.algorithm", "epg"),
        ] {
            assert_ne!(plain, kind(&config(&[(key, value)])), "{key}");
        }
    }
}
