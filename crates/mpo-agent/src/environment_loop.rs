//! One episode: the actor and the environment in turn, every transition into the replay.

use mpo_envs::{Environment, StepType};
use mpo_replay::TrajectoryWriter;

use crate::AgentError;
use crate::actor::{Actor, finite, narrow};

/// What an episode came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// Sum of rewards, undiscounted.
    pub episode_return: f64,
    /// Environment steps.
    pub length: u64,
}

/// An environment with the actor that drives it.
pub struct EnvironmentLoop {
    /// The environment.
    pub environment: Box<dyn Environment>,
    /// The actor.
    pub actor: Actor,
    observation: Vec<f32>,
    next_observation: Vec<f32>,
}

impl std::fmt::Debug for EnvironmentLoop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentLoop").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl EnvironmentLoop {
    /// Joins the two.
    #[must_use]
    pub fn new(environment: Box<dyn Environment>, actor: Actor) -> Self {
        let observation = vec![0.0; environment.spec().observation_len()];
        Self { environment, actor, next_observation: observation.clone(), observation }
    }

    /// Runs one episode to its end, sampling actions. `after_step` is called once per environment
    /// step, after its transition is in the replay; it may hand the actor new parameters.
    ///
    /// # Errors
    /// The environment's, the actor's or `after_step`'s error, and [`AgentError::NonFinite`] for a
    /// reward or discount that is not finite. The replay then holds an unfinished episode.
    pub fn run_episode(
        &mut self,
        writer: &mut TrajectoryWriter,
        mut after_step: impl FnMut(&mut Actor) -> Result<(), AgentError>,
    ) -> Result<Episode, AgentError> {
        let mut state = self.environment.reset()?.observation.to_vec();
        narrow(&state, &mut self.observation)?;
        writer.begin(&self.observation);
        let mut episode = Episode { episode_return: 0.0, length: 0 };
        loop {
            let decision = self.actor.act(&state)?;
            let step = self.environment.step(decision.applied)?;
            finite("reward", &[step.reward])?;
            finite("discount", &[step.discount])?;
            state.copy_from_slice(step.observation);
            narrow(&state, &mut self.next_observation)?;
            let last = step.step_type == StepType::Last;
            writer.push(
                decision.action,
                decision.log_prob,
                step.reward as f32,
                step.discount as f32,
                &self.next_observation,
                last,
            );
            episode.episode_return += step.reward;
            episode.length += 1;
            after_step(&mut self.actor)?;
            if last {
                return Ok(episode);
            }
        }
    }
}
