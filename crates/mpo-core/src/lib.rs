//! The mathematics of MPO.
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
    advantage_weights, critic_loss, deterministic_policy_gradient, policy_gradient, q_weights,
};
pub use ppo::{gae, normalise_advantages, ppo_clip};
pub use real::Real;
pub use retrace::{Transitions, n_step_targets, retrace, retrace_windows, td_targets, trace_coefficient};
