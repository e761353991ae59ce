//! Sampling: draw the starts of all windows, then copy and validate each.

use rand::{Rng, RngExt};

use crate::batch::{Batch, Key};
use crate::buffer::{Contents, ReplayBuffer, Shared};
use crate::error::ReplayError;
use crate::layout::ActionLayout;
use crate::record::{Header, Scalars, load_bytes, load_rows};
use crate::ring::Ring;
use crate::sync::{AtomicU64, Ordering};

/// Draws that may hit first states, which are no transitions, before a start is selected by its rank instead.
const REJECTIONS: u32 = 64;

/// Attempts to copy one window. A refusal takes a writer that laps the lane during one copy, so this is never reached
/// unless the capacity is of the order of the window.
pub(crate) const ATTEMPTS: u32 = if cfg!(loom) { 3 } else { 10_000 };

/// Windows between the one being copied and the one whose cache lines are being fetched: far enough to hide the memory's
/// latency, and few enough to stay in the innermost cache until they are copied.
const AHEAD: usize = 3;

/// What sampling remembers between its steps, kept in the batch for its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    lanes: Vec<LaneShare>,
    starts: Vec<Start>,
    redrawn: Vec<Start>,
}

/// A lane's contents, and the candidates and transitions of the lanes up to and including it.
#[derive(Clone, Copy, Debug)]
struct LaneShare {
    contents: Contents,
    candidates: u64,
    transitions: u64,
    /// The slot of the state before the first candidate.
    slot: usize,
}

/// The record that holds the first transition of a window, and the `head` below which the window must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    lane: usize,
    index: u64,
    head: u64,
    /// The slot of the state before the transition.
    slot: usize,
}

impl Start {
    pub(crate) fn new(ring: &Ring, lane: usize, index: u64, head: u64) -> Self {
        Self { lane, index, head, slot: ring.slot_of(index - 1) }
    }

