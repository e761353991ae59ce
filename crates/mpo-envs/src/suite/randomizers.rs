//! Random joint configurations.

use std::f64::consts::PI;

use super::rewards::norm;
use crate::RandomState;
use crate::mujoco::{JointType, Physics};

/// `randomize_limited_and_rotational_joints`: limited hinges and slides uniformly within their range, unlimited
/// hinges uniformly in [-pi, pi); a free joint gets an orientation and keeps its place.
///
/// The free joint's quaternion is drawn from the *positive* orthant, which `dm_control` keeps so that its benchmark
/// results stay comparable. None of the suite's models has a ball joint.
pub(crate) fn randomize_limited_and_rotational_joints(physics: &mut Physics, random: &mut RandomState) {
    for joint in 0..physics.jnt_type().len() {
        let address = physics.jnt_qposadr()[joint] as usize;
        let limited = physics.jnt_limited()[joint];
        let [low, high] = physics.jnt_range()[joint];
        match (physics.joint_type(joint), limited) {
            (JointType::Hinge | JointType::Slide, true) => physics.qpos_mut()[address] = random.uniform(low, high),
            (JointType::Hinge, false) => physics.qpos_mut()[address] = random.uniform(-PI, PI),
            (JointType::Free, false) => {
                let quaternion: [f64; 4] = std::array::from_fn(|_| random.random_sample());
                let length = norm(quaternion);
                physics.qpos_mut()[address + 3..address + 7].copy_from_slice(&quaternion.map(|x| x / length));
            }
            _ => {}
        }
    }
}
