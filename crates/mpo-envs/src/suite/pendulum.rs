//! A pendulum with a weak motor: swing it up and hold it.
//!
//! Source: `suite/pendulum.py` of `dm_control` 1.0.50, on its `pendulum.xml`.

use std::f64::consts::PI;

use super::models::Models;
use super::rewards::Tolerance;
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;
/// Degrees from the vertical within which the reward is 1.
const ANGLE_BOUND: f64 = 8.0;

struct SwingUp {
    hinge: usize,
    hinge_velocity: usize,
    pole: usize,
}

pub(super) fn swingup(models: &Models) -> Result<Setup, EnvError> {
    let physics = models.physics("pendulum.xml")?;
    let task = SwingUp {
        hinge: physics.joint_position("hinge")?,
        hinge_velocity: physics.joint_velocity("hinge")?,
        pole: physics.body("pole")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Task for SwingUp {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.qpos_mut()[self.hinge] = random.uniform(-PI, PI);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let pole = &physics.xmat()[self.pole];
        observation.part("orientation").push(pole[8]).push(pole[2]);
        observation.part("velocity").push(physics.qvel()[self.hinge_velocity]);
    }

    fn reward(&self, physics: &Physics) -> f64 {
        Tolerance::within(ANGLE_BOUND.to_radians().cos(), 1.0).of(physics.xmat()[self.pole][8])
    }
}
