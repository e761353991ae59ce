//! What runs a launch list.

use std::fmt;

use super::launch::LaunchList;
use crate::NetsError;

/// A device on which learners live: a card through its driver, or the emulation on the processor.
///
/// Memory is the list's arena once for each run, and two slots of their batches. A launch reads the slot of its parity, so
/// that the other can be filled meanwhile.
pub trait Device: fmt::Debug + Send {
    /// Takes a list; memory is zero then. What was there before is gone.
    ///
    /// # Errors
    /// [`NetsError::Device`] when memory is short or a kernel is missing.
    fn prepare(&mut self, list: &LaunchList) -> Result<(), NetsError>;

    /// Writes words of the arenas, after all that was launched.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn write(&mut self, at: usize, words: &[u32]) -> Result<(), NetsError>;

    /// Reads words of the arenas, after all that was launched.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn read(&mut self, at: usize, words: &mut [u32]) -> Result<(), NetsError>;

    /// Memory of the host from which [`launch`](Self::launch) takes all runs' batches for `slot`; waits until the last launch that
    /// took it has.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn staging(&mut self, slot: usize) -> Result<&mut [u32], NetsError>;

    /// Begins to copy the staged batches of `slot` and to make an update; waits for neither.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn launch(&mut self, slot: usize) -> Result<(), NetsError>;

    /// Seconds of each launch of the list by itself, `rounds` times over, their mean; what the launches find goes on changing
    /// the learners. `None` where times would mean nothing.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn time(&mut self, rounds: usize) -> Result<Option<Vec<f64>>, NetsError>;
}
