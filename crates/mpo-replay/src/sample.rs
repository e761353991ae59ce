//! Sampling: draw the starts of all windows, then copy and validate each.

use rand::{Rng, RngExt};

use crate::batch::{Batch, Key};
use crate::buffer::{Contents, ReplayBuffer, Shared};
use crate::error::ReplayError;
use crate::layout::ActionLayout;
use crate::record::{Header, Scalars, load_bytes, load_floats};
use crate::sync::Ordering;

/// Draws that may hit first states, which are no transitions, before a start is selected by its rank instead.
const REJECTIONS: u32 = 64;

/// Attempts to copy one window. A refusal takes a writer that laps the lane during one copy, so this is never reached
/// unless the capacity is of the order of the window.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 3 } else { 10_000 };

/// Windows whose cache lines are fetched together, ahead of their copies.
const GROUP: usize = 16;

/// Words of a cache line.
const LINE_WORDS: usize = 8;

/// What sampling remembers between its steps, kept in the batch for its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    lanes: Vec<LaneShare>,
    starts: Vec<Start>,
}

/// A lane's contents, and the candidates and transitions of the lanes up to and including it.
#[derive(Clone, Copy, Debug)]
struct LaneShare {
    contents: Contents,
    candidates: u64,
    transitions: u64,
}

/// The record that holds the first transition of a window, and the `head` below which the window must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) lane: usize,
    pub(crate) index: u64,
    pub(crate) head: u64,
}

/// Rows written so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) windows: usize,
    pub(crate) transitions: usize,
}

impl ReplayBuffer {
    /// Fills `batch` with `windows` windows of up to `steps` consecutive transitions.
    ///
    /// Each window's first transition is drawn uniformly, with replacement, from all stored transitions of all lanes; the
    /// window then runs on for `steps` transitions or until its episode ends, or what is stored of it.
    ///
    /// # A retry does not bias
    /// A window is drawn anew, from all lanes, if and only if the state before its *first* transition was overwritten
    /// before its copy was validated. That depends on where the window starts, not on what it holds or how long it is:
    /// the accepted starts are uniform over the transitions that outlived the copy. Only transitions that were just about
    /// to be overwritten can lose by this, during about a microsecond of their life. Likewise a candidate that turns
    /// out to be the first state of an episode, hence no transition, is rejected and redrawn, lane included.
    ///
    /// # Errors
    /// [`ReplayError::Empty`] if no transition is stored. [`ReplayError::Overrun`] if writers kept overwriting windows
    /// faster than they were copied, which takes a capacity about as small as a window. The batch is then empty.
    ///
    /// # Panics
    /// If `windows` or `steps` is 0.
    pub fn sample<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        windows: usize,
        steps: usize,
        batch: &mut Batch,
    ) -> Result<(), ReplayError> {
        assert!(windows > 0 && steps > 0, "a batch of {windows} windows of {steps} steps: both must be at least 1");
        let layout = &self.shared.layout;
        let mut scratch = std::mem::take(&mut batch.scratch);
        batch.open(layout, windows, steps);
        let mut rows = Rows::default();
        let result = self.shared.fill(rng, windows, steps, batch, &mut scratch, &mut rows);
        if result.is_err() {
            rows = Rows::default();
        }
        batch.close(layout, rows.windows, rows.transitions);
        batch.scratch = scratch;
        result
    }
}

