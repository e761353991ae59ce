//! From an observation to an action.

use mpo_envs::{FrameSpec, Spec, StepType, TimeStep};
use mpo_nets::{ActingPolicy, NetworkConfig, PixelActingPolicy};
use mpo_replay::{Action, Observation};
use rand::Rng;

use crate::AgentError;
use crate::seeds::{Stream, standard_normals};
use crate::shapes::Shape;

/// How often an evaluation of a discrete policy takes any action at random: without, a deterministic game and a most
/// probable action can go round in circles to the end of time (Mnih et al. 2015; 0.01 as in later work).
const EVALUATION_EPSILON: f32 = 0.01;

/// One sampled action, borrowed from the [`Actor`] until it acts again.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// The policy's sample, unclipped: what the replay stores.
    pub action: Action<'a>,
    /// log pi(action | observation) of the unclipped sample, in nats.
    pub log_prob: f32,
    /// What the environment is given: the sample clipped to its bounds, or the index of a discrete action.
    pub applied: &'a [f64],
}

/// The acting half of an agent: a copy of the policy, its noise, what it sees and the action bounds.
///
/// The unclipped sample is what the replay stores, because the log-probability that Retrace divides
/// by is that of the sample; clipping is the environment's business and happens only to what is applied.
#[derive(Debug)]
pub struct Actor {
    policy: Policy,
    stream: Stream,
    applied: Vec<f64>,
    minimum: Vec<f64>,
    maximum: Vec<f64>,
}

/// The two kinds of observation and action.
#[derive(Debug)]
enum Policy {
    /// Numbers to numbers.
    Vector { policy: ActingPolicy, observation: Vec<f32>, noise: Vec<f32>, action: Vec<f32> },
    /// Frames to the index of an action.
    Pixels { policy: PixelActingPolicy, frames: FrameStack, actions: u32, action: u32 },
}

impl Actor {
    /// An actor for the environment of `spec`, whose noise comes from `stream`. Its parameters are
    /// those of an untrained policy until [`Actor::load`].
    ///
    /// # Errors
    /// [`AgentError::Learner`] when `network` has a setting out of range; [`AgentError::UnsupportedSpec`].
    pub fn new(spec: &Spec, network: &NetworkConfig, stream: Stream) -> Result<Self, AgentError> {
        let shape = Shape::of(spec)?;
        let policy = match (shape.pixels, spec.frame) {
            (Some(pixels), Some(frame)) => Policy::Pixels {
                policy: PixelActingPolicy::new(&pixels, network)?,
                frames: FrameStack::new(frame),
                actions: pixels.actions as u32,
                action: 0,
            },
            _ => Policy::Vector {
                policy: ActingPolicy::branched(shape.observation, shape.terrain, shape.action, network)?,
                observation: vec![0.0; shape.observation],
                noise: vec![0.0; shape.action],
                action: vec![0.0; shape.action],
            },
        };
        Ok(Self {
            policy,
            stream,
            applied: vec![0.0; shape.action],
            minimum: spec.action_minimum.clone(),
            maximum: spec.action_maximum.clone(),
        })
    }

    /// Takes the learner's newest policy parameters.
    pub fn load(&mut self, parameters: &[f32]) {
        match &mut self.policy {
            Policy::Vector { policy, .. } => policy.load(parameters),
            Policy::Pixels { policy, .. } => policy.load(parameters),
        }
    }

    /// The state of the noise stream, for a checkpoint.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Puts the noise stream elsewhere.
    pub(crate) fn set_stream(&mut self, stream: Stream) {
        self.stream = stream;
    }

    /// Looks at what the environment answered; the next action is for this.
    ///
    /// # Errors
    /// [`AgentError::NonFinite`] when the observation, rounded to `f32`, is not finite.
    ///
    /// # Panics
    /// When observation or frame have not the length of the environment's specification.
    pub fn observe(&mut self, step: &TimeStep<'_>) -> Result<(), AgentError> {
        match &mut self.policy {
            Policy::Vector { observation, .. } => narrow(step.observation, observation),
            Policy::Pixels { frames, .. } => {
                frames.push(step.frame, step.step_type == StepType::First);
                Ok(())
            }
        }
    }

