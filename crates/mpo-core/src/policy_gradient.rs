//! Likelihood-ratio and deterministic policy gradients: the paper's other learners in the same framework (App. D.4, Figs. 2
//! and 4).

use crate::Real;
use crate::gaussian::{Gaussian, HeadGradient, Workspace};
use crate::m_step::WeightedActions;
use crate::real::{dot, scale, sum};

/// Weights of the parametric E-step (paper Alg. 3, App. D.4): every sample's advantage over the state's mean, divided by M.
///
/// ```text
/// w_sj = (1/M) A_sj,    A_sj = Q'(s, a_sj) - (1/M) sum_k Q'(s, a_sk),    a_sj ~ pi_theta(.|s)
/// ```
///
/// The parametric E-step is [`m_step`](crate::m_step) with these weights and
/// [`KlSplit::Exact`](crate::KlSplit::Exact): it maximises `mean_s mean_j log q(a_j|s) A_j` within the two divergences
/// from `pi_i`; its result is the next policy, no M-step follows.
///
/// - `q`, `weights`: `[B, M]`; the latter is written. With one sample all are zero.
///
/// # Panics
/// If `samples` is zero, `q` is no multiple of it, or the lengths differ.
pub fn advantage_weights<T: Real>(q: &[T], samples: usize, weights: &mut [T]) {
    q_weights(q, samples, weights);
    for row in weights.chunks_exact_mut(samples) {
        let mean = sum(row) / T::of(samples as f64);
        for w in row {
            *w -= mean;
        }
    }
}

/// Weights of the actor-critic, which follows one sample per state: the first. The others, drawn independently of it, are
/// its baseline, which leaves the gradient's expectation as it is (Williams 1992).
///
/// ```text
/// w_s1 = Q'(s, a_s1) - (1/(M-1)) sum_{k>1} Q'(s, a_sk),    w_sj = 0 for j > 1,    a_sj ~ pi_theta(.|s)
/// ```
///
/// Shapes as in [`advantage_weights`].
///
/// # Panics
/// As [`advantage_weights`], and if there is but one sample.
pub fn single_sample_weights<T: Real>(q: &[T], samples: usize, weights: &mut [T]) {
    assert!(samples > 1, "a baseline of other samples needs at least two per state");
    assert!(q.len().is_multiple_of(samples), "q has {} values, no multiple of {samples} samples", q.len());
    assert_eq!(weights.len(), q.len(), "weights must have the shape of q");
    let inverse = T::of(1.0 / (samples - 1) as f64);
    weights.fill(T::of(0.0));
    for (w, q) in weights.chunks_exact_mut(samples).zip(q.chunks_exact(samples)) {
        w[0] = q[0] - inverse * sum(&q[1..]);
    }
}

/// Weights of EPG: `w_sj = (1/M) Q'(s, a_sj)`, `a_sj ~ pi_theta(.|s)`. No baseline is taken off: with one sample it would
/// cancel everything.
///
/// Shapes as in [`advantage_weights`].
///
/// # Panics
/// As [`advantage_weights`].
pub fn q_weights<T: Real>(q: &[T], samples: usize, weights: &mut [T]) {
    assert!(samples > 0, "a policy gradient needs at least one sample per state");
    assert!(q.len().is_multiple_of(samples), "q has {} values, no multiple of {samples} samples", q.len());
    assert_eq!(weights.len(), q.len(), "weights must have the shape of q");
    let inverse = T::of(1.0 / samples as f64);
    for (w, &q) in weights.iter_mut().zip(q) {
        *w = inverse * q;
    }
}

/// The likelihood-ratio policy gradient with an entropy bonus: EPG, actor-critic with M = 1, and PPO's last step.
///
/// ```text
/// loss = -mean_s [ sum_j w_sj log pi(a_sj|s) + entropy_weight H(pi(.|s)) ]
/// ```
///
/// - `samples`: actions `[B, M, n]` and weights `[B, M]` of any sign, constants: [`q_weights`] for EPG.
/// - `gradient`: overwritten with that of the loss with respect to the head, the mean over the batch included.
///
/// Returns the loss.
///
/// # Panics
/// If the shapes disagree or the workspace is too small.
pub fn policy_gradient<T: Real>(
    policy: &Gaussian<'_, T>,
    samples: WeightedActions<'_, T>,
    entropy_weight: T,
    gradient: HeadGradient<'_, T>,
    workspace: &mut Workspace<T>,
) -> T {
    let HeadGradient { mean, factor } = gradient;
    let whole = HeadGradient { mean: &mut *mean, factor: &mut *factor };
    let value = policy.log_prob_gradient(samples.actions, samples.weights, entropy_weight, whole, workspace);
    let descent = -T::of(1.0 / policy.states() as f64);
    scale(descent, mean);
    scale(descent, factor);
    descent * value
}

