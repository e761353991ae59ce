//! A humanoid that stands, walks or runs.
//!
//! Source: `suite/humanoid.py` of `dm_control` 1.0.50, on its `humanoid.xml`.

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{SMALL_CONTROL, Sigmoid, Tolerance, difference, into_frame, mean, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 25.0;
const CONTROL_TIMESTEP: f64 = 0.025;
/// Height of the head in metres from which it stands.
const STAND_HEIGHT: f64 = 1.4;
/// Metres per second.
const WALK_SPEED: f64 = 1.0;
/// Metres per second.
const RUN_SPEED: f64 = 10.0;
/// Numbers in `qpos` that the free joint of the torso takes.
const FREE_JOINT: usize = 7;

const STANDING: Tolerance = Tolerance::within(STAND_HEIGHT, f64::INFINITY).margin(STAND_HEIGHT / 4.0);
const UPRIGHT: Tolerance = Tolerance::within(0.9, f64::INFINITY).margin(1.9).sigmoid(Sigmoid::Linear, 0.0);
const STILL: Tolerance = Tolerance::within(0.0, 0.0).margin(2.0);

struct Humanoid {
    /// Tolerance of the horizontal speed; `None` when it shall stand still.
    moving: Option<Tolerance>,
    torso: usize,
    head: usize,
    /// Left hand, left foot, right hand, right foot.
    extremities: [usize; 4],
    subtree_velocity: usize,
}

pub(super) fn stand(models: &Models) -> Result<Setup, EnvError> {
    humanoid(models, None)
}

pub(super) fn walk(models: &Models) -> Result<Setup, EnvError> {
    humanoid(models, Some(WALK_SPEED))
}

pub(super) fn run(models: &Models) -> Result<Setup, EnvError> {
    humanoid(models, Some(RUN_SPEED))
}

fn humanoid(models: &Models, speed: Option<f64>) -> Result<Setup, EnvError> {
    let physics = models.physics("humanoid.xml")?;
    let moving = |speed| Tolerance::within(speed, f64::INFINITY).margin(speed).sigmoid(Sigmoid::Linear, 0.0);
    let task = Humanoid {
        moving: speed.map(moving),
        torso: physics.body("torso")?,
        head: physics.body("head")?,
        extremities: [
            physics.body("left_hand")?,
            physics.body("left_foot")?,
            physics.body("right_hand")?,
            physics.body("right_foot")?,
        ],
        subtree_velocity: physics.sensor("torso_subtreelinvel")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Humanoid {
    fn head_height(&self, physics: &Physics) -> f64 {
        physics.xpos()[self.head][2]
    }

    fn center_of_mass_velocity<'a>(&self, physics: &'a Physics) -> &'a [f64] {
        &physics.sensordata()[self.subtree_velocity..self.subtree_velocity + 3]
    }
}

impl Task for Humanoid {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.until_free(|physics| {
            randomize_limited_and_rotational_joints(physics, random);
            Ok(())
        })
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let torso = &physics.xmat()[self.torso];
        observation.part("joint_angles").extend(&physics.qpos()[FREE_JOINT..]);
        observation.part("head_height").push(self.head_height(physics));
        observation.part("extremities");
        for limb in self.extremities {
            let from_torso = difference(physics.xpos()[limb], physics.xpos()[self.torso]);
            observation.extend(&into_frame(from_torso, torso));
        }
        observation.part("torso_vertical").extend(&torso[6..]);
        observation.part("com_velocity").extend(self.center_of_mass_velocity(physics));
        observation.part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let upright = UPRIGHT.of(physics.xmat()[self.torso][8]);
        let stand_reward = STANDING.of(self.head_height(physics)) * upright;
        let small_control = (4.0 + mean(physics.ctrl(), |u| SMALL_CONTROL.of(u))) / 5.0;
        let horizontal = &self.center_of_mass_velocity(physics)[..2];
        let Some(moving) = self.moving else {
            return small_control * stand_reward * mean(horizontal, |speed| STILL.of(speed));
        };
        let speed = norm([horizontal[0], horizontal[1]]);
        small_control * stand_reward * ((5.0 * moving.of(speed) + 1.0) / 6.0)
    }
}
