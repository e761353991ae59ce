//! The agent: what acts, what learns, and the run that joins them.
//!
//! A [`Run`] owns a directory. It plays episodes with an [`Actor`] ([`EnvironmentLoop`]), keeps them in a
//! replay buffer, lets a [`Learner`] update the networks after every environment step, measures the
//! policy's mean with an [`Evaluator`], and writes checkpoints from which an interrupted run goes on
//! to the same bytes.
//!
//! | file of a run | contents |
//! |---|---|
//! | `config.toml` | the resolved [`Config`] |
//! | `provenance.json` | [`Provenance`]: commit, versions, hashes, machine |
//! | `metrics.csv` | an [`EpisodeRow`] per training episode |
//! | `eval.csv` | an [`EvaluationRow`] per evaluation episode |
//! | `progress.csv` | on courses, a [`ProgressRow`] per evaluation episode |
//! | `timing.csv` | a [`TimingRow`] per training episode |
//! | `events.out.tfevents.*` | the same for TensorBoard ([`tensorboard`]) |
//! | `checkpoints/NNNNNNNNN/` | the last two checkpoints, by environment step; `worker-K/` in them is another worker's part |
//! | `done.json` | step and [`Reason`], once the run has ended |
//!
//! Clocks feed `timing.csv`, the times in `provenance.json` and TensorBoard's wall times, and decide
//! nothing; all randomness comes from named streams of one seed ([`Seeds`]).

#![forbid(unsafe_code)]

pub mod tensorboard;

mod actor;
mod checkpoint;
mod config;
mod device;
mod distributed;
mod environment_loop;
mod error;
mod evaluator;
mod files;
mod learner;
mod metrics;
mod provenance;
mod records;
mod run;
mod seeds;
mod shapes;

pub use actor::{Actor, Decision};
pub use config::{Config, Profile, Reduction, ReplayConfig, TrainingConfig};
pub use device::{Chosen, DeviceChoice, DeviceLearners, device_model};
pub use distributed::{LocalWorkers, Workers};
#[cfg(feature = "mpi")]
pub use distributed::{Mpi, MpiWorkers};
pub use environment_loop::{EnvironmentLoop, Episode};
pub use error::AgentError;
pub use evaluator::Evaluator;
pub use learner::Learner;
pub use mpo_nets::{Algorithm, Alone, LearnerStep, NetsError, cuda};
pub use provenance::{Process, Provenance};
pub use records::{
    EpisodeRow, EvaluationRow, EvaluationSummary, Observer, Outcome, ProgressRow, Reason, Silent, TimingRow, Warning,
};
pub use run::{
    ControlSuite, EnvironmentFactory, Evaluation, Parts, Run, evaluate, evaluate_with, load_policy, load_policy_with,
};
pub use seeds::{Seeds, Stream, standard_normals};
pub use shapes::{CpuLearners, LearnerFactory, SHAPES, Shape};
