//! Parkour (Heess et al. 2017, *Emergence of Locomotion Behaviours in Rich Environments*): a planar walker and a humanoid run,
//! jump and climb over courses that are drawn anew for each episode. The paper publishes neither its bodies nor what its
//! courses were drawn from; both are our own here, see [`Ranges`].
//!
//! **Bodies.** The walker has 9 degrees of freedom (x, z and pitch of its torso; hip, knee and ankle of each leg), 6 torques, and a
//! control step of 0.02 s. The humanoid has 28 (three translations and three rotations of its torso, which floats, and 22 hinges), 21
//! torques, for its neck is a spring, and a control step of 0.025 s. Bodies meet the course and not themselves, but for the
//! humanoid's legs.
//!
//! **Observation.** Two parts. `proprioception`: height of the torso above its footing, orientation, angles of the joints,
//! velocities, touch of the soles as `ln(1 + force / weight)`; of the humanoid also its place beside the centre line, and those of
//! hands and feet. `terrain`: 50 heights of the ground from 2 m behind the torso to 8 m ahead, sparser with distance, in metres
//! above the level on which a torso at this height would stand, within ±2; for the humanoid, the next two slalom walls follow: metres until it
//! begins, metres from the humanoid to its edge, and the side that it comes from.
//!
//! **Reward** per step. Walker: `0.25 v + 0.1 u - 0.1 |h - 1.25| - 0.01 |a|²`; humanoid: `0.25 min(v, 4) + 0.2 - 0.05 y² - 0.01 |a|²`;
//! with the torso's forward velocity v in m/s, the cosine u of its tilt, its height h above the lower foot and its distance y from the centre
//! line in m, and the action a within its bounds of ±1.
//!
//! **End of an episode.** With discount 0, when the body falls: the torso is less than 0.75 m (humanoid 0.85 m) or more than 2.5 m (walker
//! only) above its footing, or tilted by more than 1 rad (humanoid 66 degrees), or beyond the track's edge. With
//! discount 1 after 1000 steps, and at the end of the course: more track could follow there, and level ground is what is seen
//! of it.
//!
//! ```no_run
//! use mpo_envs::Environment;
//! use mpo_envs::parkour::{Body, Parkour, Ranges, Terrain};
//!
//! let ranges = Ranges { hurdle_height: [0.2, 0.2], ..Ranges::of(Body::Walker) };
//! let mut environment = Parkour::new(Body::Walker, Terrain::Hurdles, ranges, 0)?;
//! environment.reset()?;
//! let step = environment.step(&[0.0; 6])?;
//! println!("{} for the first step", step.reward);
//! println!("{:?}", environment.progress());
//! # Ok::<(), mpo_envs::EnvError>(())
//! ```

mod course;
mod draughtsman;
mod humanoid;
mod pool;
mod profile;
mod ranges;
mod runner;
mod table;
mod traversal;
mod walker;

use draughtsman::Draughtsman;
use pool::Pool;
use runner::{BodyModel, Runner};
use traversal::Traversal;

use crate::mjcf::{Control, Setup};
use crate::mujoco::{Library, Physics};
use crate::render::Scene;
use crate::suite::BareSimulation;
use crate::{EnvError, Environment, Progress, Spec, TimeStep, assets};

pub use ranges::{Ranges, VERSION};
pub use table::{TaskInfo, find, tasks};

/// Steps after which the time limit ends an episode.
const EPISODE_STEPS: usize = 1000;
/// When a model lacks something, which is a mistake of ours.
const CURE: &str = "please report it";

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body {
    /// 9 degrees of freedom in a plane, 6 torques.
    Walker,
    /// 28 degrees of freedom, 21 torques.
    Humanoid,
}

impl Body {
    fn model(self) -> BodyModel {
        match self {
            Self::Walker => walker::model(),
            Self::Humanoid => humanoid::model(),
        }
    }

    fn runner(self, physics: &Physics) -> Result<Box<dyn Runner>, EnvError> {
        Ok(match self {
            Self::Walker => Box::new(walker::Walker::find(physics)?),
            Self::Humanoid => Box::new(humanoid::Humanoid::find(physics)?),
        })
    }

    const fn control_timestep(self) -> f64 {
        match self {
            Self::Walker => walker::CONTROL_TIMESTEP,
            Self::Humanoid => humanoid::CONTROL_TIMESTEP,
        }
    }

    /// Its model in MuJoCo's XML format, on a plane without obstacles.
    #[must_use]
    pub fn mjcf(self) -> String {
        self.model().mjcf(0, 0.0)
    }
}

/// What a course is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Terrain {
    /// Level ground.
    Flat,
    /// Bars across the track.
    Hurdles,
    /// Stretches without ground.
    Gaps,
    /// Blocks to climb.
    Platforms,
    /// Slopes up and down.
    Variable,
    /// Walls from the left and from the right, to run around; for the humanoid only.
    Slalom,
    /// All of these, one after the other.
    Mixed,
    /// As mixed, and the harder the farther.
    Curriculum,
}

