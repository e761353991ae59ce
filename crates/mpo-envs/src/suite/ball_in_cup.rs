//! A cup with a ball on a string: catch the ball.
//!
//! Source: `suite/ball_in_cup.py` of `dm_control` 1.0.50, on its `ball_in_cup.xml`.

use super::models::Models;
use super::rewards::difference;
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;
const CONTROL_TIMESTEP: f64 = 0.02;

struct BallInCup {
    ball_x: usize,
    ball_z: usize,
    ball_body: usize,
    ball_geom: usize,
    target: usize,
}

pub(super) fn catch(models: &Models) -> Result<Setup, EnvError> {
    let physics = models.physics("ball_in_cup.xml")?;
    let task = BallInCup {
        ball_x: physics.joint_position("ball_x")?,
        ball_z: physics.joint_position("ball_z")?,
        ball_body: physics.body("ball")?,
        ball_geom: physics.geom("ball")?,
        target: physics.site("target")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Task for BallInCup {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.until_free(|physics| {
            physics.qpos_mut()[self.ball_x] = random.uniform(-0.2, 0.2);
            physics.qpos_mut()[self.ball_z] = random.uniform(0.2, 0.5);
            Ok(())
        })
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").extend(physics.qpos());
        observation.part("velocity").extend(physics.qvel());
    }

    /// 1 while the ball is wholly inside the target box of the cup, seen from the side.
    fn reward(&self, physics: &Physics) -> f64 {
        let to_target = difference(physics.site_xpos()[self.target], physics.xpos()[self.ball_body]);
        let target_size = physics.site_size()[self.target];
        let ball_size = physics.geom_size()[self.ball_geom][0];
        let inside = [0, 2].iter().all(|axis| to_target[*axis].abs() < target_size[*axis] - ball_size);
        f64::from(inside)
    }
}
