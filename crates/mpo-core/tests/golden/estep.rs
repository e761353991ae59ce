//! `estep*.json`: weights, dual and exact temperature.

use mpo_core::{Real, dual, e_step, solve_temperature, weights};

use crate::harness::{Case, Checks, Family};

pub(crate) struct EStepCase;

impl Family for EStepCase {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let q = case.array::<T>("q");
        let m = case.size("n_samples");
        assert_eq!(q.len(), m * case.size("n_states"));
        let epsilon = case.number::<T>("epsilon");
        let bound = epsilon.wide();
        let spread = q.iter().fold(0.0_f64, |a, q| a.max(q.wide().abs()));

        let solution = solve_temperature(&q, m, epsilon, None);
        let interior = case.has("eta_star");
        // In f32 alone may rounding q to a tie move a case across the boundary; no golden case is that close.
        assert_eq!(solution.temperature.is_some(), interior, "{}", case.name);
        checks.add_scaled("g_star", &[solution.dual], case.want("g_star"), spread);
        checks.add_scaled("kl_star", &[solution.kl], case.want("kl_star"), bound);
        let mut w = vec![T::zero(); q.len()];
        if let Some(eta) = solution.temperature {
            checks.add("eta_star", &[eta], case.want("eta_star"));
            if case.has("weights_star") {
                weights(&q, m, eta, &mut w);
                checks.add_scaled("weights_star", &w, case.want("weights_star"), 1.0 / m as f64);
            }
        }
        let probes = case.at("probes").as_array().map_or(0, Vec::len);
        assert!(probes > 0);
        for i in 0..probes {
            let at = |key: &str| format!("probes/{i}/{key}");
            let eta = case.number::<T>(&at("eta"));
            let step = e_step(&q, m, eta, epsilon, &mut w);
            let again = dual(&q, m, eta, epsilon, &mut vec![T::zero(); m]);
            for step in [step, again] {
                // The divergence is used against its bound: that is the scale of its error, and of the slope's.
                checks.add_scaled(at("g"), &[step.dual], case.want(&at("g")), spread);
                checks.add_scaled(at("dg_deta"), &[step.d_eta], case.want(&at("dg_deta")), bound);
                checks.add_scaled(at("kl"), &[step.kl], case.want(&at("kl")), bound);
            }
            if case.has(&at("weights")) {
                // The reference divides before it takes the maximum out and loses |q| / eta roundings: at q = 1e6, eta = 0.02 it is
                // off by 1.2e-9 where 50-digit arithmetic confirms all digits of ours.
                let reference = spread / eta.wide() * f64::EPSILON / 1e-9;
                let scale = reference.max(1.0 / m as f64);
                checks.add_scaled(at("weights"), &w, case.want(&at("weights")), scale);
            }
        }
    }
}
