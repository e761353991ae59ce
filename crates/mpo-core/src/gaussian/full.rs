//! One state of a Gaussian with full covariance `Sigma = L L^T`: mean `[n]`, factor packed `[n (n + 1) / 2]`.
//!
//! Samples are whitened by one triangular solve with all of them as right-hand sides, laid out `[n, M]` in blocks of samples, so
//! that the inner loops run over the samples.

use super::triangular::{
    Block, add_gram, add_outer, blocks, diagonal, load_columns, multiply_columns, relative, solve, solve_columns,
    solve_transposed, solve_transposed_lower,
};
use super::{HALF_LOG_TWO_PI, Head, HeadGradient, KlSplit, relative_log_gap};
use crate::Real;
use crate::real::{LANES, axpy, dot};

/// `sum_i log L_ii + n/2 log 2 pi`, the normaliser of the density.
#[inline]
pub(super) fn log_normaliser<T: Real>(factor: &[T], n: usize) -> T {
    let logs: T = diagonal(factor, n).map(T::ln).sum();
    logs + T::of(HALF_LOG_TWO_PI * n as f64)
}

/// `y = L^-1 (a_j - centre)` for every sample: `actions` `[M, n]` row by row into `y` `[n, blocks(M)]`.
#[inline]
pub(super) fn whiten<T: Real>(factor: &[T], centre: &[T], actions: &[T], y: &mut [Block<T>]) {
    load_columns(actions, |d| centre[d], centre.len(), y);
    solve_columns(factor, y, centre.len());
}

#[inline]
pub(super) fn log_prob<T: Real>(head: Head<'_, T>, actions: &[T], log_probs: &mut [T], y: &mut [Block<T>]) {
    let n = head.mean.len();
    whiten(head.factor, head.mean, actions, y);
    let normaliser = log_normaliser(head.factor, n);
    for (b, log_probs) in log_probs.chunks_mut(LANES).enumerate() {
        let mut square = [T::zero(); LANES];
        for line in y.chunks_exact(y.len() / n) {
            for (square, &y) in square.iter_mut().zip(&line[b]) {
                *square += y * y;
            }
        }
        for (log_prob, square) in log_probs.iter_mut().zip(square) {
            *log_prob = -T::of(0.5) * square - normaliser;
        }
    }
}

#[inline]
pub(super) fn sample<T: Real>(head: Head<'_, T>, noise: &[T], actions: &mut [T], z: &mut [Block<T>]) {
    let n = head.mean.len();
    load_columns(noise, |_| T::zero(), n, z);
    multiply_columns(head.factor, z, n);
    for ((d, line), &mean) in z.chunks_exact(z.len() / n).enumerate().zip(head.mean) {
        for (action, &z) in actions.chunks_exact_mut(n).zip(line.as_flattened()) {
            action[d] = mean + z;
        }
    }
}

/// The difference of means whitened: `S = target` for the decoupled split, `online` for the exact one.
#[inline]
pub(super) fn whitened_shift<T: Real>(split: KlSplit, target: Head<'_, T>, online: Head<'_, T>, shift: &mut [T]) {
    for ((shift, &mean), &mean0) in shift.iter_mut().zip(online.mean).zip(target.mean) {
        *shift = mean - mean0;
    }
    let metric = match split {
        KlSplit::Decoupled => target.factor,
        KlSplit::Exact => online.factor,
    };
    solve(metric, shift);
}

/// `C_Sigma` out of `ratio = L^-1 L0`.
#[inline]
pub(super) fn kl_covariance<T: Real>(target: Head<'_, T>, online: Head<'_, T>, ratio: &[Block<T>]) -> T {
    let n = online.mean.len();
    let mut kl = T::zero();
    let pivots = diagonal(target.factor, n).zip(diagonal(online.factor, n));
    for ((i, (before, now)), ratio) in pivots.enumerate().zip(ratio.chunks_exact(blocks(n))) {
        // Apart from the diagonal, whose ones would swamp a divergence of 1e-4.
        let left = &ratio.as_flattened()[..i];
        kl += T::of(0.5) * dot(left, left) + relative_log_gap(before, now);
    }
    kl
}

/// `C_mu` and `C_Sigma` of one state.
#[inline]
pub(super) fn kl<T: Real>(
    split: KlSplit,
    target: Head<'_, T>,
    online: Head<'_, T>,
    shift: &mut [T],
    ratio: &mut [Block<T>],
) -> (T, T) {
    whitened_shift(split, target, online, shift);
    relative(online.factor, target.factor, online.mean.len(), ratio);
    (T::of(0.5) * dot(shift, shift), kl_covariance(target, online, ratio))
}

/// Adds to `gradient` that of `alpha_mean C_mu + alpha_covariance C_Sigma`, given what [`kl`] left in `shift` and `ratio`;
/// `gram` is a packed scratch matrix.
#[inline]
pub(super) fn add_kl_gradient<T: Real>(
    split: KlSplit,
    target: Head<'_, T>,
    online: Head<'_, T>,
    alpha: (T, T),
    workspace: (&mut [T], &[Block<T>], &mut [Block<T>]),
    HeadGradient { mean, factor }: HeadGradient<'_, T>,
) {
    let (shift, ratio, gram) = workspace;
    let n = online.mean.len();
    gram.fill([T::zero(); LANES]);
    add_gram(alpha.1, ratio, n, gram);
    let metric = match split {
        KlSplit::Decoupled => target.factor,
        KlSplit::Exact => {
            add_outer(alpha.0, shift, gram);
            online.factor
        }
    };
    solve_transposed(metric, shift);
    axpy(alpha.0, shift, mean);
    add_factor_gradient(online.factor, alpha.1, gram, n, factor);
}

/// Adds the gradient of `1/2 tr(L^-1 G L^-T) + c log|L|` with respect to `L`, given `p = L^-1 G L^-T`, which is overwritten:
/// `-lower(L^-T p) + c diag(1 / L_ii)`.
#[inline]
pub(super) fn add_factor_gradient<T: Real>(factor: &[T], c: T, p: &mut [Block<T>], n: usize, d_factor: &mut [T]) {
    solve_transposed_lower(factor, n, p);
    let mut rest = d_factor;
    for ((i, p), pivot) in p.chunks_exact(blocks(n)).enumerate().zip(diagonal(factor, n)) {
        let (row, below) = rest.split_at_mut(i + 1);
        for (d, &p) in row.iter_mut().zip(p.as_flattened()) {
            *d -= p;
        }
        row[i] += c / pivot;
        rest = below;
    }
}

/// `1/2 d^T F d` from `target` to `online`: with `K = L0^-1 (L - L0)`, `1/2 |L0^-1 (mu - mu0)|^2 + 1/2 |K|^2 + 1/2 sum_i K_ii^2`.
#[inline]
pub(super) fn fisher_form<T: Real>(
    target: Head<'_, T>,
    online: Head<'_, T>,
    shift: &mut [T],
    ratio: &mut [Block<T>],
) -> T {
    let n = online.mean.len();
    whitened_shift(KlSplit::Decoupled, target, online, shift);
    relative(target.factor, online.factor, n, ratio);
    let mut form = T::of(0.5) * dot(shift, shift);
    for (i, ratio) in ratio.chunks_exact(blocks(n)).enumerate() {
        let ratio = ratio.as_flattened();
        let (left, stretch) = (&ratio[..i], ratio[i] - T::one());
        form += T::of(0.5) * dot(left, left) + stretch * stretch;
    }
    form
}
