//! The tasks of the `dm_control` suite (Tassa et al. 2018): one file per domain, with its constants, tasks, physics
//! queries, observation and reward.

mod acrobot;
mod ball_in_cup;
mod cartpole;
mod cheetah;
mod finger;
mod fish;
mod hopper;
mod humanoid;
mod manipulator;
mod models;
mod pendulum;
mod point_mass;
mod randomizers;
mod reacher;
mod rewards;
mod swimmer;
mod table;
mod walker;
mod xml;

use models::Models;

use crate::assets::Assets;
use crate::mjcf::Control;
use crate::mujoco::Simulation;
use crate::{EnvError, Environment};

pub use table::TaskInfo;

/// All tasks, in alphabetical order.
///
/// ```
/// let cheetah = mpo_envs::suite::tasks().iter().find(|task| task.domain == "cheetah").expect("a task of the suite");
/// assert_eq!((cheetah.name, cheetah.observation, cheetah.action), ("cheetah-run", 17, 6));
/// ```
#[must_use]
pub fn tasks() -> &'static [TaskInfo] {
    &table::TASKS
}

/// The task called `name`: "cheetah-run", or "control/cheetah-run".
///
/// # Errors
///
/// [`EnvError::UnknownTask`], which names the nearest one.
///
/// ```
/// let error = mpo_envs::suite::find("control/cheeta-run").expect_err("a misspelt name");
/// assert!(error.to_string().starts_with("unknown task `control/cheeta-run`; the nearest is `cheetah-run`"));
/// ```
pub fn find(name: &str) -> Result<&'static TaskInfo, EnvError> {
    let bare = name.strip_prefix("control/").unwrap_or(name);
    tasks().iter().find(|task| task.name == bare).ok_or_else(|| {
        let nearest = tasks().iter().min_by_key(|task| strsim::damerau_levenshtein(task.name, bare));
        EnvError::UnknownTask { name: name.to_owned(), nearest: nearest.map_or("", |task| task.name) }
    })
}

/// Loads a task with the files that [`Assets::locate`] finds. The same `seed` gives the same episodes as
/// `dm_control.suite.load` with `task_kwargs={"random": seed}`.
///
/// # Errors
///
/// [`EnvError::UnknownTask`]; the errors of [`Assets::locate`]; the errors of [`load_with`].
pub fn load(name: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    find(name)?;
    load_with(&Assets::locate()?, name, seed)
}

/// As [`load`], with the given files.
///
/// # Errors
///
/// [`EnvError::UnknownTask`]; the errors of [`Library::load`](crate::mujoco::Library::load);
/// [`EnvError::ModelFile`] and [`EnvError::InvalidModel`] when a model cannot be read, or is not of the pinned version.
pub fn load_with(assets: &Assets, name: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    let info = find(name)?;
    let setup = (info.setup)(&Models::new(assets)?)?;
    Ok(Box::new(Control::new(info.name, setup, seed)?))
}

/// As [`load`], with the models' textures: the same episodes, to be drawn by an
/// [`EglRenderer`](crate::mujoco::EglRenderer). Making the textures takes 50 times as long as the rest of a model.
///
/// # Errors
///
/// Those of [`load`].
pub fn load_textured(name: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    let info = find(name)?;
    let setup = (info.setup)(&Models::new(&Assets::locate()?)?.textured())?;
    Ok(Box::new(Control::new(info.name, setup, seed)?))
}

/// The simulation of a task without the task: what its physics alone costs.
pub struct BareSimulation(Control);

impl std::fmt::Debug for BareSimulation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("BareSimulation").finish_non_exhaustive()
    }
}

impl BareSimulation {
    /// Loads the model of the task called `name` and draws a start state.
    ///
    /// # Errors
    ///
    /// Those of [`load`] and of [`Environment::reset`].
    pub fn load(name: &str, seed: u32) -> Result<Self, EnvError> {
        let info = find(name)?;
        let setup = (info.setup)(&Models::new(&Assets::locate()?)?)?;
        Self::of(Control::new(info.name, setup, seed)?)
    }

    /// The simulation of `control`, in a start state. Cameras move, as they do by default.
    pub(crate) fn of(mut control: Control) -> Result<Self, EnvError> {
        control.physics_mut().0.move_cameras(true);
        control.reset()?;
        Ok(Self(control))
    }

    /// Draws a start state, the same that the task's environment would have.
    ///
    /// # Errors
    ///
    /// Those of [`Environment::reset`].
    pub fn reset(&mut self) -> Result<(), EnvError> {
        self.0.reset().map(|_| ())
    }

    /// Sets the controls and makes the physics steps of one control step by `mj_step`; nothing is observed or checked.
    ///
    /// # Panics
    ///
    /// If `action` does not have the task's length.
    pub fn step(&mut self, action: &[f64]) {
        let (physics, substeps) = self.0.physics_mut();
        physics.ctrl_mut().copy_from_slice(action);
        for _ in 0..substeps {
            Simulation::step(physics);
        }
    }
}
