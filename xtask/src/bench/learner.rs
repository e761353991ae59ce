//! One MPO update, against the same update in jitted JAX.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::peers;
use super::side::{Rate, Side, median};
use crate::process;

/// What the command line of `cargo xtask bench learner` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Settings to race: `walker`, `humanoid`.
    #[arg(long, default_values = ["walker", "humanoid"])]
    setting: Vec<String>,
    /// Turns of each side.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    setting: String,
    side: String,
    turns: Vec<Rate>,
    median: Rate,
    ratio_to_peer: Option<Rate>,
}

/// Races, prints a table and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-nets", "--example", "per_second"]))?;
    let python = peers::python("jax-0.10.2", "jax.txt")?;
    let ours = process::root().join("target/release/examples/per_second");
    let peer = process::root().join("xtask/peers/jax_update.py");

    println!("{} turns of {} s each, one thread; medians", options.turns, options.seconds);
    println!("{:<9} {:<17} {:>12} {:>16} {:>14}", "setting", "side", "updates/s", "updates/CPU-s", "ratio (CPU)");
    let mut results = Vec::new();
    for setting in &options.setting {
        let mut sides = [
            Side::start(Command::new(&ours).arg(setting))?,
            Side::start(Command::new(&ours).args([setting, "layer_norm"]))?,
            Side::start(Command::new(&python).arg(&peer).args([setting, "1"]))?,
        ];
        for _ in 0..options.turns {
            for side in &mut sides {
                side.turn(options.seconds)?;
            }
        }
        let [plain, normed, jax] = &sides;
        let peer = median(&jax.turns);
        for (side, name) in [(plain, "ours"), (normed, "ours, LayerNorm"), (jax, jax.name.as_str())] {
            let rate = median(&side.turns);
            let ratio = rate.over(peer);
            println!(
                "{setting:<9} {name:<17} {:>12.1} {:>16.1} {:>14.2}",
                rate.per_second, rate.per_cpu_second, ratio.per_cpu_second
            );
            results.push(Outcome {
                setting: setting.clone(),
                side: name.to_owned(),
                turns: side.turns.clone(),
                median: rate,
                ratio_to_peer: Some(ratio).filter(|_| name != jax.name),
            });
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
