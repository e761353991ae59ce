//! The exact temperature: the root of `g'(eta) = epsilon - KL(eta)`.

use crate::Real;

/// The minimiser of the temperature's dual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solution<T> {
    /// The optimal temperature; `None` where the infimum is approached as `eta -> 0+`, because even weights that sit wholly on
    /// each state's best samples stay within `epsilon` of uniform.
    pub temperature: Option<T>,
    /// The infimum of the dual, in units of Q: `mean_s max_j Q_sj` where `temperature` is `None`.
    pub dual: T,
    /// The divergence there, in nats: `epsilon` at an interior optimum, the supremum of the divergence otherwise.
    pub kl: T,
}

/// Minimises the dual `g(eta)` of the E-step over `eta > 0` to working precision (paper eq. 8).
///
/// Newton's method on `log(KL(eta) / epsilon)` as a function of `log eta`, safeguarded by a bracket. `g` is convex and the
/// divergence falls strictly from `mean_s log(M / ties_s)` to zero, so the root is unique where it exists. The arithmetic
/// is `f64` whatever `T` is.
///
/// - `q`: `[B, M]`; `samples`: M; `epsilon`: nats, positive.
/// - `start`: where to look first, such as the last update's temperature; it changes the cost, not the answer.
///
/// A NaN or infinity in `q` comes back as NaN in `dual` and `kl`.
///
/// ```
/// let q = [0.0, 1.0, 2.0, 3.0_f64];
/// let solution = mpo_core::solve_temperature(&q, 4, 0.1, None);
/// let eta = solution.temperature.expect("epsilon is below log 4");
/// let step = mpo_core::e_step(&q, 4, eta, 0.1, &mut [0.0; 4]);
/// assert!((step.kl - 0.1).abs() < 1e-12);
/// // Two nats are more than four samples can give: the infimum is the greedy value, at no temperature.
/// let greedy = mpo_core::solve_temperature(&q, 4, 2.0, None);
/// assert_eq!((greedy.temperature, greedy.dual), (None, 3.0));
/// ```
///
/// # Panics
/// If `samples` is zero, `q` is empty or no multiple of it, or `epsilon` is not positive.
#[must_use]
pub fn solve_temperature<T: Real>(q: &[T], samples: usize, epsilon: T, start: Option<T>) -> Solution<T> {
    super::assert_shape(q.len(), samples, T::one());
    solve(q, samples, epsilon, start, &|_| 1.0)
}

/// [`solve_temperature`] with `prior(i)` in proportion to the old policy's probability of entry `i` of `q`.
pub(crate) fn solve<T: Real>(
    q: &[T],
    samples: usize,
    epsilon: T,
    start: Option<T>,
    prior: &impl Fn(usize) -> f64,
) -> Solution<T> {
    assert!(epsilon > T::zero(), "epsilon must be positive, got {epsilon}");
    let epsilon = epsilon.wide();
    let limit = GreedyLimit::of(q, samples, prior);
    let greedy = Solution { temperature: None, dual: T::of(limit.value), kl: T::of(limit.kl) };
    // The comparison is false for NaN, which then leaves by the same door.
    let interior = limit.kl > epsilon && limit.value.is_finite() && limit.range.is_finite();
    if !interior {
        return greedy;
    }

    // Hoeffding: the divergence of a state is at most range^2 / (8 eta^2), so the root lies below this bound.
    let mut high = (limit.range / (8.0 * epsilon).sqrt()).ln();
    let mut low = f64::NEG_INFINITY;
    let mut at = start
        .map(|eta| eta.wide().ln())
        .filter(|u| u.is_finite() && *u < high)
        // Gaussian values would have divergence var / (2 eta^2).
        .unwrap_or_else(|| high.min((limit.deviation / (2.0 * epsilon).sqrt()).ln()));
    if !at.is_finite() {
        at = high;
    }
    let mut best = (f64::INFINITY, at, Tilt::default());
    for _ in 0..200 {
        let tilt = Tilt::at(q, samples, at.exp(), prior);
        let error = (tilt.kl / epsilon).ln();
        if error.abs() < best.0 {
            best = (error.abs(), at, tilt);
        }
        if tilt.kl > epsilon {
            low = at;
        } else {
            high = at;
        }
        // d log KL / d log eta = -Var_w(Q / eta) / KL, about -2 where the weights are mild.
        let newton = at + error * tilt.kl / tilt.variance;
        let next = if newton > low && newton < high {
            newton
        } else if low.is_finite() {
            0.5 * (low + high)
        } else {
            high - 2.0
        };
        if (next - at).abs() <= 4.0 * f64::EPSILON * at.abs().max(1.0) || error.abs() <= f64::EPSILON {
            break;
        }
        at = next;
        // Nothing below this is a number with an inverse: the gap to the greedy limit is beyond floating point.
        if at < -690.0 {
            return greedy;
        }
    }
    let (_, at, tilt) = best;
    let eta = at.exp();
    Solution { temperature: Some(T::of(eta)), dual: T::of(eta * epsilon + tilt.value), kl: T::of(tilt.kl) }
}

/// What the E-step tends to as the temperature falls to zero, and the scales of Q.
struct GreedyLimit {
    /// `mean_s max_j Q_sj`.
    value: f64,
    /// `mean_s log(M / ties_s)`.
    kl: f64,
    /// Root mean square over states of the range of Q.
    range: f64,
    /// Root mean square over states of the standard deviation of Q.
    deviation: f64,
}

