//! The writing end of a lane.

use std::sync::Arc;

use crate::buffer::Shared;
use crate::layout::{Action, ActionLayout, Observation, Outcome};
use crate::record::{Header, Scalars, store_bytes, store_floats};
use crate::ring::Cursor;
use crate::sync::{Ordering, order};

/// Appends the transitions of one actor to its lane. Dropping it frees the lane for another writer.
///
/// An episode is one [`begin`](Self::begin) and then one [`push`](Self::push) for each step. Both are wait-free: some
/// stores into memory that was taken beforehand, whatever the samplers do. A transition can be sampled as soon as `push`
/// returns.
///
/// An episode may be abandoned by calling `begin` again: its transitions stay, and its last one looks like one that was
/// cut off by a time limit.
#[derive(Debug)]
pub struct TrajectoryWriter {
    shared: Arc<Shared>,
    lane: usize,
    cursor: Cursor,
    /// Transitions ever pushed to the lane.
    transitions: u64,
    /// Step of the last state in its episode.
    step: u32,
    /// Whether the last state may be followed by another one of its episode.
    open: bool,
}

impl TrajectoryWriter {
    /// The writer that goes on after the last record of `lane`, which the caller has claimed.
    pub(crate) fn resume(shared: Arc<Shared>, lane: usize) -> Self {
        let ring = &shared.lanes[lane].ring;
        let cursor = ring.cursor();
        let (mut transitions, mut step, mut open) = (0, 0, false);
        if let Some(newest) = cursor.next().checked_sub(1) {
            let record = ring.record(newest);
            let header = Header::load(record);
            transitions = header.transitions;
            step = Scalars::load(record).step;
            open = !header.last;
        }
        Self { shared, lane, cursor, transitions, step, open }
    }

    /// The lane written to.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane
    }

    /// Whether an episode is under way, so that `push` may be called.
    #[must_use]
    pub fn in_episode(&self) -> bool {
        self.open
    }

    /// Starts an episode at `observation`, `[layout.observation]`.
    ///
    /// # Panics
    /// If the length is not that of the layout, or the layout has frames.
    pub fn begin(&mut self, observation: &[f32]) {
        self.begin_with(Observation { vector: observation, frame: &[] });
    }

    /// Appends the step from the last state by `action` to `next_observation`.
    ///
    /// - `action`: `[layout.action]`; `log_prob`: its log-density under the policy that chose it;
    /// - `discount`: 0 where the episode terminated, else mostly 1;
    /// - `next_observation`: `[layout.observation]`, the final one of the episode included;
    /// - `last`: the episode ends with this step: with discount 0 a termination, with discount 1 a time limit.
    ///
    /// # Panics
    /// If no episode is under way, a length is not that of the layout, or the layout has frames or discrete actions.
    pub fn push(
        &mut self,
        action: &[f32],
        log_prob: f32,
        reward: f32,
        discount: f32,
        next_observation: &[f32],
        last: bool,
    ) {
        self.push_with(
            Action::Continuous(action),
            Outcome { log_prob, reward, discount, last },
            Observation { vector: next_observation, frame: &[] },
        );
    }

    /// [`begin`](Self::begin) for every layout.
    ///
    /// # Panics
    /// If a length is not that of the layout.
    pub fn begin_with(&mut self, observation: Observation<'_>) {
        self.check_observation(&observation);
        self.step = 0;
        self.open = true;
        let header = Header { first: true, last: false, transitions: self.transitions };
        let outcome = Outcome { log_prob: 0.0, reward: 0.0, discount: 1.0, last: false };
        self.write(header, None, outcome, &observation);
    }

    /// [`push`](Self::push) for every layout.
    ///
    /// # Panics
    /// If no episode is under way, or a length or the kind of action is not that of the layout.
    pub fn push_with(&mut self, action: Action<'_>, outcome: Outcome, next: Observation<'_>) {
        assert!(self.open, "push without an episode under way in lane {}: call begin first", self.lane);
        self.check_observation(&next);
        self.check_action(&action);
        self.step = self.step.saturating_add(1);
        self.transitions += 1;
        self.open = !outcome.last;
        let header = Header { first: false, last: outcome.last, transitions: self.transitions };
        self.write(header, Some(&action), outcome, &next);
    }

    fn write(&mut self, header: Header, action: Option<&Action<'_>>, outcome: Outcome, observation: &Observation<'_>) {
        let Shared { records, lanes, .. } = &*self.shared;
        let Outcome { log_prob, reward, discount, last: _ } = outcome;
        let scalars = Scalars { step: self.step, discount, reward, log_prob };
        lanes[self.lane].ring.write(&mut self.cursor, |record| {
            scalars.store(header, record);
            match action {
                Some(Action::Continuous(values)) => {
                    store_floats(values, &record[records.action.clone()]);
                }
                Some(Action::Discrete(number)) => {
                    record[records.action.start].store(u64::from(*number), Ordering::Relaxed);
                }
                // Nobody reads them, but equal contents should be equal bytes, also when saved.
                None => {
                    for word in &record[records.action.clone()] {
                        word.store(0, Ordering::Relaxed);
                    }
                }
            }
            store_floats(observation.vector, &record[records.observation.clone()]);
            store_bytes(observation.frame, &record[records.frame.clone()]);
        });
    }

    fn check_observation(&self, observation: &Observation<'_>) {
        let layout = &self.shared.layout;
        let (len, expected) = (observation.vector.len(), layout.observation);
        assert!(len == expected, "an observation of {len} numbers, the layout has {expected}");
        let (len, expected) = (observation.frame.len(), layout.frame_bytes());
        assert!(len == expected, "a frame of {len} bytes, the layout has {expected}");
    }

    fn check_action(&self, action: &Action<'_>) {
        match (action, self.shared.layout.action) {
            (Action::Continuous(values), ActionLayout::Continuous(expected)) => {
                let len = values.len();
                assert!(len == expected, "an action of {len} numbers, the layout has {expected}");
            }
            (Action::Discrete(number), ActionLayout::Discrete(actions)) => {
                assert!(*number < actions, "action {number}, the layout has {actions} actions numbered from 0");
            }
            (given, expected) => panic!("the action {given:?}, the layout has {expected:?}"),
        }
    }
}

impl Drop for TrajectoryWriter {
    fn drop(&mut self) {
        self.shared.lanes[self.lane].claimed.store(false, order::claim_store());
    }
}
