//! Several processes that train one set of networks (paper, appendix E): every worker has environments, a replay and random
//! streams of its own, and the gradient of each update is the mean over all of them.
//!
//! A [`Run`](crate::Run) speaks to its fellows through [`Workers`], which knows two things only: the mean of numbers, and
//! everybody's few words in the order of ranks. [`LocalWorkers`] are threads of one process; [`Mpi`], with the feature `mpi`,
//! processes on any number of hosts.

mod local;
#[cfg(feature = "mpi")]
mod mpi;

pub use local::LocalWorkers;
#[cfg(feature = "mpi")]
pub use mpi::{Mpi, MpiWorkers};

use mpo_nets::{Alone, GradientReducer, NetsError};

/// The workers of a run, as one of them sees the others. All make the same calls in the same order.
pub trait Workers: GradientReducer + Send {
    /// This worker's place among them, from 0. The first evaluates, writes the logs, and makes checkpoints valid.
    fn rank(&self) -> usize;

    /// Puts everybody's `own` words, as many for each, into `all` in the order of ranks. Without any words it waits for all.
    ///
    /// # Errors
    /// [`NetsError::Workers`] when another worker is gone.
    ///
    /// # Panics
    /// If `all` is not as long as all workers' words.
    fn gather(&mut self, own: &[u64], all: &mut [u64]) -> Result<(), NetsError>;
}

impl Workers for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn gather(&mut self, own: &[u64], all: &mut [u64]) -> Result<(), NetsError> {
        all.copy_from_slice(own);
        Ok(())
    }
}

/// What a run asks its workers.
impl dyn Workers + '_ {
    /// Everybody's `own` words.
    pub(crate) fn all<const N: usize>(&mut self, own: [u64; N]) -> Result<Vec<[u64; N]>, NetsError> {
        let mut words = vec![[0; N]; self.workers()];
        self.gather(&own, words.as_flattened_mut())?;
        Ok(words)
    }

    /// The first worker's words.
    pub(crate) fn of_first<const N: usize>(&mut self, own: [u64; N]) -> Result<[u64; N], NetsError> {
        Ok(self.all(own)?[0])
    }

    /// Whether anybody says yes.
    pub(crate) fn any(&mut self, own: bool) -> Result<bool, NetsError> {
        Ok(self.all([own.into()])?.iter().any(|&[yes]| yes != 0))
    }

    /// Returns once every worker has come here.
    pub(crate) fn wait(&mut self) -> Result<(), NetsError> {
        self.gather(&[], &mut [])
    }

    /// Whether this is the worker that writes for all.
    pub(crate) fn is_first(&self) -> bool {
        self.rank() == 0
    }
}

/// Fills `mean` with the mean of the workers' numbers, which stand in `all` one worker after another: a sum in the order of
/// ranks, so that its rounding depends on nothing else.
fn mean_in_rank_order(all: &[f32], mean: &mut [f32]) {
    let mut workers = all.chunks_exact(mean.len().max(1));
    let share = 1.0 / workers.len() as f32;
    mean.fill(0.0);
    for worker in &mut workers {
        mean.iter_mut().zip(worker).for_each(|(sum, value)| *sum += value);
    }
    for sum in mean {
        *sum *= share;
    }
}
