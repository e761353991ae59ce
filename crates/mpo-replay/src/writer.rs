//! The writing end of a lane.
#![allow(clippy::inline_always, reason = "measured: without it a push takes twice as long")]

use std::sync::Arc;

use crate::buffer::Shared;
use crate::layout::{Action, ActionLayout, Observation, Outcome};
use crate::record::{FIXED_WORDS, Header, Scalars, store_bytes, store_floats};
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
    /// The record of the first state of the episode under way.
    start: u64,
    /// First states in the lane: what a record's number and that of its transition differ by. So a push has two numbers
    /// to keep up, not four.
    episodes: u64,
    /// Whether the last state may be followed by another one of its episode.
    open: bool,
}

impl TrajectoryWriter {
    /// The writer that goes on after the last record of `lane`, which the caller has claimed.
    pub(crate) fn resume(shared: Arc<Shared>, lane: usize) -> Self {
        let ring = &shared.lanes[lane].ring;
        let cursor = ring.cursor();
        let (mut start, mut episodes, mut open) = (0, 0, false);
        if let Some(newest) = cursor.next().checked_sub(1) {
            let record = ring.record(newest);
            let header = Header::load(record);
            start = newest - u64::from(Scalars::load(record).step);
            episodes = newest + 1 - header.transitions;
            open = !header.last;
        }
        Self { shared, lane, cursor, start, episodes, open }
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
    #[inline]
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
    #[inline]
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
    #[inline]
    pub fn begin_with(&mut self, observation: Observation<'_>) {
        self.check_observation(&observation);
        self.start = self.cursor.next();
        self.episodes += 1;
        self.open = true;
        let header = Header { first: true, last: false, transitions: self.start + 1 - self.episodes };
        let outcome = Outcome { log_prob: 0.0, reward: 0.0, discount: 1.0, last: false };
        self.write(header, None, outcome, &observation);
    }

    /// [`push`](Self::push) for every layout.
    ///
    /// # Panics
    /// If no episode is under way, or a length or the kind of action is not that of the layout.
    #[inline]
    pub fn push_with(&mut self, action: Action<'_>, outcome: Outcome, next: Observation<'_>) {
        if !self.open {
            no_episode(self.lane);
        }
        self.check_observation(&next);
        self.check_action(&action);
        if outcome.last {
            self.open = false;
        }
        let transitions = self.cursor.next() + 1 - self.episodes;
        let header = Header { first: false, last: outcome.last, transitions };
        self.write(header, Some(&action), outcome, &next);
    }

    #[inline(always)]
    fn write(&mut self, header: Header, action: Option<&Action<'_>>, outcome: Outcome, observation: &Observation<'_>) {
        let Shared { records, lanes, .. } = &*self.shared;
        let Outcome { log_prob, reward, discount, last: _ } = outcome;
        let step = u32::try_from(self.cursor.next() - self.start).unwrap_or(u32::MAX);
        let fixed = Scalars { step, discount, reward, log_prob }.encode(header);
        let ring = &lanes[self.lane].ring;
        let record = ring.open(&self.cursor);
        let (first, rest) = record.split_at(FIXED_WORDS);
        for (word, value) in first.iter().zip(fixed) {
            word.store(value, Ordering::Relaxed);
        }
        let (to_action, rest) = rest.split_at(records.action.len());
        let (to_vector, to_frame) = rest.split_at(records.observation.len());
        match action {
            Some(Action::Continuous(values)) => {
                store_floats(values, to_action);
            }
            Some(Action::Discrete(number)) => {
                to_action[0].store(u64::from(*number), Ordering::Relaxed);
            }
            // Nobody reads them, but equal contents should be equal bytes, also when saved.
            None => {
                for word in to_action {
                    word.store(0, Ordering::Relaxed);
                }
            }
        }
        store_floats(observation.vector, to_vector);
        store_bytes(observation.frame, to_frame);
        ring.publish(&mut self.cursor);
    }

    #[inline(always)]
    fn check_observation(&self, observation: &Observation<'_>) {
        let layout = &self.shared.layout;
        let (len, expected) = (observation.vector.len(), layout.observation);
        if len != expected {
            wrong_length("an observation", len, "numbers", expected);
        }
        let (len, expected) = (observation.frame.len(), layout.frame_bytes());
        if len != expected {
            wrong_length("a frame", len, "bytes", expected);
        }
    }

    #[inline(always)]
    fn check_action(&self, action: &Action<'_>) {
        match (action, &self.shared.layout.action) {
            (Action::Continuous(values), ActionLayout::Continuous(expected)) => {
                if values.len() != *expected {
                    wrong_length("an action", values.len(), "numbers", *expected);
                }
            }
            (Action::Discrete(number), ActionLayout::Discrete(actions)) if number < actions => {}
            (given, expected) => wrong_action(*given, *expected),
        }
    }
}

// Apart from the checks, so that these do not put what the messages need on the stack at every push.

#[cold]
#[inline(never)]
fn wrong_length(what: &str, len: usize, unit: &str, expected: usize) -> ! {
    panic!("{what} of {len} {unit}, the layout has {expected}");
}

#[cold]
#[inline(never)]
fn wrong_action(given: Action<'_>, expected: ActionLayout) -> ! {
    match (given, expected) {
        (Action::Discrete(number), ActionLayout::Discrete(actions)) => {
            panic!("action {number}, the layout has {actions} actions numbered from 0");
        }
        _ => panic!("the action {given:?}, the layout has {expected:?}"),
    }
}

#[cold]
#[inline(never)]
fn no_episode(lane: usize) -> ! {
    panic!("push without an episode under way in lane {lane}: call begin first");
}

impl Drop for TrajectoryWriter {
    fn drop(&mut self) {
        self.shared.lanes[self.lane].claimed.store(false, order::claim_store());
    }
}
