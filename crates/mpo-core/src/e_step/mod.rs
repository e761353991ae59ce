//! The non-parametric E-step: sample weights and the dual of the temperature (paper eqs. 7-9).
//!
//! Q-values are `[B, M]`: row `s` holds the `M` values `Q'(s, a_j)` of the actions `a_j ~ pi_i(.|s)`.

mod solve;

pub(crate) use solve::solve;
pub use solve::{Solution, solve_temperature};

use crate::Real;
use crate::real::{maximum, scale, sum};

/// The value and slope of the temperature's dual at one temperature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EStep<T> {
    /// `g(eta)`, in units of Q.
    pub dual: T,
    /// `d g / d eta = epsilon - KL`.
    pub d_eta: T,
    /// `mean_s KL(w_s || uniform)` in nats, the E-step's divergence estimated on the samples.
    pub kl: T,
}

/// Weights and dual of the E-step (paper eqs. 7-9) in one pass.
///
/// ```text
/// w_sj   = exp(Q_sj / eta) / sum_k exp(Q_sk / eta)
/// g(eta) = eta epsilon + eta mean_s log( (1/M) sum_j exp(Q_sj / eta) ),    g'(eta) = epsilon - mean_s KL(w_s || 1/M)
/// ```
///
/// - `q`: `[B, M]`, any unit of return; `samples`: M.
/// - `eta`: the temperature in the unit of `q`; `epsilon`: the bound on the divergence, in nats.
/// - `weights`: `[B, M]`, written; each row is finite and sums to one for any finite `q` and positive `eta`.
///
/// A non-finite Q-value makes its row of weights and the returned numbers NaN.
///
/// ```
/// let mut weights = [0.0_f64; 4];
/// let step = mpo_core::e_step(&[1e6, 1e6, 0.0, 0.0], 2, 1e-8, 0.1, &mut weights);
/// assert_eq!(weights, [0.5; 4]); // ties share, however cold and large
/// assert!(step.kl.abs() < 1e-12 && (step.d_eta - 0.1).abs() < 1e-12);
/// ```
///
/// # Panics
/// If `samples` is zero, `q` is empty or no multiple of it, `weights` is not of `q`'s length, or `eta` is not positive.
pub fn e_step<T: Real>(q: &[T], samples: usize, eta: T, epsilon: T, weights: &mut [T]) -> EStep<T> {
    assert_shape(q.len(), samples, eta);
    assert_eq!(weights.len(), q.len(), "weights must have the shape of q");
    let inverse = eta.recip();
    let mut log_mean_exp = 0.0;
    let mut kl = 0.0;
    for (q, w) in q.chunks_exact(samples).zip(weights.chunks_exact_mut(samples)) {
        let max = softmax(q, eta, w);
        let total = sum(w);
        let log_partition = (total / T::of(samples as f64)).ln();
        // E_w[Q - max] before the weights are normalised: one pass over the row, no second exponential.
        let mean = shifted_dot(w, q, max) / total;
        scale(total.recip(), w);
        log_mean_exp += max.wide() + (eta * log_partition).wide();
        kl += (mean * inverse - log_partition).wide();
    }
    finish(q.len() / samples, eta, epsilon, log_mean_exp, kl)
}

/// The dual alone: [`e_step`] without the weights, for line searches and reports.
///
/// - `row`: `[M]` of scratch memory, overwritten.
///
/// # Panics
/// As [`e_step`]; `row` must be of length `samples`.
pub fn dual<T: Real>(q: &[T], samples: usize, eta: T, epsilon: T, row: &mut [T]) -> EStep<T> {
    assert_shape(q.len(), samples, eta);
    assert_eq!(row.len(), samples, "row must hold one state's samples");
    let mut log_mean_exp = 0.0;
    let mut kl = 0.0;
    for q in q.chunks_exact(samples) {
        let max = softmax(q, eta, row);
        let total = sum(row);
        let log_partition = (total / T::of(samples as f64)).ln();
        let mean = shifted_dot(row, q, max) / total;
        log_mean_exp += max.wide() + (eta * log_partition).wide();
        kl += (mean / eta - log_partition).wide();
    }
    finish(q.len() / samples, eta, epsilon, log_mean_exp, kl)
}

