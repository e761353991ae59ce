//! Policy evaluation: Retrace targets (paper eq. 13) and its special cases.

use crate::Real;

/// A stretch of consecutive transitions of one episode, index `t` in `0..K`; or several such windows packed one after
/// another.
///
/// Names carry time: `q_t` belongs to `(s_t, a_t)`, `v_tp1` to the state after it.
#[derive(Clone, Copy, Debug)]
pub struct Transitions<'a, T> {
    /// `Q'(s_t, a_t)`, `[K]`, units of return.
    pub q_t: &'a [T],
    /// `V'(s_{t+1}) = E_{a ~ pi'} Q'(s_{t+1}, a)`, `[K]`. Where `discount_t` is zero it may be any finite number.
    pub v_tp1: &'a [T],
    /// Reward of the transition, `[K]`.
    pub r_t: &'a [T],
    /// `gamma d_t`, `[K]`: zero at a true termination, `gamma` otherwise, so that a time limit bootstraps.
    pub discount_t: &'a [T],
}

impl<T> Transitions<'_, T> {
    fn assert_len(&self, len: usize) {
        for other in [self.v_tp1.len(), self.r_t.len(), self.discount_t.len(), len] {
            assert_eq!(other, self.q_t.len(), "every array must hold one number per transition");
        }
    }
}

/// `c_t = lambda min(1, pi'(a_t|s_t) / b(a_t|s_t))`, from the log-ratio, so that no ratio overflows.
///
/// ```
/// use mpo_core::trace_coefficient;
///
/// assert_eq!(trace_coefficient(1e4_f32, 0.9), 0.9); // exp would have overflowed
/// assert_eq!(trace_coefficient(-1e4_f32, 0.9), 0.0);
/// ```
#[inline]
#[must_use]
pub fn trace_coefficient<T: Real>(log_rho_t: T, lambda: T) -> T {
    if log_rho_t >= T::zero() { lambda } else { lambda * log_rho_t.exp() }
}

/// Retrace targets of one window (paper eq. 13), in one backward pass.
///
/// ```text
/// Qret_t = Q_t + sum_{j>=t} gamma^{j-t} (prod_{k=t+1..j} c_k) [ r_j + gamma d_j V_{j+1} - Q_j ]
///        = r_t + gamma d_t ( V_{t+1} + c_{t+1} (Qret_{t+1} - Q_{t+1}) ),      the last without its trace
/// ```
///
/// - `c_t`: `[K]`, [`trace_coefficient`]s; `c_t[0]` never matters. All zeros give the one-step TD target, all ones the
///   K-step on-policy target, and a zero at `t` cuts the trace into `t`.
/// - `targets`: `[K]`, written.
///
/// ```
/// use mpo_core::{Transitions, retrace};
///
/// let window = Transitions { q_t: &[5.0, 7.0], v_tp1: &[6.0, 8.0], r_t: &[1.0, 1.0], discount_t: &[0.5, 0.5] };
/// let mut targets = [0.0_f64; 2];
/// retrace(window, &[0.0, 0.0], &mut targets);
/// assert_eq!(targets, [4.0, 5.0]); // r + gamma V: temporal difference
/// retrace(window, &[1.0, 1.0], &mut targets);
/// assert_eq!(targets, [1.0 + 0.5 * (6.0 + (5.0 - 7.0)), 5.0]);
/// ```
///
/// # Panics
/// If the arrays are not all of one length.
pub fn retrace<T: Real>(transitions: Transitions<'_, T>, c_t: &[T], targets: &mut [T]) {
    transitions.assert_len(targets.len());
    assert_eq!(c_t.len(), targets.len(), "one trace coefficient per transition");
    backward(transitions, |t| c_t[t], targets);
}

