//! A planar walker that stands, walks or runs.
//!
//! Source: `suite/walker.py` of `dm_control` 1.0.50, on its `walker.xml`.

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{Sigmoid, Tolerance};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 25.0;
const CONTROL_TIMESTEP: f64 = 0.025;
/// Height of the torso in metres from which it stands.
const STAND_HEIGHT: f64 = 1.2;
/// Metres per second.
const WALK_SPEED: f64 = 1.0;
/// Metres per second.
const RUN_SPEED: f64 = 8.0;

struct PlanarWalker {
    /// Tolerance of the horizontal velocity; `None` when standing is all.
    moving: Option<Tolerance>,
    torso: usize,
    subtree_velocity: usize,
}

pub(super) fn stand(models: &Models) -> Result<Setup, EnvError> {
    walker(models, None)
}

pub(super) fn walk(models: &Models) -> Result<Setup, EnvError> {
    walker(models, Some(WALK_SPEED))
}

pub(super) fn run(models: &Models) -> Result<Setup, EnvError> {
    walker(models, Some(RUN_SPEED))
}

fn walker(models: &Models, speed: Option<f64>) -> Result<Setup, EnvError> {
    let physics = models.physics("walker.xml")?;
    let moving = |speed| Tolerance::within(speed, f64::INFINITY).margin(speed / 2.0).sigmoid(Sigmoid::Linear, 0.5);
    let task = PlanarWalker {
        moving: speed.map(moving),
        torso: physics.body("torso")?,
        subtree_velocity: physics.sensor("torso_subtreelinvel")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Task for PlanarWalker {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        randomize_limited_and_rotational_joints(physics, random);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("orientations");
        for matrix in &physics.xmat()[1..] {
            observation.push(matrix[0]).push(matrix[2]);
        }
        observation.part("height").push(physics.xpos()[self.torso][2]);
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let standing = Tolerance::within(STAND_HEIGHT, f64::INFINITY).margin(STAND_HEIGHT / 2.0);
        let upright = f64::midpoint(1.0, physics.xmat()[self.torso][8]);
        let stand_reward = (3.0 * standing.of(physics.xpos()[self.torso][2]) + upright) / 4.0;
        let Some(moving) = self.moving else { return stand_reward };
        let move_reward = moving.of(physics.sensordata()[self.subtree_velocity]);
        stand_reward * (5.0 * move_reward + 1.0) / 6.0
    }
}
