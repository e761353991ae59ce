//! A planar swimmer of several links in a viscous fluid: swim to the target with the nose.
//!
//! Source: `suite/swimmer.py` of `dm_control` 1.0.50, on its `swimmer.xml`.

use std::fmt::Write;

use super::models::Models;
use super::randomizers::randomize_limited_and_rotational_joints;
use super::rewards::{Sigmoid, Tolerance, difference, into_frame, norm};
use super::xml;
use crate::mjcf::{Observation, Setup, Task};
use crate::mujoco::{Fault, Physics};
use crate::{EnvError, RandomState};

const TIME_LIMIT: f64 = 30.0;
const CONTROL_TIMESTEP: f64 = 0.03;
/// Probability of a target near the middle.
const CLOSE_TARGET: f64 = 0.2;
/// Numbers in `sensordata` before the velocimeter and the gyroscope of the head.
const FIRST_VELOCITY: usize = 12;
/// Index of the light above the target; the other one is the head's.
const TARGET_LIGHT: usize = 0;
const FILE: &str = "swimmer.xml";

struct Swimmer {
    target: usize,
    nose: usize,
    head: usize,
}

/// A swimmer of `links` links.
pub(super) fn swimmer(models: &Models, links: usize) -> Result<Setup, EnvError> {
    let text = with_links(&models.read(FILE)?, links).ok_or_else(|| EnvError::InvalidModel {
        model: FILE.to_owned(),
        reason: "it has no head to attach links to; run `cargo xtask setup` for the pinned files".to_owned(),
    })?;
    let physics = models.compile(FILE, &text)?;
    let task = Swimmer { target: physics.geom("target")?, nose: physics.geom("nose")?, head: physics.body("head")? };
    Ok(Setup { physics, task: Box::new(task), time_limit: TIME_LIMIT, control_timestep: Some(CONTROL_TIMESTEP) })
}

/// Moves the cameras that follow the swimmer away from it, in proportion to its length.
fn with_cameras(text: &str, links: usize) -> String {
    let farther = |number: &str| number.parse().map_or(0.0, |number: f64| number * links as f64 / 6.0).to_string();
    xml::edit_tags(text, |name, tag| {
        let follows = name == "camera" && tag.contains("mode=\"trackcom\"");
        let moved = |position: &str| position.split(' ').map(farther).collect::<Vec<_>>().join(" ");
        follows.then(|| xml::with_attribute(tag, "pos", moved)).flatten()
    })
}

/// The file has the head only: hangs a chain of bodies on it, with a motor and velocity sensors for each. The joints
/// may together bend by a full turn.
fn with_links(text: &str, links: usize) -> Option<String> {
    let (mut bodies, mut motors, mut sensors) = (String::new(), String::new(), String::new());
    let limit = 360.0 / links as f64;
    for i in 0..links - 1 {
        let body = format!(
            r#"<body name="segment_{i}" pos="0 .1 0"><geom class="visual" name="visual_{i}"/><geom class="inertial" name="inertial_{i}"/><site name="site_{i}"/><joint name="joint_{i}" range="-{limit} {limit}"/>"#
        );
        let sensor =
            format!(r#"<velocimeter name="velocimeter_{i}" site="site_{i}"/><gyro name="gyro_{i}" site="site_{i}"/>"#);
        bodies += &body;
        sensors += &sensor;
        let _ = write!(motors, r#"<motor name="motor_{i}" joint="joint_{i}"/>"#);
    }
    bodies += &"</body>".repeat(links - 1);
    let text = with_cameras(text, links);
    let (before, after) = text.split_once("</body>")?;
    let (middle, end) = after.rsplit_once("</mujoco>")?;
    Some(format!(
        "{before}{bodies}</body>{middle}<actuator>{motors}</actuator><sensor>{sensors}</sensor></mujoco>{end}"
    ))
}

impl Swimmer {
    /// Vector from the nose to the target in the head's frame.
    fn nose_to_target(&self, physics: &Physics) -> [f64; 2] {
        let global = difference(physics.geom_xpos()[self.target], physics.geom_xpos()[self.nose]);
        let [x, y, _] = into_frame(global, &physics.xmat()[self.head]);
        [x, y]
    }
}

impl Task for Swimmer {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        randomize_limited_and_rotational_joints(physics, random);
        let bound = if random.random_sample() < CLOSE_TARGET { 0.3 } else { 2.0 };
        let x = random.uniform(-bound, bound);
        let y = random.uniform(-bound, bound);
        physics.geom_pos_mut()[self.target][..2].copy_from_slice(&[x, y]);
        physics.light_pos_mut()[TARGET_LIGHT][..2].copy_from_slice(&[x, y]);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        // Without the position and orientation of the head.
        observation.part("joints").extend(&physics.qpos()[3..]);
        observation.part("to_target").extend(&self.nose_to_target(physics));
        observation.part("body_velocities");
        for velocity in physics.sensordata()[FIRST_VELOCITY..].as_chunks::<6>().0 {
            observation.extend(&[velocity[0], velocity[1], velocity[5]]);
        }
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let target_size = physics.geom_size()[self.target][0];
        let near = Tolerance::within(0.0, target_size).margin(5.0 * target_size).sigmoid(Sigmoid::LongTail, 0.1);
        near.of(norm(self.nose_to_target(physics)))
    }
}
