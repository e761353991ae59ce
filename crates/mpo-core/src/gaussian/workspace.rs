//! Scratch memory for one state.

use super::triangular::{Block, blocks};
use crate::Real;
use crate::real::LANES;

/// Memory for the intermediate results of one state, allocated once and lent to every call.
#[derive(Clone, Debug)]
pub struct Workspace<T> {
    samples: usize,
    /// Whitened samples `[n, M]`, in blocks of samples.
    pub(super) whitened: Vec<Block<T>>,
    /// One weight per sample, padded with zeros.
    pub(super) weights: Vec<Block<T>>,
    /// One number per sample.
    pub(super) line: Vec<Block<T>>,
    /// The lower half of a symmetric matrix, in blocks of columns.
    pub(super) gram: Vec<Block<T>>,
    /// `L^-1 L0`, in blocks of columns.
    pub(super) ratio: Vec<Block<T>>,
    pub(super) shift: Vec<T>,
    pub(super) first: Vec<T>,
    pub(super) second: Vec<T>,
}

impl<T: Real> Workspace<T> {
    /// Room for states of `action_len` dimensions with up to `samples` samples each.
    #[must_use]
    pub fn new(action_len: usize, samples: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        let padded = |rows, columns| vec![[T::zero(); LANES]; rows * blocks(columns)];
        Self {
            samples,
            whitened: padded(action_len, samples),
            weights: padded(1, samples),
            line: padded(1, samples),
            gram: padded(action_len, action_len),
            ratio: padded(action_len, action_len),
            shift: zeros(action_len),
            first: zeros(action_len),
            second: zeros(action_len),
        }
    }

    pub(crate) fn assert_fits(&self, action_len: usize, samples: usize) {
        assert!(
            self.shift.len() == action_len && self.samples >= samples,
            "the workspace is for {} dimensions and {} samples, the call needs {action_len} and {samples}",
            self.shift.len(),
            self.samples
        );
    }
}
