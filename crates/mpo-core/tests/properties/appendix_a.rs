//! Appendix A of the paper on random tabular Markov decision processes: the divergence-regularised Bellman operators, their
//! fixed points, and why alternating E- and M-steps never makes the regularised objective worse. The E- and M-steps are the
//! crate's own, with the temperature as the regulariser's weight.

use mpo_core::{Categorical, categorical_e_step, categorical_m_step};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{all_close, close};

#[derive(Clone, Debug)]
struct Mdp {
    states: usize,
    actions: usize,
    gamma: f64,
    /// Weight of the divergence in the regularised reward, the temperature.
    alpha: f64,
    /// `[S, A]`.
    reward: Vec<f64>,
    /// `[S, A, S]`.
    transition: Vec<f64>,
    /// Logits `[S, A]` of the policy `pi`.
    policy: Vec<f64>,
    /// Logits `[S, A]` of a variational policy `q`.
    variational: Vec<f64>,
}

fn normalise(rows: &mut [f64], len: usize) {
    for row in rows.chunks_exact_mut(len) {
        let total: f64 = row.iter().sum();
        for x in row {
            *x /= total;
        }
    }
}

fn mdp() -> impl Strategy<Value = Mdp> {
    (2_usize..6, 2_usize..5, 0.3..0.95_f64, 0.1..3.0_f64).prop_flat_map(|(states, actions, gamma, alpha)| {
        let table = move || vec(-2.0..2.0_f64, states * actions);
        let transition = vec(0.01..1.0_f64, states * actions * states);
        (table(), transition, table(), table()).prop_map(move |(reward, mut transition, policy, variational)| {
            normalise(&mut transition, states);
            Mdp { states, actions, gamma, alpha, reward, transition, policy, variational }
        })
    })
}

impl Mdp {
    fn probabilities(&self, logits: &[f64]) -> Vec<f64> {
        let mut p = vec![0.0; logits.len()];
        Categorical::new(self.actions, logits).probabilities(&mut p);
        p
    }

    /// `Q(s, a) = r + gamma E V(s')`.
    fn q_of(&self, v: &[f64]) -> Vec<f64> {
        let next = self.transition.chunks_exact(self.states);
        let rows = self.reward.iter().zip(next);
        rows.map(|(r, p)| r + self.gamma * p.iter().zip(v).map(|(p, v)| p * v).sum::<f64>()).collect()
    }

    /// `(T^{pi,q} V)(s) = E_q[ r + gamma E V(s') ] - alpha KL(q || pi)`.
    fn operator(&self, pi: &[f64], q: &[f64], v: &[f64]) -> Vec<f64> {
        let values = self.q_of(v);
        let rows =
            q.chunks_exact(self.actions).zip(pi.chunks_exact(self.actions)).zip(values.chunks_exact(self.actions));
        rows.map(|((q, pi), values)| {
            let terms = q.iter().zip(pi).zip(values);
            terms.map(|((q, pi), value)| q * (value - self.alpha * (q / pi).ln())).sum()
        })
        .collect()
    }

    /// `(T^pi V)(s) = sup_q (T^{pi,q} V)(s) = alpha log E_pi exp((r + gamma E V(s')) / alpha)`, by the E-step's own dual: with
    /// epsilon zero it is the mean over states, so it is asked state by state.
    fn optimal_operator(&self, v: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let values = self.q_of(v);
        let mut weights = vec![0.0; values.len()];
        let states = values.chunks_exact(self.actions).zip(self.policy.chunks_exact(self.actions));
        let best = states
            .zip(weights.chunks_exact_mut(self.actions))
            .map(|((values, logits), w)| {
                categorical_e_step(&Categorical::new(self.actions, logits), values, self.alpha, 0.0, w).dual
            })
            .collect();
        (best, weights)
    }

    /// `V^{pi,q}`, the fixed point of `T^{pi,q}`, by direct solution of the linear system.
    fn evaluate(&self, pi: &[f64], q: &[f64]) -> Vec<f64> {
        let n = self.states;
        let zero = vec![0.0; n];
        let reward = self.operator(pi, q, &zero);
        let chain = self.chain(q);
        let mut system: Vec<Vec<f64>> = (0..n)
            .map(|s| {
                let mut row: Vec<f64> =
                    (0..n).map(|t| f64::from(u8::from(s == t)) - self.gamma * chain[s * n + t]).collect();
                row.push(reward[s]);
                row
            })
            .collect();
        solve(&mut system)
    }

