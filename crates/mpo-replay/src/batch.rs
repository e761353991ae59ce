//! A batch of sampled windows, in memory that is reused from batch to batch.

use crate::layout::TransitionLayout;

/// Windows of consecutive transitions, packed one after the other.
///
/// Window `w` has `lengths[w]` transitions of one episode, so `lengths[w] + 1` states: in total T = sum(lengths)
/// transitions and T + `windows` states, each array in the order of windows and of time. [`Batch::iter`] cuts them up.
///
/// Pass the same batch to every call of [`ReplayBuffer::sample`](crate::ReplayBuffer::sample): once it has seen the
/// largest batch, no more memory is taken.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Number of windows.
    pub windows: usize,
    /// Transitions of each window, `[windows]`, each at least 1.
    pub lengths: Vec<u32>,
    /// States, `[T + windows, observation]`: those of a window before each of its transitions, and the one after the last.
    pub observations: Vec<f32>,
    /// Actions, `[T, action]`; empty if actions are discrete.
    pub actions: Vec<f32>,
    /// Rewards, `[T]`.
    pub rewards: Vec<f32>,
    /// Discounts, `[T]`: 0 where the episode terminated.
    pub discounts: Vec<f32>,
    /// Log-probabilities of the actions under the policy that chose them, `[T]`.
    pub log_probs: Vec<f32>,
    /// Where each state stands in its episode, `[T + windows]`: a window whose final state is not [`StepType::Last`] was
    /// cut at `steps`, at the newest transition, or where its episode was abandoned.
    pub step_types: Vec<StepType>,
    /// Stacks of frames, `[T + windows, stack, bytes]`, the newest frame last; empty without frames.
    pub frames: Vec<u8>,
    /// Actions, `[T]`, if actions are discrete, else empty.
    pub discrete_actions: Vec<u32>,
    /// States written to a window's lane since its first transition, that one included, `[windows]`: 1 is the newest.
    pub ages: Vec<u64>,
    /// Where each window starts, `[windows]`: what [`Priorities::update`](crate::Priorities::update) asks for.
    pub keys: Vec<Key>,
    /// Importance weights, `[windows]`, if drawn by priority, else empty.
    pub weights: Vec<f32>,
    /// Windows that were drawn anew because their writer overtook the copy: more than a few mean too small a capacity.
    pub redrawn: u64,
    pub(crate) layout: Option<TransitionLayout>,
    pub(crate) scratch: crate::sample::Scratch,
}

/// Where a state stands in its episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StepType {
    /// Its first state.
    First,
    /// Neither the first nor the final one.
    #[default]
    Mid,
    /// Its final state: after a discount of 0 by termination, else by a time limit.
    Last,
}

/// The place of a transition: names it as long as it is stored, and nothing afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    pub(crate) lane: usize,
    pub(crate) index: u64,
}

impl Key {
    /// The lane of the transition.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane
    }
}

/// One window of a [`Batch`]: L transitions, L + 1 states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window<'a> {
    /// `[L + 1, observation]`.
    pub observations: &'a [f32],
    /// `[L + 1]`.
    pub step_types: &'a [StepType],
    /// `[L + 1, stack, bytes]`; empty without frames.
    pub frames: &'a [u8],
    /// `[L, action]`; empty if actions are discrete.
    pub actions: &'a [f32],
    /// `[L]` if actions are discrete, else empty.
    pub discrete_actions: &'a [u32],
    /// `[L]`.
    pub rewards: &'a [f32],
    /// `[L]`.
    pub discounts: &'a [f32],
    /// `[L]`.
    pub log_probs: &'a [f32],
}

impl Batch {
    /// An empty batch. Sampling gives it its shape.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Transitions of all windows, T.
    #[must_use]
    pub fn transitions(&self) -> usize {
        self.rewards.len()
    }

    /// The windows in order.
    #[must_use]
    pub fn iter(&self) -> Windows<'_> {
        Windows { batch: self, next: 0, transition: 0 }
    }

    /// Makes every array as long as `windows` windows of `transitions` transitions in all may need.
    pub(crate) fn open(&mut self, layout: &TransitionLayout, windows: usize, transitions: usize) {
        let states = transitions + windows;
        self.windows = windows;
        self.layout = Some(*layout);
        // The arrays still have the last batch's length, so only the difference is filled.
        self.redrawn = 0;
        self.lengths.resize(windows, 0);
        self.ages.resize(windows, 0);
        self.keys.resize(windows, Key::default());
        self.weights.clear();
        self.observations.resize(states * layout.observation, 0.0);
        self.step_types.resize(states, StepType::Mid);
        self.frames.resize(states * layout.stack_bytes(), 0);
        self.actions.resize(transitions * layout.action_len(), 0.0);
        self.discrete_actions.resize(if layout.is_discrete() { transitions } else { 0 }, 0);
        self.rewards.resize(transitions, 0.0);
        self.discounts.resize(transitions, 0.0);
        self.log_probs.resize(transitions, 0.0);
    }

    /// Cuts every array to `windows` windows of `transitions` transitions in all.
    pub(crate) fn close(&mut self, layout: &TransitionLayout, windows: usize, transitions: usize) {
        let states = transitions + windows;
        self.windows = windows;
        self.lengths.truncate(windows);
        self.ages.truncate(windows);
        self.keys.truncate(windows);
        self.observations.truncate(states * layout.observation);
        self.step_types.truncate(states);
        self.frames.truncate(states * layout.stack_bytes());
        self.actions.truncate(transitions * layout.action_len());
        self.discrete_actions.truncate(transitions);
        self.rewards.truncate(transitions);
        self.discounts.truncate(transitions);
        self.log_probs.truncate(transitions);
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Window<'a>;
    type IntoIter = Windows<'a>;

    fn into_iter(self) -> Windows<'a> {
        self.iter()
    }
}

/// The windows of a batch: see [`Batch::iter`].
#[derive(Clone, Debug)]
pub struct Windows<'a> {
    batch: &'a Batch,
    next: usize,
    transition: usize,
}

impl<'a> Iterator for Windows<'a> {
    type Item = Window<'a>;

    fn next(&mut self) -> Option<Window<'a>> {
        let batch = self.batch;
        let layout = batch.layout?;
        let len = *batch.lengths.get(self.next)? as usize;
        let transitions = self.transition..self.transition + len;
        let states = transitions.start + self.next..transitions.end + self.next + 1;
        let rows = |range: &std::ops::Range<usize>, width: usize| range.start * width..range.end * width;
        self.next += 1;
        self.transition = transitions.end;
        Some(Window {
            observations: &batch.observations[rows(&states, layout.observation)],
            step_types: &batch.step_types[states.clone()],
            frames: &batch.frames[rows(&states, layout.stack_bytes())],
            actions: &batch.actions[rows(&transitions, layout.action_len())],
            discrete_actions: &batch.discrete_actions[rows(&transitions, usize::from(layout.is_discrete()))],
            rewards: &batch.rewards[transitions.clone()],
            discounts: &batch.discounts[transitions.clone()],
            log_probs: &batch.log_probs[transitions],
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.lengths.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Windows<'_> {}
