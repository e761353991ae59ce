//! The M-step: weighted maximum likelihood under a bound on the divergence from the old policy (paper eqs. 10-12, App. D.3).

use serde::{Deserialize, Serialize};

use crate::Real;
use crate::gaussian::{
    Covariance, Gaussian, HeadGradient, KlSplit, StepTerms, Workspace, diagonal_step, full_step, states_of,
};
use crate::real::scale;

/// The actions of an E-step and their weights.
#[derive(Clone, Copy, Debug)]
pub struct WeightedActions<'a, T> {
    /// `[B, M, n]`, the samples of a state one after another.
    pub actions: &'a [T],
    /// `[B, M]`. They need not sum to one (a penalty may add a second set), nor be positive (advantages).
    pub weights: &'a [T],
}

/// How the M-step is kept near the old policy; the numbers are the multipliers' present values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint<T> {
    /// Mean and covariance are bounded apart (paper eqs. 25-28): the default algorithm.
    Split {
        /// Which divergences bound them.
        split: KlSplit,
        /// Multiplier of `C_mu`.
        alpha_mean: T,
        /// Multiplier of `C_Sigma`.
        alpha_covariance: T,
    },
    /// One bound on `KL(pi_i || pi)` with one multiplier (paper eq. 12).
    Joint {
        /// Multiplier of the divergence.
        alpha: T,
    },
    /// No bound but a prior `log p(theta) = -lambda KL(pi_i || pi)` of fixed weight (paper eq. 11). To second order in the
    /// step `d` the divergence is `1/2 d^T F d`, `F` the Fisher matrix ([`Gaussian::fisher_form`]).
    Prior {
        /// Weight of the prior.
        lambda: T,
    },
}

impl<T: Real> Constraint<T> {
    fn parts(self) -> (KlSplit, T, T) {
        match self {
            Self::Split { split, alpha_mean, alpha_covariance } => (split, alpha_mean, alpha_covariance),
            Self::Joint { alpha } => (KlSplit::Exact, alpha, alpha),
            Self::Prior { lambda } => (KlSplit::Exact, lambda, lambda),
        }
    }
}

/// Batch means of the M-step's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MStep<T> {
    /// What the gradient belongs to: `policy_loss + alpha_mean kl_mean + alpha_covariance kl_covariance`.
    pub loss: T,
    /// `-mean_s sum_j w_sj log pi(a_j|s)`; for [`KlSplit::Decoupled`] the sum of the mean's and the covariance's fits.
    pub policy_loss: T,
    /// `mean_s C_mu`, nats.
    pub kl_mean: T,
    /// `mean_s C_Sigma`, nats.
    pub kl_covariance: T,
}

impl<T: Real> MStep<T> {
    /// `C_mu + C_Sigma`; with [`KlSplit::Exact`], and so for [`Constraint::Joint`], this is `mean_s KL(pi_i || pi)`.
    #[must_use]
    pub fn kl(&self) -> T {
        self.kl_mean + self.kl_covariance
    }
}

/// The policy's loss in the M-step and its gradient with respect to the online head.
///
/// ```text
/// loss = mean_s [ -sum_j w_sj log pi(a_sj|s) + alpha_mu C_mu(s) + alpha_Sigma C_Sigma(s) ]
/// ```
///
/// with the divergences of [`KlSplit`] from `target` to `online`; weights, actions, target and multipliers are constants. With
/// [`KlSplit::Decoupled`] the likelihood is `log N(a; mu, Sigma_i) + log N(a; mu_i, Sigma)`, where `mu_i, Sigma_i` are the
/// target's.
///
/// - `target`, `online`: B states of n dimensions with the same covariance.
/// - `samples`: actions `[B, M, n]` and weights `[B, M]`.
/// - `gradient`: overwritten with `d loss / d mean` and `d loss / d factor`, the mean over the batch included.
///
/// The multipliers' own losses are [`Multiplier::loss`](crate::Multiplier::loss) of the returned divergences.
///
/// ```
/// use mpo_core::{Constraint, Covariance, Gaussian, HeadGradient, WeightedActions, Workspace, m_step};
///
/// let (mean, stddev) = ([0.0_f64], [1.0]);
/// let policy = Gaussian::new(Covariance::Diagonal, 1, &mean, &stddev);
/// let samples = WeightedActions { actions: &[-1.0, 2.0], weights: &[0.25, 0.75] };
/// let (mut d_mean, mut d_stddev) = ([0.0], [0.0]);
/// let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_stddev };
/// let constraint = Constraint::Joint { alpha: 1.0 };
/// let step = m_step(constraint, &policy, &policy, samples, gradient, &mut Workspace::new(1, 2));
/// assert_eq!(d_mean, [-1.25]); // descent moves the mean towards the weighted actions
/// assert_eq!(step.kl(), 0.0); // the policy has not moved yet
/// ```
///
/// # Panics
/// If the shapes disagree, there is no state, or the workspace is too small.
pub fn m_step<T: Real>(
    constraint: Constraint<T>,
    target: &Gaussian<'_, T>,
    online: &Gaussian<'_, T>,
    samples: WeightedActions<'_, T>,
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> MStep<T> {
    let (split, alpha_mean, alpha_covariance) = constraint.parts();
    let mut sums = Sums::default();
    each_state(target, online, samples, gradient, workspace, |heads, samples, gradient, workspace| {
        sums.add(match online.covariance() {
            Covariance::Diagonal => {
                let alpha = |_| (alpha_mean, alpha_covariance);
                diagonal_step(split, heads, samples, alpha, gradient, workspace, |_, _, _| ())
            }
            Covariance::Full => full_step(split, heads, samples, (alpha_mean, alpha_covariance), gradient, workspace),
        });
    });
    let means = sums.means(online.states());
    MStep {
        loss: T::of(means.nll + alpha_mean.wide() * means.kl_mean + alpha_covariance.wide() * means.kl_covariance),
        policy_loss: T::of(means.nll),
        kl_mean: T::of(means.kl_mean),
        kl_covariance: T::of(means.kl_covariance),
    }
}

/// The multipliers and divergences of every action dimension.
#[derive(Debug)]
pub struct PerDimension<'a, T> {
    /// Multipliers of `C_mu`, `[n]`.
    pub alpha_mean: &'a [T],
    /// Multipliers of `C_Sigma`, `[n]`.
    pub alpha_covariance: &'a [T],
    /// `mean_s C_mu` of every dimension, `[n]`, written.
    pub kl_mean: &'a mut [T],
    /// `mean_s C_Sigma` of every dimension, `[n]`, written.
    pub kl_covariance: &'a mut [T],
}

