//! A planar arm of two links: reach a random target.
//!
//! Source: `suite/reacher.py` of `dm_control` 1.0.50, on its `reacher.xml`.

use std::f64::consts::TAU;

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{Tolerance, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;
/// Radius in metres.
const BIG_TARGET: f64 = 0.05;
/// Radius in metres.
const SMALL_TARGET: f64 = 0.015;

struct Reacher {
    target_size: f64,
    target: usize,
    finger: usize,
}

pub(super) fn easy(models: &Models) -> Result<Setup, EnvError> {
    reacher(models, BIG_TARGET)
}

pub(super) fn hard(models: &Models) -> Result<Setup, EnvError> {
    reacher(models, SMALL_TARGET)
}

fn reacher(models: &Models, target_size: f64) -> Result<Setup, EnvError> {
    let physics = models.physics("reacher.xml")?;
    let task = Reacher { target_size, target: physics.geom("target")?, finger: physics.geom("finger")? };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Reacher {
    fn finger_to_target(&self, physics: &Physics) -> [f64; 2] {
        let [target, finger] = [self.target, self.finger].map(|geom| physics.geom_xpos()[geom]);
        [target[0] - finger[0], target[1] - finger[1]]
    }
}

impl Task for Reacher {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.geom_size_mut()[self.target][0] = self.target_size;
        randomize_limited_and_rotational_joints(physics, random);
        let angle = random.uniform(0.0, TAU);
        let radius = random.uniform(0.05, 0.20);
        let position = &mut physics.geom_pos_mut()[self.target];
        position[0] = radius * angle.sin();
        position[1] = radius * angle.cos();
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").extend(physics.qpos());
        observation.part("to_target").extend(&self.finger_to_target(physics));
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let radii = physics.geom_size()[self.target][0] + physics.geom_size()[self.finger][0];
        Tolerance::within(0.0, radii).of(norm(self.finger_to_target(physics)))
    }
}