    /// `P_q(s'|s)`, `[S, S]`.
    fn chain(&self, q: &[f64]) -> Vec<f64> {
        let n = self.states;
        let mut chain = vec![0.0; n * n];
        for s in 0..n {
            for a in 0..self.actions {
                let at = s * self.actions + a;
                for t in 0..n {
                    chain[s * n + t] += q[at] * self.transition[at * n + t];
                }
            }
        }
        chain
    }

    /// Discounted visits `sum_t gamma^t P(s_t = s)` from a uniform start, following `q`.
    fn visits(&self, q: &[f64]) -> Vec<f64> {
        let n = self.states;
        let chain = self.chain(q);
        let mut system: Vec<Vec<f64>> = (0..n)
            .map(|t| {
                let mut row: Vec<f64> =
                    (0..n).map(|s| f64::from(u8::from(s == t)) - self.gamma * chain[s * n + t]).collect();
                row.push(1.0 / n as f64);
                row
            })
            .collect();
        solve(&mut system)
    }

    /// `J(q, pi)`: the regularised return from a uniform start.
    fn objective(&self, q: &[f64], logits: &[f64]) -> f64 {
        let v = self.evaluate(&self.probabilities(logits), q);
        v.iter().sum::<f64>() / self.states as f64
    }

    /// One M-step: a gradient step of length `rate` on the expected log-likelihood of `q`, states weighted by their visits.
    fn m_step(&self, q: &[f64], logits: &[f64], rate: f64) -> (Vec<f64>, f64) {
        let visits = self.visits(q);
        let rows = q.iter().enumerate();
        let weights: Vec<f64> = rows.map(|(i, q)| q * visits[i / self.actions]).collect();
        let mut d = vec![0.0; q.len()];
        let policy = Categorical::new(self.actions, logits);
        categorical_m_step(0.0, &policy, &policy, &weights, &mut d);
        let next = logits.iter().zip(&d).map(|(l, d)| l - rate * d).collect();
        (next, d.iter().map(|d| d * d).sum())
    }

    /// One E-step: the best response to the regularised values of `q` (eq. 19).
    fn e_step(&self, q: &[f64], logits: &[f64]) -> Vec<f64> {
        let values = self.q_of(&self.evaluate(&self.probabilities(logits), q));
        let mut w = vec![0.0; q.len()];
        categorical_e_step(&Categorical::new(self.actions, logits), &values, self.alpha, 0.0, &mut w);
        w
    }
}

/// Gauss-Jordan elimination with pivoting; rows carry their right-hand side last.
fn solve(rows: &mut [Vec<f64>]) -> Vec<f64> {
    let n = rows.len();
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs())).expect("a row is left");
        rows.swap(i, pivot);
        let scale = rows[i][i];
        rows[i].iter_mut().for_each(|x| *x /= scale);
        let current = rows[i].clone();
        for (k, row) in rows.iter_mut().enumerate() {
            if k != i {
                let factor = row[i];
                row.iter_mut().zip(&current).for_each(|(x, c)| *x -= factor * c);
            }
        }
    }
    rows.iter().map(|row| row[n]).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |m, (a, b)| m.max((a - b).abs()))
}

