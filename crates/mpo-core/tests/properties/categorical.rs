//! Policies over discrete actions.

use mpo_core::{
    Categorical, categorical_e_step, categorical_m_step, categorical_solve_temperature, e_step, solve_temperature,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{all_close, close, slopes};

#[derive(Clone, Debug)]
struct Tables {
    states: usize,
    actions: usize,
    target: Vec<f64>,
    online: Vec<f64>,
    q: Vec<f64>,
}

fn tables() -> impl Strategy<Value = Tables> {
    (1_usize..4, 2_usize..7).prop_flat_map(|(states, actions)| {
        let table = || vec(-3.0..3.0_f64, states * actions);
        (table(), table(), table()).prop_map(move |(target, online, q)| Tables { states, actions, target, online, q })
    })
}

fn probabilities(actions: usize, logits: &[f64]) -> Vec<f64> {
    let mut p = vec![0.0; logits.len()];
    Categorical::new(actions, logits).probabilities(&mut p);
    p
}

fn kl(tables: &Tables, old: &[f64], new: &[f64]) -> f64 {
    let mut kl = vec![0.0; tables.states];
    Categorical::new(tables.actions, old).kl(&Categorical::new(tables.actions, new), &mut kl);
    assert!(kl.iter().all(|&k| k >= 0.0));
    kl.iter().sum::<f64>() / tables.states as f64
}

proptest! {
    #[test]
    fn the_weights_are_the_tilted_prior(tables in tables(), log_eta in -2.0..4.0_f64) {
        let (a, eta) = (tables.actions, log_eta.exp());
        let mut w = vec![0.0; tables.q.len()];
        let step = categorical_e_step(&Categorical::new(a, &tables.target), &tables.q, eta, 0.1, &mut w);
        let prior = probabilities(a, &tables.target);
        let mut log_z = 0.0;
        let mut divergence = 0.0;
        for s in 0..tables.states {
            let row = s * a..(s + 1) * a;
            let z: f64 = prior[row.clone()].iter().zip(&tables.q[row.clone()]).map(|(p, q)| p * (q / eta).exp()).sum();
            log_z += z.ln() / tables.states as f64;
            for i in row {
                close(w[i], prior[i] * (tables.q[i] / eta).exp() / z, 1e-10);
                divergence += w[i] * (w[i] / prior[i]).ln() / tables.states as f64;
            }
        }
        close(step.dual, eta * (0.1 + log_z), 1e-10);
        close(step.kl, divergence, 1e-9);
    }

    /// With a uniform prior the E-step over all actions is the E-step over samples, one of each.
    #[test]
    fn a_uniform_prior_is_one_sample_of_each_action(tables in tables(), log_eta in -2.0..4.0_f64) {
        let (a, eta) = (tables.actions, log_eta.exp());
        let flat = vec![0.7; tables.q.len()];
        let prior = Categorical::new(a, &flat);
        let (mut exact, mut sampled) = (vec![0.0; flat.len()], vec![0.0; flat.len()]);
        let one = categorical_e_step(&prior, &tables.q, eta, 0.1, &mut exact);
        let other = e_step(&tables.q, a, eta, 0.1, &mut sampled);
        all_close(&exact, &sampled, 1e-12);
        close(one.dual, other.dual, 1e-11);
        let one = categorical_solve_temperature(&prior, &tables.q, 0.1, None, &mut exact);
        let other = solve_temperature(&tables.q, a, 0.1, None);
        prop_assert_eq!(one.temperature.is_some(), other.temperature.is_some());
        close(one.dual, other.dual, 1e-9);
    }

    #[test]
    fn the_duals_slope_and_optimum(tables in tables(), log_eta in 0.0..3.0_f64) {
        let prior = Categorical::new(tables.actions, &tables.target);
        let mut w = vec![0.0; tables.q.len()];
        let eta = log_eta.exp();
        let mut at = |eta| categorical_e_step(&prior, &tables.q, eta, 0.1, &mut w);
        let h = 1e-4 * eta;
        close(at(eta).d_eta, (at(eta + h).dual - at(eta - h).dual) / (2.0 * h), 1e-6);
        let solution = categorical_solve_temperature(&prior, &tables.q, 0.1, None, &mut vec![0.0; tables.q.len()]);
        if let Some(best) = solution.temperature {
            close(at(best).kl, 0.1, 1e-8);
            prop_assert!(at(1.3 * best).dual >= solution.dual - 1e-10 && at(best / 1.3).dual >= solution.dual - 1e-10);
        }
    }

    #[test]
    fn the_divergence_is_its_definition_and_vanishes_at_equality(tables in tables()) {
        let a = tables.actions;
        let (old, new) = (probabilities(a, &tables.target), probabilities(a, &tables.online));
        let definition: f64 = old.iter().zip(&new).map(|(p, r)| p * (p / r).ln()).sum();
        close(kl(&tables, &tables.target, &tables.online), definition / tables.states as f64, 1e-10);
        let shifted: Vec<f64> = tables.target.iter().map(|l| l + 5.0).collect();
        prop_assert!(kl(&tables, &tables.target, &shifted) < 1e-25);
    }

    #[test]
    fn gradients_are_finite_differences(tables in tables(), alpha in 0.0..5.0_f64, entropy_weight in -1.0..1.0_f64) {
        let a = tables.actions;
        let target = Categorical::new(a, &tables.target);
        // Weights need not sum to one.
        let w: Vec<f64> = tables.q.iter().map(|q| q + 3.5).collect();
        let loss = |logits: &[f64], d: &mut [f64]| categorical_m_step(alpha, &target, &Categorical::new(a, logits), &w, d).loss;
        let mut d = vec![f64::NAN; w.len()];
        loss(&tables.online, &mut d);
        all_close(&d, &slopes(&tables.online, |logits| loss(logits, &mut vec![0.0; logits.len()])), 1e-6);

        let taken: Vec<usize> = (0..tables.states).map(|s| s % a).collect();
        let coefficients = &tables.q[..tables.states];
        let value = |logits: &[f64]| {
            let policy = Categorical::new(a, logits);
            let (mut l, mut h) = (vec![0.0; tables.states], vec![0.0; tables.states]);
            policy.log_prob(&taken, &mut l);
            policy.entropy(&mut h);
            l.iter().zip(coefficients).map(|(l, c)| l * c).sum::<f64>() + entropy_weight * h.iter().sum::<f64>()
        };
        let online = Categorical::new(a, &tables.online);
        close(online.log_prob_gradient(&taken, coefficients, entropy_weight, &mut d), value(&tables.online), 1e-10);
        all_close(&d, &slopes(&tables.online, value), 1e-6);
    }

    /// Without a constraint the best policy is the weights themselves.
    #[test]
    fn the_m_step_ends_at_the_weights(tables in tables()) {
        let a = tables.actions;
        let w = probabilities(a, &tables.q);
        let mut d = vec![0.0; w.len()];
        categorical_m_step(0.0, &Categorical::new(a, &tables.target), &Categorical::new(a, &tables.q), &w, &mut d);
        prop_assert!(d.iter().all(|d| d.abs() < 1e-12));
    }

    #[test]
    fn expectations_are_exact_sums(tables in tables()) {
        let a = tables.actions;
        let mut v = vec![0.0; tables.states];
        Categorical::new(a, &tables.target).expectation(&tables.q, &mut v);
        let p = probabilities(a, &tables.target);
        for (s, v) in v.iter().enumerate() {
            let row = s * a..(s + 1) * a;
            close(*v, p[row.clone()].iter().zip(&tables.q[row]).map(|(p, q)| p * q).sum(), 1e-12);
        }
    }
}
