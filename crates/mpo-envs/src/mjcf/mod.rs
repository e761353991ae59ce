//! Environments of your own from a MuJoCo model and a reward: an [`Mjcf`] is the model and its timing, a [`Task`] the
//! start states, observation and reward. The tasks of the suite are made in the same way.
//!
//! ```no_run
//! use mpo_envs::mjcf::{Mjcf, Observation, Task};
//! use mpo_envs::mujoco::{Fault, Physics};
//! use mpo_envs::{EnvError, Environment, RandomState};
//!
//! /// Hold a cart at the middle of its rail.
//! struct Hold {
//!     rail: usize,
//! }
//!
//! impl Task for Hold {
//!     fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
//!         physics.qpos_mut()[self.rail] = random.uniform(-1.0, 1.0);
//!         Ok(())
//!     }
//!
//!     fn observe(&self, physics: &Physics, observation: &mut Observation) {
//!         observation.part("position").extend(physics.qpos()).part("velocity").extend(physics.qvel());
//!     }
//!
//!     fn reward(&self, physics: &Physics) -> f64 {
//!         (-physics.qpos()[self.rail].abs()).exp()
//!     }
//! }
//!
//! fn cart(seed: u32) -> Result<Box<dyn Environment>, EnvError> {
//!     let model = Mjcf::file("own/hold", "cart.xml").control_timestep(0.02).episode_seconds(5.0);
//!     model.environment(seed, |physics| Ok(Hold { rail: physics.joint_position("rail")? }))
//! }
//! ```
//!
//! `mpo_envs::examples` has a whole one, with its model file.

mod control;

use std::fs::File;
use std::path::PathBuf;

use crate::mujoco::{Library, Physics};
use crate::{EnvError, Environment, assets};

pub(crate) use control::{Control, Setup};
pub use control::{Observation, Task};

/// When a model lacks what its task asks for.
const CURE: &str = "name it in the model, or ask for another";

/// A MuJoCo model in its XML format, with the timing of an environment.
#[derive(Debug, Clone)]
#[must_use]
pub struct Mjcf {
    name: &'static str,
    source: Source,
    control_timestep: Option<f64>,
    episode_seconds: f64,
}

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text(String),
}

impl Mjcf {
    /// The model in the file `path`, which may include others and name meshes relative to itself. `name` is what errors
    /// call the task.
    ///
    /// An action is one physics step and an episode ten seconds until you say otherwise.
    pub fn file(name: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { name, source: Source::File(path.into()), control_timestep: None, episode_seconds: 10.0 }
    }

    /// As [`file`](Self::file), from the model's text.
    pub fn text(name: &'static str, xml: impl Into<String>) -> Self {
        Self { name, source: Source::Text(xml.into()), control_timestep: None, episode_seconds: 10.0 }
    }

    /// Seconds per action, a multiple of the model's physics step.
    pub fn control_timestep(self, seconds: f64) -> Self {
        Self { control_timestep: Some(seconds), ..self }
    }

    /// Simulated seconds after which the time limit ends an episode.
    pub fn episode_seconds(self, seconds: f64) -> Self {
        Self { episode_seconds: seconds, ..self }
    }

    /// The environment of the task that `task` makes. It is given the physics, to find joints, bodies and sensors by
    /// their names. The same `seed` gives the same episodes.
    ///
    /// # Errors
    ///
    /// [`EnvError::AssetMissing`] and the like when MuJoCo is not installed, [`EnvError::ModelFile`] when the file cannot
    /// be read, [`EnvError::InvalidModel`] with MuJoCo's message, for a model without actuators, a task that observes
    /// nothing, and a control step that is no multiple of the physics step; the errors of `task`.
    pub fn environment<T: Task + 'static>(
        self,
        seed: u32,
        task: impl FnOnce(&Physics) -> Result<T, EnvError>,
    ) -> Result<Box<dyn Environment>, EnvError> {
        let library = Library::load(&assets::library()?)?;
        let physics = match self.source {
            Source::File(path) => {
                // MuJoCo's own message would not say why the system refuses the file.
                File::open(&path).map_err(|source| EnvError::ModelFile { path: path.clone(), source })?;
                Physics::from_file(&library, &path, CURE)?
            }
            Source::Text(xml) => Physics::from_xml(&library, self.name, &xml, &[], CURE)?,
        };
        let task = Box::new(task(&physics)?);
        let setup = Setup { physics, task, time_limit: self.episode_seconds, control_timestep: self.control_timestep };
        Ok(Box::new(Control::new(self.name, setup, seed)?))
    }
}
