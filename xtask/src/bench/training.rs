//! Whole training, against what its slower half would allow alone.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::side::{Rate, Side, median};
use crate::{process, setup};

/// What the command line of `cargo xtask bench training` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Task to train on.
    #[arg(long, default_value = "control/cheetah-run")]
    task: String,
    /// Turns of each side.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Length of a turn in seconds; a run's turn ends with an episode.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    side: &'static str,
    turns: Vec<Rate>,
    median: Rate,
    /// Of the slower half's rate.
    share: Rate,
}

/// Name in the table, arguments before the task and after it.
const SIDES: [(&str, &str, Option<&str>); 4] = [
    ("learner alone", "learner", None),
    ("acting alone", "acting", None),
    ("in turns", "whole", Some("0")),
    ("one actor beside", "whole", Some("1")),
];

/// Races, prints the table and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-agent", "--example", "training_rate"]))?;
    let program = process::root().join("target/release/examples/training_rate");
    let start = |(_, mode, actors): &(&str, &str, Option<&str>)| {
        Side::start(Command::new(&program).args([*mode, &options.task]).args(*actors))
    };
    let mut sides = SIDES.iter().map(start).collect::<Result<Vec<_>>>()?;
    for _ in 0..options.turns {
        for side in &mut sides {
            side.turn(options.seconds)?;
        }
    }
    println!(
        "{}, default profile: environment steps, {} turns of {} s; medians",
        options.task, options.turns, options.seconds
    );
    println!("{:<17} {:>10} {:>14} {:>6} {:>9}", "side", "per second", "per CPU-second", "share", "CPU share");
    let rates: Vec<Rate> = sides.iter().map(|side| median(&side.turns)).collect();
    let slower = if rates[0].per_second < rates[1].per_second { rates[0] } else { rates[1] };
    let mut results = Vec::new();
    for (((name, ..), side), rate) in SIDES.iter().zip(sides).zip(rates) {
        let share = rate.over(slower);
        println!(
            "{name:<17} {:>10.0} {:>14.0} {:>6.2} {:>9.2}",
            rate.per_second, rate.per_cpu_second, share.per_second, share.per_cpu_second
        );
        results.push(Outcome { side: name, turns: side.turns.clone(), median: rate, share });
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
