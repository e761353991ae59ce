//! From an observation to an action.

use mpo_envs::Spec;
use mpo_nets::{ActingPolicy, NetworkConfig};

use crate::AgentError;
use crate::seeds::{Stream, standard_normals};

/// One sampled action, borrowed from the [`Actor`] until it acts again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'a> {
    /// The policy's sample, unclipped: what the replay stores, `[actions]`.
    pub action: &'a [f32],
    /// log pi(action | observation) of the unclipped sample, in nats.
    pub log_prob: f32,
    /// The sample clipped to the environment's bounds: what the environment is given, `[actions]`.
    pub applied: &'a [f64],
}

/// The acting half of an agent: a copy of the policy, its noise and the action bounds.
///
/// The unclipped sample is what the replay stores, because the log-probability that Retrace divides
/// by is that of the sample; clipping is the environment's business and happens only to what is applied.
#[derive(Debug)]
pub struct Actor {
    policy: ActingPolicy,
    stream: Stream,
    observation: Vec<f32>,
    noise: Vec<f32>,
    action: Vec<f32>,
    applied: Vec<f64>,
    minimum: Vec<f64>,
    maximum: Vec<f64>,
}

impl Actor {
    /// An actor for the environment of `spec`, whose noise comes from `stream`. Its parameters are
    /// those of an untrained policy until [`Actor::load`].
    ///
    /// # Errors
    /// [`AgentError::Learner`] when `network` has a setting out of range.
    pub fn new(spec: &Spec, network: &NetworkConfig, stream: Stream) -> Result<Self, AgentError> {
        let (observation, action) = (spec.observation_len(), spec.action_len());
        Ok(Self {
            policy: ActingPolicy::new(observation, action, network)?,
            stream,
            observation: vec![0.0; observation],
            noise: vec![0.0; action],
            action: vec![0.0; action],
            applied: vec![0.0; action],
            minimum: spec.action_minimum.clone(),
            maximum: spec.action_maximum.clone(),
        })
    }

    /// Takes the learner's newest policy parameters.
    pub fn load(&mut self, parameters: &[f32]) {
        self.policy.load(parameters);
    }

    /// The state of the noise stream, for a checkpoint.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Samples an action for `observation` (`[observations]`, the environment's units).
    ///
    /// # Errors
    /// [`AgentError::NonFinite`] when the observation, rounded to `f32`, or the action is not finite.
    ///
    /// # Panics
    /// When `observation` has not the length of the environment's specification.
    pub fn act(&mut self, observation: &[f64]) -> Result<Decision<'_>, AgentError> {
        narrow(observation, &mut self.observation)?;
        standard_normals(&mut self.stream, &mut self.noise);
        let log_prob = self.policy.sample(&self.observation, &self.noise, &mut self.action);
        finite("action", std::slice::from_ref(&log_prob))?;
        self.clip()?;
        Ok(Decision { action: &self.action, log_prob, applied: &self.applied })
    }

    /// The policy's mean for `observation`, clipped to the bounds: how a policy is evaluated.
    ///
    /// # Errors
    /// As [`Actor::act`].
    ///
    /// # Panics
    /// As [`Actor::act`].
    pub fn act_mean(&mut self, observation: &[f64]) -> Result<&[f64], AgentError> {
        narrow(observation, &mut self.observation)?;
        self.policy.mean(&self.observation, &mut self.action);
        self.clip()?;
        Ok(&self.applied)
    }

    fn clip(&mut self) -> Result<(), AgentError> {
        finite("action", &self.action)?;
        let bounds = self.minimum.iter().zip(&self.maximum);
        for ((slot, &action), (&low, &high)) in self.applied.iter_mut().zip(&self.action).zip(bounds) {
            *slot = f64::from(action).clamp(low, high);
        }
        Ok(())
    }
}

/// Rounds an observation to the precision of the networks.
///
/// # Panics
/// When the lengths differ.
pub(crate) fn narrow(observation: &[f64], out: &mut [f32]) -> Result<(), AgentError> {
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
