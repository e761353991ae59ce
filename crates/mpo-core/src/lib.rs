//! The mathematics of Maximum a Posteriori Policy Optimisation (Abdolmaleki et al., ICLR 2018, "the paper") and of the
//! learners it is compared with: values *and* gradients with respect to a network head's outputs, on plain slices.
//!
//! | function | equation |
//! |---|---|
//! | [`e_step`], [`weights`], [`dual`] | sample weights and the temperature's dual, eqs. 7-9 |
//! | [`solve_temperature`] | the dual's exact minimiser, eq. 8 |
//! | [`Temperature`], [`Multiplier`] | dual variables, `softplus(raw) + 1e-8`; `alpha (epsilon - C)` |
//! | [`Gaussian`] | log-density, samples, entropy, divergences and the score of Gaussian policies |
//! | [`Gaussian::kl`], [`KlSplit`] | `C_mu` and `C_Sigma`, App. D.3, eqs. 25-28 |
//! | [`Gaussian::fisher_form`] | the quadratic form of eq. 11's prior |
//! | [`m_step`], [`Constraint`] | constrained weighted maximum likelihood, eqs. 10-12 and 25-28 |
//! | [`m_step_per_dimension`] | the same with a bound for every action dimension |
//! | [`out_of_bounds_cost`] | the penalty for actions outside the bounds (MO-MPO) |
//! | [`Categorical`], [`categorical_e_step`], [`categorical_solve_temperature`], [`categorical_m_step`] | the same for discrete actions, the prior kept in eq. 7 |
//! | [`retrace`], [`retrace_windows`], [`trace_coefficient`] | policy evaluation, eq. 13 |
//! | [`td_targets`], [`n_step_targets`], [`n_step_windows`] | its special cases |
//! | [`critic_loss`] | `mean (Q - sg[Qret])^2` |
//! | [`advantage_weights`] | parametric E-step, Alg. 3 and App. D.4 |
//! | [`q_weights`], [`single_sample_weights`], [`policy_gradient`] | EPG and actor-critic with entropy bonus, Figs. 2 and 4 |
//! | [`deterministic_policy_gradient`] | DDPG |
//! | [`gae`], [`normalise_advantages`], [`ppo_clip`] | PPO |
//! | [`Adam`], [`clip_by_global_norm`] | the optimiser |
//!
//! # Conventions
//!
//! - Everything is generic over [`Real`]: `f32`, which networks train in, or `f64`, the oracle.
//! - Slices are row-major. With `B` states, `M` samples and `n` action dimensions, what belongs to a sample is `[B, M]`, actions are
//!   `[B, M, n]`: a state's samples stand together.
//! - Names carry time: `q_t` belongs to `(s_t, a_t)`, `v_tp1` to the state after it.
//! - Shapes are asserted once on entry; a wrong shape is a panic that says which. Numbers are not checked: what is not finite
//!   comes out as NaN, never as something plausible.
//! - Nothing allocates but [`Workspace::new`]: callers lend the memory for results.
//! - A covariance is its Cholesky factor. No inverse and no determinant is formed; divergences are written as sums of terms that
//!   are never negative, so that bounds as small as `1e-4` survive `f32`.
//!
//! # One update of the policy
//!
//! ```
//! use mpo_core::{
//!     Constraint, Covariance, Gaussian, HeadGradient, KlSplit, Multiplier, Temperature, WeightedActions, Workspace, e_step,
//!     m_step,
//! };
//!
//! // Two states, three samples each, one action dimension; the critic prefers large actions.
//! let (mean, stddev) = ([0.0_f64, 1.0], [0.5, 0.5]);
//! let target = Gaussian::new(Covariance::Diagonal, 1, &mean, &stddev);
//! let mut workspace = Workspace::new(1, 3);
//! let mut actions = [0.0; 6];
//! target.sample(&[-1.0, 0.0, 1.0, -1.0, 0.0, 1.0], &mut actions, &mut workspace);
//! let q = actions.map(|a| 10.0 * a);
//!
//! let eta = Temperature::from_value(5.0);
//! let mut weights = [0.0; 6];
//! let step = e_step(&q, 3, eta.value(), 0.1, &mut weights);
//! assert!(weights[2] > weights[1] && weights[1] > weights[0]);
//! assert!(step.kl > 0.1 && eta.gradient(step.d_eta) < 0.0); // too greedy: descent raises the temperature
//!
//! let (alpha_mean, alpha_covariance) = (Multiplier::from_value(1.0), Multiplier::from_value(10.0));
//! let (mut d_mean, mut d_stddev) = ([0.0; 2], [0.0; 2]);
//! let m = m_step(
//!     Constraint::Split {
//!         split: KlSplit::Decoupled,
//!         alpha_mean: alpha_mean.value(),
//!         alpha_covariance: alpha_covariance.value(),
//!     },
//!     &target,
//!     &target, // the online policy has not moved yet
//!     WeightedActions { actions: &actions, weights: &weights },
//!     HeadGradient { mean: &mut d_mean, factor: &mut d_stddev },
//!     &mut workspace,
//! );
//! assert!(d_mean[0] < 0.0 && d_mean[1] < 0.0); // descent raises the means
//! assert!(alpha_mean.gradient(0.1, m.kl_mean) > 0.0); // the bound is not reached: its multiplier may fall
//! ```
//!
//! # Retrace
//!
//! A termination ends the return, a time limit does not:
//!
//! ```
//! use mpo_core::{Transitions, retrace_windows};
//!
//! let ended = Transitions { q_t: &[0.0_f64], v_tp1: &[7.0], r_t: &[1.0], discount_t: &[0.0] };
//! let cut = Transitions { discount_t: &[0.5], ..ended };
//! let mut target = [0.0];
//! retrace_windows(&[1], ended, &[0.0], 1.0, &mut target);
//! assert_eq!(target, [1.0]);
//! retrace_windows(&[1], cut, &[0.0], 1.0, &mut target);
//! assert_eq!(target, [4.5]);
//! ```
//!
//! Misuse is refused by name:
//!
//! ```should_panic
//! // panics: "q has 5 values, not a positive number of states times 2 samples"
//! mpo_core::e_step(&[0.0_f32; 5], 2, 1.0, 0.1, &mut [0.0; 5]);
//! ```

#![forbid(unsafe_code)]

mod adam;
mod categorical;
mod dual;
mod e_step;
mod gaussian;
mod m_step;
mod penalty;
mod policy_gradient;
mod ppo;
mod real;
mod retrace;

pub use adam::{Adam, clip_by_global_norm};
pub use categorical::{
    Categorical, CategoricalMStep, categorical_e_step, categorical_m_step, categorical_solve_temperature,
};
pub use dual::{FLOOR, Multiplier, Temperature, sigmoid, softplus};
pub use e_step::{EStep, Solution, dual, e_step, solve_temperature, weights};
pub use gaussian::{Covariance, Gaussian, HeadGradient, KlSplit, Workspace, packed_len};
pub use m_step::{Constraint, MStep, PerDimension, WeightedActions, m_step, m_step_per_dimension};
pub use penalty::out_of_bounds_cost;
pub use policy_gradient::{
    advantage_weights, critic_loss, deterministic_policy_gradient, policy_gradient, q_weights, single_sample_weights,
};
pub use ppo::{gae, normalise_advantages, ppo_clip};
pub use real::Real;
pub use retrace::{
    Transitions, n_step_targets, n_step_windows, retrace, retrace_windows, td_targets, trace_coefficient,
};
