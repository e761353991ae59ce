//! Densities, samples and divergences of Gaussian policies.

use mpo_core::{Covariance, Gaussian, HeadGradient, KlSplit, Workspace, packed_len};
use proptest::prelude::*;

use crate::support::{Problem, all_close, close, problem, problem_of, slopes};

fn kl(problem: &Problem, old: &Gaussian<'_, f64>, new: &Gaussian<'_, f64>, split: KlSplit) -> (Vec<f64>, Vec<f64>) {
    let (mut mean, mut covariance) = (vec![0.0; problem.states], vec![0.0; problem.states]);
    old.kl(new, split, &mut mean, &mut covariance, &mut Workspace::new(problem.n, 0));
    (mean, covariance)
}

fn log_probs(problem: &Problem, policy: &Gaussian<'_, f64>) -> Vec<f64> {
    let mut out = vec![0.0; problem.states * problem.samples];
    policy.log_prob(&problem.actions, &mut out, &mut Workspace::new(problem.n, problem.samples));
    out
}

/// The lower-triangular factor of state `s` as a dense matrix.
fn dense(problem: &Problem, factor: &[f64], s: usize) -> Vec<Vec<f64>> {
    let (n, len) = (problem.n, problem.covariance.factor_len(problem.n));
    let factor = &factor[s * len..][..len];
    let entry = |i: usize, k: usize| match problem.covariance {
        Covariance::Full if k <= i => factor[packed_len(i) + k],
        Covariance::Diagonal if k == i => factor[i],
        _ => 0.0,
    };
    (0..n).map(|i| (0..n).map(|k| entry(i, k)).collect()).collect()
}

/// A diagonal problem and the same one written with Cholesky factors.
fn as_full(problem: &Problem) -> Problem {
    let n = problem.n;
    let widen = |stddev: &[f64]| -> Vec<f64> {
        let rows = stddev.iter().enumerate();
        rows.flat_map(|(i, &s)| (0..=i % n).map(move |k| if k == i % n { s } else { 0.0 })).collect()
    };
    let mut full = problem.clone();
    full.covariance = Covariance::Full;
    full.target.1 = widen(&problem.target.1);
    full.online.1 = widen(&problem.online.1);
    full
}

