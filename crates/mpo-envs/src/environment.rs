//! The interface that every environment offers, in the terms of `dm_env`.

use crate::EnvError;
use crate::mujoco::Physics;
use crate::render::Scene;

/// Where in its episode a [`TimeStep`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepType {
    /// The first one, returned by a reset.
    First,
    /// Neither the first nor the last.
    Mid,
    /// The last one: by termination (discount 0) or by the time limit (discount 1).
    Last,
}

/// What an environment answers to a reset or an action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeStep<'a> {
    /// Where in the episode this is.
    pub step_type: StepType,
    /// Reward of the action that led here; 0 on [`StepType::First`].
    pub reward: f64,
    /// Factor of everything that follows: 0 after a true termination, otherwise 1, also at the time limit.
    pub discount: f64,
    /// All parts of the observation one after the other, [`Spec::observation_len`] numbers.
    pub observation: &'a [f64],
    /// The newest frame, [`FrameSpec::bytes`] of it, row by row; empty for environments without pictures.
    pub frame: &'a [u8],
}

/// One named stretch of the flat observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationPart {
    /// Its name in `dm_control`, e.g. `velocity`.
    pub name: String,
    /// How many numbers it holds.
    pub len: usize,
}

/// The grey pictures that an agent sees: it is shown the newest frame at each step, and puts stacks together itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSpec {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Consecutive frames that make an observation; before an episode's first frame the stack repeats it.
    pub stack: usize,
}

impl FrameSpec {
    /// Bytes of one frame, one per pixel.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.height * self.width
    }
}

/// The shapes, bounds and timing of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The parts of the observation in their order.
    pub observation: Vec<ObservationPart>,
    /// The picture part of the observation, if there is one.
    pub frame: Option<FrameSpec>,
    /// How many actions there are, if they are discrete; an action is then one number, the index of one of them.
    pub discrete_actions: Option<usize>,
    /// Smallest meaningful value of each action component.
    pub action_minimum: Vec<f64>,
    /// Largest meaningful value of each action component.
    pub action_maximum: Vec<f64>,
    /// Simulated seconds per step.
    pub control_timestep: f64,
    /// Steps after which the time limit ends an episode.
    pub episode_steps: usize,
}

impl Spec {
    /// Length of the flat observation.
    #[must_use]
    pub fn observation_len(&self) -> usize {
        self.observation.iter().map(|part| part.len).sum()
    }

    /// Length of an action.
    #[must_use]
    pub fn action_len(&self) -> usize {
        self.action_minimum.len()
    }

    /// The index that `action` is, in an environment of discrete actions; `task` is for the message.
    ///
    /// # Errors
    ///
    /// [`EnvError::NoSuchAction`] for what is no number, a fraction, negative, or not below
    /// [`discrete_actions`](Self::discrete_actions).
    #[allow(clippy::float_cmp, reason = "a whole number is equal to its index, or is none")]
    pub fn action_index(&self, task: &'static str, action: f64) -> Result<usize, EnvError> {
        let count = self.discrete_actions.unwrap_or(0);
        let index = action as usize;
        // The cast saturates and makes 0 of NaN: only a whole number in range comes back as it was.
        if index < count && index as f64 == action {
            return Ok(index);
        }
        Err(EnvError::NoSuchAction { task, action, count })
    }
}

/// A picture in colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screen {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row: `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

/// How far an episode has got, where there is somewhere to get to: for reports, no part of reward or observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Metres from the start, along the course.
    pub distance: f64,
    /// How many obstacles lie behind.
    pub obstacles: usize,
}

/// A reinforcement-learning environment: observations are numbers, frames or both, actions continuous or discrete.
pub trait Environment: Send {
    /// Shapes, bounds and timing; constant over the environment's life.
    fn spec(&self) -> &Spec;

    /// Starts a new episode.
    ///
    /// # Errors
    ///
    /// [`EnvError::Diverged`] or [`EnvError::NoFreeState`] when the drawn start state is invalid.
    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError>;

    /// Applies `action` for one control step. Actions are not clipped here (MuJoCo clamps the controls itself, and
    /// control rewards see the raw values). After [`StepType::Last`], after an error and before the first reset the
    /// action is ignored and a new episode is started, as in `dm_env`.
    ///
    /// # Errors
    ///
    /// [`EnvError::NonFiniteAction`], or [`EnvError::Diverged`] when MuJoCo raises a warning; of discrete actions
    /// [`EnvError::NoSuchAction`]. The next reset works.
    ///
    /// # Panics
    ///
    /// If `action` is not [`Spec::action_len`] long.
    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError>;

    /// Everything that the next [`reset`](Self::reset) depends on. Valid between episodes: what is under way inside
    /// an episode is not part of it.
    fn save_state(&self) -> Vec<u8>;

    /// Takes over what [`save_state`](Self::save_state) of an environment of the same task returned. The next step
    /// or reset starts a new episode, the same that the saved environment would have had, bit for bit.
    ///
    /// # Errors
    ///
    /// [`EnvError::InvalidState`] when the bytes are not a saved state of this task; nothing is changed then.
    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError>;

    /// How far the present episode has got. `None` where there is nowhere to get to. It stays until the next reset.
    fn progress(&self) -> Option<Progress> {
        None
    }

    /// The game's own picture of the present state, in colour. `None` when there is none.
    fn screen(&mut self) -> Option<Screen> {
        None
    }

    /// What the environment's camera with the index `camera` sees of the present state, to be drawn by a
    /// [`Renderer`](crate::render::Renderer). `None` when there is nothing to see.
    fn scene(&mut self, camera: usize) -> Option<Scene> {
        let _ = camera;
        None
    }

    /// The MuJoCo simulation behind it, for an [`EglRenderer`](crate::mujoco::EglRenderer) to draw, or to look into. `None`
    /// when there is none. What is written to it is part of the episode from then on.
    fn physics(&mut self) -> Option<&mut Physics> {
        None
    }
}
