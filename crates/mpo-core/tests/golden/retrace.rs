//! `retrace.json` and `retrace_discrete.json`.

use mpo_core::{Real, Transitions, n_step_targets, retrace, retrace_windows, td_targets, trace_coefficient};

use crate::harness::{Case, Checks, Family};

pub(crate) struct Continuous;

impl Family for Continuous {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (q, v) = (case.array::<T>("q"), case.array::<T>("v_next"));
        let reward = case.array::<T>("reward");
        let (gamma, lambda) = (case.number::<T>("gamma"), case.number::<T>("lam"));
        let discount: Vec<T> = case.array::<T>("cont").into_iter().map(|d| gamma * d).collect();
        let log_rho = case.array::<T>("log_rho");
        let cut = case.array::<T>("trace_cut");
        let c: Vec<T> = log_rho.iter().map(|&x| trace_coefficient(x, lambda)).collect();
        checks.add("c", &c, case.want("c"));
        let c: Vec<T> = c.iter().zip(&cut).map(|(&c, &cut)| c * cut).collect();
        let transitions = Transitions { q_t: &q, v_tp1: &v, r_t: &reward, discount_t: &discount };
        let mut targets = vec![T::zero(); q.len()];
        retrace(transitions, &c, &mut targets);
        checks.add("target", &targets, case.want("target"));
        let errors: Vec<T> = targets.iter().zip(&q).map(|(&t, &q)| t - q).collect();
        checks.add("td_error", &errors, case.want("td_error"));
        // The packed form: a cut trace is where one window ends and the next begins.
        let mut lengths = Vec::new();
        for (t, &cut) in cut.iter().enumerate() {
            if t == 0 || cut == T::zero() {
                lengths.push(0_u32);
            }
            if let Some(last) = lengths.last_mut() {
                *last += 1;
            }
        }
        retrace_windows(&lengths, transitions, &log_rho, lambda, &mut targets);
        checks.add("target of windows", &targets, case.want("target"));
        td_targets(&v, &reward, &discount, &mut targets);
        checks.add("one_step_target", &targets, case.want("one_step_target"));
        n_step_targets(&v, &reward, &discount, 5, &mut targets);
        checks.add("n5_step_target", &targets, case.want("n5_step_target"));
    }
}

pub(crate) struct Discrete;

impl Family for Discrete {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (k, actions) = (case.size("K"), case.size("A"));
        let (q, pi) = (case.array::<T>("q"), case.array::<T>("pi"));
        let taken: Vec<usize> = case.want("action").into_iter().map(|a| a as usize).collect();
        let behaviour = case.array::<T>("mu_taken");
        let (gamma, lambda) = (case.number::<T>("gamma"), case.number::<T>("lam"));
        let discount: Vec<T> = case.array::<T>("cont").into_iter().map(|d| gamma * d).collect();
        let value: Vec<T> = q
            .chunks_exact(actions)
            .zip(pi.chunks_exact(actions))
            .map(|(q, pi)| q.iter().zip(pi).map(|(&q, &pi)| q * pi).sum())
            .collect();
        let log_rho: Vec<T> = (0..=k).map(|t| pi[t * actions + taken[t]].ln() - behaviour[t].ln()).collect();
        let c: Vec<T> = log_rho.iter().map(|&x| trace_coefficient(x, lambda)).collect();
        checks.add("c", &c, case.want("c"));
        let q_t: Vec<T> = (0..k).map(|t| q[t * actions + taken[t]]).collect();
        let reward = case.array::<T>("reward");
        let transitions = Transitions { q_t: &q_t, v_tp1: &value[1..], r_t: &reward, discount_t: &discount };
        let mut targets = vec![T::zero(); k];
        retrace(transitions, &c[..k], &mut targets);
        checks.add("target", &targets, case.want("target"));
        let errors: Vec<T> = targets.iter().zip(&q_t).map(|(&t, &q)| t - q).collect();
        checks.add("td_error", &errors, case.want("td_error"));
    }
}
