//! The humanoid. 28 degrees of freedom: the six of its torso, which floats, and 22 hinges; 21 of these have a motor, and the
//! neck, a sprung joint, has none.

use super::runner::{BodyModel, Runner, bounded, touch, weight};
use crate::mjcf::Observation;
use crate::mujoco::Physics;
use crate::{EnvError, RandomState};

/// Height of the torso in metres when it stands.
const STANDING: f64 = 1.3;
/// Least height of the torso above its footing, and least cosine of its tilt, of one that has not fallen.
const LEAST_HEIGHT: f64 = 0.85;
const LEAST_UPRIGHT: f64 = 0.4;

/// Reward of a metre per second, up to the fastest that counts, and of a step on its feet; penalties of a square metre from the
/// centre line and of each full torque.
const FORWARD: f64 = 0.25;
const FASTEST: f64 = 4.0;
const ALIVE: f64 = 0.2;
const OFF_CENTER: f64 = 0.05;
const TORQUE: f64 = 0.01;

/// The hinges begin here in `qpos`, after the torso's place and its quaternion.
const HINGES: usize = 7;

/// Bodies whose places are felt, and those with a sensor of touch.
const EXTREMITIES: [&str; 4] = ["left_hand", "right_hand", "left_foot", "right_foot"];
const FEET: [&str; 2] = ["left_sole", "right_sole"];

/// Joints with a motor and its greatest torque in N m.
const TRUNK_MOTORS: [(&str, u32); 3] = [("waist_yaw", 50), ("waist_pitch", 70), ("waist_roll", 60)];
const SIDE_MOTORS: [(&str, u32); 9] = [
    ("hip_roll", 70),
    ("hip_yaw", 50),
    ("hip_pitch", 130),
    ("knee", 100),
    ("ankle_pitch", 50),
    ("ankle_roll", 30),
    ("shoulder_pitch", 35),
    ("shoulder_roll", 35),
    ("elbow", 25),
];

/// One arm. `M` is 1 on the left and -1 on the right, so that the same angle is the same movement.
const ARM: &str = r#"
<body name="SIDE_upper_arm" pos="0 PLACE 0.07">
  <joint name="SIDE_shoulder_pitch" axis="0 -1 0" range="-60 120"/>
  <joint name="SIDE_shoulder_roll" axis="M 0 0" range="-20 95"/>
  <geom name="SIDE_upper_arm" fromto="0 0 0 0 0 -0.26" size="0.038"/>
  <body name="SIDE_forearm" pos="0 0 -0.28">
    <joint name="SIDE_elbow" axis="0 -1 0" range="0 130"/>
    <geom name="SIDE_forearm" fromto="0 0 0 0 0 -0.22" size="0.032"/>
    <body name="SIDE_hand" pos="0 0 -0.26">
      <geom name="SIDE_hand" type="sphere" size="0.042"/>
    </body>
  </body>
</body>
"#;

/// One leg. The legs meet each other, else the easiest gait would be through oneself.
const LEG: &str = r#"
<body name="SIDE_thigh" pos="0 PLACE -0.04">
  <joint name="SIDE_hip_roll" axis="M 0 0" range="-15 35" damping="4"/>
  <joint name="SIDE_hip_yaw" axis="0 0 M" range="-30 40" damping="4"/>
  <joint name="SIDE_hip_pitch" axis="0 -1 0" range="-30 110" damping="4"/>
  <geom name="SIDE_thigh" fromto="0 0 0 0 0 -0.4" size="0.06" MASK/>
  <body name="SIDE_shin" pos="0 0 -0.42">
    <joint name="SIDE_knee" axis="0 1 0" range="-2 145"/>
    <geom name="SIDE_shin" fromto="0 0 0 0 0 -0.38" size="0.046" MASK/>
    <body name="SIDE_foot" pos="0 0 -0.42">
      <joint name="SIDE_ankle_pitch" axis="0 -1 0" range="-45 40" damping="3"/>
      <joint name="SIDE_ankle_roll" axis="M 0 0" range="-25 25" damping="3"/>
      <geom name="SIDE_outer_foot" fromto="-0.06 OUTER -0.05 0.15 OUTER -0.05" size="0.028" MASK/>
      <geom name="SIDE_inner_foot" fromto="-0.06 INNER -0.05 0.16 INNER -0.05" size="0.028" MASK/>
      <site name="SIDE_sole" type="box" pos="0.05 0 -0.05" size="0.16 0.08 0.045" rgba="0 0 0 0"/>
    </body>
  </body>
</body>
"#;