fn optimal_value(mdp: &Mdp) -> Vec<f64> {
    let mut v = vec![0.0; mdp.states];
    for _ in 0..1000 {
        v = mdp.optimal_operator(&v).0;
    }
    v
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_regularised_operators_are_monotone_contractions(mdp in mdp(), v in vec(-5.0..5.0_f64, 5), w in vec(-5.0..5.0_f64, 5)) {
        let (v, w) = (&v[..mdp.states], &w[..mdp.states]);
        let (pi, q) = (mdp.probabilities(&mdp.policy), mdp.probabilities(&mdp.variational));
        let bound = mdp.gamma * distance(v, w) + 1e-10;
        prop_assert!(distance(&mdp.operator(&pi, &q, v), &mdp.operator(&pi, &q, w)) <= bound);
        prop_assert!(distance(&mdp.optimal_operator(v).0, &mdp.optimal_operator(w).0) <= bound);
        let above: Vec<f64> = v.iter().zip(w).map(|(a, b)| a.max(*b)).collect();
        let low = [mdp.operator(&pi, &q, v), mdp.optimal_operator(v).0];
        let high = [mdp.operator(&pi, &q, &above), mdp.optimal_operator(&above).0];
        for (low, high) in low.iter().flatten().zip(high.iter().flatten()) {
            prop_assert!(low <= &(high + 1e-10));
        }
    }

    #[test]
    fn iterating_an_operator_reaches_its_fixed_point(mdp in mdp()) {
        let (pi, q) = (mdp.probabilities(&mdp.policy), mdp.probabilities(&mdp.variational));
        let fixed = mdp.evaluate(&pi, &q);
        all_close(&mdp.operator(&pi, &q, &fixed), &fixed, 1e-9);
        let mut v = vec![0.0; mdp.states];
        for _ in 0..1000 {
            v = mdp.operator(&pi, &q, &v);
        }
        all_close(&v, &fixed, 1e-8);
        let best = optimal_value(&mdp);
        all_close(&mdp.optimal_operator(&best).0, &best, 1e-8);
    }

    /// Eq. 19: the tilted prior is the maximiser, its value the log-partition.
    #[test]
    fn the_closed_form_is_the_best_variational_policy(mdp in mdp(), v in vec(-5.0..5.0_f64, 5)) {
        let v = &v[..mdp.states];
        let (pi, q) = (mdp.probabilities(&mdp.policy), mdp.probabilities(&mdp.variational));
        let (best, weights) = mdp.optimal_operator(v);
        all_close(&mdp.operator(&pi, &weights, v), &best, 1e-9);
        for (any, best) in mdp.operator(&pi, &q, v).iter().zip(&best) {
            prop_assert!(any <= &(best + 1e-9));
        }
    }

    /// Proposition 1: the fixed point of `T^pi` is the supremum over `q` of those of `T^{pi,q}`, and is attained.
    #[test]
    fn the_optimal_fixed_point_dominates_every_other_and_is_attained(mdp in mdp()) {
        let (pi, q) = (mdp.probabilities(&mdp.policy), mdp.probabilities(&mdp.variational));
        let best = optimal_value(&mdp);
        for (any, best) in mdp.evaluate(&pi, &q).iter().zip(&best) {
            prop_assert!(any <= &(best + 1e-7));
        }
        let (_, greedy) = mdp.optimal_operator(&best);
        all_close(&mdp.evaluate(&pi, &greedy), &best, 1e-6);
        // The prior itself is one of the candidates: regularised control is never worse than staying.
        for (stay, best) in mdp.evaluate(&pi, &pi).iter().zip(&best) {
            prop_assert!(stay <= &(best + 1e-7));
        }
    }

    /// Inequality 20: one E-step improves the regularised value in every state.
    #[test]
    fn an_e_step_improves_every_state(mdp in mdp()) {
        let (pi, q) = (mdp.probabilities(&mdp.policy), mdp.probabilities(&mdp.variational));
        let before = mdp.evaluate(&pi, &q);
        let after = mdp.evaluate(&pi, &mdp.e_step(&q, &mdp.policy));
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(after >= &(before - 1e-9));
        }
    }

    #[test]
    fn repeated_e_steps_reach_the_optimum(mdp in mdp()) {
        let pi = mdp.probabilities(&mdp.policy);
        let mut q = mdp.probabilities(&mdp.variational);
        for _ in 0..200 {
            q = mdp.e_step(&q, &mdp.policy);
        }
        all_close(&mdp.evaluate(&pi, &q), &optimal_value(&mdp), 1e-6);
    }

    /// The gradient of the M-step is that of the objective: `dJ/dtheta = alpha sum_s d(s) sum_a q log pi`'s.
    #[test]
    fn the_m_steps_gradient_is_the_objectives(mdp in mdp()) {
        let q = mdp.probabilities(&mdp.variational);
        let rate = 1e-6;
        let (next, square) = mdp.m_step(&q, &mdp.policy, rate);
        let gained = mdp.objective(&q, &next) - mdp.objective(&q, &mdp.policy);
        // The M-step's loss is a mean over states, the objective a sum over visits.
        let predicted = mdp.alpha * mdp.states as f64 * rate * square;
        close(gained / rate, predicted / rate, 1e-3);
    }

    /// Inequality 21: alternating E-steps and small M-steps, the objective never falls.
    #[test]
    fn alternating_steps_improve_monotonically(mdp in mdp()) {
        let mut logits = mdp.policy.clone();
        let mut q = mdp.probabilities(&mdp.variational);
        let mut last = mdp.objective(&q, &logits);
        // The log-likelihood's curvature is at most the visits, 1 / (1 - gamma): steps below its inverse ascend.
        let rate = (1.0 - mdp.gamma) * mdp.states as f64;
        for _ in 0..10 {
            q = mdp.e_step(&q, &logits);
            let after_e = mdp.objective(&q, &logits);
            prop_assert!(after_e >= last - 1e-9, "E-step: {last} to {after_e}");
            logits = mdp.m_step(&q, &logits, rate).0;
            last = mdp.objective(&q, &logits);
            prop_assert!(last >= after_e - 1e-9, "M-step: {after_e} to {last}");
        }
    }
}
