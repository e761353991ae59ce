//! The one place where a task's sizes become a statically-shaped learner.

use std::fmt;

use mpo_envs::Spec;
use mpo_nets::{
    InitialNetworks, LearnerConfig, LearnerStep, NetworkConfig, PixelShape, cpu_learner, networks_for, pixel_learner,
};
use mpo_replay::{ActionLayout, Frames, TransitionLayout};

use crate::AgentError;

/// The part of an observation that has a torso of its own.
const TERRAIN: &str = "terrain";

/// The sizes of a task. Displayed as a line of `shapes!` has them: `24 x 6`, `20 + 50 x 6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Numbers in an observation.
    pub observation: usize,
    /// How many of them, at the end, are a profile of the terrain, for which networks have a torso of its own; mostly 0.
    pub terrain: usize,
    /// Numbers in an action; one, its index, if actions are discrete.
    pub action: usize,
    /// Sizes of the frames and number of the actions, where observations are stacks of frames and actions are discrete.
    pub pixels: Option<PixelShape>,
}

impl Shape {
    /// Numbers as observations, continuous actions.
    #[must_use]
    pub const fn vector(observation: usize, action: usize) -> Self {
        Self { observation, terrain: 0, action, pixels: None }
    }

    /// Numbers as observations, of which the last `terrain` are a profile of the terrain; continuous actions.
    #[must_use]
    pub const fn with_terrain(body: usize, terrain: usize, action: usize) -> Self {
        Self { observation: body + terrain, terrain, action, pixels: None }
    }

    /// The sizes of an environment. Where several parts make an observation and the last is called `terrain`, it is a profile of the
    /// terrain.
    ///
    /// # Errors
    /// [`AgentError::UnsupportedSpec`] for what no learner here takes: numbers together with frames, or one of them with
    /// the other's kind of action.
    pub fn of(spec: &Spec) -> Result<Self, AgentError> {
        let (observation, action) = (spec.observation_len(), spec.action_len());
        match (spec.frame, spec.discrete_actions) {
            (None, None) => {
                let terrain = match &spec.observation[..] {
                    [_, .., last] if last.name == TERRAIN => last.len,
                    _ => 0,
                };
                Ok(Self { terrain, ..Self::vector(observation, action) })
            }
            (Some(frame), Some(actions)) if observation == 0 => {
                let pixels = PixelShape { stack: frame.stack, height: frame.height, width: frame.width, actions };
                Ok(Self { pixels: Some(pixels), ..Self::vector(observation, action) })
            }
            (frame, actions) => {
                Err(AgentError::UnsupportedSpec { observation, frames: frame.is_some(), discrete: actions.is_some() })
            }
        }
    }