/// The deterministic policy gradient of DDPG as rlax states it: a loss whose gradient is `-dQ/da`.
///
/// ```text
/// loss = mean_s 1/2 | sg[a_s + g_s] - a_s |^2,    g_s = dQ(s, a)/da at a = mu(s), scaled down to the norm `clip` if longer
/// ```
///
/// - `dq_da`, `d_action`: `[B, n]`; the latter is written with `d loss / d a`, the mean over the batch included.
///
/// Returns the loss. The critic's target is [`td_targets`](crate::td_targets).
///
/// # Panics
/// If `action_len` is zero or the lengths are no multiple of it or differ.
pub fn deterministic_policy_gradient<T: Real>(
    dq_da: &[T],
    action_len: usize,
    clip: Option<T>,
    d_action: &mut [T],
) -> T {
    assert!(
        action_len > 0 && !dq_da.is_empty() && dq_da.len().is_multiple_of(action_len),
        "{} numbers are not a positive number of states times {action_len} dimensions",
        dq_da.len()
    );
    assert_eq!(d_action.len(), dq_da.len(), "one gradient per action");
    let inverse = T::of(1.0 / (dq_da.len() / action_len) as f64);
    let mut loss = T::zero();
    for (g, d) in dq_da.chunks_exact(action_len).zip(d_action.chunks_exact_mut(action_len)) {
        let square = dot(g, g);
        let factor = match clip {
            Some(clip) if square > clip * clip => clip / square.sqrt(),
            _ => T::one(),
        };
        for (d, &g) in d.iter_mut().zip(g) {
            *d = -inverse * factor * g;
        }
        loss += T::of(0.5) * factor * factor * square;
    }
    loss * inverse
}

/// The critic's loss `mean_t (Q_t - target_t)^2` and its gradient `2 (Q_t - target_t) / K`, targets held constant.
///
/// - `q_t`, `targets`, `d_q`: `[K]`; the last is written.
///
/// # Panics
/// If the lengths differ or are zero.
pub fn critic_loss<T: Real>(q_t: &[T], targets: &[T], d_q: &mut [T]) -> T {
    assert!(
        !q_t.is_empty() && q_t.len() == targets.len() && q_t.len() == d_q.len(),
        "one target and one gradient per value"
    );
    let inverse = 1.0 / q_t.len() as f64;
    let slope = T::of(2.0 * inverse);
    let mut loss = 0.0;
    for ((d, &q), &target) in d_q.iter_mut().zip(q_t).zip(targets) {
        let error = q - target;
        *d = slope * error;
        loss += (error * error).wide();
    }
    T::of(loss * inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advantages_sum_to_zero_and_q_weights_keep_the_level() {
        let q = [1.0, 2.0, 6.0, -1.0, -1.0, 5.0_f64];
        let mut w = [0.0; 6];
        advantage_weights(&q, 3, &mut w);
        for (got, want) in w.iter().zip([-2.0, -1.0, 3.0, -2.0, -2.0, 4.0]) {
            assert!((3.0 * got - want).abs() < 1e-12);
        }
        q_weights(&q, 3, &mut w);
        assert!((w.iter().sum::<f64>() - 4.0).abs() < 1e-12);
        advantage_weights(&q, 1, &mut w);
        assert!(w.iter().all(|w| w.abs() < 1e-15));
    }

    #[test]
    fn the_critic_descends_towards_its_target() {
        let mut d = [0.0_f64; 2];
        let loss = critic_loss(&[1.0, 2.0], &[3.0, 2.0], &mut d);
        assert!((loss - 2.0).abs() < 1e-15 && (d[0] + 2.0).abs() < 1e-15 && d[1].abs() < 1e-15);
    }
}
