//! A fish: hold it upright, or swim to a target.
//!
//! Source: `suite/fish.py` of `dm_control` 1.0.50, on its `fish.xml`.

use super::models::Models;
use super::rewards::{Tolerance, difference, into_frame, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 40.0;
const CONTROL_TIMESTEP: f64 = 0.04;
const JOINTS: [&str; 7] =
    ["tail1", "tail_twist", "tail2", "finright_roll", "finright_pitch", "finleft_roll", "finleft_pitch"];

struct Fish {
    swimming: bool,
    root: usize,
    joints: [usize; 7],
    torso: usize,
    mouth: usize,
    target: usize,
}

pub(super) fn upright(models: &Models) -> Result<Setup, EnvError> {
    fish(models, false)
}

pub(super) fn swim(models: &Models) -> Result<Setup, EnvError> {
    fish(models, true)
}

fn fish(models: &Models, swimming: bool) -> Result<Setup, EnvError> {
    let physics = models.physics("fish.xml")?;
    let mut joints = [0; 7];
    for (joint, name) in joints.iter_mut().zip(JOINTS) {
        *joint = physics.joint_position(name)?;
    }
    let task = Fish {
        swimming,
        root: physics.joint_position("root")?,
        joints,
        torso: physics.body("torso")?,
        mouth: physics.geom("mouth")?,
        target: physics.geom("target")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Fish {
    /// Projection of the torso's z axis on the world's.
    fn upright(&self, physics: &Physics) -> f64 {
        physics.xmat()[self.torso][8]
    }

    /// Vector from the mouth to the target in the mouth's frame.
    fn mouth_to_target(&self, physics: &Physics) -> [f64; 3] {
        let global = difference(physics.geom_xpos()[self.target], physics.geom_xpos()[self.mouth]);
        into_frame(global, &physics.geom_xmat()[self.mouth])
    }
}

impl Task for Fish {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        let quaternion: [f64; 4] = std::array::from_fn(|_| random.randn());
        let length = norm(quaternion);
        physics.qpos_mut()[self.root + 3..self.root + 7].copy_from_slice(&quaternion.map(|x| x / length));
        for joint in self.joints {
            physics.qpos_mut()[joint] = random.uniform(-0.2, 0.2);
        }
        if self.swimming {
            let position = [random.uniform(-0.4, 0.4), random.uniform(-0.4, 0.4), random.uniform(0.1, 0.3)];
            physics.geom_pos_mut()[self.target] = position;
        } else {
            // Nothing to swim to, so nothing to see.
            physics.geom_rgba_mut()[self.target][3] = 0.0;
        }
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("joint_angles").extend(&self.joints.map(|joint| physics.qpos()[joint]));
        observation.part("upright").push(self.upright(physics));
        if self.swimming {
            observation.part("target").extend(&self.mouth_to_target(physics));
        }
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        if !self.swimming {
            return Tolerance::within(1.0, 1.0).margin(1.0).of(self.upright(physics));
        }
        let radii = physics.geom_size()[self.mouth][0] + physics.geom_size()[self.target][0];
        let near = Tolerance::within(0.0, radii).margin(2.0 * radii);
        let in_target = near.of(norm(self.mouth_to_target(physics)));
        let is_upright = 0.5 * (self.upright(physics) + 1.0);
        (7.0 * in_target + is_upright) / 8.0
    }
}
