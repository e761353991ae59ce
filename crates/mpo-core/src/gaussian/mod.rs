//! Gaussian policies with diagonal or full covariance: densities, samples, divergences and their gradients.
//!
//! A batch of `B` states is a mean `[B, n]` and a factor: `[B, n]` standard deviations for [`Covariance::Diagonal`], or
//! `[B, n (n + 1) / 2]` packed lower-triangular Cholesky factors `L` (row by row, `Sigma = L L^T`) for
//! [`Covariance::Full`]. Samples of a state stand together: actions are `[B, M, n]`, what belongs to a sample is `[B, M]`.

mod diagonal;
mod full;
mod log_gap;
mod step;
mod triangular;
mod workspace;

pub use triangular::packed_len;
pub use workspace::Workspace;

pub(crate) use step::{StepTerms, diagonal_step, full_step};

use serde::{Deserialize, Serialize};

use crate::Real;
use log_gap::relative_log_gap;
use triangular::blocks;

/// `1/2 log 2 pi`.
const HALF_LOG_TWO_PI: f64 = 0.918_938_533_204_672_7;

/// The covariance of a Gaussian policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Covariance {
    /// `Sigma = L L^T`, `L` lower-triangular with a positive diagonal (the paper's policy).
    #[default]
    Full,
    /// Independent dimensions, given by their standard deviations.
    Diagonal,
}

impl Covariance {
    /// Numbers per state in the factor of an `n`-dimensional action: `n (n + 1) / 2` or `n`.
    #[must_use]
    pub const fn factor_len(self, n: usize) -> usize {
        match self {
            Self::Full => packed_len(n),
            Self::Diagonal => n,
        }
    }
}

/// How the divergence `KL(pi_i || pi)` is cut into a part for the mean and a part for the covariance (paper App. D.3, eqs.
/// 25-28).
///
/// ```text
/// C_mu    = 1/2 (mu_i - mu)^T S^-1 (mu_i - mu)
/// C_Sigma = 1/2 ( tr(Sigma^-1 Sigma_i) - n + log|Sigma| - log|Sigma_i| )
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlSplit {
    /// `S = Sigma_i`; the mean is fitted under the old covariance and the covariance about the old mean.
    #[default]
    Decoupled,
    /// `S = Sigma`: the parts sum to the divergence, as in the paper.
    Exact,
}

/// One state's mean and factor.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a, T> {
    pub(crate) mean: &'a [T],
    pub(crate) factor: &'a [T],
}

/// Where the gradient with respect to a Gaussian head's outputs is written: the shapes of the head's mean and factor.
#[derive(Debug)]
pub struct HeadGradient<'a, T> {
    /// With respect to the mean, `[B, n]`.
    pub mean: &'a mut [T],
    /// With respect to the factor, `[B, n (n + 1) / 2]` or `[B, n]`.
    pub factor: &'a mut [T],
}

/// A batch of Gaussians over the caller's memory.
#[derive(Clone, Copy, Debug)]
pub struct Gaussian<'a, T> {
    covariance: Covariance,
    action_len: usize,
    mean: &'a [T],
    factor: &'a [T],
}

impl<'a, T: Real> Gaussian<'a, T> {
    /// A batch of `mean.len() / action_len` Gaussians.
    ///
    /// - `mean`: `[B, n]`, in units of the action.
    /// - `factor`: `[B, n]` standard deviations or `[B, n (n + 1) / 2]` packed Cholesky factors, in the same unit, positive
    ///   on the diagonal (not checked: what is not positive comes back as NaN).
    ///
    /// # Panics
    /// If `action_len` is zero or the lengths are not those of one batch.
    #[must_use]
    pub fn new(covariance: Covariance, action_len: usize, mean: &'a [T], factor: &'a [T]) -> Self {
        assert!(action_len > 0, "an action has at least one dimension");
        assert!(
            mean.len().is_multiple_of(action_len),
            "the mean has {} numbers, no multiple of {action_len}",
            mean.len()
        );
        assert_eq!(
            factor.len(),
            mean.len() / action_len * covariance.factor_len(action_len),
            "the factor is not that of {} states of {action_len} dimensions",
            mean.len() / action_len
        );
        Self { covariance, action_len, mean, factor }
    }

