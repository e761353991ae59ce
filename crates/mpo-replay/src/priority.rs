//! Prioritised sampling: starts drawn in proportion to a priority of theirs.

use std::io::{Read, Write};

use rand::{Rng, RngExt};

use crate::batch::{Batch, Key};
use crate::buffer::{Contents, ReplayBuffer};
use crate::checked::{Sink, Source};
use crate::error::{ReplayError, Section};
use crate::record::Header;
use crate::sample::{ATTEMPTS, Rows, Start};
use crate::sum_tree::SumTree;

const MAGIC: [u8; 8] = *b"MPOPRIOR";

/// Priorities under one checksum.
const BLOCK: usize = 4096;

/// Priorities of a buffer's transitions, for one learner (Schaul et al. 2016, "Prioritized Experience Replay", the
/// proportional variant).
///
/// Transition i starts a window with probability `P(i) = p_i^alpha / sum_k p_k^alpha` (their eq. 1). New transitions get the
/// greatest priority seen so far; [`update`](Self::update) sets it once the learner knows better. The weights of a batch,
/// `w_i = (N P(i))^-beta / max_j w_j` over the batch, correct the bias (their section 3.4).
///
/// The tree of sums belongs to the learner and is brought up to date when it samples. So writers know nothing of it and
/// stay wait-free, and a buffer may be sampled uniformly and by several priorities at once. It is saved by
/// [`Priorities::save`], best into one file with its buffer: see [`save_file`](crate::save_file).
#[derive(Clone, Debug)]
pub struct Priorities {
    buffer: ReplayBuffer,
    tree: SumTree,
    lanes: Vec<Contents>,
    slots: usize,
    alpha: f64,
    greatest: f64,
}

impl Priorities {
    /// Priorities of all that `buffer` (or a clone of the handle) holds and will hold.
    ///
    /// # Panics
    /// Unless `alpha` is finite and not negative; 0 draws uniformly.
    #[must_use]
    pub fn new(buffer: &ReplayBuffer, alpha: f64) -> Self {
        assert!(alpha >= 0.0 && alpha.is_finite(), "the exponent alpha is {alpha}: must be finite and not negative");
        let slots = buffer.shared.lanes[0].ring.slots() as usize;
        let lanes = buffer.lanes();
        let tree = SumTree::new(slots * lanes);
        Self { buffer: buffer.clone(), tree, lanes: vec![Contents::default(); lanes], slots, alpha, greatest: 1.0 }
    }

    /// As [`ReplayBuffer::sample`], but with starts drawn by priority, and with `batch.weights` for the exponent `beta`.
    ///
    /// # Errors
    /// Those of [`ReplayBuffer::sample`]. [`ReplayError::Empty`] also if every priority is 0.
    ///
    /// # Panics
    /// If `windows` or `steps` is 0.
    pub fn sample<R: Rng + ?Sized>(
        &mut self,
        rng: &mut R,
        windows: usize,
        steps: usize,
        beta: f64,
        batch: &mut Batch,
    ) -> Result<(), ReplayError> {
        assert!(windows > 0 && steps > 0, "a batch of {windows} windows of {steps} steps: both must be at least 1");
        let layout = self.buffer.layout();
        let mut rows = Rows::default();
        batch.open(&layout, windows, windows * steps);
        let result = self.fill(rng, windows, steps, beta, batch, &mut rows);
        if result.is_err() {
            rows = Rows::default();
            batch.weights.clear();
        }
        batch.close(&layout, rows.windows, rows.transitions);
        result
    }

    /// Sets the priorities of the transitions that start the windows `keys` of a batch, say to their absolute TD errors.
    /// Keys of transitions that have been overwritten meanwhile are ignored.
    ///
    /// # Panics
    /// If the lengths differ, or a priority is negative or not finite.
    pub fn update(&mut self, keys: &[Key], priorities: &[f64]) {
        assert!(keys.len() == priorities.len(), "{} priorities for {} keys", priorities.len(), keys.len());
        for (key, &priority) in keys.iter().zip(priorities) {
            assert!(priority >= 0.0 && priority.is_finite(), "a priority of {priority}: must be finite, not negative");
            self.greatest = self.greatest.max(priority);
            if (self.lanes[key.lane].first..self.lanes[key.lane].head).contains(&key.index) {
                self.tree.set(self.leaf(key.lane, key.index), priority.powf(self.alpha));
            }
        }
    }

    /// Writes the priorities to `writer`: those that were known when last sampled. Save them beside the buffer.
    ///
    /// # Errors
    /// [`ReplayError::Io`] if `writer` fails.
    pub fn save<W: Write + ?Sized>(&self, writer: &mut W) -> Result<(), ReplayError> {
        let mut sink = Sink::new(writer);
        sink.write(&MAGIC)?;
        for field in [self.alpha.to_bits(), self.greatest.to_bits(), self.slots as u64, self.lanes.len() as u64] {
            sink.put(field);
        }
        sink.flush()?;
        for (number, lane) in self.lanes.iter().enumerate() {
            sink.put(lane.first);
            sink.put(lane.head);
            sink.flush()?;
            for block in (lane.first..lane.head).step_by(BLOCK) {
                for index in block..lane.head.min(block + BLOCK as u64) {
                    sink.put(self.tree.get(self.leaf(number, index)).to_bits());
                }
                sink.flush()?;
            }
        }
        Ok(())
    }

