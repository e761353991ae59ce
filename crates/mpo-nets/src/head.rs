//! From a policy network's raw output to a Gaussian, and the way back.

use mpo_core::{Covariance, sigmoid, softplus};

use crate::{NetworkConfig, PolicyKind};

/// Smallest standard deviation, or diagonal entry of the Cholesky factor.
const MIN_SCALE: f32 = 1e-4;

/// Splits a raw row `[mean, factor]` and makes the factor's diagonal positive.
///
/// ```text
/// sigma_i = u_i / (1 + u_i / maximum_stddev) + 1e-4,    u_i = scale * softplus(raw_i)
/// ```
/// with the scale that makes it `initial_stddev` at raw 0 (and `u_i` itself where there is no maximum),
/// for a diagonal covariance's standard deviations and for the diagonal of a full covariance's Cholesky
/// factor, whose entries below the diagonal are the raw numbers. The factor is packed by rows: entry
/// `(i, j)`, `j <= i`, lies at `i (i + 1) / 2 + j`.
///
/// A deterministic policy's raw row is the action alone, before tanh; its Gaussian is that of exploring, with a constant
/// deviation.
#[derive(Clone, Debug)]
pub struct GaussianHead {
    action: usize,
    covariance: Covariance,
    scale: f32,
    /// 1 / `maximum_stddev`.
    squash: f32,
    /// The constant deviation of a deterministic policy.
    exploration: Option<f32>,
}

impl GaussianHead {
    /// The head for `action` dimensions whose deviation at raw 0 is `initial_stddev`.
    #[must_use]
    pub fn new(action: usize, covariance: Covariance, initial_stddev: f32) -> Self {
        Self { action, covariance, scale: initial_stddev / std::f32::consts::LN_2, squash: 0.0, exploration: None }
    }

    /// Keeps every deviation (of a full covariance, every diagonal entry of its factor) below `maximum`, smoothly.
    ///
    /// # Panics
    /// Unless `maximum` exceeds the initial deviation.
    #[must_use]
    pub fn bounded(self, maximum: f32) -> Self {
        let initial = self.scale * std::f32::consts::LN_2;
        assert!(maximum > initial, "a maximum of {maximum} must exceed the initial deviation {initial}");
        Self { scale: self.scale / (1.0 - initial / maximum), squash: 1.0 / maximum, ..self }
    }

    /// The head of a deterministic policy that explores with Gaussian noise of deviation `stddev`.
    #[must_use]
    pub fn deterministic(action: usize, stddev: f32) -> Self {
        Self { exploration: Some(stddev), ..Self::new(action, Covariance::Diagonal, stddev) }
    }

    /// The head that `config` describes.
    #[must_use]
    pub fn of(action: usize, config: &NetworkConfig) -> Self {
        match config.policy {
            PolicyKind::Gaussian => {
                Self::new(action, config.covariance, config.initial_stddev).bounded(config.maximum_stddev)
            }
            PolicyKind::Deterministic => Self::deterministic(action, config.initial_stddev),
        }
    }

    /// The scale of softplus, and 1 / the largest deviation or 0.
    pub(crate) fn constants(&self) -> (f32, f32) {
        (self.scale, self.squash)
    }

    /// Numbers of a raw row.
    #[must_use]
    pub fn raw_len(&self) -> usize {
        if self.exploration.is_some() { self.action } else { self.action + self.factor_len() }
    }

    /// Numbers of a row of the factor.
    #[must_use]
    pub fn factor_len(&self) -> usize {
        self.covariance.factor_len(self.action)
    }

    /// Number of action dimensions.
    #[must_use]
    pub fn action(&self) -> usize {
        self.action
    }

    /// Which covariance the factor describes.
    #[must_use]
    pub fn covariance(&self) -> Covariance {
        self.covariance
    }