proptest! {
    #[test]
    fn divergences_are_never_negative(problem in problem()) {
        for split in [KlSplit::Exact, KlSplit::Decoupled] {
            let (mean, covariance) = kl(&problem, &problem.target(), &problem.online(), split);
            prop_assert!(mean.iter().chain(&covariance).all(|&c| c >= 0.0));
        }
    }

    #[test]
    fn divergences_vanish_at_equality_and_only_there(problem in problem(), nudge in 1e-4..0.1_f64, at in any::<prop::sample::Index>()) {
        let old = problem.target();
        let (mean, covariance) = kl(&problem, &old, &old, KlSplit::Exact);
        prop_assert!(mean.iter().chain(&covariance).all(|&c| c.abs() < 1e-24), "{mean:?} {covariance:?}");
        let mut moved = problem.target.clone();
        let i = at.index(moved.1.len());
        moved.1[i] += nudge;
        let (_, covariance) = kl(&problem, &old, &problem.policy(&moved), KlSplit::Exact);
        prop_assert!(covariance.iter().sum::<f64>() > 1e-12);
        let mut moved = problem.target.clone();
        let i = at.index(moved.0.len());
        moved.0[i] += nudge;
        let (mean, _) = kl(&problem, &old, &problem.policy(&moved), KlSplit::Decoupled);
        prop_assert!(mean.iter().sum::<f64>() > 1e-12);
    }

    /// `E_old[log old - log new]`, the definition, by a quadrature that is exact for quadratics: the mean plus and minus
    /// `sqrt(n)` along each column of the factor.
    #[test]
    fn the_exact_split_sums_to_the_divergence(problem in problem()) {
        let n = problem.n;
        let mut nodes = problem.clone();
        nodes.samples = 2 * n;
        nodes.actions.clear();
        for s in 0..problem.states {
            let factor = dense(&problem, &problem.target.1, s);
            for k in 0..n {
                for sign in [-1.0, 1.0] {
                    for (i, row) in factor.iter().enumerate() {
                        nodes.actions.push(problem.target.0[s * n + i] + sign * (n as f64).sqrt() * row[k]);
                    }
                }
            }
        }
        let (old, new) = (log_probs(&nodes, &nodes.target()), log_probs(&nodes, &nodes.online()));
        let (mean, covariance) = kl(&problem, &problem.target(), &problem.online(), KlSplit::Exact);
        for s in 0..problem.states {
            let rows = s * 2 * n..(s + 1) * 2 * n;
            let definition = old[rows.clone()].iter().zip(&new[rows]).map(|(a, b)| a - b).sum::<f64>() / (2 * n) as f64;
            close(mean[s] + covariance[s], definition, 1e-9);
        }
    }

    #[test]
    fn both_splits_share_the_covariances_part(problem in problem()) {
        let exact = kl(&problem, &problem.target(), &problem.online(), KlSplit::Exact);
        let decoupled = kl(&problem, &problem.target(), &problem.online(), KlSplit::Decoupled);
        all_close(&exact.1, &decoupled.1, 1e-12);
        // Measured by the policies in turn, the mean's parts change places.
        let back = kl(&problem, &problem.online(), &problem.target(), KlSplit::Decoupled);
        all_close(&exact.0, &back.0, 1e-10);
    }

    #[test]
    fn a_diagonal_factor_is_the_diagonal_policy(problem in problem_of(Covariance::Diagonal)) {
        let full = as_full(&problem);
        all_close(&log_probs(&problem, &problem.online()), &log_probs(&full, &full.online()), 1e-10);
        for split in [KlSplit::Exact, KlSplit::Decoupled] {
            let a = kl(&problem, &problem.target(), &problem.online(), split);
            let b = kl(&full, &full.target(), &full.online(), split);
            all_close(&a.0, &b.0, 1e-10);
            all_close(&a.1, &b.1, 1e-10);
        }
        let (mut a, mut b) = (vec![0.0; problem.states], vec![0.0; problem.states]);
        problem.online().entropy(&mut a);
        full.online().entropy(&mut b);
        all_close(&a, &b, 1e-12);
        let (mut a, mut b) = (problem.actions.clone(), problem.actions.clone());
        let mut workspace = Workspace::new(problem.n, problem.samples);
        problem.online().sample(&problem.actions, &mut a, &mut workspace);
        full.online().sample(&problem.actions, &mut b, &mut workspace);
        all_close(&a, &b, 1e-12);
    }

    /// A sample made of noise `z` has the noise's log-density, less the log-volume of the factor.
    #[test]
    fn sampling_and_density_are_inverse(problem in problem()) {
        let n = problem.n;
        let noise = problem.actions.clone();
        let mut sampled = problem.clone();
        let mut workspace = Workspace::new(n, problem.samples);
        problem.online().sample(&noise, &mut sampled.actions, &mut workspace);
        let got = log_probs(&sampled, &problem.online());
        for (j, (got, z)) in got.iter().zip(noise.chunks_exact(n)).enumerate() {
            let factor = dense(&problem, &problem.online.1, j / problem.samples);
            let volume: f64 = (0..n).map(|i| factor[i][i].ln()).sum();
            let square: f64 = z.iter().map(|z| z * z).sum();
            close(*got, -0.5 * square - volume - 0.5 * n as f64 * (2.0 * std::f64::consts::PI).ln(), 1e-9);
        }
    }

    #[test]
    fn the_entropy_is_the_expected_surprise(problem in problem()) {
        // At the nodes of the quadrature above the squared noise is n for every node, its mean under the policy.
        let n = problem.n;
        let mut entropy = vec![0.0; problem.states];
        problem.online().entropy(&mut entropy);
        let mut at_mean = problem.clone();
        at_mean.samples = 1;
        at_mean.actions.clone_from(&problem.online.0);
        let peak = log_probs(&at_mean, &problem.online());
        for (h, peak) in entropy.iter().zip(peak) {
            close(*h, 0.5 * n as f64 - peak, 1e-10);
        }
    }

    #[test]
    fn the_gradient_of_the_divergence_is_its_finite_difference(problem in problem(), a in 0.0..3.0_f64, b in 0.0..3.0_f64) {
        for split in [KlSplit::Exact, KlSplit::Decoupled] {
            let value = |policy: &(Vec<f64>, Vec<f64>)| {
                let (mean, covariance) = kl(&problem, &problem.target(), &problem.policy(policy), split);
                a * mean.iter().sum::<f64>() + b * covariance.iter().sum::<f64>()
            };
            let (mut d_mean, mut d_factor) = (problem.online.0.clone(), problem.online.1.clone());
            let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
            let mut workspace = Workspace::new(problem.n, 0);
            problem.target().kl_gradient(&problem.online(), split, (a, b), gradient, &mut workspace);
            let online = &problem.online;
            all_close(&d_mean, &slopes(&online.0, |mean| value(&(mean.to_vec(), online.1.clone()))), 1e-5);
            all_close(&d_factor, &slopes(&online.1, |factor| value(&(online.0.clone(), factor.to_vec()))), 1e-5);
        }
    }

    #[test]
    fn the_score_is_the_finite_difference_of_the_likelihood(problem in problem(), entropy_weight in -1.0..1.0_f64, shift in -0.5..0.5_f64) {
        // Coefficients of both signs.
        let coefficients: Vec<f64> = problem.weights.iter().map(|w| w + shift).collect();
        let value = |policy: &(Vec<f64>, Vec<f64>)| {
            let policy = problem.policy(policy);
            let mut entropy = vec![0.0; problem.states];
            policy.entropy(&mut entropy);
            let likelihood: f64 = log_probs(&problem, &policy).iter().zip(&coefficients).map(|(l, c)| l * c).sum();
            likelihood + entropy_weight * entropy.iter().sum::<f64>()
        };
        let (mut d_mean, mut d_factor) = (problem.online.0.clone(), problem.online.1.clone());
        let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
        let mut workspace = Workspace::new(problem.n, problem.samples);
        let online = &problem.online;
        let returned =
            problem.online().log_prob_gradient(&problem.actions, &coefficients, entropy_weight, gradient, &mut workspace);
        close(returned, value(online), 1e-9);
        all_close(&d_mean, &slopes(&online.0, |mean| value(&(mean.to_vec(), online.1.clone()))), 1e-5);
        all_close(&d_factor, &slopes(&online.1, |factor| value(&(online.0.clone(), factor.to_vec()))), 1e-5);
    }

    /// Paper eq. 11's quadratic form: the divergence of a small step, to second order.
    #[test]
    fn the_fisher_form_is_the_divergence_to_second_order(problem in problem()) {
        let forms_and_divergences = |h: f64| {
            let toward = |from: &[f64], to: &[f64]| -> Vec<f64> { from.iter().zip(to).map(|(a, b)| a + h * (b - a)).collect() };
            let near = (toward(&problem.target.0, &problem.online.0), toward(&problem.target.1, &problem.online.1));
            let mut forms = vec![0.0; problem.states];
            problem.target().fisher_form(&problem.policy(&near), &mut forms, &mut Workspace::new(problem.n, 0));
            let (mean, covariance) = kl(&problem, &problem.target(), &problem.policy(&near), KlSplit::Exact);
            (forms, mean.iter().zip(&covariance).map(|(a, b)| a + b).collect::<Vec<f64>>())
        };
        let h = 1e-4;
        let (forms, divergences) = forms_and_divergences(h);
        for (form, divergence) in forms.iter().zip(divergences) {
            // The next term is of order h^3; steps are up to 2 / 0.3 in units of the old deviation, in every dimension.
            prop_assert!((form - divergence).abs() <= 0.05 * form + 1e-14, "{form} against {divergence}");
        }
    }

    #[test]
    fn the_order_of_samples_does_not_matter_to_the_score(problem in problem()) {
        let score = |actions: &[f64], weights: &[f64]| {
            let (mut d_mean, mut d_factor) = (problem.online.0.clone(), problem.online.1.clone());
            let gradient = HeadGradient { mean: &mut d_mean, factor: &mut d_factor };
            problem.online().log_prob_gradient(actions, weights, 0.0, gradient, &mut Workspace::new(problem.n, problem.samples));
            (d_mean, d_factor)
        };
        let (n, m) = (problem.n, problem.samples);
        let mut actions = Vec::new();
        let mut weights = Vec::new();
        for s in 0..problem.states {
            for j in (0..m).rev() {
                actions.extend_from_slice(&problem.actions[(s * m + j) * n..][..n]);
                weights.push(problem.weights[s * m + j]);
            }
        }
        let (a, b) = (score(&problem.actions, &problem.weights), score(&actions, &weights));
        all_close(&a.0, &b.0, 1e-10);
        all_close(&a.1, &b.1, 1e-10);
    }
}
