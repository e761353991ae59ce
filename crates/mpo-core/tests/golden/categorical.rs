//! `categorical.json`: acme's MPO loss for discrete actions.

use mpo_core::{
    Categorical, Multiplier, Real, Temperature, categorical_e_step, categorical_m_step, categorical_solve_temperature,
};

use crate::harness::{Case, Checks, Family};

pub(crate) struct CategoricalCase;

impl Family for CategoricalCase {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks) {
        let (b, a) = (case.size("B"), case.size("A"));
        let (online_logits, target) = (case.array::<T>("online_logits"), case.array::<T>("target_logits"));
        let (online, target) = (Categorical::new(a, &online_logits), Categorical::new(a, &target));
        let q = case.array::<T>("q_values");
        let spread = q.iter().fold(0.0_f64, |m, q| m.max(q.wide().abs()));
        let epsilon = case.number::<T>("epsilon");
        let bound = epsilon.wide();
        let share = 1.0 / a as f64;

        let eta = Temperature::from_raw(case.number::<T>("duals/log_temperature"));
        checks.add("temperature", &[eta.value()], case.want("temperature"));
        let mut weights = vec![T::zero(); b * a];
        let step = categorical_e_step(&target, &q, eta.value(), epsilon, &mut weights);
        checks.add_scaled("weights", &weights, case.want("weights"), share);
        checks.add_scaled("loss_temperature", &[step.dual], case.want("loss_temperature"), spread);
        // acme lets the policy's loss flow back into the temperature through the weights; here they are constants, so the test adds
        // that part: d w_a / d eta = -w_a (Q_a - E_w Q) / eta^2.
        let mut through_weights = T::zero();
        let square = eta.value() * eta.value();
        for s in 0..b {
            let row = s * a..(s + 1) * a;
            let (w, q) = (&weights[row.clone()], &q[row.clone()]);
            let policy = Categorical::new(a, &online_logits[row]);
            // Differences from the first value: at Q = 1e6 the mean itself would round.
            let mean: T = w.iter().zip(q).map(|(&w, &x)| w * (x - q[0])).sum();
            for (i, (&w, &x)) in w.iter().zip(q).enumerate() {
                let mut log_p = [T::zero()];
                policy.log_prob(&[i], &mut log_p);
                through_weights += w * (x - q[0] - mean) / square * log_p[0] / T::of(b as f64);
            }
        }
        let d_raw = eta.gradient(step.d_eta + through_weights);
        checks.add_scaled("log_temperature", &[d_raw], case.want("grads/log_temperature"), bound);
        let per_state = case.want("kl_e_step");
        let mean = per_state.iter().sum::<f64>() / per_state.len() as f64;
        checks.add_scaled("kl_e_step", &[step.kl], vec![mean], bound);

        let alpha = Multiplier::from_raw(case.number::<T>("duals/log_alpha"));
        let mut d_logits = vec![T::zero(); b * a];
        let m_step = categorical_m_step(alpha.value(), &target, &online, &weights, &mut d_logits);
        checks.add("alpha", &[alpha.value()], case.want("alpha"));
        checks.add("loss_policy", &[m_step.policy_loss], case.want("loss_policy"));
        checks.add_scaled("loss_kl", &[m_step.loss - m_step.policy_loss], case.want("loss_kl"), 1e-2);
        checks.add("online_logits", &d_logits, case.want("grads/online_logits"));
        let mut kl = vec![T::zero(); b];
        target.kl(&online, &mut kl);
        checks.add("kl", &kl, case.want("kl"));
        let mut entropy = vec![T::zero(); b];
        online.entropy(&mut entropy);
        checks.add("entropy_online", &entropy, case.want("entropy_online"));
        let bound_policy = case.number::<T>("epsilon_policy");
        let loss_alpha = alpha.loss(bound_policy, m_step.kl);
        checks.add("loss_alpha", &[loss_alpha], case.want("loss_alpha"));
        checks.add("log_alpha", &[alpha.gradient(bound_policy, m_step.kl)], case.want("grads/log_alpha"));
        checks.add_scaled("total", &[step.dual + m_step.loss + loss_alpha], case.want("total"), spread);

        let mut prior = vec![T::zero(); b * a];
        let solution = categorical_solve_temperature(&target, &q, epsilon, None, &mut prior);
        let eta = solution.temperature.expect("every golden case has an interior optimum");
        checks.add("eta_star", &[eta], case.want("eta_star"));
        checks.add_scaled("g_star", &[solution.dual], case.want("g_star"), spread);
        checks.add("kl_star", &[solution.kl], case.want("kl_star"));
        categorical_e_step(&target, &q, eta, epsilon, &mut weights);
        checks.add_scaled("weights_star", &weights, case.want("weights_star"), share);
    }
}
