//! One state of the M-step and of the score function: likelihood, divergences and their gradients together.
//!
//! The samples enter through weighted moments only: the total weight, the whitened mean and the whitened second moment. The
//! divergence's terms are added to the same second moment, so that one triangular solve finishes the factor's gradient.

use super::triangular::{
    Block, add_gram, add_moment, add_outer, blocks, dot_blocks, relative, solve_transposed, weigh,
};
use super::{Head, HeadGradient, KlSplit, Workspace, diagonal, full};
use crate::Real;
use crate::real::{LANES, dot, sum};

/// What one state contributes, before the mean over the batch.
#[derive(Clone, Copy)]
pub(crate) struct StepTerms<T> {
    pub(crate) nll: T,
    pub(crate) kl_mean: T,
    pub(crate) kl_covariance: T,
}

/// Diagonal covariance. `alpha` gives every dimension's multipliers, `each` receives every dimension's divergences.
#[inline]
pub(crate) fn diagonal_step<T: Real>(
    split: KlSplit,
    (target, online): (Head<'_, T>, Head<'_, T>),
    (actions, weights): (&[T], &[T]),
    alpha: impl Fn(usize) -> (T, T),
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
    mut each: impl FnMut(usize, T, T),
) -> StepTerms<T> {
    let (first, second) = (&mut workspace.first[..], &mut workspace.second[..]);
    let total = sum(weights);
    let centre = match split {
        KlSplit::Decoupled => target.mean,
        KlSplit::Exact => online.mean,
    };
    diagonal::moments(centre, actions, weights, first, second);
    // The likelihood is of N(mu, Sigma) at once, or of N(mu, Sigma_i) and N(mu_i, Sigma).
    let (nll, metric) = match split {
        KlSplit::Decoupled => {
            let mean_fit = Head { mean: online.mean, factor: target.factor };
            let factor_fit = Head { mean: target.mean, factor: online.factor };
            let nll = diagonal::nll(mean_fit, centre, total, first, second)
                + diagonal::nll(factor_fit, centre, total, first, second);
            (nll, target.factor)
        }
        KlSplit::Exact => (diagonal::nll(online, centre, total, first, second), online.factor),
    };
    let HeadGradient { mean: d_mean, factor: d_factor } = gradient;
    let fits = online.mean.iter().zip(centre).zip(metric).zip(first.iter());
    for (d, (((&mean, &c), &s), &first)) in d_mean.iter_mut().zip(fits) {
        *d = (total * (mean - c) - first) / (s * s);
    }
    for ((d, &stddev), &second) in d_factor.iter_mut().zip(online.factor).zip(second.iter()) {
        let inverse = stddev.recip();
        *d = inverse * (total - second * inverse * inverse);
    }
    let gradient = HeadGradient { mean: d_mean, factor: d_factor };
    diagonal::add_kl_gradient(split, target, online, alpha, gradient);
    let (mut kl_mean, mut kl_covariance) = (T::zero(), T::zero());
    diagonal::kl_per_dimension(split, target, online, |d, c_mean, c_covariance| {
        kl_mean += c_mean;
        kl_covariance += c_covariance;
        each(d, c_mean, c_covariance);
    });
    StepTerms { nll, kl_mean, kl_covariance }
}

