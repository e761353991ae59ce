//! How good a policy is: whole episodes of its mean or most probable action.

use mpo_envs::{Environment, StepType};

use crate::AgentError;
use crate::actor::{Actor, finite};
use crate::environment_loop::Episode;
use crate::seeds::Stream;

/// An environment of its own in which every evaluation plays the same starting states.
///
/// Its random streams are put back to their beginning before each evaluation, so two evaluations
/// differ by the policy alone, and a resumed run needs nothing of the evaluator's past.
pub struct Evaluator {
    environment: Box<dyn Environment>,
    beginning: Vec<u8>,
    stream: Stream,
    actor: Actor,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl Evaluator {
    /// An evaluator in a fresh `environment`.
    #[must_use]
    pub fn new(environment: Box<dyn Environment>, actor: Actor) -> Self {
        let beginning = environment.save_state();
        Self { environment, beginning, stream: actor.stream().clone(), actor }
    }

    /// Plays `episodes` episodes as [`Actor::act_mean`] has it, of the policy that `parameters` give.
    ///
    /// # Errors
    /// The environment's or the policy's error; [`AgentError::NonFinite`] for rewards.
    pub fn evaluate(&mut self, parameters: &[f32], episodes: usize) -> Result<Vec<Episode>, AgentError> {
        self.environment.restore_state(&self.beginning)?;
        self.actor.set_stream(self.stream.clone());
        self.actor.load(parameters);
        (0..episodes).map(|_| self.play()).collect()
    }

    fn play(&mut self) -> Result<Episode, AgentError> {
        self.actor.observe(&self.environment.reset()?)?;
        let mut episode = Episode { episode_return: 0.0, length: 0, progress: None };
        loop {
            let step = self.environment.step(self.actor.act_mean()?)?;
            finite("reward", &[step.reward])?;
            episode.episode_return += step.reward;
            episode.length += 1;
            if step.step_type == StepType::Last {
                episode.progress = self.environment.progress();
                return Ok(episode);
            }
            self.actor.observe(&step)?;
        }
    }
}
