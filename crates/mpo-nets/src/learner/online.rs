//! The online policy in a batch of states, forward to a Gaussian and back to the network's gradient.

use mpo_core::{Gaussian, HeadGradient};

use super::trained::Trained;
use crate::GaussianHead;

/// The head's outputs for some rows, and the memory for their gradients.
#[derive(Debug)]
pub(super) struct OnlinePolicy {
    head: GaussianHead,
    rows: usize,
    raw: Vec<f32>,
    mean: Vec<f32>,
    factor: Vec<f32>,
    d_raw: Vec<f32>,
    d_mean: Vec<f32>,
    d_factor: Vec<f32>,
}

impl OnlinePolicy {
    pub(super) fn new(head: GaussianHead) -> Self {
        let empty = Vec::new;
        Self {
            head,
            rows: 0,
            raw: empty(),
            mean: empty(),
            factor: empty(),
            d_raw: empty(),
            d_mean: empty(),
            d_factor: empty(),
        }
    }

    /// The online policy's head in `states` `[rows, observation]`.
    pub(super) fn forward(&mut self, policy: &mut Trained, states: &[f32], rows: usize) {
        self.resize(rows);
        policy.forward(states, rows, &mut self.raw);
        self.head.forward(&self.raw, &mut self.mean, &mut self.factor);
    }

    /// The same of the target policy; no [`backward`](Self::backward) may follow.
    pub(super) fn forward_target(&mut self, policy: &mut Trained, states: &[f32], rows: usize) {
        self.resize(rows);
        policy.forward_target(states, rows, &mut self.raw);
        self.head.forward(&self.raw, &mut self.mean, &mut self.factor);
    }

    /// The policy, and where the gradient of a loss by its mean and factor goes.
    pub(super) fn parts(&mut self) -> (Gaussian<'_, f32>, HeadGradient<'_, f32>) {
        let policy = Gaussian::new(self.head.covariance(), self.head.action(), &self.mean, &self.factor);
        (policy, HeadGradient { mean: &mut self.d_mean, factor: &mut self.d_factor })
    }

    /// The policy.
    pub(super) fn policy(&self) -> Gaussian<'_, f32> {
        Gaussian::new(self.head.covariance(), self.head.action(), &self.mean, &self.factor)
    }

    /// Means of the rows, `[rows, action]`.
    pub(super) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Fills the policy's gradient from that of [`parts`](Self::parts), at the `states` of [`forward`](Self::forward).
    pub(super) fn backward(&mut self, policy: &mut Trained, states: &[f32]) {
        self.head.backward(&self.raw, &self.d_mean, &self.d_factor, &mut self.d_raw);
        policy.backward(states, self.rows, &self.d_raw);
    }

    /// The standard deviation, averaged over rows and dimensions.
    pub(super) fn mean_stddev(&self) -> f32 {
        self.head.mean_stddev(&self.factor)
    }

    fn resize(&mut self, rows: usize) {
        self.rows = rows;
        let (raw, n, factor) = (self.head.raw_len(), self.head.action(), self.head.factor_len());
        for (buffer, len) in [
            (&mut self.raw, raw),
            (&mut self.mean, n),
            (&mut self.factor, factor),
            (&mut self.d_raw, raw),
            (&mut self.d_mean, n),
            (&mut self.d_factor, factor),
        ] {
            buffer.resize(rows * len, 0.0);
        }
    }
}
