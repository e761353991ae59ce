//! The rows of a run's files, and what a run tells the one who watches it.

use std::path::{Path, PathBuf};

use mpo_envs::Progress;
use mpo_nets::UpdateStats;
use serde::{Deserialize, Serialize};

use crate::environment_loop::Episode;

/// A row of `metrics.csv`: one training episode.
///
/// The learner's columns are means over the updates made during the episode, and empty where there
/// were none. Nothing here comes from a clock: equal seeds give equal bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeRow {
    /// Environment steps completed, this episode's included.
    pub step: u64,
    /// Episodes completed, this one included.
    pub episode: u64,
    /// Sum of the episode's rewards, undiscounted, under the sampling policy.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// The episode's environment steps.
    pub length: u64,
    /// Updates made since the run began.
    pub updates: u64,
    /// Mean squared error of the critic against the Retrace targets.
    pub critic_loss: Option<f64>,
    /// Loss of the policy.
    pub policy_loss: Option<f64>,
    /// Temperature of the E-step, in units of Q.
    pub temperature: Option<f64>,
    /// Multiplier of the KL in the mean.
    pub alpha_mean: Option<f64>,
    /// Multiplier of the KL in the covariance.
    pub alpha_covariance: Option<f64>,
    /// KL of the E-step's distribution from the target policy, in nats.
    pub kl_q: Option<f64>,
    /// KL in the mean between target and new policy, in nats.
    pub kl_mean: Option<f64>,
    /// KL in the covariance between target and new policy, in nats.
    pub kl_covariance: Option<f64>,
    /// Mean of Q over the batch.
    pub q_mean: Option<f64>,
    /// Mean of the Retrace targets over the batch.
    pub target_mean: Option<f64>,
    /// Norm of the policy's gradient before clipping.
    pub policy_grad_norm: Option<f64>,
    /// Norm of the critic's gradient before clipping.
    pub critic_grad_norm: Option<f64>,
    /// Mean standard deviation of the policy over states and action dimensions.
    pub stddev_mean: Option<f64>,
}

impl EpisodeRow {
    /// The columns of `metrics.csv`, in order.
    pub const COLUMNS: [&'static str; 18] = [
        "step",
        "episode",
        "return",
        "length",
        "updates",
        "critic_loss",
        "policy_loss",
        "temperature",
        "alpha_mean",
        "alpha_covariance",
        "kl_q",
        "kl_mean",
        "kl_covariance",
        "q_mean",
        "target_mean",
        "policy_grad_norm",
        "critic_grad_norm",
        "stddev_mean",
    ];

    /// The learner's columns with their names, in the order of [`EpisodeRow::COLUMNS`].
    #[must_use]
    pub fn learning(&self) -> [(&'static str, Option<f64>); 13] {
        let values = [
            self.critic_loss,
            self.policy_loss,
            self.temperature,
            self.alpha_mean,
            self.alpha_covariance,
            self.kl_q,
            self.kl_mean,
            self.kl_covariance,
            self.q_mean,
            self.target_mean,
            self.policy_grad_norm,
            self.critic_grad_norm,
            self.stddev_mean,
        ];
        std::array::from_fn(|index| (Self::COLUMNS[index + 5], values[index]))
    }
}

/// Sums the statistics of an episode's updates.
#[derive(Clone, Debug, Default)]
pub(crate) struct StatisticsSum {
    sums: [f64; 13],
    updates: u64,
}

impl StatisticsSum {
    pub(crate) fn add(&mut self, stats: &UpdateStats) {
        let values = [
            stats.critic_loss,
            stats.policy_loss,
            stats.temperature,
            stats.alpha_mean,
            stats.alpha_covariance,
            stats.kl_q,
            stats.kl_mean,
            stats.kl_covariance,
            stats.q_mean,
            stats.target_mean,
            stats.policy_grad_norm,
            stats.critic_grad_norm,
            stats.stddev_mean,
        ];
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += f64::from(value);
        }
        self.updates += 1;
    }

    /// The row of an episode that ended with these totals.
    pub(crate) fn row(&self, step: u64, number: u64, updates: u64, episode: Episode) -> EpisodeRow {
        let mut means = self.sums.iter().map(|sum| (self.updates > 0).then(|| sum / self.updates as f64));
        // Fields are evaluated in the order written, which is the order of `add`.
        let mut next = || means.next().flatten();
        EpisodeRow {
            step,
            episode: number,
            episode_return: episode.episode_return,
            length: episode.length,
            updates,
            critic_loss: next(),
            policy_loss: next(),
            temperature: next(),
            alpha_mean: next(),
            alpha_covariance: next(),
            kl_q: next(),
            kl_mean: next(),
            kl_covariance: next(),
            q_mean: next(),
            target_mean: next(),
            policy_grad_norm: next(),
            critic_grad_norm: next(),
            stddev_mean: next(),
        }
    }
}

/// A row of `eval.csv`: one episode of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRow {
    /// Environment steps of training behind the policy.
    pub step: u64,
    /// The episode within its evaluation, from 0.
    pub episode: u64,
    /// Sum of rewards, undiscounted, under the policy's mean.
    #[serde(rename = "return")]
    pub episode_return: f64,
    /// The episode's environment steps.
    pub length: u64,
}

