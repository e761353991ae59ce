//! Two environments to copy from: [`arm`] is a MuJoCo model with a reward, [`pendulum`] implements
//! [`Environment`] with no MuJoCo at all. Their files use nothing but what this crate offers to everyone.
//!
//! `mpo train example/arm` and `mpo train example/pendulum` train them like any task;
//! `crates/mpo-agent/examples/own_environment.rs` does it from a program of its own.

mod arm;
mod pendulum;

use crate::{EnvError, Environment};

pub use arm::arm;
pub use pendulum::pendulum;

/// What is known of an example before it is made.
#[derive(Debug, Clone, Copy)]
pub struct ExampleInfo {
    /// Its name with the prefix, e.g. `example/arm`.
    pub name: &'static str,
    /// Length of the flat observation.
    pub observation: usize,
    /// Length of an action.
    pub action: usize,
    /// Simulated seconds per step.
    pub control_timestep: f64,
    /// Steps after which the time limit ends an episode.
    pub episode_steps: usize,
    make: fn(u32) -> Result<Box<dyn Environment>, EnvError>,
}

impl ExampleInfo {
    /// The environment, whose episodes follow from `seed`.
    ///
    /// # Errors
    ///
    /// When it needs MuJoCo and MuJoCo is not installed.
    pub fn environment(&self, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
        (self.make)(seed)
    }
}

/// All examples, in alphabetical order.
#[must_use]
pub fn tasks() -> &'static [ExampleInfo] {
    static TASKS: [ExampleInfo; 2] = [
        ExampleInfo {
            name: "example/arm",
            observation: 6,
            action: 2,
            control_timestep: 0.02,
            episode_steps: 200,
            make: arm,
        },
        ExampleInfo {
            name: "example/pendulum",
            observation: 3,
            action: 1,
            control_timestep: 0.05,
            episode_steps: 200,
            make: |seed| Ok(pendulum(seed)),
        },
    ];
    &TASKS
}
