//! A run's settings: defaults, then a profile, then what the task and the algorithm need, then a file, then single keys.
//!
//! ```
//! use mpo_agent::{Config, Profile};
//!
//! let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
//! let sets = [set("task", "control/cheetah-run"), set("learner.discount", "0.95")];
//! let config = Config::resolve(Profile::Paper, None, &sets)?;
//! assert_eq!((config.learner.discount, config.learner.target_period), (0.95, 1000));
//!
//! let typo = [set("task", "control/cheetah-run"), set("learner.discont", "0.95")];
//! let error = Config::resolve(Profile::Default, None, &typo).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "unknown key `learner.discont` (from --set); the nearest known key is `learner.discount`"
//! );
//! # Ok::<(), mpo_agent::AgentError>(())
//! ```

mod layers;

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use mpo_nets::{Algorithm, LearnerConfig, NetsError, NetworkConfig};
use serde::{Deserialize, Serialize};

use crate::AgentError;
use crate::error::AtPath;
use layers::Layers;

/// Everything that decides a run, as it stands in the run's `config.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The task's name, for instance `control/cheetah-run`. There is no default.
    pub task: String,
    /// The root of every random stream.
    pub seed: u64,
    /// Environment steps to train for. Episodes are not cut: a run ends with the episode that reaches them.
    pub steps: u64,
    /// The networks' architecture.
    pub network: NetworkConfig,
    /// Hyper-parameters of the update.
    pub learner: LearnerConfig,
    /// The replay buffer and what is drawn from it.
    pub replay: ReplayConfig,
    /// Warm-up, ratio of updates to steps, evaluations and checkpoints.
    pub training: TrainingConfig,
}

/// The replay buffer and what an update draws from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayConfig {
    /// Transitions kept; the oldest are overwritten.
    pub capacity: usize,
    /// Windows in a batch.
    pub sequences: usize,
    /// Transitions in a window, at most: Retrace's N.
    pub steps: usize,
}

/// The rhythm of a run. Periods are in environment steps and take effect at the next episode's end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Steps of the initial policy before the first update.
    pub warmup_steps: u64,
    /// Updates per environment step after the warm-up; counted in millionths, so 0.25 is one update every fourth step.
    pub updates_per_step: f64,
    /// Actors beside the learner, each in a thread of its own with an environment of its own. With 0, acting and learning
    /// take turns on one thread, and the run repeats itself bit for bit; with more, threads race and it does not.
    pub actors: usize,
    /// Processes that train together, each with an environment and a replay of its own, its batches a part of every update.
    /// `mpo train --distributed` sets it. Steps are counted over all of them; the ratio of updates to steps is that of each.
    #[serde(skip_serializing_if = "is_one")]
    pub workers: usize,
    /// How their gradients become one.
    #[serde(skip_serializing_if = "Reduction::is_default")]
    pub reduction: Reduction,
    /// Steps between two copies of the learner's policy into an actor within an episode; 0 copies
    /// only at an episode's beginning.
    pub policy_refresh_steps: u64,
    /// Steps between two evaluations. There is always one at step 0 and one at the end.
    pub evaluation_period: u64,
    /// Episodes per evaluation.
    pub evaluation_episodes: usize,
    /// Steps between two checkpoints. There is always one at the end.
    pub checkpoint_period: u64,
    /// Bound beyond which rewards are clipped before they are stored; returns are counted unclipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reward_clip: Option<f64>,
    /// Steps after which an episode of training is left, as at a time limit: what would have followed is bootstrapped, and evaluations
    /// have whole episodes. For tasks in which there is nothing to learn any more once all has gone wrong, and no termination says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_steps: Option<u64>,
    /// Ends the run early when an evaluation's mean return reaches this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at_return: Option<f64>,
}

/// How the gradients of several workers become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// MPI's all-reduce, in whatever order of summation is fastest.
    #[default]
    AllReduce,
    /// A sum in the order of ranks, by the first worker for all: the same bits on every machine and network.
    RankOrder,
}

impl Reduction {
    /// What a run of one worker has, in whose `config.toml` it does not stand.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Default for Config {
    fn default() -> Self {
        Self {
            task: String::new(),
            seed: 0,
            steps: 1_000_000,
            network: NetworkConfig::default(),
            learner: LearnerConfig::default(),
            replay: ReplayConfig::default(),
            training: TrainingConfig::default(),
        }
    }
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { capacity: 1_000_000, sequences: 32, steps: 8 }
    }
}