    /// B.
    #[must_use]
    pub const fn states(&self) -> usize {
        self.mean.len() / self.action_len
    }

    /// n.
    #[must_use]
    pub const fn action_len(&self) -> usize {
        self.action_len
    }

    /// The kind of covariance.
    #[must_use]
    pub const fn covariance(&self) -> Covariance {
        self.covariance
    }

    pub(crate) fn heads(&self) -> impl Iterator<Item = Head<'a, T>> + use<'a, T> {
        self.mean
            .chunks_exact(self.action_len)
            .zip(self.factor.chunks_exact(self.covariance.factor_len(self.action_len)))
            .map(|(mean, factor)| Head { mean, factor })
    }

    /// Asserts that `actions` is `[B, M, n]` and returns M.
    pub(crate) fn samples_of(&self, actions: &[T]) -> usize {
        let per_sample = self.mean.len();
        assert!(
            per_sample > 0 && actions.len().is_multiple_of(per_sample),
            "{} numbers are not [{}, M, {}] actions",
            actions.len(),
            self.states(),
            self.action_len
        );
        actions.len() / per_sample
    }

    pub(crate) fn assert_same_shape(&self, other: &Gaussian<'_, T>) {
        assert_eq!(
            (self.covariance, self.action_len, self.mean.len()),
            (other.covariance, other.action_len, other.mean.len()),
            "the two policies differ in covariance, dimensions or states"
        );
    }

    pub(crate) fn assert_gradient(&self, gradient: &HeadGradient<'_, T>) {
        assert_eq!(
            (gradient.mean.len(), gradient.factor.len()),
            (self.mean.len(), self.factor.len()),
            "the gradient must have the shapes of the head"
        );
    }

    /// `log N(a; mu, Sigma)` in nats for every sample.
    ///
    /// - `actions`: `[B, M, n]`; `log_probs`: `[B, M]`, written.
    ///
    /// # Panics
    /// If the shapes disagree or the workspace is too small.
    pub fn log_prob(&self, actions: &[T], log_probs: &mut [T], workspace: &mut Workspace<T>) {
        let m = self.samples_of(actions);
        assert_eq!(log_probs.len(), self.states() * m, "one log-probability per action");
        workspace.assert_fits(self.action_len, m);
        let whitened = &mut workspace.whitened[..self.action_len * blocks(m)];
        let samples = actions.chunks_exact((m * self.action_len).max(1)).zip(log_probs.chunks_exact_mut(m.max(1)));
        for (head, (actions, log_probs)) in self.heads().zip(samples) {
            match self.covariance {
                Covariance::Diagonal => diagonal::log_prob(head, actions, log_probs),
                Covariance::Full => full::log_prob(head, actions, log_probs, whitened),
            }
        }
    }

    /// `a = mu + L z`, or `mu + stddev z`: turns standard-normal noise into samples.
    ///
    /// - `noise`, `actions`: `[B, M, n]`; the latter is written.
    ///
    /// # Panics
    /// If the shapes disagree or the workspace is too small.
    pub fn sample(&self, noise: &[T], actions: &mut [T], workspace: &mut Workspace<T>) {
        let m = self.samples_of(noise);
        assert_eq!(actions.len(), noise.len(), "one action per noise vector");
        workspace.assert_fits(self.action_len, m);
        let whitened = &mut workspace.whitened[..self.action_len * blocks(m)];
        let per_state = (m * self.action_len).max(1);
        let samples = noise.chunks_exact(per_state).zip(actions.chunks_exact_mut(per_state));
        for (head, (noise, actions)) in self.heads().zip(samples) {
            match self.covariance {
                Covariance::Diagonal => diagonal::sample(head, noise, actions),
                Covariance::Full => full::sample(head, noise, actions, whitened),
            }
        }
    }

