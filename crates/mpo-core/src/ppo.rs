//! Proximal policy optimisation: generalised advantages and the clipped surrogate.

use crate::Real;
use crate::retrace::{Transitions, backward_windows};

/// Generalised advantage estimates on packed windows (Schulman et al. 2016).
///
/// ```text
/// delta_t = r_t + gamma d_t V_{t+1} - V_t,      A_t = delta_t + gamma d_t lambda A_{t+1}
/// ```
///
/// This is [`retrace`](crate::retrace) with state values for Q and every trace `lambda`, less `V_t`. The lambda-return is
/// `A_t + V_t`.
///
/// - `lengths`: transitions of each window; no trace crosses from one to the next.
/// - `transitions`: `q_t` holds `V(s_t)`, `v_tp1` holds `V(s_{t+1})`.
/// - `advantages`: `[K]`, written.
///
/// # Panics
/// If the arrays are not all of one length, or `lengths` does not sum to it.
pub fn gae<T: Real>(lengths: &[u32], transitions: Transitions<'_, T>, lambda: T, advantages: &mut [T]) {
    backward_windows(lengths, transitions, |_| lambda, advantages);
    for (advantage, &v) in advantages.iter_mut().zip(transitions.q_t) {
        *advantage -= v;
    }
}

/// Shifts and scales to mean zero and standard deviation one (over K, plus `1e-8`).
pub fn normalise_advantages<T: Real>(advantages: &mut [T]) {
    let count = advantages.len().max(1) as f64;
    let mean = advantages.iter().map(|a| a.wide()).sum::<f64>() / count;
    let variance = advantages.iter().map(|a| (a.wide() - mean).powi(2)).sum::<f64>() / count;
    let (mean, inverse) = (T::of(mean), T::of(1.0 / (variance.sqrt() + 1e-8)));
    for a in advantages {
        *a = (*a - mean) * inverse;
    }
}

/// PPO's clipped surrogate and its gradient (Schulman et al. 2017, eq. 7).
///
/// ```text
/// loss = -mean_t min( rho_t A_t, clip(rho_t, 1 - epsilon, 1 + epsilon) A_t ),      rho_t = exp(log pi - log b)
/// ```
///
/// - `log_prob`, `behaviour_log_prob`: of the action taken, `[K]`, nats; `advantages`: `[K]`.
/// - `d_log_prob`: `[K]`, written with `d loss / d log_prob`, the mean included. Its negative are the coefficients for
///   [`Gaussian::log_prob_gradient`](crate::Gaussian::log_prob_gradient).
///
/// Returns the loss.
///
/// # Panics
/// If the lengths differ or are zero.
pub fn ppo_clip<T: Real>(
    log_prob: &[T],
    behaviour_log_prob: &[T],
    advantages: &[T],
    epsilon: T,
    d_log_prob: &mut [T],
) -> T {
    let k = log_prob.len();
    assert!(k > 0, "the surrogate of nothing");
    for len in [behaviour_log_prob.len(), advantages.len(), d_log_prob.len()] {
        assert_eq!(len, k, "every array must hold one number per transition");
    }
    let inverse = T::of(1.0 / k as f64);
    let (low, high) = (T::one() - epsilon, T::one() + epsilon);
    let mut loss = 0.0;
    let pairs = log_prob.iter().zip(behaviour_log_prob);
    for (((&log_pi, &log_b), &advantage), d) in pairs.zip(advantages).zip(d_log_prob) {
        let ratio = (log_pi - log_b).exp();
        // The minimum is the clipped branch only beyond the bound that the advantage pushes towards; it has no slope.
        let clipped = if advantage > T::zero() { ratio > high } else { ratio < low };
        if clipped {
            let bound = if advantage > T::zero() { high } else { low };
            *d = T::zero();
            loss -= (bound * advantage).wide();
        } else {
            *d = -inverse * ratio * advantage;
            loss -= (ratio * advantage).wide();
        }
    }
    T::of(loss / k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_stops_the_slope_only_where_the_advantage_pushes_outwards() {
        let log_prob = [0.5, 0.5, -0.5, -0.5_f64];
        let advantages = [1.0, -1.0, 1.0, -1.0];
        let mut d = [0.0; 4];
        let loss = ppo_clip(&log_prob, &[0.0; 4], &advantages, 0.2, &mut d);
        assert!(d[0].abs() < 1e-15 && d[3].abs() < 1e-15);
        assert!((d[1] - 0.5_f64.exp() / 4.0).abs() < 1e-12 && (d[2] + (-0.5_f64).exp() / 4.0).abs() < 1e-12);
        let want = -(1.2 - 0.5_f64.exp() + (-0.5_f64).exp() - 0.8) / 4.0;
        assert!((loss - want).abs() < 1e-12);
    }

    #[test]
    fn normalised_advantages_have_mean_zero_and_deviation_one() {
        let mut a = [3.0_f32, 5.0, -1.0, 9.0];
        normalise_advantages(&mut a);
        let mean = a.iter().sum::<f32>() / 4.0;
        let square = a.iter().map(|a| a * a).sum::<f32>() / 4.0;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-5);
        let mut flat = [2.0_f64; 3];
        normalise_advantages(&mut flat);
        assert!(flat.iter().all(|a| a.abs() < 1e-12));
    }

    #[test]
    fn windows_do_not_leak_into_each_other() {
        let (v, r) = ([1.0, 2.0, 3.0_f64], [1.0; 3]);
        let all = Transitions { q_t: &v, v_tp1: &[2.0, 9.0, 4.0], r_t: &r, discount_t: &[0.9; 3] };
        let mut advantages = [0.0; 3];
        gae(&[2, 1], all, 0.95, &mut advantages);
        let last = 1.0 + 0.9 * 9.0 - 2.0;
        assert!((advantages[1] - last).abs() < 1e-12);
        assert!((advantages[0] - (1.0 + 0.9 * 2.0 - 1.0 + 0.9 * 0.95 * last)).abs() < 1e-12);
    }
}
