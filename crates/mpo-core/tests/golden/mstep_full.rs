//! `mstep_full*.json`: full-covariance densities, divergences and Lagrangians.

use mpo_core::{
    Constraint, Covariance, Gaussian, HeadGradient, KlSplit, MStep, Real, WeightedActions, Workspace, m_step,
    packed_len, sigmoid,
};

use crate::harness::{Case, Checks, Family};

pub(crate) struct Full;

/// The lower halves of dense `[B, D, D]` matrices, packed.
fn pack<T: Copy>(dense: &[T], n: usize) -> Vec<T> {
    let rows = dense.chunks_exact(n).enumerate();
    rows.flat_map(|(r, row)| row[..=r % n].iter().copied()).collect()
}

impl Family for Full {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (b, n, m) = (case.size("B"), case.size("D"), case.size("N"));
        let (old_mean, new_mean) = (case.array::<T>("old_mean"), case.array::<T>("new_mean"));
        let old_factor = pack(&case.array::<T>("old_chol"), n);
        let new_factor = pack(&case.array::<T>("new_chol"), n);
        let old = Gaussian::new(Covariance::Full, n, &old_mean, &old_factor);
        let new = Gaussian::new(Covariance::Full, n, &new_mean, &new_factor);
        let (actions, weights) = (case.array::<T>("actions"), case.array::<T>("weights"));
        let mut workspace = Workspace::new(n, m);

        for (which, policy) in [("new", &new), ("old", &old)] {
            let mut log_probs = vec![T::zero(); b * m];
            policy.log_prob(&actions, &mut log_probs, &mut workspace);
            checks.add(format!("log_prob_{which}"), &log_probs, case.want(&format!("log_prob_{which}")));
            let mut entropy = vec![T::zero(); b];
            policy.entropy(&mut entropy);
            checks.add_scaled(format!("entropy_{which}"), &entropy, case.want(&format!("entropy_{which}")), n as f64);
        }

        let mut parts = |split| {
            let (mut mean, mut covariance) = (vec![T::zero(); b], vec![T::zero(); b]);
            old.kl(&new, split, &mut mean, &mut covariance, &mut workspace);
            (mean, covariance)
        };
        let (new_cov, covariance) = parts(KlSplit::Exact);
        let (old_cov, same) = parts(KlSplit::Decoupled);
        let total: Vec<T> = new_cov.iter().zip(&covariance).map(|(&a, &b)| a + b).collect();
        // Identical policies: the inputs agree to f64 rounding only.
        checks.add_scaled("kl_mean_new_cov", &new_cov, case.want("kl_mean_new_cov"), 1e-6);
        checks.add_scaled("kl_mean_old_cov", &old_cov, case.want("kl_mean_old_cov"), 1e-6);
        checks.add_scaled("kl_cov", &covariance, case.want("kl_cov"), 1e-6);
        checks.add_scaled("kl_cov again", &same, case.want("kl_cov"), 1e-6);
        checks.add_scaled("kl_total", &total, case.want("kl_total"), 1e-6);

        let alpha_mean = case.number::<T>("duals/alpha_mean");
        let alpha_covariance = case.number::<T>("duals/alpha_cov");
        let zeros = vec![T::zero(); b * m];
        let mut run = |weights: &[T], split, alpha_mean: T, alpha_covariance: T| {
            let mut d_mean = vec![T::zero(); b * n];
            let mut d_factor = vec![T::zero(); b * packed_len(n)];
            let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
            let constraint = Constraint::Split { split, alpha_mean, alpha_covariance };
            let samples = WeightedActions { actions: &actions, weights };
            let step = m_step(constraint, &old, &new, samples, gradient, &mut workspace);
            (step, d_mean, d_factor)
        };
        let (zero, one) = (T::zero(), T::one());
        let raw = pack(&case.array::<T>("new_raw"), n);
        let mut expect = |key: &str, (step, d_mean, d_factor): (MStep<T>, Vec<T>, Vec<T>), value: T| {
            let scale = if key.starts_with("grad_kl") { 1e-6 } else { 1.0 };
            checks.add_scaled(format!("{key} value"), &[value], case.want(&format!("{key}/value")), scale);
            checks.add_scaled(format!("{key} d_mean"), &d_mean, case.want(&format!("{key}/d_mean")), scale);
            let want = pack(&case.want(&format!("{key}/d_chol")), n);
            checks.add_scaled(format!("{key} d_chol"), &d_factor, want, scale);
            let diagonal = |i: usize| (0..n).any(|k| i % packed_len(n) == packed_len(k + 1) - 1);
            let through_softplus: Vec<T> =
                d_factor.iter().enumerate().map(|(i, &d)| if diagonal(i) { d * sigmoid(raw[i]) } else { d }).collect();
            let want = pack(&case.want(&format!("{key}/d_raw")), n);
            checks.add_scaled(format!("{key} d_raw"), &through_softplus, want, scale);
            assert!(step.loss.is_finite());
        };
        let result = run(&weights, KlSplit::Exact, zero, zero);
        expect("nll_joint", result.clone(), result.0.policy_loss);
        let result = run(&weights, KlSplit::Decoupled, zero, zero);
        expect("nll_split", result.clone(), result.0.policy_loss);
        let result = run(&zeros, KlSplit::Exact, one, one);
        expect("grad_kl_total_mean", result.clone(), result.0.loss);
        let result = run(&zeros, KlSplit::Decoupled, one, zero);
        expect("grad_kl_mean_old_cov", result.clone(), result.0.loss);
        let result = run(&zeros, KlSplit::Exact, one, zero);
        expect("grad_kl_mean_new_cov", result.clone(), result.0.loss);
        for split in [KlSplit::Exact, KlSplit::Decoupled] {
            let result = run(&zeros, split, zero, one);
            expect("grad_kl_cov", result.clone(), result.0.kl_covariance);
        }
        let bounds =
            alpha_mean * case.number("duals/epsilon_mean") + alpha_covariance * case.number("duals/epsilon_cov");
        let result = run(&weights, KlSplit::Exact, alpha_mean, alpha_covariance);
        expect("lagrangian_paper", result.clone(), result.0.loss - bounds);
        let result = run(&weights, KlSplit::Decoupled, alpha_mean, alpha_covariance);
        expect("lagrangian_split_oldcov", result.clone(), result.0.loss - bounds);
    }
}
