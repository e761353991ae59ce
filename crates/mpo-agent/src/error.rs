//! What can go wrong between a configuration and a finished run.

use std::io;
use std::path::{Path, PathBuf};

use mpo_envs::EnvError;
use mpo_nets::NetsError;
use mpo_replay::ReplayError;

use crate::shapes::Shape;

/// An error of this crate. Its message names the thing at fault and, where there is one, the cure;
/// causes are in [`std::error::Error::source`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done, as a verb: "write", "create the directory".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A configuration file is not TOML.
    #[error("{} is not a TOML file: {message}", path.display())]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A key that no setting has.
    #[error("unknown key `{key}` (from {origin}); the nearest known key is `{nearest}`")]
    UnknownKey {
        /// The dotted key as given.
        key: String,
        /// The file's name, or `--set`.
        origin: String,
        /// The known key most like it.
        nearest: String,
    },
    /// A value of the wrong type or out of range.
    #[error("`{key}` = {value}: {problem}")]
    ConfigValue {
        /// The dotted key.
        key: String,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A profile that does not exist.
    #[error("unknown profile `{name}`; there are `default` and `paper`")]
    UnknownProfile {
        /// The name given.
        name: String,
    },
    /// No statically-shaped learner was compiled for a task's sizes.
    #[error(
        "no learner is compiled for {} observations and {} actions; add the line `{shape},` to `shapes!` in \
         crates/mpo-agent/src/shapes.rs, or pass a LearnerFactory",
        shape.observation, shape.action
    )]
    UnsupportedShape {
        /// The task's sizes.
        shape: Shape,
    },
    /// Observations and actions of kinds that do not go together here.
    #[error(
        "the task has {observation} numbers{} as observation and {} actions; learners take either numbers and continuous \
         actions, or frames and discrete actions",
        if *frames { " and frames" } else { "" },
        if *discrete { "discrete" } else { "continuous" }
    )]
    UnsupportedSpec {
        /// Numbers in an observation.
        observation: usize,
        /// Whether there are frames.
        frames: bool,
        /// Whether actions are discrete.
        discrete: bool,
    },
    /// The critic would be blind to a part of the action space.
    #[error(
        "action {index} spans [{minimum}, {maximum}], but networks work on [-1, 1]; rescale the \
         action inside the environment, or set network.clip_critic_actions=false"
    )]
    ActionBounds {
        /// Which action, from 0.
        index: usize,
        /// Its lower bound.
        minimum: f64,
        /// Its upper bound.
        maximum: f64,
    },
    /// A new run was to be put where one already is.
    #[error(
        "{0} already holds a run; resume it (`mpo train --resume {0}`) or choose another directory",
        path.display()
    )]
    RunExists {
        /// The directory.
        path: PathBuf,
    },
    /// A directory without `config.toml`.
    #[error("{} is no run: it has no config.toml; start one with `mpo train TASK --run DIR`", path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
    },
    /// Another process trains in the same directory.
    #[error("another process is training in {}; wait for it, or stop it", path.display())]
    RunBusy {
        /// The directory.
        path: PathBuf,
    },
    /// A run of several workers was opened by another number of them.
    #[error(
        "the run has training.workers = {expected}, but {found} {} here; start it as \
         `mpirun -np {expected} mpo train ... --distributed`, or begin another run",
        if *found == 1 { "is" } else { "are" }
    )]
    WorkerCount {
        /// Workers that the settings ask for.
        expected: usize,
        /// Workers that there are.
        found: usize,
    },
    /// Networks that should be the same in all workers are not.
    #[error(
        "after update {update} the networks of worker {worker} differ from the first's; the last checkpoint is from before. \
         Workers must run one build on processors of one kind: check both, then resume"
    )]
    WorkersDiffer {
        /// Updates made.
        update: u64,
        /// The first one that differs.
        worker: usize,
    },
    /// MPI cannot be used.
    #[error("MPI cannot be used: {reason}")]
    MpiRefused {
        /// Why.
        reason: &'static str,
    },
    /// An actor gave up its episode because another thread of the run had failed; that one's error is the one reported.
    #[error("an actor stopped because another thread of the run failed")]
    Abandoned,
    /// `train` was called again after it had failed.
    #[error("this run failed before and its state in memory is incomplete; open it again with Run::resume({path:?})")]
    RunFailed {
        /// The run's directory.
        path: PathBuf,
    },
    /// A policy was asked for before the first checkpoint.
    #[error("{} holds no checkpoint yet; one is written every training.checkpoint_period steps and at the end", path.display())]
    NoCheckpoint {
        /// The directory of checkpoints.
        path: PathBuf,
    },
    /// There are checkpoints, and every one is damaged.
    #[error("no checkpoint in {} can be used: {reasons}; start the run anew in another directory", path.display())]
    NoValidCheckpoint {
        /// The directory of checkpoints.
        path: PathBuf,
        /// One reason per checkpoint.
        reasons: String,
    },
    /// A checkpoint was written under other settings.
    #[error(
        "{} was written with {key} = {found}, but config.toml says {key} = {expected}; restore that \
         setting, or start a new run",
        path.display()
    )]
    CheckpointConfig {
        /// The checkpoint.
        path: PathBuf,
        /// The first setting that differs.
        key: String,
        /// Its value in the checkpoint.
        found: String,
        /// Its value in `config.toml`.
        expected: String,
    },
    /// A file of the run is shorter than its checkpoint says.
    #[error("{} has {length} bytes, but the checkpoint was written when it had {expected}; restore the file", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length now.
        length: u64,
        /// Its least possible length.
        expected: u64,
    },
    /// A number that must be finite is not.
    #[error("the {quantity} holds {value}")]
    NonFinite {
        /// "observation", "reward", "discount" or "action".
        quantity: &'static str,
        /// The offending value.
        value: f64,
    },
    /// Training stopped on an error.
    #[error(
        "training on {task} failed after environment step {step} (episode {episode}); {}",
        resumable(checkpoint.as_deref())
    )]
    Training {
        /// The task.
        task: String,
        /// Environment steps completed.
        step: u64,
        /// The episode under way, from 1.
        episode: u64,
        /// The checkpoint from which the run can go on.
        checkpoint: Option<PathBuf>,
        /// What failed.
        source: Box<AgentError>,
    },
    /// The environment failed.
    #[error("the environment failed")]
    Environment(#[from] EnvError),
    /// The learner or the policy failed.
    #[error("the learner failed")]
    Learner(#[from] NetsError),
    /// The replay buffer failed.
    #[error("the replay buffer failed")]
    Replay(#[from] ReplayError),
    /// The replay buffer could not be written to or read from a checkpoint.
    #[error("cannot {action} {}", path.display())]
    ReplayFile {
        /// "write" or "read".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What failed.
        source: ReplayError,
    },
}

fn resumable(checkpoint: Option<&Path>) -> String {
    checkpoint.map_or_else(
        || "there is no checkpoint yet".to_owned(),
        |path| format!("the last checkpoint is {}", path.display()),
    )
}

/// Shortens the many places where an [`io::Error`] meets a path.
pub(crate) trait AtPath<T> {
    /// Names the action and the path of a failure.
    fn at(self, action: &'static str, path: &Path) -> Result<T, AgentError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, AgentError> {
        self.map_err(|source| AgentError::Io { action, path: path.to_owned(), source })
    }
}
