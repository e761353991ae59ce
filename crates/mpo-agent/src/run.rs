//! A run: training from a directory, into a directory, interrupted and resumed at will.

mod concurrent;
mod lockstep;
mod open;
mod policy;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mpo_envs::{EnvError, Environment};
use mpo_replay::{ReplayBuffer, TrajectoryWriter};

use crate::checkpoint::{Checkpoints, Counters};
use crate::config::Config;
use crate::distributed::Workers;
use crate::environment_loop::EnvironmentLoop;
use crate::evaluator::Evaluator;
use crate::learner::Learner;
use crate::metrics::Logs;
use crate::records::{EvaluationSummary, Reason, Warning};
use crate::shapes::{CpuLearners, LearnerFactory};

pub use policy::{Evaluation, evaluate, evaluate_with, load_policy, load_policy_with};

/// Makes a run's environments: one to train in, one to evaluate in.
///
/// Closures of the same arguments implement it, so an environment of your own needs no more than
/// `|_: &str, seed: u32| Ok(Box::new(Mine::new(seed)) as Box<dyn Environment>)`.
pub trait EnvironmentFactory: Send {
    /// An environment for `task` whose episodes follow from `seed`.
    ///
    /// # Errors
    /// What keeps the environment from being made.
    fn make(&self, task: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError>;

    /// What the environments for `task` are made of, for `provenance.json`: versions, file hashes.
    fn provenance(&self, task: &str) -> BTreeMap<String, String> {
        let _ = task;
        BTreeMap::new()
    }
}

impl<F> EnvironmentFactory for F
where
    F: Fn(&str, u32) -> Result<Box<dyn Environment>, EnvError> + Send,
{
    fn make(&self, task: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
        self(task, seed)
    }
}

/// The tasks of the control suite and `mpo-envs`' examples, by name.
#[derive(Clone, Copy, Debug, Default)]
pub struct ControlSuite;

impl EnvironmentFactory for ControlSuite {
    fn make(&self, task: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
        mpo_envs::load(task, seed)
    }

    fn provenance(&self, task: &str) -> BTreeMap<String, String> {
        crate::provenance::environment(task)
    }
}

/// What a run is built from. The default is the control suite and the algorithm that the settings name on the CPU.
pub struct Parts {
    /// Makes the environments.
    pub environments: Box<dyn EnvironmentFactory>,
    /// Makes the learner.
    pub learners: Box<dyn LearnerFactory>,
}

impl Parts {
    /// Environments of your own, and the algorithm that the settings name on the CPU.
    #[must_use]
    pub fn with_environments(environments: impl EnvironmentFactory + 'static) -> Self {
        Self { environments: Box::new(environments), ..Self::default() }
    }

    /// A learner of your own, in these environments.
    #[must_use]
    pub fn learning_by(self, learners: impl LearnerFactory + 'static) -> Self {
        Self { learners: Box::new(learners), ..self }
    }
}

impl Default for Parts {
    fn default() -> Self {
        Self { environments: Box::new(ControlSuite), learners: Box::new(CpuLearners) }
    }
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// A training run and its directory.
///
/// Everything random follows from the settings' one seed, so equal settings give equal bytes in
/// `metrics.csv` and `eval.csv`; so does a run that was interrupted anywhere, by whatever, and
/// resumed. Checkpoints are taken between episodes only, when the state is small and whole; what was
/// done after the last one is done again.
///
/// A run ends with the first episode that reaches `steps`: with an evaluation, a checkpoint and
/// `done.json`. Raising `steps` in `config.toml` and resuming takes it further; any other change of
/// the settings is refused.
///
/// Several [`Workers`] make a run together, in one directory that all of them see: each opens it with
/// [`Run::create_among`] or [`Run::resume_among`] and calls [`Run::train`].
///
/// ```no_run
/// use mpo_agent::{Config, Profile, Run, Silent};
///
/// let sets = [("task".to_owned(), "control/cheetah-run".to_owned())];
/// let config = Config::resolve(Profile::Default, None, &sets)?;
/// let outcome = Run::create("runs/cheetah", config)?.train(&mut Silent)?;
/// assert!(outcome.step >= 1_000_000);
/// # Ok::<(), mpo_agent::AgentError>(())
/// ```
pub struct Run {
    directory: PathBuf,
    config: Config,
    checkpoints: Checkpoints,
    last_checkpoint: Option<PathBuf>,
    collectors: Vec<Collector>,
    evaluator: Evaluator,
    learner: Learner,
    replay: ReplayBuffer,
    /// The first worker's; the others write none.
    logs: Option<Logs>,
    workers: Box<dyn Workers>,
    counters: Counters,
    finished: Option<Reason>,
    evaluation: Option<EvaluationSummary>,
    /// Step and policy of an evaluation that is still to be made.
    deferred: Option<(u64, Vec<f32>)>,
    warnings: Vec<Warning>,
    warnings_told: usize,
    /// Set while training: an error leaves an unfinished episode in memory.
    failed: bool,
    /// Held, not read, by the first worker; a killed process's lock is released by the operating system.
    _lock: Option<open::Lock>,
}

/// An actor in its environment, with its lane of the replay.
struct Collector {
    environment_loop: EnvironmentLoop,
    writer: TrajectoryWriter,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("directory", &self.directory)
            .field("config", &self.config)
            .field("counters", &self.counters)
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// The resolved settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The run's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Environment steps completed.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.counters.step
    }

    /// Episodes completed.
    #[must_use]
    pub fn episodes(&self) -> u64 {
        self.counters.episodes
    }

    /// Updates made.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.learner.updates()
    }

    /// The policy's parameters, as [`crate::Actor::load`] takes them.
    #[must_use]
    pub fn policy_parameters(&self) -> &[f32] {
        self.learner.policy_parameters()
    }

    /// Whether the run has reached its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.finished.is_some()
    }

    /// What resuming found amiss; also told to the observer when training goes on.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}
