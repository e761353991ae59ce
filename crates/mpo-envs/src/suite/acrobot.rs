//! Two links with a motor in the elbow only: swing the tip up to the target and balance there.
//!
//! Source: `suite/acrobot.py` of `dm_control` 1.0.50, on its `acrobot.xml`.

use std::f64::consts::PI;

use super::models::Models;
use super::rewards::{Tolerance, difference, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 10.0;

struct Balance {
    sparse: bool,
    joints: [usize; 2],
    arms: [usize; 2],
    target: usize,
    tip: usize,
}

/// The reward is smooth, or with `sparse` an indicator.
pub(super) fn balance(models: &Models, sparse: bool) -> Result<Setup, EnvError> {
    let physics = models.physics("acrobot.xml")?.kinematics_only();
    let task = Balance {
        sparse,
        joints: [physics.joint_position("shoulder")?, physics.joint_position("elbow")?],
        arms: [physics.body("upper_arm")?, physics.body("lower_arm")?],
        target: physics.site("target")?,
        tip: physics.site("tip")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Task for Balance {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        for joint in self.joints {
            physics.qpos_mut()[joint] = random.uniform(-PI, PI);
        }
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let arms = self.arms.map(|arm| &physics.xmat()[arm]);
        observation.part("orientations").extend(&arms.map(|arm| arm[2])).extend(&arms.map(|arm| arm[8]));
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let to_target = difference(physics.site_xpos()[self.target], physics.site_xpos()[self.tip]);
        let radius = physics.site_size()[self.target][0];
        let margin = if self.sparse { 0.0 } else { 1.0 };
        Tolerance::within(0.0, radius).margin(margin).of(norm(to_target))
    }
}
