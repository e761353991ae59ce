//! What runs a launch list.

use std::fmt;

use super::launch::LaunchList;
use crate::{GradientReducer, NetsError};

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

    /// Begins to copy the staged batches of `slot` and to make an update, up to the list's meeting if it has one; waits for neither.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn launch(&mut self, slot: usize) -> Result<(), NetsError>;

    /// Replaces `len` numbers of the arenas from `at` on by their mean over all workers: by way of the host, unless the device
    /// knows the others' devices.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed; [`NetsError::Workers`] when another worker is gone.
    fn meet(&mut self, at: usize, len: usize, workers: &mut dyn GradientReducer) -> Result<(), NetsError> {
        meet_on_host(self, at, len, workers)
    }

    /// Begins what follows the list's meeting, after a [`launch`](Self::launch) of `slot`; does not wait.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn conclude(&mut self, slot: usize) -> Result<(), NetsError>;

    /// Seconds of each launch of the list by itself, `rounds` times over, their mean; what the launches find goes on changing
    /// the learners. `None` where times would mean nothing.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    fn time(&mut self, rounds: usize) -> Result<Option<Vec<f64>>, NetsError>;
}

/// [`Device::meet`] by way of the host's memory.
pub(super) fn meet_on_host<D: Device + ?Sized>(
    device: &mut D,
    at: usize,
    len: usize,
    workers: &mut dyn GradientReducer,
) -> Result<(), NetsError> {
    let mut numbers = vec![0.0_f32; len];
    device.read(at, bytemuck::cast_slice_mut(&mut numbers))?;
    workers.mean(&mut numbers)?;
    device.write(at, bytemuck::cast_slice(&numbers))
}
