//! Several workers, one set of networks: gradients are averaged between their computation and the optimisers' steps.

use super::UpdateStats;
use crate::NetsError;

/// The workers that train one set of networks together, as an update of one of them sees the others.
///
/// Every worker has batches of its own and makes the same calls in the same order; what a call answers is the same for all,
/// bit for bit, so that networks which began alike stay alike. How words travel (shared memory, MPI) is the implementor's.
pub trait GradientReducer {
    /// How many they are, this one included.
    fn workers(&self) -> usize;

    /// Replaces `values` by their mean over all workers.
    ///
    /// # Errors
    /// [`NetsError::Workers`] when another worker is gone.
    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError>;

    /// The least `count` of all workers.
    ///
    /// # Errors
    /// [`NetsError::Workers`] when another worker is gone.
    fn least(&mut self, count: usize) -> Result<usize, NetsError>;
}

/// A single worker: every mean is its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl GradientReducer for Alone {
    fn workers(&self) -> usize {
        1
    }

    fn mean(&mut self, _: &mut [f32]) -> Result<(), NetsError> {
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        Ok(count)
    }
}

/// The one flat buffer in which a worker's gradients travel.
#[derive(Debug, Default)]
pub(super) struct FlatGradient {
    values: Vec<f32>,
}

impl FlatGradient {
    /// Replaces `parts` and `stats`, means over this worker's `transitions`, by the means over those of all workers. A single
    /// worker's stay as they are.
    ///
    /// A batch's windows end with episodes, so that workers have different numbers of transitions: each one's means travel
    /// multiplied by its number, and the number with them.
    pub(super) fn reduce(
        &mut self,
        workers: &mut dyn GradientReducer,
        transitions: usize,
        parts: &mut [&mut [f32]],
        stats: &mut UpdateStats,
    ) -> Result<(), NetsError> {
        if workers.workers() == 1 {
            return Ok(());
        }
        let weight = transitions as f32;
        self.values.clear();
        for part in parts.iter() {
            self.values.extend(part.iter().map(|value| weight * value));
        }
        self.values.extend(stats.values_mut().map(|value| weight * *value));
        self.values.push(weight);
        workers.mean(&mut self.values)?;
        let (values, weight) = self.values.split_at(self.values.len() - 1);
        let share = 1.0 / weight[0];
        let mut from = values.iter();
        let parts = parts.iter_mut().flat_map(|part| part.iter_mut());
        for (slot, value) in parts.chain(stats.values_mut()).zip(&mut from) {
            *slot = share * value;
        }
        Ok(())
    }
}

/// A 64-bit hash of numbers' bits (FNV-1a by words), by which workers notice that they no longer agree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(self, values: &[f32]) -> Self {
        values.iter().fold(self, |hash, value| hash.add_number(value.to_bits().into()))
    }

    pub(crate) fn add_number(self, number: u64) -> Self {
        Self((self.0 ^ number).wrapping_mul(0x0100_0000_01b3))
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
