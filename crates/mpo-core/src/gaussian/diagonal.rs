//! One state of a diagonal Gaussian: mean and standard deviation, each `[n]`.

use super::{HALF_LOG_TWO_PI, Head, HeadGradient, KlSplit, relative_log_gap};
use crate::Real;

/// `sum_d log stddev_d + n/2 log 2 pi`, the normaliser of the density.
#[inline]
pub(super) fn log_normaliser<T: Real>(stddev: &[T]) -> T {
    let logs: T = stddev.iter().map(|s| s.ln()).sum();
    logs + T::of(HALF_LOG_TWO_PI * stddev.len() as f64)
}

#[inline]
pub(super) fn log_prob<T: Real>(head: Head<'_, T>, actions: &[T], log_probs: &mut [T]) {
    let normaliser = log_normaliser(head.factor);
    for (action, log_prob) in actions.chunks_exact(head.mean.len()).zip(log_probs) {
        let mut square = T::zero();
        for ((&a, &mean), &stddev) in action.iter().zip(head.mean).zip(head.factor) {
            let z = (a - mean) / stddev;
            square += z * z;
        }
        *log_prob = -T::of(0.5) * square - normaliser;
    }
}

#[inline]
pub(super) fn sample<T: Real>(head: Head<'_, T>, noise: &[T], actions: &mut [T]) {
    let n = head.mean.len();
    for (noise, action) in noise.chunks_exact(n).zip(actions.chunks_exact_mut(n)) {
        for (((a, &z), &mean), &stddev) in action.iter_mut().zip(noise).zip(head.mean).zip(head.factor) {
            *a = mean + stddev * z;
        }
    }
}

/// Writes the two parts of the divergence for every dimension.
#[inline]
pub(super) fn kl_per_dimension<T: Real>(
    split: KlSplit,
    target: Head<'_, T>,
    online: Head<'_, T>,
    mut each: impl FnMut(usize, T, T),
) {
    let half = T::of(0.5);
    let heads = target.mean.iter().zip(target.factor).zip(online.mean.iter().zip(online.factor));
    for (d, ((&mean0, &stddev0), (&mean, &stddev))) in heads.enumerate() {
        let scale = match split {
            KlSplit::Decoupled => stddev0,
            KlSplit::Exact => stddev,
        };
        let shift = (mean - mean0) / scale;
        each(d, half * shift * shift, relative_log_gap(stddev0, stddev));
    }
}

/// Adds to `gradient` that of `sum_d alpha_mean_d C_mean_d + alpha_covariance_d C_covariance_d`, divergences as in
/// [`kl_per_dimension`].
#[inline]
pub(super) fn add_kl_gradient<T: Real>(
    split: KlSplit,
    target: Head<'_, T>,
    online: Head<'_, T>,
    alpha: impl Fn(usize) -> (T, T),
    gradient: HeadGradient<'_, T>,
) {
    let heads = target.mean.iter().zip(target.factor).zip(online.mean.iter().zip(online.factor));
    let out = gradient.mean.iter_mut().zip(gradient.factor);
    for (d, (((&mean0, &stddev0), (&mean, &stddev)), (d_mean, d_stddev))) in heads.zip(out).enumerate() {
        let (alpha_mean, alpha_covariance) = alpha(d);
        let shift = mean - mean0;
        let inverse = stddev.recip();
        let ratio = stddev0 * inverse;
        *d_stddev += alpha_covariance * inverse * (T::one() - ratio * ratio);
        match split {
            KlSplit::Decoupled => *d_mean += alpha_mean * shift / (stddev0 * stddev0),
            KlSplit::Exact => {
                let z = shift * inverse;
                *d_mean += alpha_mean * z * inverse;
                *d_stddev -= alpha_mean * z * z * inverse;
            }
        }
    }
}

/// `first_d = sum_j w_j (a_jd - c_d)`, `second_d = sum_j w_j (a_jd - c_d)^2`.
///
/// A Gaussian's weighted log-likelihood and its gradient depend on the samples through these alone.
#[inline]
pub(super) fn moments<T: Real>(centre: &[T], actions: &[T], weights: &[T], first: &mut [T], second: &mut [T]) {
    first.fill(T::zero());
    second.fill(T::zero());
    for (action, &w) in actions.chunks_exact(centre.len()).zip(weights) {
        for (((&a, &c), first), second) in action.iter().zip(centre).zip(first.iter_mut()).zip(second.iter_mut()) {
            let difference = a - c;
            let weighted = w * difference;
            *first += weighted;
            *second += weighted * difference;
        }
    }
}

/// `-sum_j w_j log N(a_j; mean, stddev)` out of moments about `centre`, with `W` the sum of the weights.
#[inline]
pub(super) fn nll<T: Real>(head: Head<'_, T>, centre: &[T], total: T, first: &[T], second: &[T]) -> T {
    let two = T::of(2.0);
    let mut square = T::zero();
    let moments = first.iter().zip(second);
    for (((&mean, &stddev), &c), (&first, &second)) in head.mean.iter().zip(head.factor).zip(centre).zip(moments) {
        let shift = mean - c;
        square += (second - two * shift * first + total * shift * shift) / (stddev * stddev);
    }
    T::of(0.5) * square + total * log_normaliser(head.factor)
}

/// `1/2 d^T F d` from `target` to `online`: the Fisher matrix is `1 / stddev^2` for a mean, `2 / stddev^2` for a deviation.
#[inline]
pub(super) fn fisher_form<T: Real>(target: Head<'_, T>, online: Head<'_, T>) -> T {
    let heads = target.mean.iter().zip(target.factor).zip(online.mean.iter().zip(online.factor));
    heads
        .map(|((&mean0, &stddev0), (&mean, &stddev))| {
            let (shift, stretch) = ((mean - mean0) / stddev0, (stddev - stddev0) / stddev0);
            T::of(0.5) * shift * shift + stretch * stretch
        })
        .sum()
}