    /// `H = n/2 log(2 pi e) + log|L|` in nats; `entropies` `[B]`, written.
    ///
    /// # Panics
    /// If `entropies` is not of length B.
    pub fn entropy(&self, entropies: &mut [T]) {
        assert_eq!(entropies.len(), self.states(), "one entropy per state");
        let half = T::of(0.5 * self.action_len as f64);
        for (head, entropy) in self.heads().zip(entropies) {
            *entropy = half + self.log_normaliser(head);
        }
    }

    fn log_normaliser(&self, head: Head<'_, T>) -> T {
        match self.covariance {
            Covariance::Diagonal => diagonal::log_normaliser(head.factor),
            Covariance::Full => full::log_normaliser(head.factor, self.action_len),
        }
    }

    /// The two parts of `KL(self || online)` in nats, where `self` is the old policy `pi_i` (see [`KlSplit`]).
    ///
    /// - `kl_mean`, `kl_covariance`: `[B]`, written. Never negative, and zero where the heads are equal.
    ///
    /// ```
    /// use mpo_core::{Covariance, Gaussian, KlSplit, Workspace};
    ///
    /// let old = Gaussian::new(Covariance::Diagonal, 1, &[0.0_f64], &[1.0]);
    /// let new = Gaussian::new(Covariance::Diagonal, 1, &[1.0], &[2.0]);
    /// let (mut mean, mut covariance) = ([0.0], [0.0]);
    /// old.kl(&new, KlSplit::Exact, &mut mean, &mut covariance, &mut Workspace::new(1, 0));
    /// assert_eq!(mean, [0.125]); // 1/2 (1 / 2)^2
    /// assert!((covariance[0] - (2.0_f64.ln() - 0.375)).abs() < 1e-15);
    /// old.kl(&new, KlSplit::Decoupled, &mut mean, &mut covariance, &mut Workspace::new(1, 0));
    /// assert_eq!(mean, [0.5]); // in units of the old standard deviation
    /// ```
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn kl(
        &self,
        online: &Gaussian<'_, T>,
        split: KlSplit,
        kl_mean: &mut [T],
        kl_covariance: &mut [T],
        workspace: &mut Workspace<T>,
    ) {
        self.assert_same_shape(online);
        assert_eq!((kl_mean.len(), kl_covariance.len()), (self.states(), self.states()), "one divergence per state");
        workspace.assert_fits(self.action_len, 0);
        let parts = kl_mean.iter_mut().zip(kl_covariance);
        for ((target, online), (kl_mean, kl_covariance)) in self.heads().zip(online.heads()).zip(parts) {
            (*kl_mean, *kl_covariance) = match self.covariance {
                Covariance::Diagonal => {
                    let (mut mean, mut covariance) = (T::zero(), T::zero());
                    diagonal::kl_per_dimension(split, target, online, |_, c_mean, c_covariance| {
                        mean += c_mean;
                        covariance += c_covariance;
                    });
                    (mean, covariance)
                }
                Covariance::Full => full::kl(split, target, online, &mut workspace.shift, &mut workspace.ratio),
            };
        }
    }