impl TrainingConfig {
    /// Lanes of the replay: one for each actor.
    pub(crate) fn lanes(&self) -> usize {
        self.actors.max(1)
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            warmup_steps: 1_000,
            updates_per_step: 0.5,
            actors: 0,
            workers: 1,
            reduction: Reduction::default(),
            policy_refresh_steps: 0,
            evaluation_period: 10_000,
            evaluation_episodes: 10,
            checkpoint_period: 25_000,
            reward_clip: None,
            episode_steps: None,
            stop_at_return: None,
        }
    }
}

/// A named set of settings laid over the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The defaults as they are: one setting for all tasks of control but for the humanoid's larger networks, one for parkour and one
    /// for all games.
    #[default]
    Default,
    /// The values that the paper prints; for games they are the default's.
    Paper,
}

impl Profile {
    /// The profile's files, to be applied in order.
    fn files(self, task: &str) -> Vec<(&'static str, &'static str)> {
        let mut files = Vec::new();
        if self == Self::Paper {
            files.push(("profile paper", include_str!("../profiles/paper.toml")));
        }
        if task.trim_start_matches("control/").starts_with("humanoid") {
            files.push(("settings of the humanoid", include_str!("../profiles/humanoid.toml")));
        }
        if task.starts_with(PARKOUR) {
            files.push(("settings of parkour", include_str!("../profiles/parkour.toml")));
        }
        if task.starts_with(ATARI) {
            files.push(("settings of atari", include_str!("../profiles/atari.toml")));
        }
        files
    }
}

/// What the names of courses begin with.
const PARKOUR: &str = "parkour/";

/// What the names of games begin with.
const ATARI: &str = "atari/";

/// What PPO needs otherwise on games than on the suite, to be applied last.
fn ppo_on_games(algorithm: Algorithm, task: &str) -> Option<(&'static str, &'static str)> {
    let both = algorithm == Algorithm::Ppo && task.starts_with(ATARI);
    both.then_some(("settings of ppo on atari", include_str!("../profiles/algorithms/ppo-atari.toml")))
}

/// What an algorithm needs otherwise than MPO does, as a file to be applied after the profile's.
fn algorithm_file(algorithm: Algorithm) -> Option<(&'static str, &'static str)> {
    match algorithm {
        Algorithm::ActorCritic => {
            Some(("settings of actor_critic", include_str!("../profiles/algorithms/actor_critic.toml")))
        }
        Algorithm::Epg => Some(("settings of epg", include_str!("../profiles/algorithms/epg.toml"))),
        Algorithm::Ddpg => Some(("settings of ddpg", include_str!("../profiles/algorithms/ddpg.toml"))),
        Algorithm::Ppo => Some(("settings of ppo", include_str!("../profiles/algorithms/ppo.toml"))),
        _ => None,
    }
}

impl FromStr for Profile {
    type Err = AgentError;

    fn from_str(name: &str) -> Result<Self, AgentError> {
        match name {
            "default" => Ok(Self::Default),
            "paper" => Ok(Self::Paper),
            _ => Err(AgentError::UnknownProfile { name: name.to_owned() }),
        }
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Paper => "paper",
        })
    }
}

impl Config {
    /// Lays `profile`, then what the task and the algorithm need, then `file`, then `sets` (dotted key, value) over the defaults; the
    /// last word wins. A file may be partial; a value in `sets` is TOML, or else taken as a string. The same
    /// format serves experiment presets.
    ///
    /// # Errors
    /// [`AgentError::UnknownKey`] names the nearest key, [`AgentError::ConfigValue`] the key of a value
    /// of the wrong type or out of range; [`AgentError::ConfigSyntax`] and [`AgentError::Io`] the file.
    pub fn resolve(profile: Profile, file: Option<&Path>, sets: &[(String, String)]) -> Result<Self, AgentError> {
        let mut own = Layers::new();
        if let Some(path) = file {
            let text = fs::read_to_string(path).at("read", path)?;
            own.add_file(path, &text)?;
        }
        for (key, value) in sets {
            own.add_set(key, value)?;
        }
        // Some settings depend on the task, and some on the algorithm; both are said in the later layers.
        let mut layers = Layers::new();
        let (task, algorithm) = (own.task(), own.algorithm());
        let files = profile.files(&task).into_iter().chain(algorithm_file(algorithm));
        for (name, text) in files.chain(ppo_on_games(algorithm, &task)) {
            layers.add_file(Path::new(name), text)?;
        }
        layers.append(own);
        let config = layers.config()?;
        config.validate()?;
        Ok(config)
    }

