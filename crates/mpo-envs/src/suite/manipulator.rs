//! A planar arm with a hand: bring the ball to the target.
//!
//! Source: `suite/manipulator.py` of `dm_control` 1.0.50, on its `manipulator.xml`.

use std::f64::consts::{PI, TAU};

use super::models::Models;
use super::rewards::{Tolerance, difference, norm};
use super::xml;
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 10.0;
const CONTROL_TIMESTEP: f64 = 0.01;
/// Distance in metres below which a thing is at its place.
const CLOSE: f64 = 0.01;
/// Probabilities that an episode starts with the ball in the hand, in the target, or anywhere.
const START: [f64; 3] = [IN_HAND, IN_TARGET, 1.0 - IN_HAND - IN_TARGET];
const IN_HAND: f64 = 0.1;
const IN_TARGET: f64 = 0.1;
const ARM_JOINTS: [&str; 8] =
    ["arm_root", "arm_shoulder", "arm_elbow", "arm_wrist", "finger", "fingertip", "thumb", "thumbtip"];
const BALL_JOINTS: [&str; 3] = ["ball_x", "ball_z", "ball_y"];
const TOUCH_SENSORS: [&str; 5] = ["palm_touch", "finger_touch", "thumb_touch", "fingertip_touch", "thumbtip_touch"];
/// Bodies of the file that serve other tasks.
const UNUSED_PROPS: [&str; 4] = ["cup", "peg", "slot", "target_peg"];
const FILE: &str = "manipulator.xml";

struct BringBall {
    arm: [Joint; 8],
    finger: usize,
    thumb: usize,
    ball: [Joint; 3],
    touch: [usize; 5],
    hand_body: usize,
    ball_body: usize,
    target_body: usize,
    grasp_site: usize,
    ball_site: usize,
    target_site: usize,
}

#[derive(Clone, Copy, Default)]
struct Joint {
    /// Where its angle may start.
    range: [f64; 2],
    position: usize,
    velocity: usize,
}

fn joints<const N: usize>(physics: &Physics, names: [&str; N]) -> Result<[Joint; N], EnvError> {
    let mut joints = [Joint::default(); N];
    for (joint, name) in joints.iter_mut().zip(names) {
        let index = physics.joint(name)?;
        *joint = Joint {
            range: if physics.jnt_limited()[index] { physics.jnt_range()[index] } else { [-PI, PI] },
            position: physics.joint_position(name)?,
            velocity: physics.joint_velocity(name)?,
        };
    }
    Ok(joints)
}

pub(super) fn bring_ball(models: &Models) -> Result<Setup, EnvError> {
    let mut text = models.read(FILE)?;
    for prop in UNUSED_PROPS {
        text = xml::without_body(&text, prop);
    }
    let physics = models.compile(FILE, &text)?;
    let mut touch = [0; 5];
    for (sensor, name) in touch.iter_mut().zip(TOUCH_SENSORS) {
        *sensor = physics.sensor(name)?;
    }
    let task = BringBall {
        arm: joints(&physics, ARM_JOINTS)?,
        finger: physics.joint_position("finger")?,
        thumb: physics.joint_position("thumb")?,
        ball: joints(&physics, BALL_JOINTS)?,
        touch,
        hand_body: physics.body("hand")?,
        ball_body: physics.body("ball")?,
        target_body: physics.body("target_ball")?,
        grasp_site: physics.site("grasp")?,
        ball_site: physics.site("ball")?,
        target_site: physics.site("target_ball")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

/// x, z, and the quaternion's w and y, which say all about a body in the plane.
fn planar_pose(physics: &Physics, body: usize) -> [f64; 4] {
    let [x, _, z] = physics.xpos()[body];
    let [w, _, y, _] = physics.xquat()[body];
    [x, z, w, y]
}

impl BringBall {
    /// Moves the target to a random pose and returns x, z and angle.
    fn place_target(&self, physics: &mut Physics, random: &mut RandomState) -> [f64; 3] {
        let x = random.uniform(-0.4, 0.4);
        let z = random.uniform(0.1, 0.4);
        let angle = random.uniform(-PI, PI);
        let position = &mut physics.body_pos_mut()[self.target_body];
        (position[0], position[2]) = (x, z);
        let quaternion = &mut physics.body_quat_mut()[self.target_body];
        (quaternion[0], quaternion[2]) = ((angle / 2.0).cos(), (angle / 2.0).sin());
        [x, z, angle]
    }

    /// Draws x, z and angle of the ball.
    fn ball_pose(&self, physics: &mut Physics, random: &mut RandomState, target: [f64; 3]) -> Result<[f64; 3], Fault> {
        match random.choice(&START) {
            0 => {
                physics.after_reset()?;
                let [x, _, z] = physics.site_xpos()[self.grasp_site];
                let grasp = physics.site_xmat()[self.grasp_site];
                Ok([x, z, PI - grasp[6].atan2(grasp[0])])
            }
            1 => Ok(target),
            _ => {
                let pose = [random.uniform(-0.5, 0.5), random.uniform(0.0, 0.7), random.uniform(0.0, TAU)];
                physics.qvel_mut()[self.ball[0].velocity] = random.uniform(-5.0, 5.0);
                Ok(pose)
            }
        }
    }
}

impl Task for BringBall {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.until_free(|physics| {
            for joint in self.arm {
                let [low, high] = joint.range;
                physics.qpos_mut()[joint.position] = random.uniform(low, high);
            }
            // The hand starts symmetric.
            physics.qpos_mut()[self.finger] = physics.qpos()[self.thumb];
            let target = self.place_target(physics, random);
            let pose = self.ball_pose(physics, random, target)?;
            for (joint, value) in self.ball.iter().zip(pose) {
                physics.qpos_mut()[joint.position] = value;
            }
            Ok(())
        })
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let (qpos, qvel) = (physics.qpos(), physics.qvel());
        observation.part("arm_pos");
        for joint in self.arm {
            let (sine, cosine) = qpos[joint.position].sin_cos();
            observation.push(sine).push(cosine);
        }
        observation.part("arm_vel").extend(&self.arm.map(|joint| qvel[joint.velocity]));
        observation.part("touch").extend(&self.touch.map(|sensor| physics.sensordata()[sensor].ln_1p()));
        observation.part("hand_pos").extend(&planar_pose(physics, self.hand_body));
        observation.part("object_pos").extend(&planar_pose(physics, self.ball_body));
        observation.part("object_vel").extend(&self.ball.map(|joint| qvel[joint.velocity]));
        observation.part("target_pos").extend(&planar_pose(physics, self.target_body));
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let to_target = difference(physics.site_xpos()[self.ball_site], physics.site_xpos()[self.target_site]);
        Tolerance::within(0.0, CLOSE).margin(2.0 * CLOSE).of(norm(to_target))
    }
}