/// [`m_step`] with a bound and a multiplier for every action dimension, as later work has it; diagonal policies only.
///
/// The returned divergences are the sums over dimensions.
///
/// # Panics
/// As [`m_step`]; also if the policies are not [`Covariance::Diagonal`] or a slice of `dimensions` is not of length n.
pub fn m_step_per_dimension<T: Real>(
    split: KlSplit,
    dimensions: PerDimension<'_, T>,
    target: &Gaussian<'_, T>,
    online: &Gaussian<'_, T>,
    samples: WeightedActions<'_, T>,
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> MStep<T> {
    assert_eq!(online.covariance(), Covariance::Diagonal, "constraints per dimension need a diagonal policy");
    let PerDimension { alpha_mean, alpha_covariance, kl_mean, kl_covariance } = dimensions;
    for len in [alpha_mean.len(), alpha_covariance.len(), kl_mean.len(), kl_covariance.len()] {
        assert_eq!(len, online.action_len(), "one number per action dimension");
    }
    kl_mean.fill(T::zero());
    kl_covariance.fill(T::zero());
    let mut sums = Sums::default();
    each_state(target, online, samples, gradient, workspace, |heads, samples, gradient, workspace| {
        let alpha = |d: usize| (alpha_mean[d], alpha_covariance[d]);
        sums.add(diagonal_step(split, heads, samples, alpha, gradient, workspace, |d, c_mean, c_covariance| {
            kl_mean[d] += c_mean;
            kl_covariance[d] += c_covariance;
        }));
    });
    let states = online.states();
    scale(T::of(1.0 / states as f64), kl_mean);
    scale(T::of(1.0 / states as f64), kl_covariance);
    let means = sums.means(states);
    let penalty = |alpha: &[T], kl: &[T]| alpha.iter().zip(kl).map(|(a, c)| a.wide() * c.wide()).sum::<f64>();
    MStep {
        loss: T::of(means.nll + penalty(alpha_mean, kl_mean) + penalty(alpha_covariance, kl_covariance)),
        policy_loss: T::of(means.nll),
        kl_mean: T::of(means.kl_mean),
        kl_covariance: T::of(means.kl_covariance),
    }
}

/// Checks the shapes, runs `step` on every state and turns the summed gradient into the batch mean's.
fn each_state<T: Real>(
    target: &Gaussian<'_, T>,
    online: &Gaussian<'_, T>,
    samples: WeightedActions<'_, T>,
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
    mut step: impl FnMut(
        (crate::gaussian::Head<'_, T>, crate::gaussian::Head<'_, T>),
        (&[T], &[T]),
        HeadGradient<'_, T>,
        &mut Workspace<T>,
    ),
) {
    target.assert_same_shape(online);
    online.assert_gradient(&gradient);
    let m = online.samples_of(samples.actions);
    assert_eq!(samples.weights.len(), online.states() * m, "one weight per action");
    assert!(m > 0, "an M-step needs at least one sample per state");
    workspace.assert_fits(online.action_len(), m);
    let inverse = T::of(1.0 / online.states() as f64);
    let per_state = samples.actions.chunks_exact(m * online.action_len()).zip(samples.weights.chunks_exact(m));
    let HeadGradient { mean, factor } = gradient;
    let whole = HeadGradient { mean: &mut *mean, factor: &mut *factor };
    let gradients = states_of(online.covariance(), online.action_len(), whole);
    for ((heads, samples), gradient) in target.heads().zip(online.heads()).zip(per_state).zip(gradients) {
        step(heads, samples, gradient, workspace);
    }
    scale(inverse, mean);
    scale(inverse, factor);
}

/// Sums over states, in `f64`: a batch of hundreds of states costs an `f32` sum its last digits.
#[derive(Default)]
struct Sums {
    nll: f64,
    kl_mean: f64,
    kl_covariance: f64,
}

impl Sums {
    fn add<T: Real>(&mut self, terms: StepTerms<T>) {
        self.nll += terms.nll.wide();
        self.kl_mean += terms.kl_mean.wide();
        self.kl_covariance += terms.kl_covariance.wide();
    }

    fn means(self, states: usize) -> Self {
        let states = states as f64;
        Self { nll: self.nll / states, kl_mean: self.kl_mean / states, kl_covariance: self.kl_covariance / states }
    }
}
