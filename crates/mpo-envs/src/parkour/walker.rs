//! The planar walker: a torso on two legs that cannot fall sideways. 9 degrees of freedom (two translations and the pitch of
//! the torso; hip, knee and ankle of each leg) and 6 torques.

use super::runner::{BodyModel, Runner, bounded, touch};
use crate::mjcf::Observation;
use crate::mujoco::Physics;
use crate::{EnvError, RandomState};

/// Height of the torso's centre in metres when it stands.
const STANDING: f64 = 1.25;
/// Metres above its footing between which the torso has not fallen, and the greatest pitch in radians.
const TORSO_HEIGHT: [f64; 2] = [0.75, 2.5];
const TORSO_PITCH: f64 = 1.0;

/// Reward of a metre per second, of being upright, and penalties: of a metre that the torso is too high or low above the
/// lower foot, and of each full torque.
const FORWARD: f64 = 0.25;
const UPRIGHT: f64 = 0.1;
const HEIGHT: f64 = 0.1;
const TORQUE: f64 = 0.01;

/// The six driven joints begin here in `qpos` and `qvel`, after x, z and pitch.
const JOINTS: usize = 3;

/// Sites of the soles.
const FEET: [&str; 2] = ["left_sole", "right_sole"];

/// The legs differ in their names and places only.
const LEG: &str = r#"
<body name="SIDE_thigh" pos="0 PLACE -0.25">
  <joint name="SIDE_hip" axis="0 -1 0" range="-35 100"/>
  <geom name="SIDE_thigh" fromto="0 0 0 0 0 -0.45" size="0.055" rgba="COLOR"/>
  <body name="SIDE_shank" pos="0 0 -0.45">
    <joint name="SIDE_knee" axis="0 1 0" range="0 145"/>
    <geom name="SIDE_shank" fromto="0 0 0 0 0 -0.45" size="0.045" rgba="COLOR"/>
    <body name="SIDE_foot" pos="0 0 -0.45">
      <joint name="SIDE_ankle" axis="0 -1 0" range="-45 45"/>
      <geom name="SIDE_foot" fromto="-0.06 0 -0.05 0.17 0 -0.05" size="0.045" rgba="COLOR"/>
      <site name="SIDE_sole" type="capsule" fromto="-0.06 0 -0.05 0.17 0 -0.05" size="0.055" rgba="0 0 0 0"/>
    </body>
  </body>
</body>
"#;

/// The walker as MJCF. The camera follows at the side.
pub(super) fn model() -> BodyModel {
    let leg = |side: &str, place: &str, color: &str| {
        LEG.replace("SIDE", side).replace("PLACE", place).replace("COLOR", color)
    };
    let (left, right) = (leg("left", "0.09", "0.5 0.35 0.25 1"), leg("right", "-0.09", "0.8 0.6 0.4 1"));
    let body = format!(
        r#"
<body name="torso" pos="0 0 {STANDING}">
  <camera name="side" mode="trackcom" pos="1 -4.5 0.5" xyaxes="1 0 0 0 0.1 1"/>
  <camera name="front" mode="trackcom" pos="4.5 -3 1" xyaxes="0.55 0.83 0 -0.15 0.1 1"/>
  <joint name="x" type="slide" axis="1 0 0" limited="false" damping="0" armature="0"/>
  <joint name="z" type="slide" axis="0 0 1" limited="false" damping="0" armature="0" ref="{STANDING}"/>
  <joint name="pitch" axis="0 1 0" limited="false" damping="0" armature="0"/>
  <geom name="torso" fromto="0 0 -0.22 0 0 0.28" size="0.08"/>
  {left}
  {right}
</body>
"#
    );
    let motor = |joint: &str, gear: u32| format!("<motor name='{joint}' joint='{joint}' gear='{gear}'/>\n");
    let motors = ["left", "right"].map(|side| {
        let torques = [("hip", 110), ("knee", 80), ("ankle", 40)];
        torques.map(|(joint, gear)| motor(&format!("{side}_{joint}"), gear)).concat()
    });
    let sensors = FEET.map(|foot| format!("<touch name='{foot}' site='{foot}'/>\n")).concat();
    BodyModel { body, motors: motors.concat(), sensors, damping: 1.5, armature: 0.03, timestep: 0.004 }
}

/// Seconds per action: five physics steps.
pub(super) const CONTROL_TIMESTEP: f64 = 0.02;

pub(super) struct Walker {
    torso: usize,
    feet: [usize; 2],
    soles: [usize; 2],
    weight: f64,
}

impl Walker {
    pub(super) fn find(physics: &Physics) -> Result<Self, EnvError> {
        let [left, right] = FEET;
        Ok(Self {
            torso: physics.body("torso")?,
            feet: [physics.site(left)?, physics.site(right)?],
            soles: [physics.sensor(left)?, physics.sensor(right)?],
            weight: super::runner::weight(physics, "torso")?,
        })
    }

    /// From the lower sole's middle to the torso's.
    fn height_above_feet(&self, physics: &Physics) -> f64 {
        let [left, right] = self.feet.map(|foot| physics.site_xpos()[foot][2]);
        physics.xpos()[self.torso][2] - left.min(right)
    }
}

impl Runner for Walker {
    fn standing(&self) -> f64 {
        STANDING
    }

    fn place(&self, physics: &mut Physics, random: &mut RandomState) {
        let qpos = physics.qpos_mut();
        // High enough that no toe begins in the ground, and slightly bent, so that no knee does at its limit.
        qpos[..JOINTS].copy_from_slice(&[0.0, STANDING + 0.025, 0.0]);
        for leg in qpos[JOINTS..].as_chunks_mut::<3>().0 {
            *leg = [0.1, 0.2, 0.1].map(|angle| angle + random.uniform(-0.05, 0.05));
        }
        physics.qvel_mut().fill_with(|| random.uniform(-0.05, 0.05));
    }

    fn position(&self, physics: &Physics) -> [f64; 3] {
        physics.xpos()[self.torso]
    }

    fn proprioception(&self, physics: &Physics, height: f64, observation: &mut Observation) {
        let (sin, cos) = physics.qpos()[2].sin_cos();
        observation.push(height).push(sin).push(cos).extend(&physics.qpos()[JOINTS..]);
        observation.extend(physics.qvel());
        for sole in self.soles {
            observation.push(touch(physics.sensordata()[sole], self.weight));
        }
    }

    fn reward(&self, physics: &Physics) -> f64 {
        let upright = physics.xmat()[self.torso][8];
        let torques: f64 = physics.ctrl().iter().map(|torque| bounded(*torque).powi(2)).sum();
        let height = (self.height_above_feet(physics) - STANDING).abs();
        FORWARD * physics.qvel()[0] + UPRIGHT * upright - HEIGHT * height - TORQUE * torques
    }

    fn fallen(&self, physics: &Physics, height: f64) -> bool {
        let [low, high] = TORSO_HEIGHT;
        !(low..=high).contains(&height) || physics.qpos()[2].abs() > TORSO_PITCH
    }
}
