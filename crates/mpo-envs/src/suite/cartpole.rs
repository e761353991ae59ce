//! Cart and pole: balance the pole, or swing it up first.
//!
//! Source: `suite/cartpole.py` of `dm_control` 1.0.50, on its `cartpole.xml`.

use std::f64::consts::PI;

use super::models::Models;
use super::rewards::{SMALL_CONTROL, Tolerance, mean};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 10.0;
const CART_RANGE: Tolerance = Tolerance::within(-0.25, 0.25);
const ANGLE_COSINE_RANGE: Tolerance = Tolerance::within(0.995, 1.0);

struct Balance {
    swing_up: bool,
    sparse: bool,
    slider: usize,
    hinge: usize,
    pole: usize,
}

/// The pole starts upright, or with `swing_up` hanging; the reward is smooth, or with `sparse` an indicator.
pub(super) fn balance(models: &Models, swing_up: bool, sparse: bool) -> Result<Setup, EnvError> {
    let physics = models.physics("cartpole.xml")?.kinematics_only();
    let task = Balance {
        swing_up,
        sparse,
        slider: physics.joint_position("slider")?,
        hinge: physics.joint_position("hinge_1")?,
        pole: physics.body("pole_1")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: None })
}

impl Balance {
    fn cart_position(&self, physics: &Physics) -> f64 {
        physics.qpos()[self.slider]
    }

    fn pole_angle_cosine(&self, physics: &Physics) -> f64 {
        physics.xmat()[self.pole][8]
    }

    fn pole_angle_sine(&self, physics: &Physics) -> f64 {
        physics.xmat()[self.pole][2]
    }
}

impl Task for Balance {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        if self.swing_up {
            physics.qpos_mut()[self.slider] = 0.01 * random.randn();
            physics.qpos_mut()[self.hinge] = PI + 0.01 * random.randn();
        } else {
            physics.qpos_mut()[self.slider] = random.uniform(-0.1, 0.1);
            physics.qpos_mut()[self.hinge] = random.uniform(-0.034, 0.034);
        }
        physics.qvel_mut().fill_with(|| 0.01 * random.randn());
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").push(self.cart_position(physics));
        observation.push(self.pole_angle_cosine(physics)).push(self.pole_angle_sine(physics));
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let cosine = self.pole_angle_cosine(physics);
        let cart = self.cart_position(physics);
        if self.sparse {
            return CART_RANGE.of(cart) * ANGLE_COSINE_RANGE.of(cosine);
        }
        let upright = f64::midpoint(cosine, 1.0);
        let centered = f64::midpoint(1.0, Tolerance::within(0.0, 0.0).margin(2.0).of(cart));
        let small_control = (4.0 + mean(physics.ctrl(), |u| SMALL_CONTROL.of(u))) / 5.0;
        let velocity = Tolerance::within(0.0, 0.0).margin(5.0);
        let small_velocity = f64::midpoint(1.0, velocity.of(physics.qvel()[1]));
        upright * small_control * small_velocity * centered
    }
}
