//! Policies over discrete actions: the E-step that keeps the prior in, one divergence, one multiplier.
//!
//! Logits and Q-values are `[B, A]`; every expectation over actions is an exact sum.

use crate::Real;
use crate::e_step::{EStep, Solution, finish, shifted_dot, solve};
use crate::real::{maximum, scale, sum};

/// A batch of categorical distributions over the caller's logits.
#[derive(Clone, Copy, Debug)]
pub struct Categorical<'a, T> {
    logits: &'a [T],
    actions: usize,
}

impl<'a, T: Real> Categorical<'a, T> {
    /// A batch of `logits.len() / actions` distributions over `actions` actions; any shift of a row's logits is the same
    /// distribution.
    ///
    /// # Panics
    /// If `actions` is zero or `logits` is empty or no multiple of it.
    #[must_use]
    pub fn new(actions: usize, logits: &'a [T]) -> Self {
        assert!(
            actions > 0 && !logits.is_empty() && logits.len().is_multiple_of(actions),
            "{} logits are not a positive number of states times {actions} actions",
            logits.len()
        );
        Self { logits, actions }
    }

    /// B.
    #[must_use]
    pub const fn states(&self) -> usize {
        self.logits.len() / self.actions
    }

    /// A.
    #[must_use]
    pub const fn actions(&self) -> usize {
        self.actions
    }

    fn rows(&self) -> std::slice::ChunksExact<'a, T> {
        self.logits.chunks_exact(self.actions)
    }

    /// `pi(a|s)`, `[B, A]`, written.
    ///
    /// # Panics
    /// If `probabilities` is not of the logits' length.
    pub fn probabilities(&self, probabilities: &mut [T]) {
        self.assert_table(probabilities.len());
        for (logits, p) in self.rows().zip(probabilities.chunks_exact_mut(self.actions)) {
            softmax(logits, p);
        }
    }

    /// `log pi(a_s|s)`, nats; `taken`, `log_probs` `[B]`, the latter written.
    ///
    /// # Panics
    /// If the lengths disagree or an action is not below A.
    pub fn log_prob(&self, taken: &[usize], log_probs: &mut [T]) {
        assert_eq!((taken.len(), log_probs.len()), (self.states(), self.states()), "one action per state");
        for ((logits, &a), log_prob) in self.rows().zip(taken).zip(log_probs) {
            *log_prob = logits[a] - log_sum_exp(logits);
        }
    }

    /// `V(s) = sum_a pi(a|s) Q(s, a)`; `q` `[B, A]`, `values` `[B]`, written.
    ///
    /// # Panics
    /// If the lengths disagree.
    pub fn expectation(&self, q: &[T], values: &mut [T]) {
        self.assert_table(q.len());
        assert_eq!(values.len(), self.states(), "one value per state");
        for ((logits, q), value) in self.rows().zip(q.chunks_exact(self.actions)).zip(values) {
            let log_z = log_sum_exp(logits);
            *value = logits.iter().zip(q).map(|(&l, &q)| (l - log_z).exp() * q).sum();
        }
    }

    /// `H = -sum_a pi(a|s) log pi(a|s)`, nats; `entropies` `[B]`, written.
    ///
    /// # Panics
    /// If `entropies` is not of length B.
    pub fn entropy(&self, entropies: &mut [T]) {
        assert_eq!(entropies.len(), self.states(), "one entropy per state");
        for (logits, entropy) in self.rows().zip(entropies) {
            *entropy = entropy_of(logits, log_sum_exp(logits));
        }
    }

    /// `KL(self || online)`, nats, never negative; `kl` `[B]`, written.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn kl(&self, online: &Categorical<'_, T>, kl: &mut [T]) {
        self.assert_same_shape(online);
        assert_eq!(kl.len(), self.states(), "one divergence per state");
        for ((old, new), kl) in self.rows().zip(online.rows()).zip(kl) {
            *kl = row_kl(old, log_sum_exp(old), new, log_sum_exp(new));
        }
    }

    /// The gradient of `sum_s [ c_s log pi(a_s|s) + entropy_weight H(s) ]` with respect to the logits, `[B, A]`; overwrites
    /// `d_logits` and returns the sum itself.
    ///
    /// - `taken`, `coefficients`: `[B]`.
    ///
    /// # Panics
    /// If the lengths disagree or an action is not below A.
    pub fn log_prob_gradient(&self, taken: &[usize], coefficients: &[T], entropy_weight: T, d_logits: &mut [T]) -> T {
        assert_eq!((taken.len(), coefficients.len()), (self.states(), self.states()), "one action per state");
        self.assert_table(d_logits.len());
        let mut value = 0.0;
        let samples = taken.iter().zip(coefficients);
        for ((logits, d), (&a, &c)) in self.rows().zip(d_logits.chunks_exact_mut(self.actions)).zip(samples) {
            let log_z = log_sum_exp(logits);
            let entropy = entropy_of(logits, log_z);
            for (d, &l) in d.iter_mut().zip(logits) {
                let log_p = l - log_z;
                // dH / dl_a = -p_a (log p_a + H)
                *d = -log_p.exp() * (c + entropy_weight * (log_p + entropy));
            }
            d[a] += c;
            value += (c * (logits[a] - log_z) + entropy_weight * entropy).wide();
        }
        T::of(value)
    }

    fn assert_table(&self, len: usize) {
        assert_eq!(len, self.logits.len(), "the table must have the shape of the logits");
    }

    fn assert_same_shape(&self, other: &Categorical<'_, T>) {
        assert_eq!(
            (self.actions, self.logits.len()),
            (other.actions, other.logits.len()),
            "the two policies differ in actions or states"
        );
    }
}

