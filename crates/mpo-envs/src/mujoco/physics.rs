//! Stepping and resetting in the order that `dm_control.mujoco.Physics` has.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use super::sys::{Library, ObjectKind, Simulation, WARNINGS};
use crate::EnvError;
use crate::render::Scene;

/// Why an episode cannot start or go on. The environment turns it into an [`EnvError`] that names the task.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// MuJoCo raised warnings.
    Warning {
        /// Simulation time in seconds before the step.
        time: f64,
        /// The warnings, separated by commas.
        names: String,
    },
    /// No start state without contacts was found.
    NoFreeState {
        /// How many states were drawn.
        attempts: usize,
    },
}

/// A simulation that checks itself, and finds things by name.
///
/// It dereferences to [`Simulation`], which has the arrays: `physics.qpos()[physics.joint_position("hinge")?]`.
#[derive(Debug)]
pub struct Physics {
    simulation: Simulation,
    model: String,
    /// What to do when a name is missing.
    cure: &'static str,
    kinematics_only: bool,
    /// How often MuJoCo had raised each warning when it was last looked at.
    warnings: [i32; WARNINGS.len()],
}

impl Deref for Physics {
    type Target = Simulation;

    fn deref(&self) -> &Simulation {
        &self.simulation
    }
}

impl DerefMut for Physics {
    fn deref_mut(&mut self) -> &mut Simulation {
        &mut self.simulation
    }
}

impl Physics {
    /// Compiles MJCF text, called `model` in errors; `assets` are the files that it includes, by the names used there.
    /// What is to be done when the model lacks something is said in `cure`.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`] with MuJoCo's message.
    pub(crate) fn from_xml(
        library: &Arc<Library>,
        model: &str,
        xml: &str,
        assets: &[(&str, &str)],
        cure: &'static str,
    ) -> Result<Self, EnvError> {
        Self::new(Simulation::compile(library, xml, assets), model.to_owned(), cure)
    }

    /// Compiles the MJCF file at `path`, with the files that it names.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`] with MuJoCo's message.
    pub(crate) fn from_file(library: &Arc<Library>, path: &Path, cure: &'static str) -> Result<Self, EnvError> {
        Self::new(Simulation::compile_file(library, path), path.display().to_string(), cure)
    }

    fn new(compiled: Result<Simulation, String>, model: String, cure: &'static str) -> Result<Self, EnvError> {
        match compiled {
            Ok(simulation) => {
                let mut physics =
                    Self { simulation, model, cure, kinematics_only: false, warnings: [0; WARNINGS.len()] };
                // They are 2 % of the lightest model's step, and only pictures need them.
                physics.simulation.move_cameras(false);
                // As dm_control does at construction; a warning in the initial state is no error there either.
                let _ = physics.after_reset();
                Ok(physics)
            }
            Err(reason) => Err(EnvError::InvalidModel { model, reason }),
        }
    }

    /// Promises that between steps nothing is read but positions, velocities and the places and orientations of bodies,
    /// geoms and sites. A Runge-Kutta step begins by computing everything anew, so the rest may then be left stale.
    pub(crate) fn kinematics_only(mut self) -> Self {
        self.kinematics_only = self.simulation.runge_kutta();
        self
    }

    /// Back to the model's initial state. Warnings of that state do not count: it is about to be randomised.
    pub(crate) fn reset(&mut self) {
        self.simulation.reset_data();
        self.warnings = self.simulation.warnings();
        let _ = self.after_reset();
    }

    /// Recomputes everything from the positions and velocities just set. The actuators are off, because there are no
    /// meaningful controls yet. An environment does it by itself after a start state was drawn; what draws may need it
    /// to see contacts or the places of bodies.
    ///
    /// # Errors
    ///
    /// [`Fault::Warning`] when MuJoCo warns.
    pub fn after_reset(&mut self) -> Result<(), Fault> {
        self.checked(|simulation| {
            let was_on = simulation.enable_actuation(false);
            simulation.forward();
            simulation.enable_actuation(was_on);
        })
    }