    /// What was seen last, as the replay stores it.
    #[must_use]
    pub fn observation(&self) -> Observation<'_> {
        match &self.policy {
            Policy::Vector { observation, .. } => Observation { vector: observation, frame: &[] },
            Policy::Pixels { frames, .. } => Observation { vector: &[], frame: frames.newest() },
        }
    }

    /// The last action, as the replay stores it.
    #[must_use]
    pub fn action(&self) -> Action<'_> {
        match &self.policy {
            Policy::Vector { action, .. } => Action::Continuous(action),
            Policy::Pixels { action, .. } => Action::Discrete(*action),
        }
    }

    /// Samples an action for what was seen last.
    ///
    /// # Errors
    /// [`AgentError::NonFinite`] when the action or its log-probability is not finite.
    pub fn act(&mut self) -> Result<Decision<'_>, AgentError> {
        let log_prob = match &mut self.policy {
            Policy::Vector { policy, observation, noise, action } => {
                standard_normals(&mut self.stream, noise);
                policy.sample(observation, noise, action)
            }
            Policy::Pixels { policy, frames, action, .. } => {
                let (chosen, log_prob) = policy.sample(frames.stack(), uniform(&mut self.stream));
                *action = chosen;
                log_prob
            }
        };
        finite("action", std::slice::from_ref(&log_prob))?;
        self.apply()?;
        Ok(Decision { action: self.action(), log_prob, applied: &self.applied })
    }

    /// How a policy is evaluated: the mean of a continuous one, clipped to the bounds; of a discrete one the most probable
    /// action, but once in a hundred times any.
    ///
    /// # Errors
    /// [`AgentError::NonFinite`] when the action is not finite.
    pub fn act_mean(&mut self) -> Result<&[f64], AgentError> {
        match &mut self.policy {
            Policy::Vector { policy, observation, action, .. } => policy.mean(observation, action),
            Policy::Pixels { policy, frames, actions, action } => {
                let chance = uniform(&mut self.stream);
                *action = if chance < EVALUATION_EPSILON {
                    ((chance / EVALUATION_EPSILON * *actions as f32) as u32).min(*actions - 1)
                } else {
                    policy.greedy(frames.stack())
                };
            }
        }
        self.apply()?;
        Ok(&self.applied)
    }

    /// Turns the last action into what the environment takes.
    fn apply(&mut self) -> Result<(), AgentError> {
        match &self.policy {
            Policy::Vector { action, .. } => {
                finite("action", action)?;
                let bounds = self.minimum.iter().zip(&self.maximum);
                for ((slot, &action), (&low, &high)) in self.applied.iter_mut().zip(action).zip(bounds) {
                    *slot = f64::from(action).clamp(low, high);
                }
            }
            Policy::Pixels { action, .. } => self.applied.fill(f64::from(*action)),
        }
        Ok(())
    }
}

/// The last frames of an episode, the newest at the end; at its beginning, the first one repeated.
#[derive(Debug)]
struct FrameStack {
    bytes: usize,
    frames: Vec<u8>,
}

impl FrameStack {
    fn new(spec: FrameSpec) -> Self {
        Self { bytes: spec.bytes(), frames: vec![0; spec.bytes() * spec.stack] }
    }

    fn push(&mut self, frame: &[u8], first: bool) {
        assert_eq!(frame.len(), self.bytes, "a frame's length differs from its specification");
        if first {
            self.frames.chunks_exact_mut(self.bytes).for_each(|slot| slot.copy_from_slice(frame));
        } else {
            self.frames.copy_within(self.bytes.., 0);
            let newest = self.frames.len() - self.bytes;
            self.frames[newest..].copy_from_slice(frame);
        }
    }

    fn stack(&self) -> &[u8] {
        &self.frames
    }

    fn newest(&self) -> &[u8] {
        &self.frames[self.frames.len() - self.bytes..]
    }
}

/// Uniform in `[0, 1)`, from as many bits as an `f32` holds.
fn uniform(stream: &mut Stream) -> f32 {
    (stream.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
}

/// Rounds an observation to the precision of the networks.
///
/// # Panics
/// When the lengths differ.
fn narrow(observation: &[f64], out: &mut [f32]) -> Result<(), AgentError> {
    assert_eq!(observation.len(), out.len(), "an observation's length differs from its specification");
    for (slot, &value) in out.iter_mut().zip(observation) {
        *slot = value as f32;
    }
    finite("observation", out)
}

/// Refuses NaN and infinity.
pub(crate) fn finite<T: Into<f64> + Copy>(quantity: &'static str, values: &[T]) -> Result<(), AgentError> {
    match values.iter().map(|&value| value.into()).find(|value: &f64| !value.is_finite()) {
        Some(value) => Err(AgentError::NonFinite { quantity, value }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_begins_with_the_first_frame_and_forgets_the_oldest() {
        let mut frames = FrameStack::new(FrameSpec { height: 1, width: 2, stack: 3 });
        frames.push(&[1, 2], true);
        assert_eq!(frames.stack(), [1, 2, 1, 2, 1, 2]);
        frames.push(&[3, 4], false);
        frames.push(&[5, 6], false);
        frames.push(&[7, 8], false);
        assert_eq!((frames.stack(), frames.newest()), (&[3, 4, 5, 6, 7, 8][..], &[7, 8][..]));
        frames.push(&[9, 9], true);
        assert_eq!(frames.stack(), [9; 6]);
    }
}