/// [`retrace`] on windows of different lengths packed one after another, from log-ratios.
///
/// No trace crosses from one window to the next. The arrays of `transitions`, `log_rho_t` and `targets` hold
/// `sum(lengths)` numbers.
///
/// - `lengths`: transitions of each window.
/// - `log_rho_t`: `log pi'(a_t|s_t) - log b(a_t|s_t)`, nats; that of a window's first transition never matters.
/// - `lambda`: in `[0, 1]`.
///
/// # Panics
/// If the arrays are not all of one length, or `lengths` does not sum to it.
pub fn retrace_windows<T: Real>(
    lengths: &[u32],
    transitions: Transitions<'_, T>,
    log_rho_t: &[T],
    lambda: T,
    targets: &mut [T],
) {
    assert_eq!(log_rho_t.len(), targets.len(), "one log-ratio per transition");
    backward_windows(lengths, transitions, |t| trace_coefficient(log_rho_t[t], lambda), targets);
}

/// One-step temporal-difference targets `r_t + gamma d_t V_{t+1}`: Retrace with `lambda = 0`, and the target of DDPG with
/// `v_tp1 = Q'(s_{t+1}, mu'(s_{t+1}))`.
///
/// - `v_tp1`, `r_t`, `discount_t`, `targets`: `[K]`; the last is written.
///
/// # Panics
/// If the arrays are not all of one length.
pub fn td_targets<T: Real>(v_tp1: &[T], r_t: &[T], discount_t: &[T], targets: &mut [T]) {
    for len in [r_t.len(), discount_t.len(), targets.len()] {
        assert_eq!(len, v_tp1.len(), "every array must hold one number per transition");
    }
    for (((target, &v), &r), &discount) in targets.iter_mut().zip(v_tp1).zip(r_t).zip(discount_t) {
        *target = r + discounted(discount, v);
    }
}

/// n-step targets: up to `steps` rewards, then the value of the state reached; fewer at the end of the window.
///
/// ```text
/// target_t = sum_{k<m} (prod_{i<k} gamma d_{t+i}) r_{t+k} + (prod_{i<m} gamma d_{t+i}) V_{t+m},    m = min(steps, K - t)
/// ```
///
/// The special case of [`retrace`] on a window of `steps` transitions with every trace one and `Q_t = V_t`.
///
/// - `v_tp1`, `r_t`, `discount_t`, `targets`: `[K]`; the last is written.
///
/// # Panics
/// If the arrays are not all of one length, or `steps` is zero.
pub fn n_step_targets<T: Real>(v_tp1: &[T], r_t: &[T], discount_t: &[T], steps: usize, targets: &mut [T]) {
    for len in [r_t.len(), discount_t.len(), targets.len()] {
        assert_eq!(len, v_tp1.len(), "every array must hold one number per transition");
    }
    assert!(steps > 0, "an n-step target needs at least one step");
    for (t, target) in targets.iter_mut().enumerate() {
        let last = (t + steps).min(v_tp1.len()) - 1;
        *target = v_tp1[last];
        for (&r, &discount) in r_t[t..=last].iter().zip(&discount_t[t..=last]).rev() {
            *target = r + discounted(discount, *target);
        }
    }
}

/// [`n_step_targets`] on windows of different lengths packed one after another; no target reaches beyond its window.
///
/// - `lengths`: transitions of each window.
///
/// # Panics
/// As [`n_step_targets`], or if `lengths` does not sum to the arrays' length.
pub fn n_step_windows<T: Real>(
    lengths: &[u32],
    v_tp1: &[T],
    r_t: &[T],
    discount_t: &[T],
    steps: usize,
    targets: &mut [T],
) {
    let mut start = 0;
    for &length in lengths {
        let window = start..start + length as usize;
        let [v_tp1, r_t, discount_t] = [v_tp1, r_t, discount_t].map(|part| &part[window.clone()]);
        n_step_targets(v_tp1, r_t, discount_t, steps, &mut targets[window]);
        start += length as usize;
    }
    assert_eq!(start, targets.len(), "lengths of the windows");
}

/// `discount * value`, and nothing at a termination whatever the value beyond it.
#[inline]
fn discounted<T: Real>(discount: T, value: T) -> T {
    if discount.is_zero() { discount } else { discount * value }
}

