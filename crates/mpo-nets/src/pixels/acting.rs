//! One-state inference for actors.

use super::{PixelActivations, PixelNetwork, PixelShape};
use crate::{NetsError, NetworkConfig, learner::pixel_policy_network};

/// A copy of a policy over pixels that acts: load the newest parameters, then sample or take the most probable action, without
/// allocating.
#[derive(Clone, Debug)]
pub struct PixelActingPolicy {
    network: PixelNetwork,
    parameters: Vec<f32>,
    activations: PixelActivations,
    logits: Vec<f32>,
}

impl PixelActingPolicy {
    /// A policy of the given sizes, with all parameters zero until [`load`](Self::load).
    ///
    /// # Errors
    /// [`NetsError::Pixels`] for sizes that are not compiled in.
    pub fn new(shape: &PixelShape, config: &NetworkConfig) -> Result<Self, NetsError> {
        let network = pixel_policy_network(shape, config)?;
        Ok(Self {
            parameters: vec![0.0; network.parameters()],
            logits: vec![0.0; shape.actions],
            activations: PixelActivations::default(),
            network,
        })
    }

    /// Takes over parameters, as from [`LearnerStep::policy_parameters`](crate::LearnerStep::policy_parameters).
    ///
    /// # Panics
    /// If their number is another's.
    pub fn load(&mut self, parameters: &[f32]) {
        self.parameters.copy_from_slice(parameters);
    }

    /// The logits of the actions in the state `frames` `[stack, height, width]`, `[actions]`; a shift of all is the same policy.
    ///
    /// # Panics
    /// If `frames` is of another length.
    pub fn logits(&mut self, frames: &[u8]) -> &[f32] {
        assert_eq!(frames.len(), self.network.state_len(), "bytes of a state");
        self.network.forward(&self.parameters, frames, 1, &mut self.activations, &mut self.logits);
        &self.logits
    }

    /// Draws an action by `uniform`, from `[0, 1)`: the first at which the sum of probabilities exceeds it. Returns its index and
    /// its log-probability.
    ///
    /// # Panics
    /// If `frames` is of another length.
    pub fn sample(&mut self, frames: &[u8], uniform: f32) -> (u32, f32) {
        let logits = self.logits(frames);
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
        let (mut sum, mut chosen) = (0.0, 0);
        for (action, logit) in logits.iter().enumerate() {
            let probability = (logit - most).exp();
            // Rounding may leave the whole sum below a uniform near 1: then the last action that can happen is taken.
            if probability > 0.0 {
                chosen = action;
                sum += probability;
                if sum > uniform * total {
                    break;
                }
            }
        }
        (chosen as u32, logits[chosen] - most - total.ln())
    }

    /// The most probable action, the action of an evaluation; the first of equals.
    ///
    /// # Panics
    /// If `frames` is of another length.
    pub fn greedy(&mut self, frames: &[u8]) -> u32 {
        let logits = self.logits(frames);
        let mut best = 0;
        for (action, logit) in logits.iter().enumerate() {
            if *logit > logits[best] {
                best = action;
            }
        }
        best as u32
    }
}