/// The non-parametric E-step over all actions (paper eqs. 7-9 with the expectation summed exactly).
///
/// ```text
/// w_sa   = pi_i(a|s) exp(Q_sa / eta) / sum_b pi_i(b|s) exp(Q_sb / eta)
/// g(eta) = eta epsilon + eta mean_s log sum_a pi_i(a|s) exp(Q_sa / eta),    g'(eta) = epsilon - mean_s KL(w_s || pi_i)
/// ```
///
/// - `target`: `pi_i`, B states of A actions; `q`, `weights`: `[B, A]`, the latter written.
///
/// ```
/// use mpo_core::{Categorical, categorical_e_step};
///
/// let prior = Categorical::new(2, &[2.0_f64, 0.0]);
/// let mut weights = [0.0; 2];
/// // Where Q is indifferent the prior stays.
/// let step = categorical_e_step(&prior, &[7.0, 7.0], 1.0, 0.1, &mut weights);
/// assert!((weights[0] / weights[1] - 2.0_f64.exp()).abs() < 1e-12 && step.kl.abs() < 1e-12);
/// ```
///
/// # Panics
/// If the shapes disagree or `eta` is not positive.
pub fn categorical_e_step<T: Real>(
    target: &Categorical<'_, T>,
    q: &[T],
    eta: T,
    epsilon: T,
    weights: &mut [T],
) -> EStep<T> {
    target.assert_table(q.len());
    target.assert_table(weights.len());
    assert!(eta > T::zero(), "the temperature must be positive, got {eta}");
    let a = target.actions;
    let (mut log_mean_exp, mut kl) = (0.0, 0.0);
    for ((logits, q), w) in target.rows().zip(q.chunks_exact(a)).zip(weights.chunks_exact_mut(a)) {
        let log_z = log_sum_exp(logits);
        let max_q = maximum(q);
        for ((w, &l), &q) in w.iter_mut().zip(logits).zip(q) {
            *w = l - log_z + (q - max_q) / eta;
        }
        let peak = maximum(w);
        for w in w.iter_mut() {
            *w = (*w - peak).exp();
        }
        let total = sum(w);
        let log_partition = peak + total.ln();
        let mean = shifted_dot(w, q, max_q) / total;
        scale(total.recip(), w);
        log_mean_exp += max_q.wide() + (eta * log_partition).wide();
        kl += (mean / eta - log_partition).wide();
    }
    finish(target.states(), eta, epsilon, log_mean_exp, kl)
}

/// Minimises the dual of [`categorical_e_step`] over the temperature, as [`solve_temperature`](crate::solve_temperature)
/// does for samples.
///
/// - `prior`: `[B, A]` of scratch memory, overwritten with `pi_i`.
///
/// # Panics
/// If the shapes disagree or `epsilon` is not positive.
pub fn categorical_solve_temperature<T: Real>(
    target: &Categorical<'_, T>,
    q: &[T],
    epsilon: T,
    start: Option<T>,
    prior: &mut [T],
) -> Solution<T> {
    target.assert_table(q.len());
    target.probabilities(prior);
    solve(q, target.actions, epsilon, start, &|i| prior[i].wide())
}

/// Batch means of the categorical M-step's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CategoricalMStep<T> {
    /// What the gradient belongs to: `policy_loss + alpha kl`.
    pub loss: T,
    /// `-mean_s sum_a w_sa log pi(a|s)`.
    pub policy_loss: T,
    /// `mean_s KL(pi_i || pi)`, nats.
    pub kl: T,
}

/// The categorical policy's loss in the M-step (paper eq. 12) and its gradient with respect to the online logits.
///
/// ```text
/// loss = mean_s [ -sum_a w_sa log pi(a|s) + alpha KL(pi_i(.|s) || pi(.|s)) ]
/// d loss / d logits = ( pi sum_a w_sa - w + alpha (pi - pi_i) ) / B
/// ```
///
/// - `weights`, `d_logits`: `[B, A]`; the latter is written.
///
/// # Panics
/// If the shapes disagree.
pub fn categorical_m_step<T: Real>(
    alpha: T,
    target: &Categorical<'_, T>,
    online: &Categorical<'_, T>,
    weights: &[T],
    d_logits: &mut [T],
) -> CategoricalMStep<T> {
    target.assert_same_shape(online);
    online.assert_table(weights.len());
    online.assert_table(d_logits.len());
    let a = online.actions;
    let inverse = T::of(1.0 / online.states() as f64);
    let (mut nll, mut kl) = (0.0, 0.0);
    let tables = weights.chunks_exact(a).zip(d_logits.chunks_exact_mut(a));
    for ((old, new), (w, d)) in target.rows().zip(online.rows()).zip(tables) {
        let (log_z_old, log_z_new) = (log_sum_exp(old), log_sum_exp(new));
        let total = sum(w);
        let mut row_nll = T::zero();
        for (((d, &old), &new), &w) in d.iter_mut().zip(old).zip(new).zip(w) {
            let log_p = new - log_z_new;
            let p = log_p.exp();
            // A weight of zero asks nothing of an action, however impossible it has become.
            if !w.is_zero() {
                row_nll -= w * log_p;
            }
            *d = inverse * (total * p - w + alpha * (p - (old - log_z_old).exp()));
        }
        nll += row_nll.wide();
        kl += row_kl(old, log_z_old, new, log_z_new).wide();
    }
    let states = online.states() as f64;
    let (nll, kl) = (nll / states, kl / states);
    CategoricalMStep { loss: T::of(nll + alpha.wide() * kl), policy_loss: T::of(nll), kl: T::of(kl) }
}

