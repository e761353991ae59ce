//! The deep Q-network, forward and back, against JAX and candle, and against what the machine could do.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::learner::machine::example;
use super::peers;
use super::side::{Rate, Side, median};
use crate::{process, setup};

/// What the command line of `cargo xtask bench conv` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Numbers of threads to race with; all sides get the same.
    #[arg(long, default_values_t = [1])]
    threads: Vec<usize>,
    /// Turns of each side.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Race without candle, whose build takes some minutes.
    #[arg(long)]
    no_candle: bool,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One side of one race.
#[derive(Debug, Serialize)]
struct Outcome {
    pass: String,
    threads: usize,
    side: String,
    turns: Vec<Rate>,
    median: Rate,
    /// Of ours, counted operations per CPU-second over those of a matrix product that stays in a core's cache.
    fraction_of_ceiling: Option<f64>,
    /// Of the others, how often ours fits into theirs.
    ours_over_it: Option<Rate>,
}

/// All that was found in one run.
#[derive(Debug, Serialize)]
struct Report {
    races: Vec<Outcome>,
}

/// Races, prints a table and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-nets", "--examples"]))?;
    let python = peers::python("jax-0.10.2", "jax.txt")?;
    let candle = if options.no_candle { None } else { Some(candle()?) };
    let mut report = Report { races: Vec::new() };
    println!("32 stacks of 84x84 bytes; {} turns of {} s each; medians", options.turns, options.seconds);
    println!(
        "{:<9} {:>7} {:<16} {:>9} {:>14} {:>8}",
        "pass", "threads", "side", "passes/s", "per CPU-second", "ceiling"
    );
    for pass in ["forward", "training", "acting", "update"] {
        for &threads in &options.threads {
            let count = threads.to_string();
            // In turns with the others, and so under the same conditions: what is possible.
            let mut ceiling = Side::start(Command::new(example("convolution")).arg("product"))?;
            let mut sides = vec![Side::start(Command::new(example("convolution")).args([pass, "threads", &count]))?];
            if ["forward", "training"].contains(&pass) {
                let jax = process::root().join("xtask/peers/jax_convolution.py");
                sides.push(Side::start(Command::new(&python).arg(jax).args([pass, &count]))?);
                if let Some(candle) = &candle {
                    sides.push(Side::start(Command::new(candle).arg(pass).env("RAYON_NUM_THREADS", &count))?);
                }
            }
            for _ in 0..options.turns {
                ceiling.turn(options.seconds)?;
                for side in &mut sides {
                    side.turn(options.seconds)?;
                }
            }
            let best = ceiling.mflop.unwrap_or(f64::NAN) * median(&ceiling.turns).per_cpu_second;
            println!("{pass:<9} {:>7} products in cache: {:.1} GFLOP per CPU-second", 1, best * 1e-3);
            report.races.extend(outcomes(pass, threads, &sides, best));
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Prints the sides' rates, ours first, and returns them; `ceiling` in operations per CPU-second, in millions.
fn outcomes(pass: &str, threads: usize, sides: &[Side], ceiling: f64) -> Vec<Outcome> {
    let ours = sides.first().map(|side| median(&side.turns));
    let outcome = |(index, side): (usize, &Side)| {
        let rate = median(&side.turns);
        let fraction = side.mflop.map(|mflop| mflop * rate.per_cpu_second / ceiling);
        println!(
            "{pass:<9} {threads:>7} {:<16} {:>9.2} {:>14.2} {:>8}",
            side.name,
            rate.per_second,
            rate.per_cpu_second,
            fraction.map_or(String::new(), |f| format!("{:.0} %", 100.0 * f))
        );
        Outcome {
            pass: pass.to_owned(),
            threads,
            side: side.name.clone(),
            turns: side.turns.clone(),
            median: rate,
            fraction_of_ceiling: fraction,
            ours_over_it: ours.filter(|_| index > 0).map(|ours| ours.over(rate)),
        }
    };
    sides.iter().enumerate().map(outcome).collect()
}

/// The peer's manifest: written into the cache, so that candle is in no dependencies of this workspace.
const CANDLE: &str = r#"[package]
name = "candle_convolution"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
candle-core = { version = "=0.11.1", default-features = false }
"#;

/// Builds the peer that is written in Rust, in the cache; returns its program.
fn candle() -> Result<PathBuf> {
    let home = setup::cache_directory()?.join("peers/candle-0.11.1");
    let source = process::root().join("xtask/peers/candle_convolution.rs");
    std::fs::create_dir_all(home.join("src"))
        .and_then(|()| std::fs::write(home.join("Cargo.toml"), CANDLE))
        .and_then(|()| std::fs::copy(&source, home.join("src/main.rs")))
        .with_context(|| format!("cannot prepare the peer in {}", home.display()))?;
    process::run(process::cargo(["build", "--release", "--manifest-path"]).arg(home.join("Cargo.toml")))?;
    Ok(home.join("target/release/candle_convolution"))
}
