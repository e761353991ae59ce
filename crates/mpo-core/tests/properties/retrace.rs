//! Retrace and its special cases (paper eq. 13).

use mpo_core::{Transitions, n_step_targets, retrace, retrace_windows, td_targets, trace_coefficient};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{all_close, close};

const GAMMA: f64 = 0.95;

#[derive(Clone, Debug)]
struct Window {
    q: Vec<f64>,
    v: Vec<f64>,
    r: Vec<f64>,
    discount: Vec<f64>,
    log_rho: Vec<f64>,
}

impl Window {
    fn transitions(&self) -> Transitions<'_, f64> {
        Transitions { q_t: &self.q, v_tp1: &self.v, r_t: &self.r, discount_t: &self.discount }
    }

    fn c(&self, lambda: f64) -> Vec<f64> {
        self.log_rho.iter().map(|&x| trace_coefficient(x, lambda)).collect()
    }

    fn targets(&self, c: &[f64]) -> Vec<f64> {
        let mut targets = vec![f64::NAN; c.len()];
        retrace(self.transitions(), c, &mut targets);
        targets
    }
}

fn window() -> impl Strategy<Value = Window> {
    (1_usize..12).prop_flat_map(|k| {
        let numbers = || vec(-10.0..10.0_f64, k);
        let continues = vec(prop::bool::weighted(0.85), k);
        (numbers(), numbers(), numbers(), continues, vec(-3.0..3.0_f64, k)).prop_map(|(q, v, r, continues, log_rho)| {
            let discount = continues.into_iter().map(|c| if c { GAMMA } else { 0.0 }).collect();
            Window { q, v, r, discount, log_rho }
        })
    })
}

proptest! {
    /// The literal double sum of eq. 13 (with gamma before V').
    #[test]
    fn the_backward_pass_is_the_double_sum(window in window(), lambda in 0.0..1.0_f64) {
        let c = window.c(lambda);
        let got = window.targets(&c);
        for (t, got) in got.iter().enumerate() {
            let mut want = window.q[t];
            let mut factor = 1.0;
            for (j, c) in c.iter().enumerate().skip(t) {
                if j > t {
                    factor *= window.discount[j - 1] * c;
                }
                want += factor * (window.r[j] + window.discount[j] * window.v[j] - window.q[j]);
            }
            close(*got, want, 1e-10);
        }
    }

    #[test]
    fn with_lambda_zero_it_is_temporal_difference(window in window()) {
        let mut td = vec![0.0; window.q.len()];
        td_targets(&window.v, &window.r, &window.discount, &mut td);
        all_close(&window.targets(&window.c(0.0)), &td, 1e-14);
        n_step_targets(&window.v, &window.r, &window.discount, 1, &mut td);
        all_close(&window.targets(&window.c(0.0)), &td, 1e-14);
    }

    /// On-policy, lambda one, and a critic whose action-values agree with its state-values: the sum telescopes.
    #[test]
    fn on_policy_with_lambda_one_it_is_the_n_step_return(window in window()) {
        let mut window = window;
        for t in 1..window.q.len() {
            window.q[t] = window.v[t - 1];
        }
        window.log_rho.fill(0.0);
        let mut n_step = vec![0.0; window.q.len()];
        n_step_targets(&window.v, &window.r, &window.discount, window.q.len(), &mut n_step);
        all_close(&window.targets(&window.c(1.0)), &n_step, 1e-10);
    }

    #[test]
    fn consistent_values_are_a_fixed_point(window in window(), lambda in 0.0..1.0_f64) {
        let mut window = window;
        for t in 0..window.q.len() {
            window.q[t] = window.r[t] + window.discount[t] * window.v[t];
        }
        all_close(&window.targets(&window.c(lambda)), &window.q, 1e-12);
    }

    #[test]
    fn a_termination_hides_everything_after_it(window in window(), noise in -50.0..50.0_f64, at in any::<prop::sample::Index>()) {
        let end = at.index(window.q.len());
        let mut window = window;
        window.discount[end] = 0.0;
        let before = window.targets(&window.c(1.0));
        close(before[end], window.r[end], 1e-14);
        let mut other = window.clone();
        other.v[end] = f64::INFINITY;
        for t in end + 1..window.q.len() {
            other.r[t] += noise;
            other.q[t] -= noise;
            other.v[t] = noise;
        }
        all_close(&other.targets(&other.c(1.0))[..=end], &before[..=end], 1e-14);
    }

    #[test]
    fn a_time_limit_bootstraps(window in window(), more in 0.1..10.0_f64) {
        let last = window.q.len() - 1;
        let mut window = window;
        window.discount[last] = GAMMA;
        let mut richer = window.clone();
        richer.v[last] += more;
        let (a, b) = (window.targets(&window.c(1.0)), richer.targets(&richer.c(1.0)));
        close(b[last] - a[last], GAMMA * more, 1e-9);
    }

    #[test]
    fn traces_lie_between_zero_and_lambda(log_rho in -1e6..1e6_f64, lambda in 0.0..1.0_f64) {
        let c = trace_coefficient(log_rho, lambda);
        prop_assert!((0.0..=lambda).contains(&c));
        let narrow = trace_coefficient(log_rho as f32, lambda as f32);
        prop_assert!(narrow >= 0.0 && narrow <= lambda as f32);
    }

    /// The targets are affine in the errors with total weight below 1 / (1 - gamma): bounded rewards and values give bounded targets.
    #[test]
    fn bounded_inputs_give_bounded_targets(window in window(), lambda in 0.0..1.0_f64) {
        for (target, q) in window.targets(&window.c(lambda)).iter().zip(&window.q) {
            let largest_error = 10.0 + GAMMA * 10.0 + 10.0;
            prop_assert!((target - q).abs() <= largest_error / (1.0 - GAMMA));
        }
    }

    #[test]
    fn rewards_scale_with_values(window in window(), c in -5.0..5.0_f64, lambda in 0.0..1.0_f64) {
        let mut scaled = window.clone();
        for x in scaled.q.iter_mut().chain(&mut scaled.v).chain(&mut scaled.r) {
            *x *= c;
        }
        let traces = window.c(lambda);
        let want: Vec<f64> = window.targets(&traces).iter().map(|t| c * t).collect();
        all_close(&scaled.targets(&traces), &want, 1e-10);
    }

    #[test]
    fn packed_windows_are_the_windows(windows in prop::collection::vec(window(), 0..6), lambda in 0.0..1.0_f64) {
        let join = |part: fn(&Window) -> &Vec<f64>| -> Vec<f64> { windows.iter().flat_map(|w| part(w).clone()).collect() };
        let all = Window {
            q: join(|w| &w.q), v: join(|w| &w.v), r: join(|w| &w.r), discount: join(|w| &w.discount), log_rho: join(|w| &w.log_rho),
        };
        let lengths: Vec<u32> = windows.iter().map(|w| w.q.len() as u32).collect();
        let mut packed = vec![f64::NAN; all.q.len()];
        retrace_windows(&lengths, all.transitions(), &all.log_rho, lambda, &mut packed);
        let apart: Vec<f64> = windows.iter().flat_map(|w| w.targets(&w.c(lambda))).collect();
        all_close(&packed, &apart, 1e-15);
    }

    #[test]
    fn the_first_trace_never_matters(window in window(), c0 in 0.0..1.0_f64) {
        let mut c = window.c(0.9);
        let before = window.targets(&c);
        c[0] = c0;
        all_close(&window.targets(&c), &before, 1e-15);
    }
}
