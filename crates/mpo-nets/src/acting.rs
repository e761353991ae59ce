//! One-row inference for actors.

use crate::{Activations, GaussianHead, NetsError, Network, NetworkConfig, learner::policy_network};

/// A copy of the policy that acts: load the newest parameters, then sample or take the mean, without allocating.
#[derive(Clone, Debug)]
pub struct ActingPolicy {
    network: Network,
    head: GaussianHead,
    parameters: Vec<f32>,
    activations: Activations,
    raw: Vec<f32>,
    mean: Vec<f32>,
    factor: Vec<f32>,
}

impl ActingPolicy {
    /// A policy of the given sizes, with all parameters zero until [`load`](Self::load).
    ///
    /// # Errors
    /// [`NetsError::Setting`] for a setting out of range.
    pub fn new(observation: usize, action: usize, config: &NetworkConfig) -> Result<Self, NetsError> {
        Self::branched(observation, 0, action, config)
    }

    /// The policy of a learner whose networks are [`Branched`](crate::Branched): of `observation` numbers the last `part` have a torso of
    /// their own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Panics
    /// If `part` exceeds `observation`.
    pub fn branched(observation: usize, part: usize, action: usize, config: &NetworkConfig) -> Result<Self, NetsError> {
        config.validate()?;
        let head = GaussianHead::of(action, config);
        let network = policy_network(observation, part, &head, config);
        Ok(Self {
            parameters: vec![0.0; network.parameters()],
            raw: vec![0.0; head.raw_len()],
            mean: vec![0.0; action],
            factor: vec![0.0; head.factor_len()],
            activations: Activations::default(),
            network,
            head,
        })
    }

    /// Takes over parameters, as from [`LearnerStep::policy_parameters`](crate::LearnerStep::policy_parameters).
    ///
    /// # Panics
    /// If their number is another's.
    pub fn load(&mut self, parameters: &[f32]) {
        self.parameters.copy_from_slice(parameters);
    }

    fn run(&mut self, observation: &[f32]) {
        self.network.forward_row(&self.parameters, observation, &mut self.activations, &mut self.raw);
        self.head.forward(&self.raw, &mut self.mean, &mut self.factor);
    }

    /// Samples an action with standard-normal `noise` `[action]`; returns its log-probability density.
    pub fn sample(&mut self, observation: &[f32], noise: &[f32], action: &mut [f32]) -> f32 {
        self.run(observation);
        self.head.sample_row(&self.mean, &self.factor, noise, action)
    }

    /// The policy's mean, the action of an evaluation.
    pub fn mean(&mut self, observation: &[f32], action: &mut [f32]) {
        self.run(observation);
        action.copy_from_slice(&self.mean);
    }
}