/// `w_sj = softmax_j(Q_sj / eta)` (paper eq. 7 with the samples standing for `pi_i`), nothing else.
///
/// Shapes as in [`e_step`].
///
/// # Panics
/// As [`e_step`].
pub fn weights<T: Real>(q: &[T], samples: usize, eta: T, weights: &mut [T]) {
    assert_shape(q.len(), samples, eta);
    assert_eq!(weights.len(), q.len(), "weights must have the shape of q");
    for (q, w) in q.chunks_exact(samples).zip(weights.chunks_exact_mut(samples)) {
        softmax(q, eta, w);
        let total = sum(w);
        scale(total.recip(), w);
    }
}

fn assert_shape<T: Real>(len: usize, samples: usize, eta: T) {
    assert!(samples > 0, "an E-step needs at least one sample per state");
    assert!(
        len > 0 && len.is_multiple_of(samples),
        "q has {len} values, not a positive number of states times {samples} samples"
    );
    assert!(eta > T::zero(), "the temperature must be positive, got {eta}");
}

pub(crate) fn finish<T: Real>(states: usize, eta: T, epsilon: T, log_mean_exp: f64, kl: f64) -> EStep<T> {
    let states = states as f64;
    let kl = T::of(kl / states);
    EStep { dual: eta * epsilon + T::of(log_mean_exp / states), d_eta: epsilon - kl, kl }
}

/// Unnormalised weights `exp((q_j - max) / eta)` of one state; returns the maximum taken out. The largest is exactly one, so
/// the sum is never zero.
#[inline]
fn softmax<T: Real>(q: &[T], eta: T, w: &mut [T]) -> T {
    let max = maximum(q);
    for (w, &q) in w.iter_mut().zip(q) {
        *w = ((q - max) / eta).exp();
    }
    max
}

/// `sum_j w_j (q_j - max)`, where a weight of zero counts nothing however far its value lies below.
#[inline]
pub(crate) fn shifted_dot<T: Real>(w: &[T], q: &[T], max: T) -> T {
    let mut total = T::zero();
    for (&w, &q) in w.iter().zip(q) {
        total += w * (q - max);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The E-step at every size of Q that the brief of the algorithm names, in both precisions.
    fn stays_finite<T: Real>() {
        for magnitude in [1e-6, 1.0, 1e6] {
            for eta in [1e-8, 1e-3, 1.0, 1e6] {
                for samples in [1, 2, 20] {
                    let q: Vec<T> = (0..samples * 3).map(|i| T::of(magnitude * (((i * 7) % 5) as f64 - 2.0))).collect();
                    let mut w = vec![T::zero(); q.len()];
                    let step = e_step(&q, samples, T::of(eta), T::of(0.1), &mut w);
                    assert!(step.dual.is_finite() && step.d_eta.is_finite());
                    assert!(step.kl.wide() > -1e-5 && step.kl.wide() < (samples as f64).ln() + 1e-5);
                    for row in w.chunks_exact(samples) {
                        let total: f64 = row.iter().map(|w| w.wide()).sum();
                        assert!(row.iter().all(|w| w.is_finite() && *w >= T::zero()));
                        assert!((total - 1.0).abs() < 1e-6, "row sums to {total}");
                    }
                    let again = dual(&q, samples, T::of(eta), T::of(0.1), &mut vec![T::zero(); samples]);
                    assert!((again.dual - step.dual).abs().wide() <= 1e-6 * step.dual.wide().abs().max(1.0));
                }
            }
        }
    }

    #[test]
    fn weights_stay_finite_and_normalised_over_twelve_decades() {
        stays_finite::<f32>();
        stays_finite::<f64>();
    }

    #[test]
    fn one_sample_takes_all_the_weight() {
        let mut w = [0.0; 2];
        let step = e_step(&[3.0, -5.0], 1, 0.5, 0.1, &mut w);
        assert_eq!(w.map(f64::to_bits), [1.0_f64; 2].map(f64::to_bits));
        assert!((step.dual - (0.05 - 1.0)).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut w = [0.0_f32; 4];
            let step = e_step(&[0.0, bad, 1.0, 2.0], 2, 1.0, 0.1, &mut w);
            assert!(step.dual.is_nan() && w[0].is_nan() && w[1].is_nan());
            assert!(w[2].is_finite() && w[3].is_finite());
        }
    }

    #[test]
    #[should_panic(expected = "not a positive number of states times 3 samples")]
    fn a_ragged_batch_is_refused() {
        let _ = e_step(&[0.0_f64; 4], 3, 1.0, 0.1, &mut [0.0; 4]);
    }
}
