//! Workers that are the processes of an MPI job.

use std::sync::Arc;

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use mpi::{Rank, Threading};
use mpo_nets::{GradientReducer, NetsError};

use super::{Workers, mean_in_rank_order};
use crate::AgentError;
use crate::config::Reduction;

/// This process's part in an MPI job, from initialisation to finalisation.
///
/// MPI ends a job as a whole: by the finalisation of all, or by [`Mpi::abort`] of one. A panic aborts, because finalising would
/// wait for workers that wait for this one.
#[derive(Clone)]
pub struct Mpi {
    session: Arc<Session>,
}

struct Session {
    /// Finalises when it is dropped.
    _universe: Universe,
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            abort();
        }
    }
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank()).field("workers", &self.workers()).finish()
    }
}

impl Mpi {
    /// Joins the job. Outside of one (`mpirun`, `srun`) it has this process alone.
    ///
    /// # Errors
    /// [`AgentError::MpiRefused`] when MPI was initialised before, or leaves its calls to another thread.
    pub fn join() -> Result<Self, AgentError> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or(AgentError::MpiRefused { reason: "it was initialised before" })?;
        if threading < Threading::Serialized {
            return Err(AgentError::MpiRefused { reason: "the library supports no threads" });
        }
        Ok(Self { session: Arc::new(Session { _universe: universe }) })
    }

    /// This process's place in the job.
    #[must_use]
    pub fn rank(&self) -> usize {
        world().rank() as usize
    }

    /// Processes of the job.
    #[must_use]
    pub fn workers(&self) -> usize {
        world().size() as usize
    }

    /// The job's processes as a run's workers.
    #[must_use]
    pub fn as_workers(&self, reduction: Reduction) -> MpiWorkers {
        let (rank, count) = (self.rank(), self.workers());
        MpiWorkers { rank, count, reduction, received: Vec::new(), _session: Arc::clone(&self.session) }
    }

    /// Ends all processes of the job at once, with an exit code that says failure.
    pub fn abort(&self) -> ! {
        abort()
    }
}

fn abort() -> ! {
    world().abort(1)
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// The processes of an MPI job.
pub struct MpiWorkers {
    rank: usize,
    count: usize,
    reduction: Reduction,
    received: Vec<f32>,
    _session: Arc<Session>,
}

impl std::fmt::Debug for MpiWorkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MpiWorkers")
            .field("rank", &self.rank)
            .field("count", &self.count)
            .field("reduction", &self.reduction)
            .finish_non_exhaustive()
    }
}

/// The rank whose sum counts where their order is fixed.
const CHIEF: Rank = 0;

impl GradientReducer for MpiWorkers {
    fn workers(&self) -> usize {
        self.count
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        let world = world();
        match self.reduction {
            Reduction::AllReduce => {
                self.received.resize(values.len(), 0.0);
                world.all_reduce_into(values, &mut self.received[..], SystemOperation::sum());
                let share = 1.0 / self.count as f32;
                values.iter_mut().zip(&self.received).for_each(|(value, sum)| *value = share * sum);
            }
            Reduction::RankOrder => {
                let chief = world.process_at_rank(CHIEF);
                if world.rank() == CHIEF {
                    self.received.resize(self.count * values.len(), 0.0);
                    chief.gather_into_root(values, &mut self.received[..]);
                    mean_in_rank_order(&self.received, values);
                } else {
                    chief.gather_into(values);
                }
                chief.broadcast_into(values);
            }
        }
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        let mut least = 0_u64;
        world().all_reduce_into(&(count as u64), &mut least, SystemOperation::min());
        Ok(least as usize)
    }
}

impl Workers for MpiWorkers {
    fn rank(&self) -> usize {
        self.rank
    }

    fn gather(&mut self, own: &[u64], all: &mut [u64]) -> Result<(), NetsError> {
        assert_eq!(all.len(), own.len() * self.count, "words of all workers");
        if own.is_empty() {
            world().barrier();
        } else {
            world().all_gather_into(own, all);
        }
        Ok(())
    }
}
