//! The M-step's losses and gradients (paper eqs. 10-12, App. D.3).

use mpo_core::{
    Constraint, Covariance, HeadGradient, KlSplit, MStep, Multiplier, PerDimension, WeightedActions, Workspace, m_step,
    m_step_per_dimension,
};
use proptest::prelude::*;

use crate::support::{Problem, all_close, close, problem, problem_of, slopes};

type Head = (Vec<f64>, Vec<f64>);

fn run(problem: &Problem, constraint: Constraint<f64>, online: &Head) -> (MStep<f64>, Head) {
    let (mut d_mean, mut d_factor) = (vec![f64::NAN; online.0.len()], vec![f64::NAN; online.1.len()]);
    let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
    let samples = WeightedActions { actions: &problem.actions, weights: &problem.weights };
    let mut workspace = Workspace::new(problem.n, problem.samples);
    let step = m_step(constraint, &problem.target(), &problem.policy(online), samples, gradient, &mut workspace);
    (step, (d_mean, d_factor))
}

fn gradient_is_difference(problem: &Problem, constraint: Constraint<f64>) {
    let online = &problem.online;
    let (_, (d_mean, d_factor)) = run(problem, constraint, online);
    let loss = |head: Head| run(problem, constraint, &head).0.loss;
    all_close(&d_mean, &slopes(&online.0, |mean| loss((mean.to_vec(), online.1.clone()))), 1e-5);
    all_close(&d_factor, &slopes(&online.1, |factor| loss((online.0.clone(), factor.to_vec()))), 1e-5);
}

fn log_likelihood(problem: &Problem, head: &Head) -> f64 {
    let mut log_probs = vec![0.0; problem.weights.len()];
    problem.policy(head).log_prob(&problem.actions, &mut log_probs, &mut Workspace::new(problem.n, problem.samples));
    log_probs.iter().zip(&problem.weights).map(|(l, w)| l * w).sum::<f64>() / problem.states as f64
}

