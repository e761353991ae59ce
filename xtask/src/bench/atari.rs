//! Emulated frames with all preprocessing, against ALE's own vector environment and `EnvPool`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::peers;
use super::side::{Rate, Side, median};
use crate::{process, setup};

/// What the command line of `cargo xtask bench atari` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Games to race.
    #[arg(long, value_name = "G", default_values = ["pong", "breakout", "qbert", "tennis", "boxing"])]
    game: Vec<String>,
    /// Games played side by side, on one thread.
    #[arg(long, value_name = "K", default_value_t = 8)]
    environments: u32,
    /// Turns of each side.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Leave out the peers in Python, whose packages take a gigabyte.
    #[arg(long)]
    no_peers: bool,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    game: String,
    side: String,
    turns: Vec<Rate>,
    median: Rate,
}

/// Races, prints the table and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    setup::atari::ensure()?;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-envs", "--example", "race"]))?;
    let ours = process::root().join("target/release/examples/race");
    let script = process::root().join("xtask/peers/atari_frames.py");
    let pythons = if options.no_peers {
        None
    } else {
        Some((peers::python("ale-py-0.12.1", "ale.txt")?, peers::python("envpool-1.2.5", "envpool.txt")?))
    };
    let count = options.environments.to_string();
    println!(
        "{count} games on one thread, {} turns of {} s each; medians of emulated frames per CPU-second",
        options.turns, options.seconds
    );
    println!(
        "{:<16} {:>9} {:>9} {:>11} {:>6} {:>9} {:>6}",
        "game", "bilinear", "area", "ALE vector", "ratio", "EnvPool", "ratio"
    );
    let mut results = Vec::new();
    for game in &options.game {
        let ours = |resize| Side::start(Command::new(&ours).args(["atari", game.as_str(), resize, &count]));
        let mut sides = vec![ours("bilinear")?, ours("area")?];
        if let Some((ale, envpool)) = &pythons {
            let peer =
                |python, name| Side::start(Command::new(python).arg(&script).args([name, game.as_str(), &count]));
            sides.extend([peer(ale, "ale")?, peer(envpool, "envpool")?]);
        }
        for _ in 0..options.turns {
            for side in &mut sides {
                side.turn(options.seconds)?;
            }
        }
        let rates: Vec<f64> = sides.iter().map(|side| median(&side.turns).per_cpu_second).collect();
        let of = |side: usize| rates.get(side).copied().unwrap_or(f64::NAN);
        println!(
            "{game:<16} {:>9.0} {:>9.0} {:>11.0} {:>6.2} {:>9.0} {:>6.2}",
            of(0),
            of(1),
            of(2),
            of(1) / of(2),
            of(3),
            of(1) / of(3)
        );
        results.extend(sides.into_iter().map(|side| Outcome {
            game: game.clone(),
            side: side.name.clone(),
            median: median(&side.turns),
            turns: side.turns.clone(),
        }));
    }
    println!("ratio: ours over areas, which is the peers' way, by the peer");
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