    /// Positions in a row of the factor that must be positive.
    fn diagonal(&self) -> impl Iterator<Item = usize> + use<> {
        let full = self.covariance == Covariance::Full;
        (0..self.action).map(move |i| if full { i * (i + 3) / 2 } else { i })
    }

    /// `raw` `[rows, raw_len]` to `mean` `[rows, action]` and `factor` `[rows, factor_len]`.
    pub fn forward(&self, raw: &[f32], mean: &mut [f32], factor: &mut [f32]) {
        if let Some(stddev) = self.exploration {
            mean.iter_mut().zip(raw).for_each(|(mean, raw)| *mean = raw.tanh());
            factor.fill(stddev);
            return;
        }
        let rows = raw
            .chunks_exact(self.raw_len())
            .zip(mean.chunks_exact_mut(self.action))
            .zip(factor.chunks_exact_mut(self.factor_len()));
        for ((raw, mean), factor) in rows {
            mean.copy_from_slice(&raw[..self.action]);
            factor.copy_from_slice(&raw[self.action..]);
            for i in self.diagonal() {
                let u = self.scale * softplus(factor[i]);
                factor[i] = u / (1.0 + u * self.squash) + MIN_SCALE;
            }
        }
    }

    /// d loss / d raw from `d_mean` and `d_factor`, at the same `raw` as [`forward`](Self::forward).
    pub fn backward(&self, raw: &[f32], d_mean: &[f32], d_factor: &[f32], d_raw: &mut [f32]) {
        if self.exploration.is_some() {
            for ((d_raw, raw), d_mean) in d_raw.iter_mut().zip(raw).zip(d_mean) {
                let mean = raw.tanh();
                *d_raw = d_mean * (1.0 - mean * mean);
            }
            return;
        }
        let rows = raw
            .chunks_exact(self.raw_len())
            .zip(d_mean.chunks_exact(self.action))
            .zip(d_factor.chunks_exact(self.factor_len()))
            .zip(d_raw.chunks_exact_mut(self.raw_len()));
        for (((raw, d_mean), d_factor), d_raw) in rows {
            d_raw[..self.action].copy_from_slice(d_mean);
            d_raw[self.action..].copy_from_slice(d_factor);
            for i in self.diagonal().map(|i| self.action + i) {
                let damping = 1.0 + self.scale * softplus(raw[i]) * self.squash;
                d_raw[i] *= self.scale * sigmoid(raw[i]) / (damping * damping);
            }
        }
    }

    /// Mean of the standard deviations of all action dimensions of all rows.
    #[must_use]
    pub fn mean_stddev(&self, factor: &[f32]) -> f32 {
        let mut sum = 0.0;
        for row in factor.chunks_exact(self.factor_len()) {
            match self.covariance {
                Covariance::Diagonal => sum += row.iter().sum::<f32>(),
                Covariance::Full => {
                    let mut start = 0;
                    for i in 1..=self.action {
                        sum += row[start..start + i].iter().map(|x| x * x).sum::<f32>().sqrt();
                        start += i;
                    }
                }
            }
        }
        sum / (factor.len() / self.factor_len() * self.action) as f32
    }

    /// One action from standard-normal `noise` `[action]`, and its log-density under the Gaussian (before any clipping).
    pub fn sample_row(&self, mean: &[f32], factor: &[f32], noise: &[f32], action: &mut [f32]) -> f32 {
        let full = self.covariance == Covariance::Full;
        let mut log_prob = -0.5 * self.action as f32 * (2.0 * std::f32::consts::PI).ln();
        let mut start = 0;
        for i in 0..self.action {
            let (step, scale) = if full {
                let row = &factor[start..=start + i];
                start += i + 1;
                (row.iter().zip(noise).map(|(l, z)| l * z).sum::<f32>(), row[i])
            } else {
                (factor[i] * noise[i], factor[i])
            };
            action[i] = mean[i] + step;
            log_prob -= 0.5 * noise[i] * noise[i] + scale.ln();
        }
        log_prob
    }
}