impl Terrain {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Flat,
        Self::Hurdles,
        Self::Gaps,
        Self::Platforms,
        Self::Variable,
        Self::Slalom,
        Self::Mixed,
        Self::Curriculum,
    ];

    /// Its name in those of tasks, e.g. `hurdles`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Hurdles => "hurdles",
            Self::Gaps => "gaps",
            Self::Platforms => "platforms",
            Self::Variable => "terrain",
            Self::Slalom => "slalom",
            Self::Mixed => "mixed",
            Self::Curriculum => "curriculum",
        }
    }
}

impl std::str::FromStr for Terrain {
    type Err = EnvError;

    /// The terrain of the name.
    ///
    /// ```
    /// use mpo_envs::parkour::Terrain;
    /// assert_eq!("gaps".parse::<Terrain>()?, Terrain::Gaps);
    /// let error = "hurdels".parse::<Terrain>().expect_err("a misspelt name");
    /// assert_eq!(error.to_string(), "unknown terrain `hurdels`; the nearest is `hurdles`");
    /// # Ok::<(), mpo_envs::EnvError>(())
    /// ```
    fn from_str(name: &str) -> Result<Self, EnvError> {
        if let Some(terrain) = Self::ALL.into_iter().find(|terrain| terrain.name() == name) {
            return Ok(terrain);
        }
        let nearest =
            Self::ALL.map(Self::name).into_iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
        Err(EnvError::UnknownTerrain { name: name.to_owned(), nearest: nearest.unwrap_or_default() })
    }
}

/// An environment of parkour. Besides what every environment has, it can tell its [`progress`](Environment::progress):
/// the torso's present distance from the start, and how many obstacles it has left behind (of slopes, each counts).
pub struct Parkour(Control);

impl std::fmt::Debug for Parkour {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parkour").field("spec", self.0.spec()).finish_non_exhaustive()
    }
}

impl Parkour {
    /// `body` on courses of `terrain` with quantities from `ranges`, drawn from `seed`.
    ///
    /// A state that [`save_state`](Environment::save_state) returned belongs to the same body, terrain and ranges.
    ///
    /// # Errors
    ///
    /// [`EnvError::ImpossibleCourse`] for ranges that no course can be drawn from, and for the walker in a slalom;
    /// [`EnvError::CourseTooLong`] for a course of too many obstacles; [`EnvError::AssetMissing`] and the like when MuJoCo is
    /// not installed.
    pub fn new(body: Body, terrain: Terrain, ranges: Ranges, seed: u32) -> Result<Self, EnvError> {
        let Some(info) = tasks().iter().find(|info| (info.body, info.terrain) == (body, terrain)) else {
            let reason = "the walker moves in a plane and cannot run around walls; ask for the humanoid".to_owned();
            return Err(EnvError::ImpossibleCourse { quantity: "terrain", reason });
        };
        ranges.check()?;
        let boxes = ranges.boxes(terrain)?;
        let draughtsman = Draughtsman::new(body, terrain, ranges);
        let library = Library::load(&assets::library()?)?;
        let model = body.model().mjcf(boxes, draughtsman.floor());
        let physics = Physics::from_xml(&library, info.name, &model, &[], CURE)?;
        let (runner, pool) = (body.runner(&physics)?, Pool::find(&physics, boxes)?);
        let task = Box::new(Traversal::new(body, &ranges, runner, pool, draughtsman));
        let control_timestep = body.control_timestep();
        let time_limit = control_timestep * EPISODE_STEPS as f64;
        let setup = Setup { physics, task, time_limit, control_timestep: Some(control_timestep) };
        Ok(Self(Control::new(info.name, setup, seed)?))
    }

    /// The task called `name`, e.g. `parkour/walker-hurdles`, with the ranges of [`VERSION`].
    ///
    /// # Errors
    ///
    /// [`EnvError::UnknownTask`], which names the nearest one; [`EnvError::AssetMissing`] and the like when MuJoCo is not
    /// installed.
    pub fn load(name: &str, seed: u32) -> Result<Self, EnvError> {
        let info = find(name)?;
        Self::new(info.body, info.terrain, Ranges::of(info.body), seed)
    }

    /// The simulation without the task, with the same model, courses and start states: what the physics alone costs.
    ///
    /// # Errors
    ///
    /// Those of [`Environment::reset`].
    pub fn into_bare(self) -> Result<BareSimulation, EnvError> {
        BareSimulation::of(self.0)
    }
}

impl Environment for Parkour {
    fn spec(&self) -> &Spec {
        self.0.spec()
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.0.reset()
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        self.0.step(action)
    }

    fn save_state(&self) -> Vec<u8> {
        self.0.save_state()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.0.restore_state(state)
    }

    fn progress(&self) -> Option<Progress> {
        self.0.progress()
    }

    fn scene(&mut self, camera: usize) -> Option<Scene> {
        self.0.scene(camera)
    }

    fn physics(&mut self) -> Option<&mut Physics> {
        self.0.physics()
    }
}
