//! What the two bodies have in common: the frame of their models, and what a course asks of them.

use std::fmt::Write as _;

use super::pool::Pool;
use crate::mjcf::Observation;
use crate::mujoco::Physics;
use crate::{EnvError, RandomState};

/// A body that runs over a course.
pub(super) trait Runner: Send {
    /// Height of the torso in metres when it stands.
    fn standing(&self) -> f64;

    /// Draws a start state at the beginning of the course.
    fn place(&self, physics: &mut Physics, random: &mut RandomState);

    /// The torso's place.
    fn position(&self, physics: &Physics) -> [f64; 3];

    /// Appends what it knows of itself; `height` is that of its torso above its footing.
    fn proprioception(&self, physics: &Physics, height: f64, observation: &mut Observation);

    fn reward(&self, physics: &Physics) -> f64;

    /// Whether it lies rather than stands; `height` as above.
    fn fallen(&self, physics: &Physics, height: f64) -> bool;
}

/// The parts of a body's model.
pub(super) struct BodyModel {
    pub(super) body: String,
    pub(super) motors: String,
    pub(super) sensors: String,
    /// Of the joints that do not say otherwise, in N m s/rad and kg m^2.
    pub(super) damping: f64,
    pub(super) armature: f64,
    /// Seconds per physics step.
    pub(super) timestep: f64,
}

impl BodyModel {
    /// The whole model: the body, a pool of `boxes`, and the ground's plane `floor` metres below the track.
    ///
    /// The body meets the course and not itself: its geoms have bit 1 in `contype`, the course's in `conaffinity`. Limbs
    /// that shall meet have bit 2, on one side here and on the other there.
    pub(super) fn mjcf(&self, boxes: usize, floor: f64) -> String {
        let Self { body, motors, sensors, damping, armature, timestep } = self;
        let mut text = format!(
            r#"<mujoco>
<compiler angle="degree" autolimits="true"/>
<option timestep="{timestep}"/>
<statistic center="0 0 1" extent="4"/>
<visual><map znear="0.02"/></visual>
<default>
  <joint type="hinge" damping="{damping}" armature="{armature}" limited="true"/>
  <geom type="capsule" contype="1" conaffinity="0" friction="0.9 0.005 0.0001" rgba="0.75 0.55 0.35 1"/>
  <motor ctrllimited="true" ctrlrange="-1 1"/>
  <default class="course"><geom contype="0" conaffinity="1" friction="0.9 0.005 0.0001"/></default>
</default>
<worldbody>
<light name="sun" directional="true" pos="0 0 5" dir="-0.3 0.4 -0.87"/>
<geom name="floor" class="course" type="plane" size="0 0 1" pos="0 0 {depth}" rgba="1 1 1 1"/>
{body}
"#,
            depth = -floor,
        );
        text += &Pool::mjcf(boxes);
        let _ =
            write!(text, "</worldbody>\n<actuator>\n{motors}</actuator>\n<sensor>\n{sensors}</sensor>\n</mujoco>\n");
        text
    }
}

/// A torque as MuJoCo applies it: bounded by what the motor can.
pub(super) fn bounded(torque: f64) -> f64 {
    torque.clamp(-1.0, 1.0)
}

/// A touch sensor's force as it is observed: `ln(1 + force / weight)`.
pub(super) fn touch(force: f64, weight: f64) -> f64 {
    (force / weight).ln_1p()
}

/// Weight in newtons of the moving body. The boxes of the pool, which stand still, have a mass as well.
pub(super) fn weight(physics: &Physics, torso: &str) -> Result<f64, EnvError> {
    const GRAVITY: f64 = 9.81;
    let first = physics.body(torso)?;
    let moving = physics.body_mass().iter().zip(physics.body_weldid()).skip(first).filter(|(_, root)| **root != 0);
    Ok(GRAVITY * moving.map(|(mass, _)| mass).sum::<f64>())
}
