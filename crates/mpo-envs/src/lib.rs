//! Environments: the tasks of the `dm_control` suite on real MuJoCo, [`parkour`] over courses of our own, and [`atari`] games on
//! the real Arcade Learning Environment, behind one [`Environment`] trait. The same seed gives the same episodes of the suite as
//! `dm_control` 1.0.50 with MuJoCo 3.17.0, and the same games as `ale_py` 0.12.1.
//!
//! Both libraries are loaded at run time and never needed to build. They, the suite's model files and the games are looked up by
//! [`assets`]; what is missing is an [`EnvError`] that says how to get it.
//!
//! ```no_run
//! use mpo_envs::{Environment, StepType, suite};
//!
//! let mut environment = suite::load("cheetah-run", 0)?;
//! let action = vec![0.0; environment.spec().action_len()];
//! let mut episode_return = 0.0;
//! environment.reset()?;
//! loop {
//!     let step = environment.step(&action)?;
//!     episode_return += step.reward;
//!     if step.step_type == StepType::Last {
//!         break;
//!     }
//! }
//! # Ok::<(), mpo_envs::EnvError>(())
//! ```

// The examples are written as if they were outside, so that they can be copied.
extern crate self as mpo_envs;

pub mod assets;
pub mod atari;
mod environment;
mod error;
pub mod examples;
pub mod mjcf;
pub mod mujoco;
pub mod parkour;
mod random;
mod registry;
pub mod render;
pub mod suite;
mod vector;

pub use environment::{Environment, FrameSpec, ObservationPart, Progress, Screen, Spec, StepType, TimeStep};
pub use error::EnvError;
pub use random::RandomState;
pub use registry::{full_name, load};
pub use vector::{TimeSteps, VectorEnvironment};