    /// Reads the priorities that [`save`](Self::save) wrote, for `buffer`, which was restored from the same checkpoint.
    /// Sampling then goes on as it would have, number for number. If writers ran during the checkpoint, the two may have
    /// been taken at moments a little apart: transitions that only the buffer has get the greatest priority, priorities of
    /// transitions that it does not have are dropped.
    ///
    /// # Errors
    /// Those of [`ReplayBuffer::load`]; [`ReplayError::Mismatch`] if they were saved for a buffer of another shape.
    pub fn load<R: Read + ?Sized>(reader: &mut R, buffer: &ReplayBuffer) -> Result<Self, ReplayError> {
        let mut source = Source::new(reader, Section::Priorities);
        let found = source.bytes()?;
        if found != MAGIC {
            return Err(ReplayError::NotReplay { found, expected: MAGIC });
        }
        let [alpha, greatest, slots, lanes] = source.checked_words()?;
        let (alpha, greatest) = (f64::from_bits(alpha), f64::from_bits(greatest));
        let valid = |value: f64| value >= 0.0 && value.is_finite();
        if !valid(alpha) || !valid(greatest) {
            return Err(source.inconsistent("alpha or the greatest priority, in bits,", alpha.to_bits()));
        }
        let mut priorities = Self::new(buffer, alpha);
        let expected = [priorities.slots as u64, buffer.lanes() as u64];
        for (field, found, expected) in [("slots per lane", slots, expected[0]), ("lane count", lanes, expected[1])] {
            if found != expected {
                return Err(ReplayError::Mismatch { field, found, expected });
            }
        }
        let mut leaves = Vec::new();
        for number in 0..buffer.lanes() {
            let [first, head] = source.checked_words()?;
            if head < first || head - first > slots {
                return Err(source.inconsistent("the first transition of a lane", first));
            }
            let now = buffer.shared.contents(&buffer.shared.lanes[number]);
            let known = first.max(now.first)..head.min(now.head);
            let mut values = Vec::new();
            for block in (first..head).step_by(BLOCK) {
                let count = (head - block).min(BLOCK as u64);
                values.resize(count as usize * 8, 0);
                source.checked_bytes(&mut values)?;
                for (index, bytes) in (block..).zip(values.as_chunks::<8>().0) {
                    let value = f64::from_bits(u64::from_le_bytes(*bytes));
                    if !valid(value) {
                        return Err(source.inconsistent("a priority, in bits,", value.to_bits()));
                    }
                    if known.contains(&index) {
                        leaves.push((priorities.leaf(number, index), value));
                    }
                }
            }
            // What lies outside is new to these priorities, and taken in when they are next sampled.
            if !known.is_empty() {
                priorities.lanes[number] = Contents { first: known.start, head: known.end, ..now };
            }
        }
        priorities.tree.fill(leaves.into_iter());
        priorities.greatest = greatest;
        Ok(priorities)
    }

    fn fill<R: Rng + ?Sized>(
        &mut self,
        rng: &mut R,
        windows: usize,
        steps: usize,
        beta: f64,
        batch: &mut Batch,
        rows: &mut Rows,
    ) -> Result<(), ReplayError> {
        self.refresh();
        let mut attempts = 1;
        while rows.windows < windows {
            let total = self.tree.total();
            if total <= 0.0 {
                return Err(ReplayError::Empty { lanes: self.lanes.len() });
            }
            let leaf = self.tree.find(rng.random::<f64>() * total);
            let (lane, slot) = (leaf / self.slots, (leaf % self.slots) as u64);
            let Contents { first, head, .. } = self.lanes[lane];
            let slots = self.slots as u64;
            let index = first + (slot + slots - first % slots) % slots;
            let weight = self.tree.get(leaf) / total;
            if self.buffer.shared.copy(self.start(lane, index, head), steps, batch, rows) {
                batch.weights.push(weight as f32);
                attempts = 1;
                continue;
            }
            if attempts == ATTEMPTS {
                let capacity = self.buffer.capacity();
                return Err(ReplayError::Overrun { lane, attempts, steps, capacity });
            }
            attempts += 1;
            batch.redrawn += 1;
            self.refresh();
        }
        // Probabilities so far. N cancels in the quotient by the greatest weight, that of the least probability.
        let least = batch.weights.iter().copied().fold(f32::INFINITY, f32::min);
        batch.weights.iter_mut().for_each(|weight| *weight = (*weight / least).powf(-beta as f32));
        Ok(())
    }

    fn start(&self, lane: usize, index: u64, head: u64) -> Start {
        Start::new(&self.buffer.shared.lanes[lane].ring, lane, index, head)
    }

    fn leaf(&self, lane: usize, index: u64) -> usize {
        lane * self.slots + (index % self.slots as u64) as usize
    }

    /// Takes in what was written since the last time: new transitions get the greatest priority, overwritten ones 0.
    fn refresh(&mut self) {
        let newest = self.greatest.powf(self.alpha);
        let shared = std::sync::Arc::clone(&self.buffer.shared);
        for (number, lane) in shared.lanes.iter().enumerate() {
            let before = self.lanes[number];
            let now = shared.contents(lane);
            for index in before.first..before.head.min(now.first) {
                self.tree.set(self.leaf(number, index), 0.0);
            }
            for index in before.head.max(now.first)..now.head {
                // A header that is overwritten just now belongs to a transition whose copy will be refused.
                let first = Header::load(lane.ring.record(index)).first;
                self.tree.set(self.leaf(number, index), if first { 0.0 } else { newest });
            }
            self.lanes[number] = now;
        }
    }
}
