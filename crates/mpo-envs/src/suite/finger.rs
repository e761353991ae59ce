//! A planar finger and a spinner: keep it spinning, or turn its tip to a target.
//!
//! Source: `suite/finger.py` of `dm_control` 1.0.50, on its `finger.xml`.

use std::f64::consts::PI;

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{difference, norm};
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 20.0;
const CONTROL_TIMESTEP: f64 = 0.02;
/// Radius in metres.
const EASY_TARGET_SIZE: f64 = 0.07;
/// Radius in metres.
const HARD_TARGET_SIZE: f64 = 0.03;
/// Radians per second from which the spinner counts as spinning.
const SPIN_VELOCITY: f64 = 15.0;
/// Damping of the spinner's hinge in the spin task; the model's own is larger.
const SPIN_DAMPING: f64 = 0.03;

/// Where the quantities that both tasks observe lie in `sensordata`.
struct Sensors {
    position: [usize; 2],
    velocity: [usize; 3],
    touch: [usize; 2],
    tip: usize,
    spinner: usize,
    target: usize,
}

impl Sensors {
    fn find(physics: &Physics) -> Result<Self, EnvError> {
        Ok(Self {
            position: [physics.sensor("proximal")?, physics.sensor("distal")?],
            velocity: [
                physics.sensor("proximal_velocity")?,
                physics.sensor("distal_velocity")?,
                physics.sensor("hinge_velocity")?,
            ],
            touch: [physics.sensor("touchtop")?, physics.sensor("touchbottom")?],
            tip: physics.sensor("tip")?,
            spinner: physics.sensor("spinner")?,
            target: physics.sensor("target")?,
        })
    }

    /// x and z of a framepos sensor relative to the hinge.
    fn relative(&self, physics: &Physics, sensor: usize) -> [f64; 2] {
        let data = physics.sensordata();
        [0, 2].map(|axis| data[sensor + axis] - data[self.spinner + axis])
    }

    fn tip_position(&self, physics: &Physics) -> [f64; 2] {
        self.relative(physics, self.tip)
    }

    fn target_position(&self, physics: &Physics) -> [f64; 2] {
        self.relative(physics, self.target)
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let data = physics.sensordata();
        observation.part("position").extend(&self.position.map(|sensor| data[sensor]));
        observation.extend(&self.tip_position(physics));
        observation.part("velocity").extend(&self.velocity.map(|sensor| data[sensor]));
        observation.part("touch").extend(&self.touch.map(|sensor| data[sensor].ln_1p()));
    }
}

fn set_random_joint_angles(physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
    physics.until_free(|physics| {
        randomize_limited_and_rotational_joints(physics, random);
        Ok(())
    })
}

struct Spin {
    sensors: Sensors,
    hinge: usize,
    /// What only the other task is about.
    hidden_sites: [usize; 2],
}

pub(super) fn spin(models: &Models) -> Result<Setup, EnvError> {
    let physics = models.physics("finger.xml")?;
    let task = Spin {
        sensors: Sensors::find(&physics)?,
        hinge: physics.joint_velocity("hinge")?,
        hidden_sites: [physics.site("target")?, physics.site("tip")?],
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Task for Spin {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        for site in self.hidden_sites {
            physics.site_rgba_mut()[site][3] = 0.0;
        }
        physics.dof_damping_mut()[self.hinge] = SPIN_DAMPING;
        set_random_joint_angles(physics, random)
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        self.sensors.observe(physics, observation);
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let [_, _, hinge_velocity] = self.sensors.velocity;
        f64::from(physics.sensordata()[hinge_velocity] <= -SPIN_VELOCITY)
    }
}

struct Turn {
    sensors: Sensors,
    target_radius: f64,
    hinge: usize,
    cap: usize,
    target: usize,
}

pub(super) fn turn_easy(models: &Models) -> Result<Setup, EnvError> {
    turn(models, EASY_TARGET_SIZE)
}

pub(super) fn turn_hard(models: &Models) -> Result<Setup, EnvError> {
    turn(models, HARD_TARGET_SIZE)
}

fn turn(models: &Models, target_radius: f64) -> Result<Setup, EnvError> {
    let physics = models.physics("finger.xml")?;
    let task = Turn {
        sensors: Sensors::find(&physics)?,
        target_radius,
        hinge: physics.joint("hinge")?,
        cap: physics.geom("cap1")?,
        target: physics.site("target")?,
    };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

impl Turn {
    /// Signed distance of the tip to the target's surface, negative inside.
    fn dist_to_target(&self, physics: &Physics) -> f64 {
        let to_target = difference(self.sensors.target_position(physics), self.sensors.tip_position(physics));
        norm(to_target) - physics.site_size()[self.target][0]
    }
}

impl Task for Turn {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        let angle = random.uniform(-PI, PI);
        let [hinge_x, _, hinge_z] = physics.xanchor()[self.hinge];
        let radius: f64 = physics.geom_size()[self.cap].iter().sum();
        let position = &mut physics.site_pos_mut()[self.target];
        position[0] = hinge_x + radius * angle.sin();
        position[2] = hinge_z + radius * angle.cos();
        physics.site_size_mut()[self.target][0] = self.target_radius;
        set_random_joint_angles(physics, random)
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        self.sensors.observe(physics, observation);
        observation.part("target_position").extend(&self.sensors.target_position(physics));
        observation.part("dist_to_target").push(self.dist_to_target(physics));
    }

    fn reward(&self, physics: &Physics) -> f64 {
        f64::from(self.dist_to_target(physics) <= 0.0)
    }
}
