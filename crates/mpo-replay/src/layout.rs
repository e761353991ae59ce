//! What one stored transition consists of.

/// A transition of plain vectors: the layout of control from features.
///
/// ```
/// use mpo_replay::{Layout, ReplayBuffer};
///
/// let buffer = ReplayBuffer::new(Layout { observation: 17, action: 6 }, 1_000, 1);
/// assert_eq!(buffer.layout(), Layout { observation: 17, action: 6 }.into());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Numbers (`f32`) in an observation.
    pub observation: usize,
    /// Numbers (`f32`) in an action.
    pub action: usize,
}

/// The general layout: an observation is a vector, an image frame, or both; an action is continuous or discrete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransitionLayout {
    /// Numbers (`f32`) in the vector part of an observation; may be 0.
    pub observation: usize,
    /// The image part of an observation, if it has one.
    pub frames: Option<Frames>,
    /// The kind of action.
    pub action: ActionLayout,
}

/// Image observations: each frame is stored once, and the stack that the agent sees is assembled when sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Bytes of one frame, say 84 * 84.
    pub bytes: usize,
    /// Frames in a stack, the current one included; at least 1. Before the first frame of an episode the stack repeats it.
    pub stack: usize,
}

/// The kind of action of a [`TransitionLayout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionLayout {
    /// A vector of that many `f32`.
    Continuous(usize),
    /// A number below that many actions.
    Discrete(u32),
}

impl From<Layout> for TransitionLayout {
    fn from(layout: Layout) -> Self {
        Self { observation: layout.observation, frames: None, action: ActionLayout::Continuous(layout.action) }
    }
}

impl TransitionLayout {
    /// Numbers (`f32`) in an action: 0 if actions are discrete.
    #[must_use]
    pub fn action_len(&self) -> usize {
        match self.action {
            ActionLayout::Continuous(len) => len,
            ActionLayout::Discrete(_) => 0,
        }
    }

    /// Whether actions are numbers of actions.
    #[must_use]
    pub fn is_discrete(&self) -> bool {
        matches!(self.action, ActionLayout::Discrete(_))
    }

    /// Bytes of one stack of frames: 0 without frames.
    #[must_use]
    pub fn stack_bytes(&self) -> usize {
        self.frames.map_or(0, |frames| frames.bytes * frames.stack)
    }

    /// Bytes of one frame: 0 without frames.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frames.map_or(0, |frames| frames.bytes)
    }

    /// Records before a state that its stack of frames reaches back to.
    pub(crate) fn history(&self) -> usize {
        self.frames.map_or(0, |frames| frames.stack - 1)
    }
}

/// What is observed in one state, as handed to a writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observation<'a> {
    /// The vector part, `[layout.observation]`.
    pub vector: &'a [f32],
    /// The newest frame, `[frames.bytes]`; empty without frames.
    pub frame: &'a [u8],
}

/// An action as handed to a writer.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// `[len]` numbers.
    Continuous(&'a [f32]),
    /// The number of the action.
    Discrete(u32),
}

/// What an action led to, apart from the next observation.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Log-probability (density) of the action under the policy that chose it.
    pub log_prob: f32,
    /// Reward of the step.
    pub reward: f32,
    /// 0 where the episode terminated, else the environment's discount, mostly 1.
    pub discount: f32,
    /// Whether the episode ended here: with discount 0 a termination, else a time limit (the value of the final state
    /// still counts).
    pub last: bool,
}