    /// Transitions of a window of up to `steps` steps, if its episode does not end before.
    fn most(&self, steps: usize) -> usize {
        (self.head - self.index).min(steps as u64) as usize
    }
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
        batch.open(layout, windows, windows * steps);
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
        let Scratch { lanes, starts, redrawn } = scratch;
        self.survey(lanes)?;
        self.draw(rng, lanes, windows, starts);
        for &start in starts.iter().take(AHEAD) {
            self.prefetch(start, steps);
        }
        for turn in 0..windows {
            if let Some(&ahead) = starts.get(turn + AHEAD) {
                self.prefetch(ahead, steps);
            }
            let mut start = starts[turn];
            let mut attempts = 1;
            while !self.copy(start, steps, batch, rows) {
                if attempts == ATTEMPTS {
                    let (lane, capacity) = (start.lane, self.capacity);
                    return Err(ReplayError::Overrun { lane, attempts, steps, capacity });
                }
                attempts += 1;
                batch.redrawn += 1;
                self.survey(lanes)?;
                self.draw(rng, lanes, 1, redrawn);
                start = redrawn[0];
            }
        }
        Ok(())
    }

    #[inline]
    fn prefetch(&self, start: Start, steps: usize) {
        // A stack of frames is too much to be worth it: the hardware follows a frame by itself.
        if self.layout.frames.is_none() {
            self.lanes[start.lane].ring.prefetch(start.slot, start.most(steps) + 1);
        }
    }

    /// Looks what every lane holds.
    fn survey(&self, lanes: &mut Vec<LaneShare>) -> Result<(), ReplayError> {
        let (mut candidates, mut transitions) = (0, 0);
        lanes.clear();
        lanes.extend(self.lanes.iter().map(|lane| {
            let contents = self.contents(lane);
            candidates += contents.candidates();
            transitions += contents.transitions();
            let slot = lane.ring.slot_of(contents.first.saturating_sub(1));
            LaneShare { contents, candidates, transitions, slot }
        }));
        if transitions == 0 || candidates == 0 { Err(ReplayError::Empty { lanes: lanes.len() }) } else { Ok(()) }
    }

    /// Fills `starts` with `windows` starts that are uniform over the transitions of `lanes`, of which there is at least one.
    ///
    /// Every draw may hit the first state of an episode, which is no transition, and is rejected then. Which states are
    /// first ones is asked of all draws together: their headers lie anywhere in memory, and are fetched side by side.
    fn draw<R: Rng + ?Sized>(&self, rng: &mut R, lanes: &[LaneShare], windows: usize, starts: &mut Vec<Start>) {
        let last = lanes[lanes.len() - 1];
        starts.clear();
        for _ in 0..REJECTIONS {
            let accepted = starts.len();
            for _ in accepted..windows {
                let ticket = rng.random_range(0..last.candidates);
                let lane = lanes.partition_point(|share| share.candidates <= ticket);
                let LaneShare { contents, candidates, slot, .. } = lanes[lane];
                let index = contents.head - (candidates - ticket);
                let ring = &self.lanes[lane].ring;
                let slot = ring.slot_after(slot, (index - contents.first) as usize);
                ring.prefetch(ring.slot_after(slot, 1), 1);
                starts.push(Start { lane, index, head: contents.head, slot });
            }
            let mut kept = accepted;
            for candidate in accepted..windows {
                let start = starts[candidate];
                let ring = &self.lanes[start.lane].ring;
                if !Header::load(ring.in_slot(ring.slot_after(start.slot, 1))).first {
                    starts[kept] = start;
                    kept += 1;
                }
            }
            starts.truncate(kept);
            if kept == windows {
                return;
            }
        }
        // Almost only first states: select transitions by their rank. The result is as uniform as an accepted draw.
        for _ in starts.len()..windows {
            let rank = rng.random_range(0..last.transitions);
            let lane = lanes.partition_point(|share| share.transitions <= rank);
            let LaneShare { contents, transitions, .. } = lanes[lane];
            let index = self.record_of(lane, contents, contents.inserted - (transitions - rank) + 1);
            starts.push(Start::new(&self.lanes[lane].ring, lane, index, contents.head));
        }
    }

    /// The record of the transition that was pushed to `lane` as its `number`-th (from 1), which `contents` holds.
    pub(crate) fn record_of(&self, lane: usize, contents: Contents, number: u64) -> u64 {
        let (mut low, mut high) = (contents.first, contents.head - 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if Header::load(self.lanes[lane].ring.record(middle)).transitions < number {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Copies the window from `start` on behind the rows written so far. Returns whether it is valid; if not, `rows` is as
    /// before.
    pub(crate) fn copy(&self, start: Start, steps: usize, batch: &mut Batch, rows: &mut Rows) -> bool {
        let ring = &self.lanes[start.lane].ring;
        let [records, more] = ring.run(start.slot, start.most(steps) + 1);
        let len = if more.is_empty() {
            self.copy_records(records, batch, *rows)
        } else {
            self.copy_records(records.chain(more), batch, *rows)
        };
        let before = start.index - 1;
        if self.layout.frames.is_some() {
            let mut step = Scalars::load(ring.record(before)).step;
            for (row, index) in (rows.windows + rows.transitions..).zip(before..=before + len as u64) {
                self.copy_stack(start.lane, index, step, batch, row);
                step = step.saturating_add(1);
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

    /// Copies the state of the first of `records`, then transitions and states up to the next first state, one kind of
    /// number after the other. Returns how many transitions were copied.
    #[inline]
    fn copy_records<'a>(
        &self,
        records: impl Iterator<Item = &'a [AtomicU64]> + Clone,
        batch: &mut Batch,
        rows: Rows,
    ) -> usize {
        // One more state than transitions in each window: a state comes after the transition into it.
        let state = rows.windows + rows.transitions;
        let row = rows.transitions;
        let steps = records.clone().skip(1);
        let mut len = 0;
        let scalars = batch.rewards[row..].iter_mut().zip(&mut batch.discounts[row..]).zip(&mut batch.log_probs[row..]);
        let outputs = scalars.zip(&mut batch.step_types[state + 1..]);
        for (record, (((reward, discount), log_prob), step_type)) in steps.clone().zip(outputs) {
            let header = Header::load(record);
            if header.first {
                break;
            }
            let scalars = Scalars::load(record);
            (*reward, *discount, *log_prob) = (scalars.reward, scalars.discount, scalars.log_prob);
            *step_type = header.step_type();
            len += 1;
        }
        if let Some(record) = records.clone().next() {
            batch.step_types[state] = Header::load(record).step_type();
        }
        let at = self.records.action.start;
        match self.layout.action {
            ActionLayout::Continuous(width) => {
                load_rows(steps.take(len), at, width, &mut batch.actions[row * width..]);
            }
            ActionLayout::Discrete(_) => {
                for (record, action) in steps.take(len).zip(&mut batch.discrete_actions[row..]) {
                    *action = record[at].load(Ordering::Relaxed) as u32;
                }
            }
        }
        let width = self.layout.observation;
        let observations = &mut batch.observations[state * width..];
        load_rows(records.take(len + 1), self.records.observation.start, width, observations);
        len
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
