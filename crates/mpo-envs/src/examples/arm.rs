//! An arm of two links reaches for a point: a MuJoCo model, a start state, an observation and a reward.

use std::f64::consts::PI;

use mpo_envs::mjcf::{Mjcf, Observation, Task};
use mpo_envs::mujoco::{Fault, Physics};
use mpo_envs::{EnvError, Environment, RandomState};

/// Metres from the target at which the reward has fallen to a half.
const NEAR: f64 = 0.1;
/// Metres from the shoulder between which targets lie.
const REACH: [f64; 2] = [0.2, 0.5];

struct Arm {
    hand: usize,
    target: usize,
}

/// The environment; `seed` decides the start states. 6 observations, 2 actions, 200 steps of 0.02 s.
///
/// # Errors
///
/// When MuJoCo is not installed.
pub fn arm(seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    // A file of your own is `Mjcf::file("own/arm", "arm.xml")`; this one is part of the program.
    let model = Mjcf::text("example/arm", include_str!("arm.xml")).control_timestep(0.02).episode_seconds(4.0);
    model.environment(seed, |physics| Ok(Arm { hand: physics.site("hand")?, target: physics.site("target")? }))
}

impl Arm {
    /// From the hand to the target, in metres.
    fn to_target(&self, physics: &Physics) -> [f64; 2] {
        let places = physics.site_xpos();
        [0, 1].map(|axis| places[self.target][axis] - places[self.hand][axis])
    }
}

impl Task for Arm {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.qpos_mut().fill_with(|| random.uniform(-0.5 * PI, 0.5 * PI));
        let (angle, distance) = (random.uniform(-PI, PI), random.uniform(REACH[0], REACH[1]));
        physics.site_pos_mut()[self.target] = [distance * angle.cos(), distance * angle.sin(), 0.0];
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("angles").extend(physics.qpos());
        observation.part("velocities").extend(physics.qvel());
        observation.part("to_target").extend(&self.to_target(physics));
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let [x, y] = self.to_target(physics);
        1.0 / (1.0 + (x.hypot(y) / NEAR).powi(2))
    }
}
