//! `misc.json`: PPO, GAE, deterministic policy gradient and Adam.

use mpo_core::{Adam, Real, Transitions, deterministic_policy_gradient, gae, ppo_clip};

use crate::harness::{Case, Checks, Family};

pub(crate) struct PpoClip;

impl Family for PpoClip {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let ratio = case.array::<T>("ratio");
        let log_prob: Vec<T> = ratio.iter().map(|r| r.ln()).collect();
        let behaviour = vec![T::zero(); ratio.len()];
        let mut d_log_prob = behaviour.clone();
        let advantages = case.array::<T>("adv");
        let loss = ppo_clip(&log_prob, &behaviour, &advantages, case.number("epsilon"), &mut d_log_prob);
        checks.add("loss", &[loss], case.want("loss"));
        let d_ratio: Vec<T> = d_log_prob.iter().zip(&ratio).map(|(&d, &r)| d / r).collect();
        checks.add("d_ratio", &d_ratio, case.want("d_ratio"));
    }
}

pub(crate) struct Gae;

impl Family for Gae {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (reward, values) = (case.array::<T>("reward"), case.array::<T>("values"));
        let k = reward.len();
        let gamma = case.number::<T>("gamma");
        let discount: Vec<T> = case.array::<T>("cont").into_iter().map(|d| gamma * d).collect();
        let transitions = Transitions { q_t: &values[..k], v_tp1: &values[1..], r_t: &reward, discount_t: &discount };
        let mut advantages = vec![T::zero(); k];
        gae(&[k as u32], transitions, case.number("lam"), &mut advantages);
        checks.add("advantage", &advantages, case.want("advantage"));
        let returns: Vec<T> = advantages.iter().zip(&values).map(|(&a, &v)| a + v).collect();
        checks.add("lambda_return", &returns, case.want("lambda_return"));
    }
}

pub(crate) struct Dpg;

impl Family for Dpg {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let dq_da = case.array::<T>("dqda");
        let clip = case.has("dqda_clipping").then(|| case.number::<T>("dqda_clipping"));
        let mut d_action = vec![T::zero(); dq_da.len()];
        let loss = deterministic_policy_gradient(&dq_da, dq_da.len(), clip, &mut d_action);
        checks.add("loss", &[loss], case.want("loss"));
        checks.add("d_a", &d_action, case.want("d_a"));
    }
}

pub(crate) struct AdamCase;

impl Family for AdamCase {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let adam = Adam {
            learning_rate: case.number::<T>("lr"),
            beta1: case.number("b1"),
            beta2: case.number("b2"),
            epsilon: case.number("eps"),
        };
        let mut parameters = case.array::<T>("p0");
        let p = parameters.len();
        let (mut first, mut second) = (vec![T::zero(); p], vec![T::zero(); p]);
        let mut trajectory = Vec::new();
        for (t, gradient) in (1..).zip(case.array::<T>("grads").chunks_exact(p)) {
            adam.step(t, &mut parameters, gradient, &mut first, &mut second);
            trajectory.extend_from_slice(&parameters);
        }
        checks.add("params", &trajectory, case.want("params"));
    }
}