    /// Advances by `count` physics steps such that all position- and velocity-dependent fields belong to the state at
    /// the end (Tunyasuvunakool et al. 2020, page 6): `mj_step1` was called for the present state already, by the
    /// previous call or by a forward computation.
    ///
    /// # Errors
    ///
    /// [`Fault::Warning`] when MuJoCo warns.
    pub fn step(&mut self, count: usize) -> Result<(), Fault> {
        let kinematics_only = self.kinematics_only;
        self.checked(|simulation| {
            if simulation.runge_kutta() {
                simulation.step();
            } else {
                simulation.step2();
            }
            for _ in 1..count {
                simulation.step();
            }
            // What is not sound raises its warning in the full computation.
            if kinematics_only && simulation.is_sound() {
                simulation.kinematics();
            } else {
                simulation.step1();
            }
        })
    }

    /// Draws start states until one has no contacts.
    ///
    /// # Errors
    ///
    /// [`Fault::NoFreeState`] when none of 1000 has, and the draw's own errors.
    pub fn until_free(&mut self, mut draw: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        const ATTEMPTS: usize = 1000;
        for _ in 0..ATTEMPTS {
            draw(self)?;
            self.after_reset()?;
            if self.contacts() == 0 {
                return Ok(());
            }
        }
        Err(Fault::NoFreeState { attempts: ATTEMPTS })
    }

    /// What the model's camera with the index `camera` sees; a free camera looks on when there is no such one.
    pub(crate) fn scene(&mut self, camera: usize) -> Scene {
        self.with_cameras(|simulation| simulation.scene(camera))
    }

    /// What `look` returns when cameras and lights, which steps leave behind, are where they belong.
    pub(crate) fn with_cameras<T>(&mut self, look: impl FnOnce(&mut Simulation) -> T) -> T {
        self.simulation.move_cameras(true);
        self.simulation.step1();
        let seen = look(&mut self.simulation);
        self.simulation.move_cameras(false);
        seen
    }

    fn checked(&mut self, advance: impl FnOnce(&mut Simulation)) -> Result<(), Fault> {
        let (time, before) = (self.simulation.time(), self.warnings);
        advance(&mut self.simulation);
        let after = self.simulation.warnings();
        self.warnings = after;
        if after == before {
            return Ok(());
        }
        // Counts fall when MuJoCo resets its data, which is no warning.
        let raised = WARNINGS.iter().zip(before.iter().zip(&after)).filter(|(_, (before, after))| after > before);
        let names = raised.map(|(name, _)| *name).collect::<Vec<_>>();
        if names.is_empty() { Ok(()) } else { Err(Fault::Warning { time, names: names.join(", ") }) }
    }

    /// Index of the body called `name`; so for the other kinds.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`], with the nearest name, when the model has none.
    pub fn body(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Body, name)
    }

    /// Index of the geom called `name`.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn geom(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Geom, name)
    }

    /// Index of the site called `name`.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn site(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Site, name)
    }

    /// Index of the joint called `name`.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn joint(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Joint, name)
    }

    /// Where in `qpos` the joint's first number lies.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn joint_position(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.jnt_qposadr()[self.joint(name)?] as usize)
    }

    /// Where in `qvel` the joint's first number lies.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn joint_velocity(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.jnt_dofadr()[self.joint(name)?] as usize)
    }

    /// Where in `sensordata` the sensor's first number lies.
    ///
    /// # Errors
    ///
    /// As [`body`](Self::body).
    pub fn sensor(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.sensor_adr()[self.named(ObjectKind::Sensor, name)?] as usize)
    }

    fn named(&self, kind: ObjectKind, name: &str) -> Result<usize, EnvError> {
        self.find(kind, name).ok_or_else(|| {
            let named = self.names_of(kind).filter(|known| !known.is_empty());
            let nearest = named.min_by_key(|known| strsim::damerau_levenshtein(known, name));
            let nearest = nearest.map_or_else(String::new, |known| format!(" (the nearest is `{known}`)"));
            EnvError::InvalidModel {
                model: self.model.clone(),
                reason: format!("it has no {kind:?} called `{name}`{nearest}; {}", self.cure),
            }
        })
    }
}
