//! Prioritised sampling: starts drawn in proportion to a priority of theirs.

use rand::{Rng, RngExt};

use crate::batch::{Batch, Key};
use crate::buffer::{Contents, ReplayBuffer};
use crate::error::ReplayError;
use crate::record::Header;
use crate::sample::{ATTEMPTS, Rows, Start};

/// Priorities of a buffer's transitions, for one learner (Schaul et al. 2016, "Prioritized Experience Replay", the
/// proportional variant).
///
/// Transition i starts a window with probability `P(i) = p_i^alpha / sum_k p_k^alpha` (their eq. 1). New transitions get the
/// greatest priority seen so far; [`update`](Self::update) sets it once the learner knows better. The weights of a batch,
/// `w_i = (N P(i))^-beta / max_j w_j` over the batch, correct the bias (their section 3.4).
///
/// The tree of sums belongs to the learner and is brought up to date when it samples. So writers know nothing of it and
/// stay wait-free, and a buffer may be sampled uniformly and by several priorities at once. It is not part of a saved
/// buffer: a restored learner starts with equal priorities.
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
        batch.open(&layout, windows, steps);
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
            if self.buffer.shared.copy(Start { lane, index, head }, steps, batch, rows) {
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

/// A complete binary tree whose nodes are the sums of their children. Sums are formed anew, never adjusted, so that
/// rounding does not pile up.
#[derive(Clone, Debug)]
struct SumTree {
    nodes: Vec<f64>,
}

impl SumTree {
    fn new(leaves: usize) -> Self {
        Self { nodes: vec![0.0; 2 * leaves.next_power_of_two()] }
    }

    fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }

    fn total(&self) -> f64 {
        self.nodes[1]
    }

    fn get(&self, leaf: usize) -> f64 {
        self.nodes[self.leaves() + leaf]
    }

    fn set(&mut self, leaf: usize, value: f64) {
        let mut node = self.leaves() + leaf;
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            self.nodes[node] = self.nodes[2 * node] + self.nodes[2 * node + 1];
        }
    }

    /// The leaf at which the running sum of the leaves first exceeds `mass`; never one of value 0 while `total` is not.
    fn find(&self, mut mass: f64) -> usize {
        let mut node = 1;
        while node < self.leaves() {
            let [left, right] = [self.nodes[2 * node], self.nodes[2 * node + 1]];
            // Rounding may leave a mass that exceeds all: it must not lead into an empty half.
            if mass < left || right <= 0.0 {
                node *= 2;
            } else {
                mass -= left;
                node = 2 * node + 1;
            }
        }
        node - self.leaves()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_finds_every_leaf_by_its_share() {
        let mut tree = SumTree::new(5);
        for (leaf, value) in [1.0, 0.0, 2.0, 4.0, 0.0].into_iter().enumerate() {
            tree.set(leaf, value);
        }
        assert!((tree.total() - 7.0).abs() < 1e-12);
        let found = [0.0, 0.9, 1.0, 2.9, 3.0, 6.9, 7.0, 1e9].map(|mass| tree.find(mass));
        assert_eq!(found, [0, 0, 2, 2, 3, 3, 3, 3]);
        assert_eq!(SumTree::new(1).find(0.0), 0);
    }
}