impl EvaluationRow {
    /// The columns of `eval.csv`, in order.
    pub const COLUMNS: [&'static str; 4] = ["step", "episode", "return", "length"];
}

/// A row of `progress.csv`, which tasks have where there is somewhere to get to: the course of one episode of an evaluation. It
/// stands beside the row of `eval.csv` with the same step and episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressRow {
    /// Environment steps of training behind the policy.
    pub step: u64,
    /// The episode within its evaluation, from 0.
    pub episode: u64,
    /// Metres from the start, at the episode's end.
    pub distance: f64,
    /// How many obstacles lie behind then.
    pub obstacles: u64,
}

impl ProgressRow {
    /// The columns of `progress.csv`, in order.
    pub const COLUMNS: [&'static str; 4] = ["step", "episode", "distance", "obstacles"];
}

/// A row of `timing.csv`: how long training has taken, evaluations and checkpoints included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimingRow {
    /// Environment steps completed.
    pub step: u64,
    /// Seconds of wall-clock time spent in training, summed over resumed processes.
    pub seconds: f64,
}

impl TimingRow {
    /// The columns of `timing.csv`, in order.
    pub const COLUMNS: [&'static str; 2] = ["step", "seconds"];
}

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationSummary {
    /// Environment steps of training behind the policy.
    pub step: u64,
    /// Undiscounted return of each episode.
    pub returns: Vec<f64>,
    /// Environment steps of each episode.
    pub lengths: Vec<u64>,
    /// How far each episode got: metres from the start, and obstacles behind; empty where there is nowhere to get to.
    pub progress: Vec<(f64, u64)>,
}

impl EvaluationSummary {
    pub(crate) fn new(step: u64, episodes: &[Episode]) -> Self {
        Self {
            step,
            returns: episodes.iter().map(|episode| episode.episode_return).collect(),
            lengths: episodes.iter().map(|episode| episode.length).collect(),
            progress: episodes
                .iter()
                .filter_map(|episode| episode.progress)
                .map(|Progress { distance, obstacles }| (distance, obstacles as u64))
                .collect(),
        }
    }

    /// The mean return; NaN without episodes.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.returns.iter().sum::<f64>() / self.returns.len() as f64
    }

    /// The standard deviation of the returns (the population's, divided by n); NaN without episodes.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.returns.iter().map(|value| (value - mean).powi(2));
        (squares.sum::<f64>() / self.returns.len() as f64).sqrt()
    }

    /// The least return; infinity without episodes.
    #[must_use]
    pub fn minimum(&self) -> f64 {
        self.returns.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The greatest return; minus infinity without episodes.
    #[must_use]
    pub fn maximum(&self) -> f64 {
        self.returns.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean distance in metres, and mean number of obstacles passed; `None` where there is nowhere to get to.
    #[must_use]
    pub fn mean_progress(&self) -> Option<(f64, f64)> {
        let count = self.progress.len() as f64;
        let (distance, obstacles) =
            self.progress.iter().fold((0.0, 0), |sums, &(distance, obstacles)| (sums.0 + distance, sums.1 + obstacles));
        (count > 0.0).then(|| (distance / count, obstacles as f64 / count))
    }

    pub(crate) fn progress_rows(&self) -> impl Iterator<Item = ProgressRow> + '_ {
        let episodes = self.progress.iter().zip(0..);
        episodes.map(|(&(distance, obstacles), episode)| ProgressRow { step: self.step, episode, distance, obstacles })
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = EvaluationRow> + '_ {
        let episodes = self.returns.iter().zip(&self.lengths).zip(0..);
        episodes.map(|((&episode_return, &length), episode)| EvaluationRow {
            step: self.step,
            episode,
            episode_return,
            length,
        })
    }
}

/// Something that a user should know and that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A checkpoint is damaged and an older one, or the beginning, is used.
    #[error("checkpoint {} is damaged ({reason}); going back to an older one", path.display())]
    DamagedCheckpoint {
        /// The damaged checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A run was resumed that had not yet written a checkpoint.
    #[error("{} has no checkpoint yet; the run starts from its beginning", path.display())]
    NoCheckpointYet {
        /// The run's directory.
        path: PathBuf,
    },
}

/// Watches a run. Every method has a default that does nothing.
pub trait Observer {
    /// A training episode ended and its row is written.
    fn on_episode(&mut self, _row: &EpisodeRow) {}

    /// An evaluation ended and its rows are written.
    fn on_evaluation(&mut self, _summary: &EvaluationSummary) {}

    /// A checkpoint of environment step `step` is safely on disk.
    fn on_checkpoint(&mut self, _step: u64, _path: &Path) {}

    /// Something to tell the user.
    fn on_warning(&mut self, _warning: &Warning) {}

    /// Asked at every episode's end: `true` makes the run write a checkpoint and return. An episode
    /// is never cut, so a request takes effect within one episode's time.
    fn should_stop(&self) -> bool {
        false
    }
}

/// An [`Observer`] that neither looks nor stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It reached its environment steps.
    Steps,
    /// An evaluation reached `training.stop_at_return`.
    Return,
    /// [`Observer::should_stop`] asked; the run can be resumed.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Environment steps completed.
    pub step: u64,
    /// Training episodes completed.
    pub episodes: u64,
    /// Updates made.
    pub updates: u64,
    /// Why it ended.
    pub reason: Reason,
    /// The last evaluation that this process made.
    pub evaluation: Option<EvaluationSummary>,
}
