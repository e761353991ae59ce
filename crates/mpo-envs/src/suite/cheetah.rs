//! A planar cheetah that runs.
//!
//! Source: `suite/cheetah.py` of `dm_control` 1.0.50, on its `cheetah.xml`.

use super::models::Models;
use super::rewards::{Sigmoid, Tolerance};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 10.0;
/// Speed in metres per second from which the reward is 1.
const RUN_SPEED: f64 = 10.0;
/// Physics steps in which the body settles on the ground before an episode.
const SETTLING_STEPS: usize = 200;
const FAST: Tolerance = Tolerance::within(RUN_SPEED, f64::INFINITY).margin(RUN_SPEED).sigmoid(Sigmoid::Linear, 0.0);

struct Cheetah {
    subtree_velocity: usize,
}

pub(super) fn run(models: &Models) -> Result<Setup, EnvError> {
    let physics = models.physics("cheetah.xml")?;
    let task = Cheetah { subtree_velocity: physics.sensor("torso_subtreelinvel")? };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Task for Cheetah {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        // Every joint has one degree of freedom, so that joints and positions have the same indices.
        for joint in 0..physics.jnt_type().len() {
            if physics.jnt_limited()[joint] {
                let [low, high] = physics.jnt_range()[joint];
                physics.qpos_mut()[joint] = random.uniform(low, high);
            }
        }
        physics.step(SETTLING_STEPS)?;
        physics.set_time(0.0);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        // Without the horizontal position.
        observation.part("position").extend(&physics.qpos()[1..]);
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        FAST.of(physics.sensordata()[self.subtree_velocity])
    }
}