#[inline]
fn log_sum_exp<T: Real>(logits: &[T]) -> T {
    let max = maximum(logits);
    let total: T = logits.iter().map(|&l| (l - max).exp()).sum();
    max + total.ln()
}

#[inline]
fn softmax<T: Real>(logits: &[T], p: &mut [T]) {
    let max = maximum(logits);
    for (p, &l) in p.iter_mut().zip(logits) {
        *p = (l - max).exp();
    }
    let total = sum(p);
    scale(total.recip(), p);
}

#[inline]
fn entropy_of<T: Real>(logits: &[T], log_z: T) -> T {
    let mut entropy = T::zero();
    for &l in logits {
        let log_p = l - log_z;
        let p = log_p.exp();
        if !p.is_zero() {
            entropy -= p * log_p;
        }
    }
    entropy
}

/// `sum_a p_a log(p_a / r_a)` as `sum_a [ p_a log(p_a / r_a) + r_a - p_a ]`: the extra terms sum to zero, and every bracket is
/// non-negative, so nothing cancels between actions.
#[inline]
fn row_kl<T: Real>(old: &[T], log_z_old: T, new: &[T], log_z_new: T) -> T {
    let mut kl = T::zero();
    for (&old, &new) in old.iter().zip(new) {
        let log_p = old - log_z_old;
        let x = new - log_z_new - log_p;
        let p = log_p.exp();
        kl += if x.abs() < T::of(0.1) {
            p * exp_gap(x)
        } else if p.is_zero() {
            (new - log_z_new).exp()
        } else {
            (new - log_z_new).exp() - p - p * x
        };
    }
    kl
}

/// `exp(x) - 1 - x` for small `x`: Taylor, the remainder below `x^11 / 11!`.
#[inline]
fn exp_gap<T: Real>(x: T) -> T {
    let mut series = T::one();
    for k in (3..=10).rev() {
        series = T::one() + x * series / T::of(f64::from(k));
    }
    T::of(0.5) * x * x * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_gap_meets_the_closed_form_at_its_seam() {
        for x in [-0.0999_f64, -0.05, 0.05, 0.0999] {
            assert!((exp_gap(x) / (x.exp_m1() - x) - 1.0).abs() < 1e-12, "at {x}");
        }
    }

    #[test]
    fn actions_of_no_probability_do_no_harm() {
        let old = [0.0_f32, -2000.0, 1.0];
        let new = [0.0_f32, 3.0, -2000.0];
        let (old, new) = (Categorical::new(3, &old), Categorical::new(3, &new));
        let mut kl = [0.0];
        old.kl(&new, &mut kl);
        assert!(kl[0].is_finite() && kl[0] > 1000.0);
        let mut entropy = [0.0];
        old.entropy(&mut entropy);
        assert!((entropy[0] - 0.582_203_1).abs() < 1e-5, "{}", entropy[0]);
        let mut weights = [0.0; 3];
        let step = categorical_e_step(&old, &[0.0, 1e6, 0.0], 1e-8, 0.1, &mut weights);
        assert!(step.dual.is_finite() && (weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut d = [0.0; 3];
        let step = categorical_m_step(1.0, &old, &new, &[1.0, 0.0, 0.0], &mut d);
        assert!(step.loss.is_finite() && d.iter().all(|d| d.is_finite()));
    }

    #[test]
    fn an_action_that_the_prior_excludes_is_not_the_greedy_one() {
        let prior = Categorical::new(3, &[0.0_f64, -2000.0, 0.0]);
        let solution = categorical_solve_temperature(&prior, &[0.0, 9.0, 1.0], 0.1, None, &mut [0.0; 3]);
        let eta = solution.temperature.expect("interior");
        let step = categorical_e_step(&prior, &[0.0, 9.0, 1.0], eta, 0.1, &mut [0.0; 3]);
        assert!((step.kl - 0.1).abs() < 1e-9);
    }

    #[test]
    #[should_panic(expected = "not a positive number of states times 3 actions")]
    fn ragged_logits_are_refused() {
        let _ = Categorical::new(3, &[0.0_f64; 4]);
    }
}