/// The humanoid as MJCF. One camera follows at the side, one from behind.
pub(super) fn model() -> BodyModel {
    let limb = |text: &str, side: &str, place: &str, sign: &str, mask: &str| {
        let (outside, inside) = if sign == "1" { ("0.035", "-0.03") } else { ("-0.035", "0.03") };
        let text = text.replace("SIDE", side).replace("PLACE", place).replace("\"M ", &format!("\"{sign} "));
        let text = text.replace(" M\"", &format!(" {sign}\"")).replace("MASK", mask);
        text.replace("OUTER", outside).replace("INNER", inside)
    };
    let arms = limb(ARM, "left", "0.19", "1", "") + &limb(ARM, "right", "-0.19", "-1", "");
    let legs = limb(LEG, "left", "0.1", "1", "contype='3'") + &limb(LEG, "right", "-0.1", "-1", "conaffinity='2'");
    let body = format!(
        r#"
<body name="torso" pos="0 0 {STANDING}">
  <camera name="side" mode="trackcom" pos="1 -4.5 0.6" xyaxes="1 0 0 0 0.15 1"/>
  <camera name="back" mode="trackcom" pos="-4.5 -1.5 2.5" xyaxes="0.3 -0.95 0 0.45 0.15 0.9"/>
  <freejoint name="torso"/>
  <geom name="chest" fromto="0 -0.09 0.06 0 0.09 0.06" size="0.09"/>
  <geom name="ribs" fromto="0 -0.06 -0.08 0 0.06 -0.08" size="0.085"/>
  <body name="head" pos="0 0 0.19">
    <joint name="neck" axis="0 1 0" range="-30 30" stiffness="20" damping="1"/>
    <geom name="head" type="sphere" pos="0 0 0.09" size="0.1"/>
  </body>
  {arms}
  <body name="abdomen" pos="0 0 -0.2">
    <joint name="waist_yaw" axis="0 0 1" range="-45 45" stiffness="10" damping="4"/>
    <joint name="waist_pitch" axis="0 1 0" range="-30 75" stiffness="10" damping="4"/>
    <geom name="abdomen" fromto="0 -0.05 -0.02 0 0.05 -0.02" size="0.08"/>
    <body name="pelvis" pos="0 0 -0.14">
      <joint name="waist_roll" axis="1 0 0" range="-35 35" stiffness="10" damping="4"/>
      <geom name="pelvis" fromto="0 -0.07 0 0 0.07 0" size="0.085"/>
      {legs}
    </body>
  </body>
</body>
"#
    );
    let motor = |joint: &str, gear: u32| format!("<motor name='{joint}' joint='{joint}' gear='{gear}'/>\n");
    let mut motors = TRUNK_MOTORS.map(|(joint, gear)| motor(joint, gear)).concat();
    for side in ["left", "right"] {
        motors += &SIDE_MOTORS.map(|(joint, gear)| motor(&format!("{side}_{joint}"), gear)).concat();
    }
    let sensors = FEET.map(|foot| format!("<touch name='{foot}' site='{foot}'/>\n")).concat();
    BodyModel { body, motors, sensors, damping: 1.5, armature: 0.02, timestep: 0.005 }
}

/// Seconds per action: five physics steps.
pub(super) const CONTROL_TIMESTEP: f64 = 0.025;

pub(super) struct Humanoid {
    torso: usize,
    extremities: [usize; 4],
    soles: [usize; 2],
    weight: f64,
}

impl Humanoid {
    pub(super) fn find(physics: &Physics) -> Result<Self, EnvError> {
        let [a, b, c, d] = EXTREMITIES;
        let [left, right] = FEET;
        Ok(Self {
            torso: physics.body("torso")?,
            extremities: [physics.body(a)?, physics.body(b)?, physics.body(c)?, physics.body(d)?],
            soles: [physics.sensor(left)?, physics.sensor(right)?],
            weight: weight(physics, "torso")?,
        })
    }
}

impl Runner for Humanoid {
    fn standing(&self) -> f64 {
        STANDING
    }

    fn place(&self, physics: &mut Physics, random: &mut RandomState) {
        let qpos = physics.qpos_mut();
        // High enough that no toe begins in the ground.
        qpos[..HINGES].copy_from_slice(&[0.0, 0.0, STANDING + 0.02, 1.0, 0.0, 0.0, 0.0]);
        qpos[HINGES..].fill_with(|| random.uniform(-0.03, 0.03));
        physics.qvel_mut().fill_with(|| random.uniform(-0.05, 0.05));
    }

    fn position(&self, physics: &Physics) -> [f64; 3] {
        physics.xpos()[self.torso]
    }

    fn proprioception(&self, physics: &Physics, height: f64, observation: &mut Observation) {
        let (place, axes) = (physics.xpos()[self.torso], &physics.xmat()[self.torso]);
        // Up as the torso sees it, and where its front points.
        observation.push(height).push(place[1]).extend(&axes[6..]).push(axes[0]).push(axes[3]);
        observation.extend(&physics.qpos()[HINGES..]).extend(physics.qvel());
        for limb in self.extremities {
            let offset: [f64; 3] = std::array::from_fn(|axis| physics.xpos()[limb][axis] - place[axis]);
            // In the torso's own axes, the columns of its matrix.
            for axis in 0..3 {
                observation.push((0..3).map(|row| offset[row] * axes[3 * row + axis]).sum());
            }
        }
        for sole in self.soles {
            observation.push(touch(physics.sensordata()[sole], self.weight));
        }
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let y = physics.xpos()[self.torso][1];
        let torques: f64 = physics.ctrl().iter().map(|torque| bounded(*torque).powi(2)).sum();
        FORWARD * physics.qvel()[0].min(FASTEST) + ALIVE - OFF_CENTER * y * y - TORQUE * torques
    }

    fn fallen(&self, physics: &Physics, height: f64) -> bool {
        height < LEAST_HEIGHT || physics.xmat()[self.torso][8] < LEAST_UPRIGHT
    }
}
