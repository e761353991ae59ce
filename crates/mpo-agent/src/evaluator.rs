//! How good a policy is: whole episodes of its mean action.

use mpo_envs::{Environment, StepType};

use crate::AgentError;
use crate::actor::{Actor, finite};
use crate::environment_loop::Episode;

/// An environment of its own in which every evaluation plays the same starting states.
///
/// Its random streams are put back to their beginning before each evaluation, so two evaluations
/// differ by the policy alone, and a resumed run needs nothing of the evaluator's past.
pub struct Evaluator {
    environment: Box<dyn Environment>,
    beginning: Vec<u8>,
    actor: Actor,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl Evaluator {
    /// An evaluator in a fresh `environment`; the actor's noise is never used.
    #[must_use]
    pub fn new(environment: Box<dyn Environment>, actor: Actor) -> Self {
        let beginning = environment.save_state();
        Self { environment, beginning, actor }
    }

    /// Plays `episodes` episodes with the mean of the policy that `parameters` give.
    ///
    /// # Errors
    /// The environment's or the policy's error; [`AgentError::NonFinite`] for rewards.
    pub fn evaluate(&mut self, parameters: &[f32], episodes: usize) -> Result<Vec<Episode>, AgentError> {
        self.environment.restore_state(&self.beginning)?;
        self.actor.load(parameters);
        (0..episodes).map(|_| self.play()).collect()
    }

    fn play(&mut self) -> Result<Episode, AgentError> {
        let mut state = self.environment.reset()?.observation.to_vec();
        let mut episode = Episode { episode_return: 0.0, length: 0 };
        loop {
            let step = self.environment.step(self.actor.act_mean(&state)?)?;
            finite("reward", &[step.reward])?;
            episode.episode_return += step.reward;
            episode.length += 1;
            if step.step_type == StepType::Last {
                return Ok(episode);
            }
            state.copy_from_slice(step.observation);
        }
    }
}
