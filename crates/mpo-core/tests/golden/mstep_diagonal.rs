//! `mstep_diag.json`: acme's whole MPO loss for diagonal policies.

use mpo_core::{
    Constraint, Covariance, Gaussian, HeadGradient, KlSplit, Multiplier, PerDimension, Real, Temperature,
    WeightedActions, Workspace, e_step, m_step, m_step_per_dimension, out_of_bounds_cost,
};

use crate::harness::{Case, Checks, Family};

pub(crate) struct Diagonal;

/// `[M, B, rest]` to `[B, M, rest]`.
fn batch_major<T: Copy>(x: &[T], b: usize, m: usize) -> Vec<T> {
    let rest = x.len() / (b * m);
    let mut out = Vec::with_capacity(x.len());
    for s in 0..b {
        for j in 0..m {
            let at = (j * b + s) * rest;
            out.extend_from_slice(&x[at..at + rest]);
        }
    }
    out
}

/// The E-step, and the penalty's own: the weights summed and the loss of both temperatures.
fn e_steps<T: Real>(case: &Case<'_>, actions: &[T], checks: &mut Checks) -> (Vec<T>, T) {
    let (b, n, m) = (case.size("B"), case.size("D"), case.size("N"));
    let q = batch_major(&case.array::<T>("q_values"), b, m);
    let want_samples = |path: &str| batch_major(&case.want(path), b, m);
    let eta = Temperature::from_raw(case.number::<T>("duals/log_temperature"));
    checks.add("temperature", &[eta.value()], case.want("components/temperature"));
    let epsilon = case.number::<T>("config/epsilon");
    let mut weights = vec![T::zero(); b * m];
    let step = e_step(&q, m, eta.value(), epsilon, &mut weights);
    checks.add_scaled("weights", &weights, want_samples("components/weights"), 1.0 / m as f64);
    checks.add_scaled("loss_temperature_q", &[step.dual], case.want("components/loss_temperature_q"), 1.0);
    let d_raw = eta.gradient(step.d_eta);
    checks.add_scaled("log_temperature", &[d_raw], case.want("grads/log_temperature"), epsilon.wide());
    let mut loss_temperature = step.dual;
    if case.has("duals/log_penalty_temperature") {
        let (low, high) = (vec![-T::one(); n], vec![T::one(); n]);
        let mut cost = vec![T::zero(); b * m];
        out_of_bounds_cost(actions, &low, &high, &mut cost);
        checks.add("penalty_cost", &cost, want_samples("components/penalty_cost"));
        let eta = Temperature::from_raw(case.number::<T>("duals/log_penalty_temperature"));
        let epsilon = case.number::<T>("config/epsilon_penalty");
        let mut extra = vec![T::zero(); b * m];
        let step = e_step(&cost, m, eta.value(), epsilon, &mut extra);
        checks.add_scaled("penalty_weights", &extra, want_samples("components/penalty_weights"), 1.0 / m as f64);
        let want = case.want("components/loss_temperature_penalty");
        checks.add_scaled("loss_temperature_penalty", &[step.dual], want, 1.0);
        let d_raw = eta.gradient(step.d_eta);
        checks.add_scaled("log_penalty_temperature", &[d_raw], case.want("grads/log_penalty_temperature"), 1e-2);
        weights.iter_mut().zip(&extra).for_each(|(w, &e)| *w += e);
        loss_temperature += step.dual;
    }
    checks.add_scaled("loss_temperature", &[loss_temperature], case.want("components/loss_temperature"), 1.0);
    (weights, loss_temperature)
}

impl Family for Diagonal {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (b, n, m) = (case.size("B"), case.size("D"), case.size("N"));
        let actions = batch_major(&case.array::<T>("actions"), b, m);
        let want_samples = |path: &str| batch_major(&case.want(path), b, m);

        let (weights, loss_temperature) = e_steps(case, &actions, checks);

        // Densities.
        let (target_mean, target_stddev) = (case.array::<T>("target_mean"), case.array::<T>("target_stddev"));
        let (online_mean, online_stddev) = (case.array::<T>("online_mean"), case.array::<T>("online_stddev"));
        let target = Gaussian::new(Covariance::Diagonal, n, &target_mean, &target_stddev);
        let online = Gaussian::new(Covariance::Diagonal, n, &online_mean, &online_stddev);
        let mut workspace = Workspace::new(n, m);
        for (key, policy) in [("log_prob_online", &online), ("log_prob_target", &target)] {
            let mut log_probs = vec![T::zero(); b * m];
            policy.log_prob(&actions, &mut log_probs, &mut workspace);
            checks.add(key, &log_probs, want_samples(&format!("components/{key}")));
        }

