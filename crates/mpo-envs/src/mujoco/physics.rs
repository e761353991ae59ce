//! Stepping and resetting in the order that `dm_control.mujoco.Physics` has.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::sys::{Library, ObjectKind, Simulation, WARNINGS};
use crate::EnvError;

/// Why an episode cannot start or go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// MuJoCo raised warnings; `time` in seconds is that before the step.
    Warning { time: f64, names: String },
    /// No start state without contacts was found.
    NoFreeState { attempts: usize },
}

/// A simulation that checks itself, and finds things by name.
#[derive(Debug)]
pub(crate) struct Physics {
    simulation: Simulation,
    model: &'static str,
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
    /// Compiles the MJCF text of the model file called `model`.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`] with MuJoCo's message.
    pub(crate) fn from_xml(
        library: &Arc<Library>,
        model: &'static str,
        xml: &str,
        assets: &[(&str, &str)],
    ) -> Result<Self, EnvError> {
        let simulation = Simulation::compile(library, xml, assets)
            .map_err(|reason| EnvError::InvalidModel { model: model.to_owned(), reason })?;
        let mut physics = Self { simulation, model };
        // As dm_control does at construction; a warning in the initial state is no error there either.
        let _ = physics.after_reset();
        Ok(physics)
    }

    /// Back to the model's initial state. Warnings of that state do not count: it is about to be randomised.
    pub(crate) fn reset(&mut self) {
        self.simulation.reset_data();
        let _ = self.after_reset();
    }

    /// Recomputes everything from the positions and velocities just set. The actuators are off, because there are no
    /// meaningful controls yet.
    pub(crate) fn after_reset(&mut self) -> Result<(), Fault> {
        self.checked(|simulation| {
            let was_on = simulation.enable_actuation(false);
            simulation.forward();
            simulation.enable_actuation(was_on);
        })
    }

    /// Advances by `count` physics steps such that all position- and velocity-dependent fields belong to the state at
    /// the end (Tunyasuvunakool et al. 2020, page 6): `mj_step1` was called for the present state already, by the
    /// previous call or by a forward computation.
    pub(crate) fn step(&mut self, count: usize) -> Result<(), Fault> {
        self.checked(|simulation| {
            if simulation.runge_kutta() {
                simulation.step();
            } else {
                simulation.step2();
            }
            for _ in 1..count {
                simulation.step();
            }
            simulation.step1();
        })
    }

    /// Draws start states until one has no contacts.
    ///
    /// # Errors
    ///
    /// [`Fault::NoFreeState`] when none of 1000 has, and the draw's own errors.
    pub(crate) fn until_free(&mut self, mut draw: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
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

    fn checked(&mut self, advance: impl FnOnce(&mut Simulation)) -> Result<(), Fault> {
        let time = self.simulation.time();
        let before = self.simulation.warnings();
        advance(&mut self.simulation);
        let after = self.simulation.warnings();
        if before.iter().zip(&after).all(|(before, after)| after <= before) {
            return Ok(());
        }
        let raised = WARNINGS.iter().zip(before.iter().zip(&after)).filter(|(_, (before, after))| after > before);
        let names = raised.map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        Err(Fault::Warning { time, names })
    }

    /// Index of the body called `name`; so for the other kinds.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`] when the model has none: the files are not those of the pinned `dm_control`.
    pub(crate) fn body(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Body, name)
    }

    pub(crate) fn geom(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Geom, name)
    }

    pub(crate) fn site(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Site, name)
    }

    pub(crate) fn joint(&self, name: &str) -> Result<usize, EnvError> {
        self.named(ObjectKind::Joint, name)
    }

    /// Where in `qpos` the joint's first number lies.
    pub(crate) fn joint_position(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.jnt_qposadr()[self.joint(name)?] as usize)
    }

    /// Where in `qvel` the joint's first number lies.
    pub(crate) fn joint_velocity(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.jnt_dofadr()[self.joint(name)?] as usize)
    }

    /// Where in `sensordata` the sensor's first number lies.
    pub(crate) fn sensor(&self, name: &str) -> Result<usize, EnvError> {
        Ok(self.sensor_adr()[self.named(ObjectKind::Sensor, name)?] as usize)
    }

    fn named(&self, kind: ObjectKind, name: &str) -> Result<usize, EnvError> {
        self.find(kind, name).ok_or_else(|| EnvError::InvalidModel {
            model: self.model.to_owned(),
            reason: format!("it has no {kind:?} called `{name}`; run `cargo xtask setup` for the pinned files"),
        })
    }
}
