//! Random inputs and finite differences.

use mpo_core::{Covariance, Gaussian, packed_len};
use proptest::collection::vec;
use proptest::prelude::*;

/// `|a - b|` within `tolerance`, relatively where the numbers exceed one.
#[track_caller]
pub(crate) fn close(a: f64, b: f64, tolerance: f64) {
    let allowed = tolerance * a.abs().max(b.abs()).max(1.0);
    assert!((a - b).abs() <= allowed, "{a} is not {b} (allowed {allowed:e})");
}

#[track_caller]
pub(crate) fn all_close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (&a, &b) in a.iter().zip(b) {
        close(a, b, tolerance);
    }
}

/// Central difference of `f` in every coordinate of `x`.
pub(crate) fn slopes(x: &[f64], mut f: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let (at, h) = (x[i], 1e-5);
            x[i] = at + h;
            let above = f(&x);
            x[i] = at - h;
            let below = f(&x);
            x[i] = at;
            (above - below) / (2.0 * h)
        })
        .collect()
}

/// Q-values `[states, samples]` over several magnitudes.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pub(crate) q: Vec<f64>,
    pub(crate) samples: usize,
}

impl Values {
    pub(crate) fn states(&self) -> usize {
        self.q.len() / self.samples
    }
}

pub(crate) fn values() -> impl Strategy<Value = Values> {
    (1_usize..5, 2_usize..12, -3_i32..4).prop_flat_map(|(states, samples, decade)| {
        vec(-1.0..1.0_f64, states * samples).prop_map(move |mut q| {
            for q in &mut q {
                *q *= 10.0_f64.powi(decade);
            }
            Values { q, samples }
        })
    })
}

/// Two policies, actions near the first and positive weights that sum to one in every state.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) covariance: Covariance,
    pub(crate) n: usize,
    pub(crate) states: usize,
    pub(crate) samples: usize,
    pub(crate) target: (Vec<f64>, Vec<f64>),
    pub(crate) online: (Vec<f64>, Vec<f64>),
    pub(crate) actions: Vec<f64>,
    pub(crate) weights: Vec<f64>,
}

impl Problem {
    pub(crate) fn target(&self) -> Gaussian<'_, f64> {
        Gaussian::new(self.covariance, self.n, &self.target.0, &self.target.1)
    }

    pub(crate) fn online(&self) -> Gaussian<'_, f64> {
        Gaussian::new(self.covariance, self.n, &self.online.0, &self.online.1)
    }

    pub(crate) fn policy<'a>(&self, (mean, factor): &'a (Vec<f64>, Vec<f64>)) -> Gaussian<'a, f64> {
        Gaussian::new(self.covariance, self.n, mean, factor)
    }
}

/// A factor `[states, ...]` with diagonal in (0.3, 2) and the rest in (-0.6, 0.6).
fn factors(covariance: Covariance, n: usize, states: usize) -> impl Strategy<Value = Vec<f64>> {
    vec((0.3..2.0_f64, -0.6..0.6_f64), states * covariance.factor_len(n)).prop_map(move |pairs| {
        let len = covariance.factor_len(n);
        let on_diagonal = |at: usize| match covariance {
            Covariance::Diagonal => true,
            Covariance::Full => (1..=n).any(|i| packed_len(i) == at + 1),
        };
        let entries = pairs.iter().enumerate();
        entries.map(|(i, &(positive, any))| if on_diagonal(i % len) { positive } else { any }).collect()
    })
}

pub(crate) fn problem_of(covariance: Covariance) -> impl Strategy<Value = Problem> {
    (1_usize..7, 1_usize..4, 1_usize..11).prop_flat_map(move |(n, states, samples)| {
        let mean = || vec(-1.0..1.0_f64, states * n);
        let factor = || factors(covariance, n, states);
        let actions = vec(-3.0..3.0_f64, states * samples * n);
        let weights = vec(0.01..1.0_f64, states * samples);
        (mean(), factor(), mean(), factor(), actions, weights).prop_map(move |(m0, f0, m, f, actions, mut weights)| {
            for row in weights.chunks_exact_mut(samples) {
                let total: f64 = row.iter().sum();
                for w in row {
                    *w /= total;
                }
            }
            Problem { covariance, n, states, samples, target: (m0, f0), online: (m, f), actions, weights }
        })
    })
}

pub(crate) fn problem() -> impl Strategy<Value = Problem> {
    prop_oneof![problem_of(Covariance::Diagonal), problem_of(Covariance::Full)]
}
