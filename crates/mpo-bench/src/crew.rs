//! Who trains: this process alone, or with the others of an MPI job.

use mpo_agent::{Alone, Chosen, Config, DeviceChoice, Reduction, Workers};

use crate::{interrupt::Ending, output};

/// This process's part.
#[derive(Debug)]
pub enum Crew {
    /// It trains by itself.
    Alone,
    /// It is one of the processes of a job.
    #[cfg(feature = "mpi")]
    Job(mpo_agent::Mpi),
}

impl Crew {
    /// Joins the job that this process was started in, if it was told to.
    ///
    /// # Errors
    /// If the program was built without MPI, or MPI refuses.
    #[cfg(feature = "mpi")]
    pub fn join(distributed: bool) -> anyhow::Result<Self> {
        if !distributed {
            return Ok(Self::Alone);
        }
        let job = mpo_agent::Mpi::join()?;
        if job.workers() == 1 {
            output::note(
                "there is one worker only: start several as `mpirun -np 4 mpo train ... --distributed` (docs/distributed.md)",
            );
        }
        Ok(Self::Job(job))
    }

    /// Joins the job that this process was started in, if it was told to.
    ///
    /// # Errors
    /// If it was: the program was built without MPI.
    #[cfg(not(feature = "mpi"))]
    pub fn join(distributed: bool) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !distributed,
            "this mpo was built without MPI: install Open MPI or MPICH and libclang (Debian: libopenmpi-dev openmpi-bin \
             libclang-dev), then `cargo build --release -p mpo-bench --features mpi`"
        );
        Ok(Self::Alone)
    }

    /// Does `work` as a part of the job, if it is told to be one, and ends the whole job if it fails here: the others would wait
    /// for this process for ever.
    ///
    /// # Errors
    /// Those of [`join`](Self::join) and of `work`, alone.
    pub fn with(distributed: bool, work: impl FnOnce(&Self) -> anyhow::Result<Ending>) -> anyhow::Result<Ending> {
        let crew = Self::join(distributed)?;
        work(&crew).map_err(|error| crew.fail(error))
    }

    /// The error, alone; in a job, the end of all its processes.
    #[must_use]
    pub fn fail(&self, error: anyhow::Error) -> anyhow::Error {
        match self {
            Self::Alone => error,
            #[cfg(feature = "mpi")]
            Self::Job(job) if job.workers() == 1 => error,
            #[cfg(feature = "mpi")]
            Self::Job(job) => {
                output::note(&format!("error: worker {}: {}", job.rank(), output::causes(&error)));
                job.abort()
            }
        }
    }

    /// How many train together.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self {
            Self::Alone => 1,
            #[cfg(feature = "mpi")]
            Self::Job(job) => job.workers(),
        }
    }

    /// Whether this process speaks for all.
    #[must_use]
    pub fn is_first(&self) -> bool {
        match self {
            Self::Alone => true,
            #[cfg(feature = "mpi")]
            Self::Job(job) => job.rank() == 0,
        }
    }

    /// Where runs of these settings learn, at most `together` of them side by side; told by the first.
    ///
    /// # Errors
    /// Those of [`DeviceChoice::resolve`] and [`Chosen::among`].
    pub fn choose(&self, device: DeviceChoice, configs: &[&Config], together: usize) -> anyhow::Result<Chosen> {
        let reduction = configs.first().map_or_else(Reduction::default, |config| config.training.reduction);
        let chosen = device.resolve(configs, together)?.among(&mut *self.enlist(reduction), reduction)?;
        if self.is_first() {
            chosen.note.iter().for_each(|note| output::note(note));
        }
        Ok(chosen)
    }

    /// They as the workers of a run.
    #[must_use]
    pub fn enlist(&self, reduction: Reduction) -> Box<dyn Workers> {
        match self {
            Self::Alone => {
                let _ = reduction;
                Box::new(Alone)
            }
            #[cfg(feature = "mpi")]
            Self::Job(job) => Box::new(job.as_workers(reduction)),
        }
    }
}
