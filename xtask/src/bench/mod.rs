//! `cargo xtask bench`: this workspace's parts against their peers, taking turns in one run.
//!
//! Turns, because a shared machine's speed drifts: a ratio of neighbouring turns is worth more than two rates measured apart.
//! Rates are given per second of wall time and per second of processor time; on a machine that also does other work the
//! second is the one to trust. Every race lives in a file of its own.

mod envs;
mod learner;
pub(crate) mod peers;
mod replay;
mod side;

use anyhow::Result;

/// What there is to race.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Race {
    /// Steps of the environments, against bare physics, the original and EnvPool, and on two threads against one.
    Envs(envs::Options),
    /// One MPO update, against the same update in jitted JAX.
    Learner(learner::Options),
    /// The replay buffer, against a plain copy, a NumPy ring, cpprb, flashbax and Reverb.
    Replay(replay::Options),
}

/// Races, prints a table and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(crate) fn run(race: &Race) -> Result<()> {
    match race {
        Race::Envs(options) => envs::run(options),
        Race::Learner(options) => learner::run(options),
        Race::Replay(options) => replay::run(options),
    }
}
