//! The E-step and its dual (paper eqs. 7-9).

use mpo_core::{EStep, Temperature, dual, e_step, solve_temperature, weights};
use proptest::prelude::*;

use crate::support::{Values, all_close, close, values};

const EPSILON: f64 = 0.1;

fn spread(values: &Values) -> f64 {
    values.q.iter().fold(0.0, |m: f64, q| m.max(q.abs()))
}

fn step(values: &Values, eta: f64) -> EStep<f64> {
    dual(&values.q, values.samples, eta, EPSILON, &mut vec![0.0; values.samples])
}

fn weigh(values: &Values, eta: f64) -> Vec<f64> {
    let mut w = vec![0.0; values.q.len()];
    weights(&values.q, values.samples, eta, &mut w);
    w
}

proptest! {
    #[test]
    fn weights_are_a_distribution_in_every_state(values in values(), log_eta in -18.0..10.0_f64) {
        for row in weigh(&values, log_eta.exp()).chunks_exact(values.samples) {
            prop_assert!(row.iter().all(|w| (0.0..=1.0).contains(w)));
            close(row.iter().sum(), 1.0, 1e-12);
        }
    }

    #[test]
    fn weights_order_as_the_values_do(values in values(), log_eta in -3.0..5.0_f64) {
        let w = weigh(&values, log_eta.exp());
        for (q, w) in values.q.chunks_exact(values.samples).zip(w.chunks_exact(values.samples)) {
            for j in 1..q.len() {
                prop_assert!((q[j] >= q[0]) == (w[j] >= w[0]) || (w[j] - w[0]).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn a_shift_of_a_states_values_changes_no_weight(values in values(), shift in -100.0..100.0_f64, log_eta in 0.0..5.0_f64) {
        let eta = log_eta.exp();
        let mut moved = values.clone();
        // Only the first state moves.
        moved.q[..values.samples].iter_mut().for_each(|q| *q += shift);
        all_close(&weigh(&values, eta), &weigh(&moved, eta), 1e-10);
        let (before, after) = (step(&values, eta), step(&moved, eta));
        close(after.dual, before.dual + shift / values.states() as f64, 1e-9);
        close(after.kl, before.kl, 1e-9);
    }

    #[test]
    fn scaling_values_and_temperature_together_scales_the_dual(values in values(), log_eta in -2.0..4.0_f64, log_c in -5.0..5.0_f64) {
        let (eta, c) = (log_eta.exp(), log_c.exp());
        let mut scaled = values.clone();
        scaled.q.iter_mut().for_each(|q| *q *= c);
        all_close(&weigh(&values, eta), &weigh(&scaled, c * eta), 1e-10);
        let (before, after) = (step(&values, eta), step(&scaled, c * eta));
        close(after.dual / c, before.dual, 1e-9);
        close(after.d_eta, before.d_eta, 1e-9);
    }

    #[test]
    fn the_optimal_temperature_is_equivariant_to_scale_and_blind_to_shift(values in values(), log_c in -5.0..5.0_f64, shift in -1.0..1.0_f64) {
        let c = log_c.exp();
        let mut other = values.clone();
        let shift = shift * spread(&values);
        other.q.iter_mut().for_each(|q| *q = c * (*q + shift));
        let before = solve_temperature(&values.q, values.samples, EPSILON, None).temperature;
        let after = solve_temperature(&other.q, values.samples, EPSILON, None).temperature;
        prop_assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert!((after / (c * before) - 1.0).abs() < 1e-7);
        }
    }

    #[test]
    fn the_divergence_falls_as_the_temperature_rises(values in values(), log_eta in -3.0..4.0_f64, more in 0.01..3.0_f64) {
        let (cold, warm) = (step(&values, log_eta.exp()), step(&values, (log_eta + more).exp()));
        prop_assert!(cold.kl >= warm.kl - 1e-12);
        let limit = (values.samples as f64).ln();
        prop_assert!(warm.kl > -1e-12 && cold.kl <= limit + 1e-12);
    }

    #[test]
    fn the_returned_divergence_is_that_of_the_weights(values in values(), log_eta in -3.0..5.0_f64) {
        let eta = log_eta.exp();
        let m = values.samples as f64;
        let w = weigh(&values, eta);
        let kl = w.iter().filter(|&&w| w > 0.0).map(|w| w * (w * m).ln()).sum::<f64>() / values.states() as f64;
        let both = step(&values, eta);
        close(both.kl, kl, 1e-10);
        close(both.d_eta, EPSILON - kl, 1e-10);
        let mut again = vec![0.0; w.len()];
        let whole = e_step(&values.q, values.samples, eta, EPSILON, &mut again);
        prop_assert_eq!(whole.dual.to_bits(), both.dual.to_bits());
        all_close(&again, &w, 1e-15);
    }

    #[test]
    fn the_duals_slope_is_its_finite_difference(values in values(), log_eta in -1.0..4.0_f64) {
        // In units of the values' own size, or the difference drowns in the dual's magnitude.
        let eta = log_eta.exp() * spread(&values);
        let h = 1e-4 * eta;
        let difference = (step(&values, eta + h).dual - step(&values, eta - h).dual) / (2.0 * h);
        close(step(&values, eta).d_eta, difference, 1e-6);
    }

    #[test]
    fn the_slope_in_the_raw_temperature_is_its_finite_difference(values in values(), raw in -2.0..4.0_f64) {
        let mut values = values;
        let size = spread(&values);
        values.q.iter_mut().for_each(|q| *q /= size);
        let at = |raw| step(&values, Temperature::from_raw(raw).value());
        let h = 1e-4;
        let difference = (at(raw + h).dual - at(raw - h).dual) / (2.0 * h);
        close(Temperature::from_raw(raw).gradient(at(raw).d_eta), difference, 1e-6);
    }

    #[test]
    fn the_dual_is_convex(values in values(), log_a in -3.0..4.0_f64, log_b in -3.0..4.0_f64, t in 0.0..1.0_f64) {
        let (a, b) = (log_a.exp(), log_b.exp());
        let chord = t * step(&values, a).dual + (1.0 - t) * step(&values, b).dual;
        let middle = step(&values, t * a + (1.0 - t) * b).dual;
        prop_assert!(middle <= chord + 1e-10 * (1.0 + spread(&values)));
    }

    #[test]
    fn at_the_optimum_the_divergence_is_epsilon_and_the_dual_least(values in values(), epsilon in 0.001..1.0_f64) {
        let solution = solve_temperature(&values.q, values.samples, epsilon, None);
        let at = |eta| dual(&values.q, values.samples, eta, epsilon, &mut vec![0.0; values.samples]);
        let slack = 1e-10 * (1.0 + spread(&values));
        if let Some(eta) = solution.temperature {
            close(at(eta).kl, epsilon, 1e-8);
            for factor in [0.1, 0.5, 0.9, 1.1, 2.0, 10.0] {
                prop_assert!(solution.dual <= at(eta * factor).dual + slack);
            }
        } else {
            prop_assert!(solution.kl <= epsilon);
            prop_assert!(solution.dual <= at(1e-3 * spread(&values)).dual + slack);
        }
    }

    /// Duality: the infimum of the dual is the most that a distribution within epsilon of uniform can expect.
    #[test]
    fn no_distribution_within_epsilon_expects_more_than_the_dual(values in values(), other in values(), epsilon in 0.001..1.0_f64) {
        let solution = solve_temperature(&values.q, values.samples, epsilon, None);
        let m = values.samples;
        // Some distribution: weights of unrelated values, cooled until it is feasible.
        let mut any = Values { q: values.q.clone(), samples: m };
        any.q.iter_mut().zip(other.q.iter().cycle()).for_each(|(q, o)| *q = *o);
        let greatest = spread(&any).max(1e-9);
        let mut eta = 1e-3 * greatest;
        while dual(&any.q, m, eta, epsilon, &mut vec![0.0; m]).kl > epsilon {
            eta *= 1.3;
        }
        let p = weigh(&any, eta);
        let expected = p.iter().zip(&values.q).map(|(p, q)| p * q).sum::<f64>() / values.states() as f64;
        prop_assert!(expected <= solution.dual + 1e-9 * (1.0 + spread(&values)));
        // And the optimal weights attain it.
        if let Some(eta) = solution.temperature {
            let best = weigh(&values, eta).iter().zip(&values.q).map(|(p, q)| p * q).sum::<f64>();
            close(best / values.states() as f64 / spread(&values), solution.dual / spread(&values), 1e-7);
        }
    }

    #[test]
    fn the_order_of_samples_and_states_does_not_matter(values in values(), log_eta in -1.0..4.0_f64) {
        let eta = log_eta.exp();
        let mut turned = values.clone();
        turned.q.reverse();
        let (mut w, there) = (weigh(&turned, eta), step(&turned, eta));
        w.reverse();
        all_close(&w, &weigh(&values, eta), 1e-12);
        close(there.dual, step(&values, eta).dual, 1e-10);
        close(there.kl, step(&values, eta).kl, 1e-10);
    }

    #[test]
    fn both_precisions_agree(values in values(), log_eta in 0.0..3.0_f64) {
        let eta = (log_eta.exp() * spread(&values)) as f32;
        let q: Vec<f32> = values.q.iter().map(|&q| q as f32).collect();
        let wide = Values { q: q.iter().map(|&q| f64::from(q)).collect(), samples: values.samples };
        let mut w = vec![0.0_f32; q.len()];
        let narrow = e_step(&q, values.samples, eta, 0.1, &mut w);
        let exact = step(&wide, f64::from(eta));
        let narrow_w: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
        all_close(&narrow_w, &weigh(&wide, f64::from(eta)), 1e-5);
        prop_assert!((f64::from(narrow.dual) - exact.dual).abs() <= 1e-5 * (f64::from(eta) + spread(&values)));
        close(f64::from(narrow.kl), exact.kl, 1e-5);
    }
}