    /// `1/2 d^T F d` for every state, where `d` leads from this head's outputs to those of `online` and `F` is the Fisher matrix
    /// of this policy in the coordinates (mean, factor): what `KL(self || online)` is to second order in `d`, and the
    /// quadratic form of the prior of paper eq. 11 (the paper prints the inverse of `F`).
    ///
    /// - `forms`: `[B]`, written, nats.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn fisher_form(&self, online: &Gaussian<'_, T>, forms: &mut [T], workspace: &mut Workspace<T>) {
        self.assert_same_shape(online);
        assert_eq!(forms.len(), self.states(), "one form per state");
        workspace.assert_fits(self.action_len, 0);
        for ((target, online), form) in self.heads().zip(online.heads()).zip(forms) {
            *form = match self.covariance {
                Covariance::Diagonal => diagonal::fisher_form(target, online),
                Covariance::Full => full::fisher_form(target, online, &mut workspace.shift, &mut workspace.ratio),
            };
        }
    }

    /// The gradient of `sum_s alpha_mean C_mu(s) + alpha_covariance C_Sigma(s)` with respect to the head of `online`, for the
    /// divergences of [`kl`](Self::kl). Overwrites `gradient`.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn kl_gradient(
        &self,
        online: &Gaussian<'_, T>,
        split: KlSplit,
        alpha: (T, T),
        gradient: HeadGradient<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        self.assert_same_shape(online);
        online.assert_gradient(&gradient);
        workspace.assert_fits(self.action_len, 0);
        let heads = self.heads().zip(online.heads());
        for ((target, online), gradient) in heads.zip(states_of(self.covariance, self.action_len, gradient)) {
            gradient.mean.fill(T::zero());
            gradient.factor.fill(T::zero());
            match self.covariance {
                Covariance::Diagonal => diagonal::add_kl_gradient(split, target, online, |_| alpha, gradient),
                Covariance::Full => {
                    full::kl(split, target, online, &mut workspace.shift, &mut workspace.ratio);
                    let scratch = (&mut workspace.shift[..], &workspace.ratio[..], &mut workspace.gram[..]);
                    full::add_kl_gradient(split, target, online, alpha, scratch, gradient);
                }
            }
        }
    }

    /// The gradient of `sum_s sum_j c_sj log pi(a_sj | s) + entropy_weight sum_s H(s)` with respect to this head: the score
    /// function, of which every policy gradient is made. Overwrites `gradient` and returns the sum itself.
    ///
    /// - `actions`: `[B, M, n]`; `coefficients`: `[B, M]`, any sign.
    ///
    /// # Panics
    /// If the shapes disagree or the workspace is too small.
    pub fn log_prob_gradient(
        &self,
        actions: &[T],
        coefficients: &[T],
        entropy_weight: T,
        gradient: HeadGradient<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> T {
        let m = self.samples_of(actions);
        assert_eq!(coefficients.len(), self.states() * m, "one coefficient per action");
        self.assert_gradient(&gradient);
        workspace.assert_fits(self.action_len, m);
        let samples = actions.chunks_exact((m * self.action_len).max(1)).zip(coefficients.chunks_exact(m.max(1)));
        let states = self.heads().zip(states_of(self.covariance, self.action_len, gradient));
        let mut value = 0.0;
        for ((head, gradient), samples) in states.zip(samples) {
            let likelihood = match self.covariance {
                Covariance::Diagonal => step::diagonal_score(head, samples, entropy_weight, gradient, workspace),
                Covariance::Full => step::full_score(head, samples, entropy_weight, gradient, workspace),
            };
            value += likelihood.wide();
        }
        T::of(value)
    }
}

/// The gradient cut into states.
pub(crate) fn states_of<T>(
    covariance: Covariance,
    action_len: usize,
    HeadGradient { mean, factor }: HeadGradient<'_, T>,
) -> impl Iterator<Item = HeadGradient<'_, T>> {
    mean.chunks_exact_mut(action_len)
        .zip(factor.chunks_exact_mut(covariance.factor_len(action_len)))
        .map(|(mean, factor)| HeadGradient { mean, factor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_that_is_not_positive_shows_as_nan() {
        let head = Gaussian::new(Covariance::Diagonal, 1, &[0.0_f64], &[-1.0]);
        let mut entropy = [0.0];
        head.entropy(&mut entropy);
        assert!(entropy[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "not that of 2 states of 2 dimensions")]
    fn a_factor_of_another_covariance_is_refused() {
        let _ = Gaussian::new(Covariance::Full, 2, &[0.0_f64; 4], &[1.0; 4]);
    }

    #[test]
    #[should_panic(expected = "the workspace is for 2 dimensions and 3 samples")]
    fn a_small_workspace_is_refused() {
        let head = Gaussian::new(Covariance::Diagonal, 2, &[0.0_f64; 2], &[1.0; 2]);
        head.log_prob(&[0.0; 8], &mut [0.0; 4], &mut Workspace::new(2, 3));
    }
}