impl Shared {
    fn fill<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        windows: usize,
        steps: usize,
        batch: &mut Batch,
        scratch: &mut Scratch,
        rows: &mut Rows,
    ) -> Result<(), ReplayError> {
        let Scratch { lanes, starts } = scratch;
        self.survey(lanes)?;
        // All starts first: their headers are independent loads, so that the misses of many windows overlap.
        starts.clear();
        starts.extend((0..windows).map(|_| self.draw(rng, lanes)));
        for turn in 0..windows {
            // The model checker would explore every value that these loads may see.
            if turn % GROUP == 0 && cfg!(not(loom)) {
                for start in starts.iter().skip(turn).take(GROUP) {
                    self.touch(*start, steps);
                }
            }
            let start = &mut starts[turn];
            let mut attempts = 1;
            while !self.copy(*start, steps, batch, rows) {
                if attempts == ATTEMPTS {
                    let (lane, capacity) = (start.lane, self.capacity);
                    return Err(ReplayError::Overrun { lane, attempts, steps, capacity });
                }
                attempts += 1;
                batch.redrawn += 1;
                self.survey(lanes)?;
                *start = self.draw(rng, lanes);
            }
        }
        Ok(())
    }

    /// Loads a word of each cache line of the window from `start` on, and drops it. The loads depend on nothing, so that
    /// their misses overlap; those of the copy would come one record after the other.
    fn touch(&self, start: Start, steps: usize) {
        let ring = &self.lanes[start.lane].ring;
        let records = (start.head - start.index).min(steps as u64) as usize + 1;
        let lines = ring.words_from(start.index - 1, records).step_by(LINE_WORDS);
        let sum = lines.fold(0, |sum, word| sum ^ word.load(Ordering::Relaxed));
        std::hint::black_box(sum);
    }

    /// Looks what every lane holds.
    fn survey(&self, lanes: &mut Vec<LaneShare>) -> Result<(), ReplayError> {
        let (mut candidates, mut transitions) = (0, 0);
        lanes.clear();
        lanes.extend(self.lanes.iter().map(|lane| {
            let contents = self.contents(lane);
            candidates += contents.candidates();
            transitions += contents.transitions();
            LaneShare { contents, candidates, transitions }
        }));
        if transitions == 0 || candidates == 0 { Err(ReplayError::Empty { lanes: lanes.len() }) } else { Ok(()) }
    }

    /// A start that is uniform over the transitions of `lanes`, of which there is at least one.
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, lanes: &[LaneShare]) -> Start {
        let last = lanes[lanes.len() - 1];
        for _ in 0..REJECTIONS {
            let ticket = rng.random_range(0..last.candidates);
            let lane = lanes.partition_point(|share| share.candidates <= ticket);
            let LaneShare { contents, candidates, .. } = lanes[lane];
            let index = contents.head - (candidates - ticket);
            if !Header::load(self.lanes[lane].ring.record(index)).first {
                return Start { lane, index, head: contents.head };
            }
        }
        // Almost only first states: select a transition by its rank. The result is as uniform as an accepted draw.
        let rank = rng.random_range(0..last.transitions);
        let lane = lanes.partition_point(|share| share.transitions <= rank);
        let LaneShare { contents, transitions, .. } = lanes[lane];
        let wanted = contents.inserted - (transitions - rank) + 1;
        let (mut low, mut high) = (contents.first, contents.head - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if Header::load(self.lanes[lane].ring.record(middle)).transitions < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Start { lane, index: low, head: contents.head }
    }

    /// Copies the window from `start` on behind the rows written so far. Returns whether it is valid; if not, `rows` is as
    /// before.
    pub(crate) fn copy(&self, start: Start, steps: usize, batch: &mut Batch, rows: &mut Rows) -> bool {
        let ring = &self.lanes[start.lane].ring;
        let before = start.index - 1;
        let mut step = if self.layout.frames.is_some() { Scalars::load(ring.record(before)).step } else { 0 };
        let mut len = 0;
        let end = start.head.min(start.index + steps as u64);
        for (index, record) in (before..end).zip(ring.records_from(before)) {
            let transition = rows.transitions + len;
            // One more state than transitions in each window: this one comes after the transition into it.
            let mut state = rows.windows + transition;
            if index > before {
                if Header::load(record).first {
                    break;
                }
                step = step.saturating_add(1);
                self.copy_transition(record, batch, transition);
                state += 1;
                len += 1;
            }
            let width = self.layout.observation;
            let observation = &mut batch.observations[state * width..(state + 1) * width];
            load_floats(&record[self.records.observation.clone()], observation);
            if self.layout.frames.is_some() {
                self.copy_stack(start.lane, index, step, batch, state);
            }
        }
        // A window without a transition: the record was a first state by the time it was copied, thus overwritten.
        let reach = before - (self.layout.history() as u64).min(before);
        if len == 0 || !ring.is_intact(reach) {
            return false;
        }
        batch.lengths[rows.windows] = len as u32;
        batch.keys[rows.windows] = Key { lane: start.lane, index: start.index };
        batch.ages[rows.windows] = start.head - start.index;
        rows.windows += 1;
        rows.transitions += len;
        true
    }

    #[inline]
    fn copy_transition(&self, record: &[crate::sync::AtomicU64], batch: &mut Batch, row: usize) {
        let scalars = Scalars::load(record);
        batch.rewards[row] = scalars.reward;
        batch.discounts[row] = scalars.discount;
        batch.log_probs[row] = scalars.log_prob;
        let action = &record[self.records.action.clone()];
        match self.layout.action {
            ActionLayout::Continuous(width) => {
                load_floats(action, &mut batch.actions[row * width..(row + 1) * width]);
            }
            ActionLayout::Discrete(_) => {
                batch.discrete_actions[row] = action[0].load(Ordering::Relaxed) as u32;
            }
        }
    }

    /// Assembles the stack that the agent saw in state `index`, the `step`-th of its episode: the newest frame last, and
    /// the episode's first frame in place of those before it.
    fn copy_stack(&self, lane: usize, index: u64, step: u32, batch: &mut Batch, row: usize) {
        let bytes = self.layout.frame_bytes();
        let stack = self.layout.stack_bytes();
        let target = &mut batch.frames[row * stack..(row + 1) * stack];
        for (back, frame) in target.chunks_exact_mut(bytes).rev().enumerate() {
            // Also clamped at record 0, as a torn `step` may be anything.
            let source = index.saturating_sub((back as u64).min(u64::from(step)));
            load_bytes(&self.lanes[lane].ring.record(source)[self.records.frame.clone()], frame);
        }
    }
}
