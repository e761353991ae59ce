//! The other learners' objectives, the penalty and the optimiser.

use mpo_core::{
    Adam, HeadGradient, Transitions, WeightedActions, Workspace, advantage_weights, clip_by_global_norm, critic_loss,
    deterministic_policy_gradient, gae, out_of_bounds_cost, policy_gradient, ppo_clip, q_weights,
    single_sample_weights, td_targets,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{all_close, close, problem, slopes, values};

proptest! {
    #[test]
    fn advantages_are_blind_to_the_level_of_the_values(values in values(), shift in -10.0..10.0_f64) {
        let mut a = vec![0.0; values.q.len()];
        advantage_weights(&values.q, values.samples, &mut a);
        let size = values.q.iter().fold(1.0, |m: f64, q| m.max(q.abs()));
        for row in a.chunks_exact(values.samples) {
            prop_assert!(row.iter().sum::<f64>().abs() < 1e-12 * size);
        }
        let moved: Vec<f64> = values.q.iter().map(|q| q + shift).collect();
        let mut b = a.clone();
        advantage_weights(&moved, values.samples, &mut b);
        all_close(&a, &b, 1e-12 * (size + 10.0));
        q_weights(&moved, values.samples, &mut b);
        let level: f64 = b.iter().sum();
        close(level, moved.iter().sum::<f64>() / values.samples as f64, 1e-10);
    }

    /// With each sample in turn as the one that is followed, the mean of the weights is that of all samples' advantages,
    /// up to `M / (M - 1)`: the baseline of the others costs no bias.
    #[test]
    fn the_actor_critics_one_sample_stands_for_all(values in values(), shift in -10.0..10.0_f64) {
        let samples = values.samples + 1;
        let q: Vec<f64> = values.q.iter().cycle().take(values.q.len() / values.samples * samples).copied().collect();
        let size = q.iter().fold(1.0, |m: f64, q| m.max(q.abs())) + 10.0;
        let (mut all, mut one, mut moved) = (q.clone(), q.clone(), q.clone());
        advantage_weights(&q, samples, &mut all);
        for first in 0..samples {
            let rotated = |shift: f64| -> Vec<f64> {
                let turn = |row: &[f64]| row.iter().cycle().skip(first).take(samples).map(|q| q + shift).collect::<Vec<_>>();
                q.chunks_exact(samples).flat_map(turn).collect()
            };
            single_sample_weights(&rotated(0.0), samples, &mut one);
            single_sample_weights(&rotated(shift), samples, &mut moved);
            all_close(&one, &moved, 1e-12 * size);
            let factor = (samples * samples) as f64 / (samples - 1) as f64;
            for (one, all) in one.chunks_exact(samples).zip(all.chunks_exact(samples)) {
                close(one[0], factor * all[first], 1e-11 * size);
                prop_assert!(one[1..].iter().all(|w| w.abs() <= 0.0));
            }
        }
    }

    #[test]
    fn the_policy_gradient_is_the_finite_difference_of_its_loss(problem in problem(), beta in 0.0..1.0_f64) {
        let weights: Vec<f64> = problem.weights.iter().map(|w| w - 0.2).collect();
        let run = |mean: &[f64], factor: &[f64], out: HeadGradient<'_, f64>| {
            let policy = mpo_core::Gaussian::new(problem.covariance, problem.n, mean, factor);
            let samples = WeightedActions { actions: &problem.actions, weights: &weights };
            policy_gradient(&policy, samples, beta, out, &mut Workspace::new(problem.n, problem.samples))
        };
        let (mean, factor) = &problem.online;
        let (mut d_mean, mut d_factor) = (mean.clone(), factor.clone());
        run(mean, factor, HeadGradient { mean: &mut d_mean, factor: &mut d_factor });
        let loss = |mean: &[f64], factor: &[f64]| {
            run(mean, factor, HeadGradient { mean: &mut mean.to_vec(), factor: &mut factor.to_vec() })
        };
        all_close(&d_mean, &slopes(mean, |mean| loss(mean, factor)), 1e-5);
        all_close(&d_factor, &slopes(factor, |factor| loss(mean, factor)), 1e-5);
    }

    #[test]
    fn the_clipped_surrogate_is_a_lower_bound_with_the_right_slope(log_prob in vec(-1.0..1.0_f64, 1..9), seed in -1.0..1.0_f64, epsilon in 0.05..0.5_f64) {
        let k = log_prob.len();
        let advantages: Vec<f64> = (0..k).map(|i| seed + (i as f64 - 3.0) / 2.0).collect();
        let behaviour = vec![0.0; k];
        // Away from the corners, where there is no derivative.
        let corner = |x: &f64| (x.exp() - 1.0 - epsilon).abs() < 1e-3 || (x.exp() - 1.0 + epsilon).abs() < 1e-3;
        prop_assume!(!log_prob.iter().any(corner));
        let mut d = vec![0.0; k];
        let loss = ppo_clip(&log_prob, &behaviour, &advantages, epsilon, &mut d);
        let free = -log_prob.iter().zip(&advantages).map(|(l, a)| l.exp() * a).sum::<f64>() / k as f64;
        prop_assert!(loss >= free - 1e-12);
        all_close(&d, &slopes(&log_prob, |x| ppo_clip(x, &behaviour, &advantages, epsilon, &mut vec![0.0; k])), 1e-7);
    }

    #[test]
    fn generalised_advantages_run_from_td_errors_to_returns(v in vec(-5.0..5.0_f64, 2..9), r in -1.0..1.0_f64) {
        let k = v.len() - 1;
        let (rewards, discount) = (vec![r; k], vec![0.9; k]);
        let transitions = Transitions { q_t: &v[..k], v_tp1: &v[1..], r_t: &rewards, discount_t: &discount };
        let (mut a, mut td) = (vec![0.0; k], vec![0.0; k]);
        gae(&[k as u32], transitions, 0.0, &mut a);
        td_targets(&v[1..], &rewards, &discount, &mut td);
        for t in 0..k {
            close(a[t], td[t] - v[t], 1e-12);
        }
        gae(&[k as u32], transitions, 1.0, &mut a);
        let mut tail = v[k];
        for t in (0..k).rev() {
            tail = r + 0.9 * tail;
            close(a[t], tail - v[t], 1e-10);
        }
    }

    #[test]
    fn the_deterministic_gradient_points_up_the_critic(g in vec(-3.0..3.0_f64, 6), clip in 0.1..2.0_f64) {
        let mut d = vec![0.0; 6];
        deterministic_policy_gradient(&g, 3, None, &mut d);
        all_close(&d, &g.iter().map(|g| -g / 2.0).collect::<Vec<_>>(), 1e-12);
        // Norms on both sides of the clip.
        let g: Vec<f64> = g.iter().map(|g| 0.5 * g).collect();
        let loss = deterministic_policy_gradient(&g, 3, Some(clip), &mut d);
        prop_assert!((0.0..=clip * clip / 2.0 + 1e-12).contains(&loss));
        for (d, g) in d.chunks_exact(3).zip(g.chunks_exact(3)) {
            let along: f64 = d.iter().zip(g).map(|(d, g)| d * g).sum();
            let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            close(2.0 * norm(d), norm(g).min(clip), 1e-12);
            close(along, -norm(d) * norm(g), 1e-10);
        }
    }

    #[test]
    fn the_critics_gradient_is_its_finite_difference(q in vec(-5.0..5.0_f64, 1..9), shift in -3.0..3.0_f64) {
        let targets: Vec<f64> = q.iter().enumerate().map(|(i, q)| q * 0.5 + shift * i as f64).collect();
        let mut d = vec![0.0; q.len()];
        critic_loss(&q, &targets, &mut d);
        all_close(&d, &slopes(&q, |q| critic_loss(q, &targets, &mut vec![0.0; q.len()])), 1e-6);
    }

    #[test]
    fn only_what_is_outside_costs(action in vec(-4.0..4.0_f64, 3), low in -2.0..0.0_f64, high in 0.1..2.0_f64) {
        let mut cost = [0.0];
        out_of_bounds_cost(&action, &[low; 3], &[high; 3], &mut cost);
        let inside = action.iter().all(|a| (low..=high).contains(a));
        prop_assert_eq!(inside, cost[0] >= 0.0);
        // The distance to a box is 1-Lipschitz and is walked off by clipping.
        let clipped: Vec<f64> = action.iter().map(|a| a.clamp(low, high)).collect();
        let walk = action.iter().zip(&clipped).map(|(a, c)| (a - c).powi(2)).sum::<f64>().sqrt();
        close(-cost[0], walk, 1e-12);
    }

    #[test]
    fn adams_steps_are_bounded_and_blind_to_the_gradients_scale(gradients in vec(-1.0..1.0_f64, 1..30), log_c in -8.0..8.0_f64) {
        let adam = Adam { epsilon: 0.0, ..Adam::new(0.01) };
        let run = |c: f64| {
            let (mut p, mut m, mut v) = ([0.0], [0.0], [0.0]);
            let mut path = Vec::new();
            for (t, g) in (1..).zip(&gradients) {
                let before = p[0];
                adam.step(t, &mut p, &[c * g], &mut m, &mut v);
                // |m| / sqrt(v) is at most (1 - beta1) / sqrt(1 - beta2) when gradients are sparse.
                assert!((p[0] - before).abs() <= 0.01 * 10.0);
                path.push(p[0]);
            }
            path
        };
        prop_assume!(gradients.iter().all(|g| g.abs() > 1e-6));
        all_close(&run(1.0), &run(log_c.exp()), 1e-9);
    }

    #[test]
    fn clipping_keeps_the_direction(gradient in vec(-3.0..3.0_f64, 1..9), limit in 0.1..5.0_f64) {
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut clipped = gradient.clone();
        let before = clip_by_global_norm(&mut clipped, limit);
        close(before, norm(&gradient), 1e-12);
        close(norm(&clipped), before.min(limit), 1e-12);
        let along: f64 = clipped.iter().zip(&gradient).map(|(a, b)| a * b).sum();
        close(along, norm(&clipped) * before, 1e-10);
    }
}