/// [`backward`] on every window; `c` is asked for positions in the packed arrays.
pub(crate) fn backward_windows<T: Real>(
    lengths: &[u32],
    transitions: Transitions<'_, T>,
    c: impl Fn(usize) -> T,
    targets: &mut [T],
) {
    transitions.assert_len(targets.len());
    let total: usize = lengths.iter().map(|&len| len as usize).sum();
    assert_eq!(total, targets.len(), "the windows' lengths do not sum to the number of transitions");
    let mut start = 0;
    for &len in lengths {
        let end = start + len as usize;
        let window = Transitions {
            q_t: &transitions.q_t[start..end],
            v_tp1: &transitions.v_tp1[start..end],
            r_t: &transitions.r_t[start..end],
            discount_t: &transitions.discount_t[start..end],
        };
        backward(window, |t| c(start + t), &mut targets[start..end]);
        start = end;
    }
}

#[inline]
fn backward<T: Real>(transitions: Transitions<'_, T>, c: impl Fn(usize) -> T, targets: &mut [T]) {
    let Transitions { q_t, v_tp1, r_t, discount_t } = transitions;
    // c_{t+1} (Qret_{t+1} - Q_{t+1}), nothing beyond the window.
    let mut trace = T::zero();
    for (t, target) in targets.iter_mut().enumerate().rev() {
        *target = r_t[t] + discounted(discount_t[t], v_tp1[t] + trace);
        trace = c(t) * (*target - q_t[t]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_of_any_length_stand_alone() {
        let lengths = [3_u32, 1, 0, 2];
        let q = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0_f64];
        let v = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5];
        let r = [1.0; 6];
        let discount = [0.9, 0.9, 0.0, 0.9, 0.9, 0.9];
        let log_rho = [9.0, -0.5, 0.3, -2.0, 7.0, -0.1];
        let all = Transitions { q_t: &q, v_tp1: &v, r_t: &r, discount_t: &discount };
        let mut packed = [0.0; 6];
        retrace_windows(&lengths, all, &log_rho, 0.95, &mut packed);
        let c = log_rho.map(|x| trace_coefficient(x, 0.95));
        let mut start = 0;
        for len in lengths.map(|len| len as usize) {
            let w = start..start + len;
            let window = Transitions {
                q_t: &q[w.clone()],
                v_tp1: &v[w.clone()],
                r_t: &r[w.clone()],
                discount_t: &discount[w.clone()],
            };
            let mut alone = vec![0.0; len];
            retrace(window, &c[w.clone()], &mut alone);
            for (a, b) in alone.iter().zip(&packed[w]) {
                assert!((a - b).abs() < 1e-15);
            }
            start += len;
        }
    }

    #[test]
    fn steps_without_correction_end_with_their_window() {
        // Two steps: the second window's first transition does not see the first window's last, nor the other way round.
        let (r, v) = ([1.0, 2.0, 4.0, 8.0, 16.0_f64], [32.0, 64.0, 128.0, 256.0, 512.0]);
        let mut targets = [0.0; 5];
        n_step_windows(&[3, 0, 2], &v, &r, &[0.5, 0.5, 0.5, 0.0, 0.5], 2, &mut targets);
        let wanted = [1.0 + 1.0 + 16.0, 2.0 + 2.0 + 32.0, 4.0 + 64.0, 8.0, 16.0 + 256.0];
        assert!(targets.iter().zip(wanted).all(|(target, wanted)| (target - wanted).abs() < 1e-12), "{targets:?}");
    }

    #[test]
    fn nothing_beyond_a_termination_is_read() {
        let window =
            Transitions { q_t: &[1.0_f64, 2.0], v_tp1: &[f64::NAN, 3.0], r_t: &[1.0, 1.0], discount_t: &[0.0, 0.9] };
        let mut targets = [0.0; 2];
        retrace(window, &[1.0; 2], &mut targets);
        assert!((targets[0] - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_ratio_that_is_not_a_number_is_not_hidden() {
        assert!(trace_coefficient(f32::NAN, 1.0).is_nan());
    }

    #[test]
    #[should_panic(expected = "lengths do not sum")]
    fn lengths_that_do_not_cover_the_arrays_are_refused() {
        let one = [0.0_f64];
        let window = Transitions { q_t: &one, v_tp1: &one, r_t: &one, discount_t: &one };
        retrace_windows(&[2], window, &one, 1.0, &mut [0.0]);
    }
}