    /// How the replay stores its transitions.
    #[must_use]
    pub fn layout(&self) -> TransitionLayout {
        let Some(PixelShape { stack, height, width, actions }) = self.pixels else {
            let action = ActionLayout::Continuous(self.action);
            return TransitionLayout { observation: self.observation, frames: None, action };
        };
        TransitionLayout {
            observation: 0,
            frames: Some(Frames { bytes: height * width, stack }),
            action: ActionLayout::Discrete(actions as u32),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { observation, terrain, action, .. } = *self;
        match terrain {
            0 => write!(f, "{observation} x {action}"),
            _ => write!(f, "{} + {terrain} x {action}", observation - terrain),
        }
    }
}

/// Makes the learner of a run. Implement it, or pass a closure of the same arguments, to train a shape that is not
/// compiled in, or an algorithm of your own.
pub trait LearnerFactory: Send {
    /// A learner for `shape` at the beginning of training, its initial parameters and its noise
    /// drawn from `seed`.
    ///
    /// # Errors
    /// [`AgentError::UnsupportedShape`] for a shape that it cannot make, [`AgentError::Learner`] for
    /// settings out of range.
    fn make(
        &self,
        shape: Shape,
        network: &NetworkConfig,
        learner: &LearnerConfig,
        seed: u64,
    ) -> Result<Box<dyn LearnerStep>, AgentError>;
}

impl<F> LearnerFactory for F
where
    F: Fn(Shape, &NetworkConfig, &LearnerConfig, u64) -> Result<Box<dyn LearnerStep>, AgentError> + Send,
{
    fn make(
        &self,
        shape: Shape,
        network: &NetworkConfig,
        learner: &LearnerConfig,
        seed: u64,
    ) -> Result<Box<dyn LearnerStep>, AgentError> {
        self(shape, network, learner, seed)
    }
}

/// Every algorithm on the CPU, for every shape in [`SHAPES`] and, as far as [`pixel_learner`] has them, for frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuLearners;

macro_rules! shapes {
    ($($observation:literal $(+ $terrain:literal)? x $action:literal,)+) => {
        /// Every shape for which a learner is compiled in: those of the 28 control tasks and of parkour's two bodies.
        pub const SHAPES: &[Shape] = &[$(Shape::with_terrain($observation, 0 $(+ $terrain)?, $action),)+];

        /// The networks of a task of numbers at the beginning of training.
        pub(crate) fn initial_networks(
            shape: Shape,
            network: &NetworkConfig,
            learner: &LearnerConfig,
            seed: u64,
        ) -> Result<InitialNetworks, AgentError> {
            $(
                if shape == Shape::with_terrain($observation, 0 $(+ $terrain)?, $action) {
                    return Ok(networks_for!($observation $(+ $terrain)?, $action, network, learner, seed)?);
                }
            )+
            Err(AgentError::UnsupportedShape { shape })
        }
    };
}

impl LearnerFactory for CpuLearners {
    fn make(
        &self,
        shape: Shape,
        network: &NetworkConfig,
        learner: &LearnerConfig,
        seed: u64,
    ) -> Result<Box<dyn LearnerStep>, AgentError> {
        match &shape.pixels {
            Some(pixels) => Ok(pixel_learner(pixels, network, learner, seed)?),
            None => Ok(cpu_learner(initial_networks(shape, network, learner, seed)?, network, learner, seed)),
        }
    }
}

// observations x actions; observations are those of a body and, behind a plus, its profile of the terrain
shapes! {
    3 x 1,   // pendulum
    4 x 2,   // point_mass
    5 x 1,   // cartpole
    6 x 1,   // acrobot
    6 x 2,   // reacher
    8 x 2,   // ball_in_cup
    9 x 2,   // finger-spin
    12 x 2,  // finger-turn_easy, finger-turn_hard
    15 x 4,  // hopper
    17 x 6,  // cheetah
    21 x 5,  // fish-upright
    24 x 5,  // fish-swim
    24 x 6,  // walker
    25 x 5,  // swimmer-swimmer6
    44 x 5,  // manipulator
    61 x 14, // swimmer-swimmer15
    67 x 21, // humanoid
    20 + 50 x 6,  // parkour's walker
    71 + 56 x 21, // parkour's humanoid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_is_not_compiled_in_names_the_line_to_add() {
        for (shape, line) in [(Shape::vector(7, 3), "`7 x 3,`"), (Shape::with_terrain(7, 5, 3), "`7 + 5 x 3,`")] {
            let made = CpuLearners.make(shape, &NetworkConfig::default(), &LearnerConfig::default(), 0);
            let message = made.err().expect("there is no such learner").to_string();
            assert!(message.contains(line) && message.contains("shapes.rs"), "{message}");
        }
    }

    #[test]
    fn every_task_has_a_shape_and_no_shape_is_idle() {
        let control = mpo_envs::suite::tasks().iter().map(|task| Shape::vector(task.observation, task.action));
        let parkour = mpo_envs::parkour::tasks().iter().map(|task| {
            let [body, terrain] = task.parts;
            Shape::with_terrain(body, terrain, task.action)
        });
        let tasks: std::collections::HashSet<Shape> = control.chain(parkour).collect();
        assert_eq!(tasks, SHAPES.iter().copied().collect());
    }

    #[test]
    fn a_terrain_is_the_last_of_several_parts() {
        let part = |name: &str, len| mpo_envs::ObservationPart { name: name.to_owned(), len };
        let spec = |observation| Spec {
            observation,
            frame: None,
            discrete_actions: None,
            action_minimum: vec![-1.0; 2],
            action_maximum: vec![1.0; 2],
            control_timestep: 0.02,
            episode_steps: 1000,
        };
        for (parts, shape) in [
            (vec![part("proprioception", 4), part("terrain", 3)], Shape::with_terrain(4, 3, 2)),
            (vec![part("terrain", 3), part("velocity", 4)], Shape::vector(7, 2)),
            (vec![part("terrain", 3)], Shape::vector(3, 2)),
        ] {
            assert_eq!(Shape::of(&spec(parts)).expect("numbers and continuous actions"), shape);
        }
    }
}