        // M-step, state by state for acme's unreduced divergences, then the batch.
        let alphas = |path: &str| -> Vec<Multiplier<T>> {
            case.array::<T>(path).into_iter().map(Multiplier::from_raw).collect()
        };
        let (alpha_mean, alpha_stddev) = (alphas("duals/log_alpha_mean"), alphas("duals/log_alpha_stddev"));
        let values = |alphas: &[Multiplier<T>]| alphas.iter().map(|a| a.value()).collect::<Vec<T>>();
        let (mean_values, stddev_values) = (values(&alpha_mean), values(&alpha_stddev));
        checks.add("alpha_mean", &mean_values, case.want("components/alpha_mean"));
        checks.add("alpha_stddev", &stddev_values, case.want("components/alpha_stddev"));
        let per_dimension = alpha_mean.len() == n && case.want("config/per_dim_constraining") == [1.0];
        let constraints = if per_dimension { n } else { 1 };
        let (mut kl_mean, mut kl_stddev) = (vec![T::zero(); constraints], vec![T::zero(); constraints]);
        let (mut all_mean, mut all_stddev) = (Vec::new(), Vec::new());
        let (mut d_mean, mut d_stddev) = (vec![T::zero(); b * n], vec![T::zero(); b * n]);
        let mut run = |states: std::ops::Range<usize>, kl_mean: &mut [T], kl_stddev: &mut [T]| {
            let (heads, rows) = (states.start * n..states.end * n, states.start * m..states.end * m);
            let target =
                Gaussian::new(Covariance::Diagonal, n, &target_mean[heads.clone()], &target_stddev[heads.clone()]);
            let online =
                Gaussian::new(Covariance::Diagonal, n, &online_mean[heads.clone()], &online_stddev[heads.clone()]);
            let samples = WeightedActions { actions: &actions[rows.start * n..rows.end * n], weights: &weights[rows] };
            let gradient = HeadGradient { mean: &mut d_mean[heads.clone()], factor: &mut d_stddev[heads] };
            let split = KlSplit::Decoupled;
            if per_dimension {
                let dimensions = PerDimension {
                    alpha_mean: &mean_values,
                    alpha_covariance: &stddev_values,
                    kl_mean,
                    kl_covariance: kl_stddev,
                };
                m_step_per_dimension(split, dimensions, &target, &online, samples, gradient, &mut workspace)
            } else {
                let constraint =
                    Constraint::Split { split, alpha_mean: mean_values[0], alpha_covariance: stddev_values[0] };
                let step = m_step(constraint, &target, &online, samples, gradient, &mut workspace);
                (kl_mean[0], kl_stddev[0]) = (step.kl_mean, step.kl_covariance);
                step
            }
        };
        for s in 0..b {
            run(s..s + 1, &mut kl_mean, &mut kl_stddev);
            all_mean.extend_from_slice(&kl_mean);
            all_stddev.extend_from_slice(&kl_stddev);
        }
        checks.add("kl_mean", &all_mean, case.want("components/kl_mean"));
        checks.add("kl_stddev", &all_stddev, case.want("components/kl_stddev"));
        let step = run(0..b, &mut kl_mean, &mut kl_stddev);
        let losses =
            |names: [&str; 2]| vec![names.iter().map(|n| case.want(&format!("components/{n}"))[0]).sum::<f64>()];
        checks.add_scaled(
            "policy_loss",
            &[step.policy_loss],
            losses(["loss_policy_mean", "loss_policy_stddev"]),
            n as f64,
        );
        checks.add("loss_kl", &[step.loss - step.policy_loss], losses(["loss_kl_mean", "loss_kl_stddev"]));
        checks.add("online_mean", &d_mean, case.want("grads/online_mean"));
        checks.add("online_stddev", &d_stddev, case.want("grads/online_stddev"));

        let mut total = loss_temperature + step.loss;
        for (which, alphas, kls) in [("mean", &alpha_mean, &kl_mean), ("stddev", &alpha_stddev, &kl_stddev)] {
            let bound = case.number::<T>(&format!("config/epsilon_{which}"));
            let loss: T = alphas.iter().zip(kls).map(|(alpha, &kl)| alpha.loss(bound, kl)).sum();
            let gradient: Vec<T> = alphas.iter().zip(kls).map(|(alpha, &kl)| alpha.gradient(bound, kl)).collect();
            checks.add(format!("loss_alpha_{which}"), &[loss], case.want(&format!("components/loss_alpha_{which}")));
            checks.add(format!("log_alpha_{which}"), &gradient, case.want(&format!("grads/log_alpha_{which}")));
            total += loss;
        }
        checks.add_scaled("total", &[total], case.want("total"), n as f64);
    }
}
