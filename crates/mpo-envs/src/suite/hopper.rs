//! A planar hopper on one foot: stand, or hop forward.
//!
//! Source: `suite/hopper.py` of `dm_control` 1.0.50, on its `hopper.xml`.

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{SMALL_CONTROL, Sigmoid, Tolerance, mean};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;
const CONTROL_TIMESTEP: f64 = 0.02;
/// Height in metres of the torso over the foot from which it stands.
const STAND_HEIGHT: f64 = 0.6;
/// Metres per second.
const HOP_SPEED: f64 = 2.0;

const STANDING: Tolerance = Tolerance::within(STAND_HEIGHT, 2.0);
const HOPPING: Tolerance =
    Tolerance::within(HOP_SPEED, f64::INFINITY).margin(HOP_SPEED / 2.0).sigmoid(Sigmoid::Linear, 0.5);

struct Hopper {
    hopping: bool,
    torso: usize,
    foot: usize,
    subtree_velocity: usize,
    touch: [usize; 2],
}

pub(super) fn stand(models: &Models) -> Result<Setup, EnvError> {
    hopper(models, false)
}

pub(super) fn hop(models: &Models) -> Result<Setup, EnvError> {
    hopper(models, true)
}

fn hopper(models: &Models, hopping: bool) -> Result<Setup, EnvError> {
    let physics = models.physics("hopper.xml")?;
    let task = Hopper {
        hopping,
        torso: physics.body("torso")?,
        foot: physics.body("foot")?,
        subtree_velocity: physics.sensor("torso_subtreelinvel")?,
        touch: [physics.sensor("touch_toe")?, physics.sensor("touch_heel")?],
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Task for Hopper {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        randomize_limited_and_rotational_joints(physics, random);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        // Without the horizontal position.
        observation.part("position").extend(&physics.qpos()[1..]);
        observation.part("velocity").extend(physics.qvel());
        observation.part("touch").extend(&self.touch.map(|sensor| physics.sensordata()[sensor].ln_1p()));
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let height = physics.xipos()[self.torso][2] - physics.xipos()[self.foot][2];
        let standing = STANDING.of(height);
        if self.hopping {
            return standing * HOPPING.of(physics.sensordata()[self.subtree_velocity]);
        }
        standing * ((mean(physics.ctrl(), |u| SMALL_CONTROL.of(u)) + 4.0) / 5.0)
    }
}
