//! A point mass in the plane: move it to the target.
//!
//! Source: `suite/point_mass.py` of `dm_control` 1.0.50, on its `point_mass.xml`.

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{SMALL_CONTROL, Tolerance, difference, mean, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;

struct PointMass {
    target: usize,
    mass: usize,
}

pub(super) fn easy(models: &Models) -> Result<Setup, EnvError> {
    let physics = models.physics("point_mass.xml")?;
    let task = PointMass { target: physics.geom("target")?, mass: physics.geom("pointmass")? };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Task for PointMass {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        randomize_limited_and_rotational_joints(physics, random);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").extend(physics.qpos());
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let to_target = difference(physics.geom_xpos()[self.target], physics.geom_xpos()[self.mass]);
        let target_size = physics.geom_size()[self.target][0];
        let near_target = Tolerance::within(0.0, target_size).margin(target_size).of(norm(to_target));
        near_target * ((mean(physics.ctrl(), |u| SMALL_CONTROL.of(u)) + 4.0) / 5.0)
    }
}