proptest! {
    #[test]
    fn gradients_are_finite_differences(problem in problem(), a in 0.0..5.0_f64, b in 0.0..5.0_f64) {
        for split in [KlSplit::Decoupled, KlSplit::Exact] {
            gradient_is_difference(&problem, Constraint::Split { split, alpha_mean: a, alpha_covariance: b });
        }
        gradient_is_difference(&problem, Constraint::Joint { alpha: a });
        gradient_is_difference(&problem, Constraint::Prior { lambda: b });
    }

    /// The moment form gives the loss that is defined sample by sample.
    #[test]
    fn the_policy_loss_is_the_weighted_likelihood(problem in problem()) {
        let exact = Constraint::Split { split: KlSplit::Exact, alpha_mean: 1.0, alpha_covariance: 1.0 };
        let (step, _) = run(&problem, exact, &problem.online);
        close(step.policy_loss, -log_likelihood(&problem, &problem.online), 1e-9);
        let decoupled = Constraint::Split { split: KlSplit::Decoupled, alpha_mean: 1.0, alpha_covariance: 1.0 };
        let (step, _) = run(&problem, decoupled, &problem.online);
        let mean_fit = (problem.online.0.clone(), problem.target.1.clone());
        let covariance_fit = (problem.target.0.clone(), problem.online.1.clone());
        close(step.policy_loss, -log_likelihood(&problem, &mean_fit) - log_likelihood(&problem, &covariance_fit), 1e-9);
    }

    #[test]
    fn the_loss_is_its_parts(problem in problem(), a in 0.0..5.0_f64, b in 0.0..5.0_f64) {
        for split in [KlSplit::Decoupled, KlSplit::Exact] {
            let (step, _) = run(&problem, Constraint::Split { split, alpha_mean: a, alpha_covariance: b }, &problem.online);
            close(step.loss, step.policy_loss + a * step.kl_mean + b * step.kl_covariance, 1e-12);
            let (mut mean, mut covariance) = (vec![0.0; problem.states], vec![0.0; problem.states]);
            problem.target().kl(&problem.online(), split, &mut mean, &mut covariance, &mut Workspace::new(problem.n, 0));
            close(step.kl_mean, mean.iter().sum::<f64>() / problem.states as f64, 1e-12);
            close(step.kl_covariance, covariance.iter().sum::<f64>() / problem.states as f64, 1e-12);
        }
    }

    #[test]
    fn one_multiplier_is_two_equal_ones(problem in problem(), alpha in 0.0..5.0_f64) {
        let two = Constraint::Split { split: KlSplit::Exact, alpha_mean: alpha, alpha_covariance: alpha };
        let (split, split_gradient) = run(&problem, two, &problem.online);
        for one in [Constraint::Joint { alpha }, Constraint::Prior { lambda: alpha }] {
            let (joint, gradient) = run(&problem, one, &problem.online);
            close(joint.loss, joint.policy_loss + alpha * joint.kl(), 1e-12);
            close(joint.loss, split.loss, 1e-12);
            all_close(&gradient.0, &split_gradient.0, 1e-12);
            all_close(&gradient.1, &split_gradient.1, 1e-12);
        }
    }

    #[test]
    fn before_the_first_step_the_constraints_have_no_pull(problem in problem(), a in 0.0..100.0_f64) {
        let free = Constraint::Split { split: KlSplit::Decoupled, alpha_mean: 0.0, alpha_covariance: 0.0 };
        let held = Constraint::Split { split: KlSplit::Decoupled, alpha_mean: a, alpha_covariance: a };
        let (_, without) = run(&problem, free, &problem.target);
        let (step, with) = run(&problem, held, &problem.target);
        prop_assert!(step.kl().abs() < 1e-20);
        all_close(&without.0, &with.0, 1e-11);
        all_close(&without.1, &with.1, 1e-11);
        // And there both splits pull the same way.
        let exact = Constraint::Split { split: KlSplit::Exact, alpha_mean: a, alpha_covariance: a };
        let (_, exact) = run(&problem, exact, &problem.target);
        all_close(&exact.0, &with.0, 1e-9);
        all_close(&exact.1, &with.1, 1e-9);
    }

    /// Without constraints the maximum-likelihood Gaussian is the weighted mean and covariance: there the gradient vanishes.
    #[test]
    fn the_gradient_vanishes_at_the_weighted_moments(problem in problem_of(Covariance::Diagonal)) {
        prop_assume!(problem.samples > 1);
        let (n, m) = (problem.n, problem.samples);
        let mut best = problem.online.clone();
        for s in 0..problem.states {
            for d in 0..n {
                let column = || (0..m).map(|j| (problem.weights[s * m + j], problem.actions[(s * m + j) * n + d]));
                let mean: f64 = column().map(|(w, a)| w * a).sum();
                best.0[s * n + d] = mean;
                best.1[s * n + d] = column().map(|(w, a)| w * (a - mean).powi(2)).sum::<f64>().sqrt();
            }
        }
        prop_assume!(best.1.iter().all(|&s| s > 0.05));
        let (step, gradient) = run(&problem, Constraint::Joint { alpha: 0.0 }, &best);
        prop_assert!(gradient.0.iter().chain(&gradient.1).all(|d| d.abs() < 1e-8));
        let elsewhere = run(&problem, Constraint::Joint { alpha: 0.0 }, &problem.online).0.policy_loss;
        prop_assert!(step.policy_loss <= elsewhere + 1e-12);
    }

    #[test]
    fn constraints_per_dimension_reduce_to_one_when_their_multipliers_are_equal(problem in problem_of(Covariance::Diagonal), a in 0.0..5.0_f64, b in 0.0..5.0_f64) {
        let n = problem.n;
        for split in [KlSplit::Decoupled, KlSplit::Exact] {
            let (one, gradient) = run(&problem, Constraint::Split { split, alpha_mean: a, alpha_covariance: b }, &problem.online);
            let (mut kl_mean, mut kl_covariance) = (vec![f64::NAN; n], vec![f64::NAN; n]);
            let dimensions = PerDimension {
                alpha_mean: &vec![a; n],
                alpha_covariance: &vec![b; n],
                kl_mean: &mut kl_mean,
                kl_covariance: &mut kl_covariance,
            };
            let (mut d_mean, mut d_factor) = (problem.online.0.clone(), problem.online.1.clone());
            let out = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
            let samples = WeightedActions { actions: &problem.actions, weights: &problem.weights };
            let mut workspace = Workspace::new(n, problem.samples);
            let many =
                m_step_per_dimension(split, dimensions, &problem.target(), &problem.online(), samples, out, &mut workspace);
            close(many.loss, one.loss, 1e-10);
            close(kl_mean.iter().sum(), one.kl_mean, 1e-10);
            close(kl_covariance.iter().sum(), one.kl_covariance, 1e-10);
            all_close(&d_mean, &gradient.0, 1e-12);
            all_close(&d_factor, &gradient.1, 1e-12);
        }
    }

    #[test]
    fn the_batch_is_the_mean_of_its_states(problem in problem(), a in 0.0..5.0_f64) {
        let (n, m, f) = (problem.n, problem.samples, problem.covariance.factor_len(problem.n));
        let constraint = Constraint::Split { split: KlSplit::Decoupled, alpha_mean: a, alpha_covariance: a };
        let (whole, gradient) = run(&problem, constraint, &problem.online);
        let share = problem.states as f64;
        let mut loss = 0.0;
        for s in 0..problem.states {
            let cut = |head: &Head| (head.0[s * n..(s + 1) * n].to_vec(), head.1[s * f..(s + 1) * f].to_vec());
            let mut alone = problem.clone();
            alone.states = 1;
            alone.target = cut(&problem.target);
            alone.online = cut(&problem.online);
            alone.actions = problem.actions[s * m * n..(s + 1) * m * n].to_vec();
            alone.weights = problem.weights[s * m..(s + 1) * m].to_vec();
            let (step, d) = run(&alone, constraint, &alone.online.clone());
            loss += step.loss / share;
            let scaled: Vec<f64> = d.1.iter().map(|d| d / share).collect();
            all_close(&scaled, &gradient.1[s * f..(s + 1) * f], 1e-10);
            let scaled: Vec<f64> = d.0.iter().map(|d| d / share).collect();
            all_close(&scaled, &gradient.0[s * n..(s + 1) * n], 1e-10);
        }
        close(loss, whole.loss, 1e-10);
    }

    #[test]
    fn a_multiplier_descends_until_its_constraint_holds(raw in -5.0..5.0_f64, epsilon in 0.001..1.0_f64, constraint in 0.0..2.0_f64) {
        let alpha = Multiplier::from_raw(raw);
        let h = 1e-5;
        let loss = |raw| Multiplier::from_raw(raw).loss(epsilon, constraint);
        close(alpha.gradient(epsilon, constraint), (loss(raw + h) - loss(raw - h)) / (2.0 * h), 1e-7);
        prop_assert!(alpha.value() > 0.0 && (alpha.gradient(epsilon, constraint) > 0.0) == (constraint < epsilon));
    }

    #[test]
    fn both_precisions_agree(problem in problem(), a in 0.0..3.0_f64) {
        let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
        let (mean0, factor0, mean, factor) =
            (narrow(&problem.target.0), narrow(&problem.target.1), narrow(&problem.online.0), narrow(&problem.online.1));
        let (actions, weights) = (narrow(&problem.actions), narrow(&problem.weights));
        let policy = |mean, factor| mpo_core::Gaussian::new(problem.covariance, problem.n, mean, factor);
        for split in [KlSplit::Decoupled, KlSplit::Exact] {
            let (mut d_mean, mut d_factor) = (mean.clone(), factor.clone());
            let step = m_step(
                Constraint::Split { split, alpha_mean: a as f32, alpha_covariance: a as f32 },
                &policy(&mean0, &factor0),
                &policy(&mean, &factor),
                WeightedActions { actions: &actions, weights: &weights },
                HeadGradient { mean: &mut d_mean, factor: &mut d_factor },
                &mut Workspace::new(problem.n, problem.samples),
            );
            let (wide, gradient) = run(&problem, Constraint::Split { split, alpha_mean: a, alpha_covariance: a }, &problem.online);
            close(f64::from(step.loss), wide.loss, 2e-4);
            let largest = gradient.0.iter().chain(&gradient.1).fold(1.0, |m: f64, d| m.max(d.abs()));
            let pairs = d_mean.iter().zip(&gradient.0).chain(d_factor.iter().zip(&gradient.1));
            for (&narrow, wide) in pairs {
                prop_assert!((f64::from(narrow) - wide).abs() < 2e-4 * largest, "{narrow} against {wide}");
            }
        }
    }
}
