//! One episode: the actor and the environment in turn, every transition into the replay.

use mpo_envs::{Environment, Progress, StepType};
use mpo_replay::{Outcome, TrajectoryWriter};

use crate::AgentError;
use crate::actor::{Actor, finite};

/// What an episode came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// Sum of rewards, undiscounted and unclipped.
    pub episode_return: f64,
    /// Environment steps.
    pub length: u64,
    /// How far it got, where there is somewhere to get to.
    pub progress: Option<Progress>,
}

/// An environment with the actor that drives it.
pub struct EnvironmentLoop {
    /// The environment.
    pub environment: Box<dyn Environment>,
    /// The actor.
    pub actor: Actor,
    reward_clip: f64,
    episode_steps: u64,
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
        Self { environment, actor, reward_clip: f64::INFINITY, episode_steps: u64::MAX }
    }

    /// Has rewards stored clipped to `[-bound, bound]`; returns stay what they were.
    #[must_use]
    pub fn clipping_rewards(self, bound: f64) -> Self {
        Self { reward_clip: bound, ..self }
    }

    /// Has episodes left after `steps` steps, if they have not ended by then, as at a time limit: with the discount they have.
    #[must_use]
    pub fn leaving_after(self, steps: u64) -> Self {
        Self { episode_steps: steps, ..self }
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
        self.actor.observe(&self.environment.reset()?)?;
        writer.begin_with(self.actor.observation());
        let mut episode = Episode { episode_return: 0.0, length: 0, progress: None };
        loop {
            let decision = self.actor.act()?;
            let log_prob = decision.log_prob;
            let step = self.environment.step(decision.applied)?;
            finite("reward", &[step.reward])?;
            finite("discount", &[step.discount])?;
            self.actor.observe(&step)?;
            episode.episode_return += step.reward;
            episode.length += 1;
            let last = step.step_type == StepType::Last || episode.length >= self.episode_steps;
            let outcome = Outcome {
                log_prob,
                reward: step.reward.clamp(-self.reward_clip, self.reward_clip) as f32,
                discount: step.discount as f32,
                last,
            };
            writer.push_with(self.actor.action(), outcome, self.actor.observation());
            after_step(&mut self.actor)?;
            if last {
                episode.progress = self.environment.progress();
                return Ok(episode);
            }
        }
    }
}
