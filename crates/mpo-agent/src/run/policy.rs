//! The policy of a run on disk, to be looked at or measured.

use std::path::{Path, PathBuf};

use mpo_envs::Environment;

use super::Parts;
use super::open::{check_config, read_config};
use crate::AgentError;
use crate::actor::Actor;
use crate::checkpoint::Checkpoints;
use crate::config::Config;
use crate::evaluator::Evaluator;
use crate::learner::Learner;
use crate::records::{EvaluationSummary, Warning};
use crate::seeds::Seeds;
use crate::shapes::Shape;

/// How good a run's newest policy is.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The episodes.
    pub summary: EvaluationSummary,
    /// The checkpoint that was evaluated.
    pub checkpoint: PathBuf,
    /// Damaged checkpoints that were passed over.
    pub warnings: Vec<Warning>,
}

/// Plays `episodes` episodes with the mean of the policy in the newest undamaged checkpoint of the
/// run in `directory`. `seed` decides the starting states; the run's own seed gives those of its
/// evaluations during training. The run may be training meanwhile.
///
/// # Errors
/// [`AgentError::NotARun`], [`AgentError::NoCheckpoint`], [`AgentError::NoValidCheckpoint`]; errors of
/// the environment and of loading the learner.
pub fn evaluate(directory: impl AsRef<Path>, episodes: usize, seed: u64) -> Result<Evaluation, AgentError> {
    evaluate_with(directory, episodes, seed, &Parts::default())
}

/// [`evaluate`] with environments or learners of your own.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_with(
    directory: impl AsRef<Path>,
    episodes: usize,
    seed: u64,
    parts: &Parts,
) -> Result<Evaluation, AgentError> {
    let loaded = load(directory.as_ref(), seed, parts)?;
    let mut evaluator = Evaluator::new(loaded.environment, loaded.actor);
    let episodes = evaluator.evaluate(loaded.learner.policy_parameters(), episodes)?;
    Ok(Evaluation {
        summary: EvaluationSummary::new(loaded.step, &episodes),
        checkpoint: loaded.checkpoint,
        warnings: loaded.warnings,
    })
}

/// The settings of the run in `directory`, and an actor with the policy of its newest undamaged
/// checkpoint.
///
/// # Errors
/// As [`evaluate`].
pub fn load_policy(directory: impl AsRef<Path>) -> Result<(Config, Actor), AgentError> {
    load_policy_with(directory, &Parts::default())
}

/// [`load_policy`] with environments or learners of your own.
///
/// # Errors
/// As [`evaluate`].
pub fn load_policy_with(directory: impl AsRef<Path>, parts: &Parts) -> Result<(Config, Actor), AgentError> {
    let mut loaded = load(directory.as_ref(), 0, parts)?;
    loaded.actor.load(loaded.learner.policy_parameters());
    Ok((loaded.config, loaded.actor))
}

struct Loaded {
    config: Config,
    environment: Box<dyn Environment>,
    actor: Actor,
    learner: Learner,
    step: u64,
    checkpoint: PathBuf,
    warnings: Vec<Warning>,
}

fn load(directory: &Path, seed: u64, parts: &Parts) -> Result<Loaded, AgentError> {
    let config = read_config(directory)?;
    let checkpoints = Checkpoints::new(directory);
    let (checkpoint, warnings) = checkpoints.newest()?;
    let Some(checkpoint) = checkpoint else {
        return Err(AgentError::NoCheckpoint { path: checkpoints.directory().to_owned() });
    };
    check_config(&config, &checkpoint)?;
    let seeds = Seeds::new(seed);
    let environment = parts.environments.make(&config.task, seeds.seed_u32("evaluator"))?;
    let spec = environment.spec();
    let shape = Shape::of(spec)?;
    let actor = Actor::new(spec, &config.network, seeds.stream("actor"))?;
    let step = parts.learners.make(shape, &config.network, &config.learner, 0)?;
    let mut learner = Learner::new(step, &config.replay, seeds.stream("replay"));
    learner.load(&checkpoint.learner()?)?;
    Ok(Loaded {
        environment,
        actor,
        learner,
        step: checkpoint.state.counters.step,
        checkpoint: checkpoint.path,
        warnings,
        config,
    })
}