/// Full covariance.
#[inline]
pub(crate) fn full_step<T: Real>(
    split: KlSplit,
    (target, online): (Head<'_, T>, Head<'_, T>),
    (actions, weights): (&[T], &[T]),
    (alpha_mean, alpha_covariance): (T, T),
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> StepTerms<T> {
    let n = online.mean.len();
    let width = blocks(weights.len());
    let half = T::of(0.5);
    let total = sum(weights);
    let y = &mut workspace.whitened[..n * width];
    let (gram, line) = (&mut workspace.gram[..], &mut workspace.line[..width]);
    let (shift, bar) = (&mut workspace.shift[..], gradient.mean);
    let weights = load_weights(weights, &mut workspace.weights);
    full::whitened_shift(split, target, online, shift);
    let kl_mean = half * dot(shift, shift);
    gram.fill([T::zero(); LANES]);

    // The mean's fit in its own metric; the whitened samples of the exact split serve the factor too.
    let mut nll = T::zero();
    let metric = match split {
        KlSplit::Decoupled => {
            full::whiten(target.factor, target.mean, actions, y);
            let mut square = T::zero();
            for (bar, y) in bar.iter_mut().zip(y.chunks_exact(width)) {
                weigh(weights, y, line);
                *bar = sum(line.as_flattened());
                square += dot_blocks(line, y);
            }
            nll += half * (square + total * dot(shift, shift)) - dot(shift, bar)
                + total * full::log_normaliser(target.factor, n);
            // d nll / d shift, then the constraint's share.
            for (bar, &shift) in bar.iter_mut().zip(shift.iter()) {
                *bar = (total + alpha_mean) * shift - *bar;
            }
            full::whiten(online.factor, target.mean, actions, y);
            target.factor
        }
        KlSplit::Exact => {
            full::whiten(online.factor, online.mean, actions, y);
            for ((bar, y), &shift) in bar.iter_mut().zip(y.chunks_exact(width)).zip(shift.iter()) {
                *bar = alpha_mean * shift - dot_blocks(weights, y);
            }
            online.factor
        }
    };
    solve_transposed(metric, bar);

    add_moment(weights, y, line, gram);
    nll += half * trace(gram, n) + total * full::log_normaliser(online.factor, n);
    if matches!(split, KlSplit::Exact) {
        add_outer(alpha_mean, shift, gram);
    }
    relative(online.factor, target.factor, n, &mut workspace.ratio);
    let kl_covariance = full::kl_covariance(target, online, &workspace.ratio);
    add_gram(alpha_covariance, &workspace.ratio, n, gram);
    gradient.factor.fill(T::zero());
    full::add_factor_gradient(online.factor, total + alpha_covariance, gram, n, gradient.factor);
    StepTerms { nll, kl_mean, kl_covariance }
}

/// `sum_j c_j log N(a_j) + entropy_weight H` and its gradient, diagonal covariance.
#[inline]
pub(super) fn diagonal_score<T: Real>(
    head: Head<'_, T>,
    (actions, coefficients): (&[T], &[T]),
    entropy_weight: T,
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> T {
    let (first, second) = (&mut workspace.first[..], &mut workspace.second[..]);
    diagonal::moments(head.mean, actions, coefficients, first, second);
    let total = sum(coefficients);
    let out = gradient.mean.iter_mut().zip(gradient.factor);
    for (((d_mean, d_stddev), &stddev), (&first, &second)) in out.zip(head.factor).zip(first.iter().zip(second.iter()))
    {
        let inverse = stddev.recip();
        *d_mean = first * inverse * inverse;
        *d_stddev = inverse * (second * inverse * inverse - total + entropy_weight);
    }
    let entropy = diagonal::log_normaliser(head.factor) + T::of(0.5 * head.mean.len() as f64);
    entropy_weight * entropy - diagonal::nll(head, head.mean, total, first, second)
}

/// `sum_j c_j log N(a_j) + entropy_weight H` and its gradient, full covariance.
#[inline]
pub(super) fn full_score<T: Real>(
    head: Head<'_, T>,
    (actions, coefficients): (&[T], &[T]),
    entropy_weight: T,
    HeadGradient { mean, factor }: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> T {
    let n = head.mean.len();
    let width = blocks(coefficients.len());
    let y = &mut workspace.whitened[..n * width];
    let gram = &mut workspace.gram[..];
    let weights = load_weights(coefficients, &mut workspace.weights);
    full::whiten(head.factor, head.mean, actions, y);
    for (bar, y) in mean.iter_mut().zip(y.chunks_exact(width.max(1))) {
        *bar = dot_blocks(weights, y);
    }
    solve_transposed(head.factor, mean);
    gram.fill([T::zero(); LANES]);
    add_moment(weights, y, &mut workspace.line[..width], gram);
    let total = sum(coefficients);
    let normaliser = full::log_normaliser(head.factor, n);
    let entropy = normaliser + T::of(0.5 * n as f64);
    let value = entropy_weight * entropy - T::of(0.5) * trace(gram, n) - total * normaliser;
    // The likelihood ascends where the M-step's loss descends: the same finish with both signs turned.
    let c = total - entropy_weight;
    factor.fill(T::zero());
    full::add_factor_gradient(head.factor, c, gram, n, factor);
    for d in factor.iter_mut() {
        *d = -*d;
    }
    value
}

/// The weights in blocks, padded with zeros: a padded sample counts nothing, whatever it is.
#[inline]
fn load_weights<'w, T: Real>(weights: &[T], out: &'w mut [Block<T>]) -> &'w [Block<T>] {
    let out = &mut out[..blocks(weights.len())];
    let (used, padding) = out.as_flattened_mut().split_at_mut(weights.len());
    used.copy_from_slice(weights);
    padding.fill(T::zero());
    out
}

#[inline]
fn trace<T: Real>(p: &[Block<T>], n: usize) -> T {
    p.chunks_exact(blocks(n)).enumerate().map(|(i, p)| p.as_flattened()[i]).sum()
}
