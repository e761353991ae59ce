//! Three environments to copy from: [`arm`] is a MuJoCo model with a reward, [`pendulum`] implements [`Environment`] with no
//! MuJoCo at all, and [`catch`] one of frames and discrete actions. Their files use nothing but what this crate offers to everyone.
//!
//! `mpo train example/arm` and its like train them as any task;
//! `crates/mpo-agent/examples/own_environment.rs` does it from a program of its own.

mod arm;
mod catch;
mod pendulum;

use crate::{EnvError, Environment, FrameSpec};

pub use arm::arm;
pub use catch::catch;
pub use pendulum::pendulum;

/// What is known of an example before it is made.
#[derive(Debug, Clone, Copy)]
pub struct ExampleInfo {
    /// Its name with the prefix, e.g. `example/arm`.
    pub name: &'static str,
    /// Length of the flat observation.
    pub observation: usize,
    /// The frames that it shows, if any.
    pub frame: Option<FrameSpec>,
    /// Length of an action.
    pub action: usize,
    /// How many actions there are, if they are discrete.
    pub discrete_actions: Option<usize>,
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

/// The smallest frames that three convolutions of 8x8/4, 4x4/2 and 3x3/1 reduce to one position.
const CATCH_FRAME: FrameSpec = FrameSpec { height: 36, width: 36, stack: 4 };

/// All examples, in alphabetical order.
#[must_use]
pub fn tasks() -> &'static [ExampleInfo] {
    static TASKS: [ExampleInfo; 3] = [
        ExampleInfo {
            name: "example/arm",
            observation: 6,
            frame: None,
            action: 2,
            discrete_actions: None,
            control_timestep: 0.02,
            episode_steps: 200,
            make: arm,
        },
        ExampleInfo {
            name: "example/catch",
            observation: 0,
            frame: Some(CATCH_FRAME),
            action: 1,
            discrete_actions: Some(catch::ACTIONS),
            control_timestep: 0.1,
            episode_steps: catch::STEPS,
            make: |seed| Ok(catch(seed, CATCH_FRAME.width, CATCH_FRAME.stack)),
        },
        ExampleInfo {
            name: "example/pendulum",
            observation: 3,
            frame: None,
            action: 1,
            discrete_actions: None,
            control_timestep: 0.05,
            episode_steps: 200,
            make: |seed| Ok(pendulum(seed)),
        },
    ];
    &TASKS
}