    /// Reads a run's resolved `config.toml`.
    ///
    /// # Errors
    /// As [`Config::resolve`].
    pub fn read(path: &Path) -> Result<Self, AgentError> {
        Self::resolve(Profile::Default, Some(path), &[])
    }

    /// Settings from the text of a `config.toml`; `origin` is named in errors.
    pub(crate) fn parse(origin: &Path, text: &str) -> Result<Self, AgentError> {
        let mut layers = Layers::new();
        layers.add_file(origin, text)?;
        layers.config()
    }

    /// The first setting that keeps a run of `self` from going on as a run of `other`, as key and
    /// both values. How long a run is decides nothing of its course, so `steps` may differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        layers::difference(&Self { steps: other.steps, ..self.clone() }, other)
    }

    /// Every dotted key, in the order of `config.toml`.
    #[must_use]
    pub fn keys() -> Vec<String> {
        layers::keys()
    }

    /// The settings as a TOML document that [`Config::read`] reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        layers::document(self)
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`AgentError::ConfigValue`] names the first setting out of range.
    pub fn validate(&self) -> Result<(), AgentError> {
        self.network.validate().map_err(out_of_range)?;
        self.learner.validate().map_err(out_of_range)?;
        if self.task.is_empty() {
            return Err(value("task", "\"\"", "name a task, as in `control/cheetah-run`"));
        }
        let training = &self.training;
        for (key, number) in [
            ("steps", self.steps),
            ("replay.capacity", self.replay.capacity as u64),
            ("replay.sequences", self.replay.sequences as u64),
            ("replay.steps", self.replay.steps as u64),
            ("training.workers", training.workers as u64),
            ("training.evaluation_period", training.evaluation_period),
            ("training.evaluation_episodes", training.evaluation_episodes as u64),
            ("training.checkpoint_period", training.checkpoint_period),
        ] {
            if number == 0 {
                return Err(value(key, "0", "must be at least 1"));
            }
        }
        // TOML integers are signed, so a larger seed could not be read back.
        if i64::try_from(self.seed).is_err() {
            return Err(value("seed", self.seed, "must be below 2^63"));
        }
        let capacity = self.replay.capacity;
        if capacity < self.replay.steps {
            return Err(value("replay.capacity", capacity, "must be at least replay.steps"));
        }
        let ratio = training.updates_per_step;
        if !(0.0..=1000.0).contains(&ratio) || (ratio > 0.0 && updates_in_millionths(ratio) == 0) {
            let range = "must be 0, or between 0.000001 and 1000";
            return Err(value("training.updates_per_step", ratio, range));
        }
        if training.actors > 0 && self.learner.algorithm == Algorithm::Ppo {
            let problem = "must be 0 for ppo, whose rounds of acting and learning take turns";
            return Err(value("training.actors", training.actors, problem));
        }
        if training.actors > 0 && training.workers > 1 {
            let problem = "must be 0 with several workers, who make their updates in step with each other";
            return Err(value("training.actors", training.actors, problem));
        }
        if training.reward_clip.is_some_and(|bound| !(bound.is_finite() && bound > 0.0)) {
            let given = training.reward_clip.unwrap_or_default();
            return Err(value("training.reward_clip", given, "must be a finite number above 0"));
        }
        if training.episode_steps == Some(0) {
            return Err(value("training.episode_steps", 0, "must be at least 1"));
        }
        if training.stop_at_return.is_some_and(f64::is_nan) {
            return Err(value("training.stop_at_return", "nan", "must be a number"));
        }
        Ok(())
    }
}

/// The ratio of updates to steps as an integer, so that no rounding accumulates over a run.
pub(crate) fn updates_in_millionths(updates_per_step: f64) -> u64 {
    (updates_per_step * 1e6).round() as u64
}

fn value(key: &str, value: impl Display, problem: &str) -> AgentError {
    AgentError::ConfigValue { key: key.to_owned(), value: format!("{value}"), problem: problem.to_owned() }
}

/// Settings of the networks are checked by their owner; the message is made one of this crate's kind.
fn out_of_range(error: NetsError) -> AgentError {
    match error {
        NetsError::Setting { key, value: given, must } => value(key, given, &format!("must be {must}")),
        other => AgentError::Learner(other),
    }
}
