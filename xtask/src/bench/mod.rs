//! `cargo xtask bench`: this workspace's parts against their peers, taking turns in one run.
//!
//! Turns, because a shared machine's speed drifts: a ratio of neighbouring turns is worth more than two rates measured apart.
//! Rates are given per second of wall time and per second of processor time; on a machine that also does other work the
//! second is the one to trust. Every race lives in a file of its own.

mod atari;
mod convolution;
mod distributed;
mod envs;
mod learner;
pub(crate) mod peers;
mod replay;
mod side;
mod training;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::process;

/// What the command line of `cargo xtask bench` takes.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// One race; all of them, one after the other, if left out.
    #[command(subcommand)]
    race: Option<Race>,
    /// When all are run: also write their figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What there is to race.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Race {
    /// Frames of Atari games with all preprocessing, against ALE's own vector environment and EnvPool.
    Atari(atari::Options),
    /// The deep Q-network forward and back, against JAX and candle.
    Conv(convolution::Options),
    /// Updates of several processes together, on this machine, on two hosts and, by a model, on many: needs MPI.
    Distributed(distributed::Options),
    /// Steps of the environments, against bare physics, the original and EnvPool, and on two threads against one.
    Envs(envs::Options),
    /// One MPO update, against the same update in jitted JAX.
    Learner(learner::Options),
    /// The replay buffer, against a plain copy, a NumPy ring, cpprb, flashbax and Reverb.
    Replay(replay::Options),
    /// Whole training, against what the slower of learner and environment would allow alone.
    Training(training::Options),
}

/// The races in the order in which all are run.
const ALL: [&str; 4] = ["envs", "replay", "learner", "training"];

/// Races, prints tables and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Some(race) = &options.race else { return run_all(options) };
    match race {
        Race::Atari(options) => atari::run(options),
        Race::Conv(options) => convolution::run(options),
        Race::Distributed(options) => distributed::run(options),
        Race::Envs(options) => envs::run(options),
        Race::Learner(options) => learner::run(options),
        Race::Replay(options) => replay::run(options),
        Race::Training(options) => training::run(options),
    }
}

fn run_all(options: &Options) -> Result<()> {
    let mut figures = serde_json::Map::new();
    for race in ALL {
        println!("\n== {race}");
        let file = process::root().join(format!("target/bench-{race}.json"));
        run(&Options::try_parse_from(["bench".as_ref(), race.as_ref(), "--json".as_ref(), file.as_os_str()])?)?;
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        figures.insert(race.to_owned(), serde_json::from_str(&text)?);
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