impl GreedyLimit {
    fn of<T: Real>(q: &[T], samples: usize, prior: &impl Fn(usize) -> f64) -> Self {
        let states = (q.len() / samples) as f64;
        let (mut value, mut kl, mut range, mut variance) = (0.0, 0.0, 0.0, 0.0);
        for s in 0..q.len() / samples {
            let row = || row(q, samples, s, prior);
            let max = row().fold(f64::NEG_INFINITY, |m, (q, _)| m.max(q));
            let min = row().fold(f64::INFINITY, |m, (q, _)| m.min(q));
            let (mut total, mut best, mut mean) = (0.0, 0.0, 0.0);
            for (q, p) in row() {
                total += p;
                mean += p * (q - max);
                if q >= max {
                    best += p;
                }
            }
            mean /= total;
            let square: f64 = row().map(|(q, p)| p * (q - max - mean).powi(2)).sum();
            // The mean, unlike the maximum, does not pass over NaN.
            value += max + 0.0 * mean;
            kl += (total / best).ln() + 0.0 * mean;
            range += (max - min).powi(2) / states;
            variance += square / total / states;
        }
        Self { value: value / states, kl: kl / states, range: range.sqrt(), deviation: variance.sqrt() }
    }
}

/// The values of state `s` and their prior weights, without those that the prior excludes.
fn row<'a, T: Real>(
    q: &'a [T],
    samples: usize,
    s: usize,
    prior: &'a impl Fn(usize) -> f64,
) -> impl Iterator<Item = (f64, f64)> + 'a {
    let from = s * samples;
    let values = q[from..from + samples].iter().enumerate();
    values.map(move |(j, q)| (q.wide(), prior(from + j))).filter(|&(_, p)| p > 0.0)
}

/// Batch means of the tilted (softmax) distribution at one temperature.
#[derive(Clone, Copy, Default)]
struct Tilt {
    /// `eta log( (1/M) sum_j exp(Q_j / eta) )`.
    value: f64,
    kl: f64,
    /// `Var_w(Q / eta)`.
    variance: f64,
}

impl Tilt {
    fn at<T: Real>(q: &[T], samples: usize, eta: f64, prior: &impl Fn(usize) -> f64) -> Self {
        let states = (q.len() / samples) as f64;
        let mut sums = Self::default();
        for s in 0..q.len() / samples {
            let row = || row(q, samples, s, prior);
            let max = row().fold(f64::NEG_INFINITY, |m, (q, _)| m.max(q));
            let (mut z, mut first, mut second) = (0.0, 0.0, 0.0);
            // log(mean(e^x)) through e^x - 1: where the weights are nearly uniform the plain form loses the divergence to rounding.
            let (mut total, mut excess) = (0.0, 0.0);
            for (q, p) in row() {
                let x = (q - max) / eta;
                let below = x.exp_m1();
                let e = p * (1.0 + below);
                if e > 0.0 {
                    z += e;
                    first += e * x;
                    second += e * x * x;
                }
                total += p;
                excess += p * below;
            }
            let mean = first / z;
            let log_partition = (excess / total).ln_1p();
            sums.value += max + eta * log_partition;
            sums.kl += mean - log_partition;
            sums.variance += second / z - mean * mean;
        }
        Self { value: sums.value / states, kl: sums.kl / states, variance: sums.variance / states }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(states: usize, samples: usize, magnitude: f64) -> Vec<f64> {
        (0..states * samples).map(|i| magnitude * (((i * 7919) % 1009) as f64 / 500.0 - 1.0)).collect()
    }

    #[test]
    fn the_root_is_found_over_twelve_decades_of_q_and_from_any_start() {
        for magnitude in [1e-6, 1.0, 1e6] {
            for epsilon in [1e-6, 0.01, 0.1, 1.0, 2.9] {
                let q = spread(4, 20, magnitude);
                let cold = solve_temperature(&q, 20, epsilon, None);
                assert!((cold.kl / epsilon - 1.0).abs() < 1e-8, "kl {} at {epsilon}", cold.kl);
                let eta = cold.temperature.expect("interior");
                for start in [1e-9, 1e-3 * magnitude, magnitude, 1e9, f64::NAN, -1.0] {
                    let warm = solve_temperature(&q, 20, epsilon, Some(start));
                    let other = warm.temperature.expect("interior");
                    assert!((other / eta - 1.0).abs() < 1e-7, "{other} against {eta}");
                }
            }
        }
    }

    #[test]
    fn ties_and_single_samples_have_no_temperature() {
        assert_eq!(solve_temperature(&[2.0; 6], 3, 0.1, None).temperature, None);
        assert_eq!(solve_temperature(&[2.0, 5.0], 1, 0.1, None).temperature, None);
        // Two of four tie at the top: log 2 = 0.69 nats is all there is.
        let q = [1.0, 1.0, 0.0, -1.0];
        assert_eq!(solve_temperature(&q, 4, 0.7, None).temperature, None);
        assert!(solve_temperature(&q, 4, 0.69, None).temperature.is_some());
    }

    #[test]
    fn what_is_not_finite_is_not_hidden() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let solution = solve_temperature(&[0.0, 1.0, bad, 3.0], 4, 0.1, None);
            assert_eq!(solution.temperature, None);
            assert!(solution.dual.is_nan(), "{bad} gave {}", solution.dual);
        }
    }
}
