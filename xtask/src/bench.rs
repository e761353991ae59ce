//! `cargo xtask bench`: this workspace's parts against their peers, taking turns in one run.
//!
//! Turns, because a shared machine's speed drifts: a ratio of neighbouring turns is worth more than two rates measured apart.
//! Rates are given per second of wall time and per second of processor time; on a machine that also does other work the
//! second is the one to trust.

use crate::{process, setup};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What there is to race.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Race {
    /// One MPO update, against the same update in jitted JAX.
    Learner(Options),
}

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

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Rate {
    updates_per_second: f64,
    updates_per_cpu_second: f64,
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
pub(crate) fn run(race: &Race) -> Result<()> {
    let Race::Learner(options) = race;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-nets", "--example", "updates_per_second"]))?;
    let python = jax()?;
    let ours = process::root().join("target/release/examples/updates_per_second");
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
            let ratio = Rate {
                updates_per_second: rate.updates_per_second / peer.updates_per_second,
                updates_per_cpu_second: rate.updates_per_cpu_second / peer.updates_per_cpu_second,
            };
            println!(
                "{setting:<9} {name:<17} {:>12.1} {:>16.1} {:>14.2}",
                rate.updates_per_second, rate.updates_per_cpu_second, ratio.updates_per_cpu_second
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

/// A program that answers each number of seconds on its standard input with its rate.
struct Side {
    name: String,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    turns: Vec<Rate>,
}

impl Side {
    fn start(command: &mut Command) -> Result<Self> {
        #[derive(Deserialize)]
        struct Ready {
            ready: String,
        }
        let shown = process::show(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let (asks, answers) = child.stdin.take().zip(child.stdout.take()).context("both streams are piped")?;
        let mut side = Self { name: shown, child, asks, answers: BufReader::new(answers), turns: Vec::new() };
        side.name = side.answer::<Ready>()?.ready;
        Ok(side)
    }

    fn turn(&mut self, seconds: f64) -> Result<()> {
        writeln!(self.asks, "{seconds}").with_context(|| format!("{} has stopped", self.name))?;
        let rate = self.answer()?;
        self.turns.push(rate);
        Ok(())
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("{} stopped without an answer", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("{} answered `{}`", self.name, line.trim_end()))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It only ever waits for a line; nothing of it is worth keeping.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn median(turns: &[Rate]) -> Rate {
    let middle = |value: fn(&Rate) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Rate {
        updates_per_second: middle(|rate| rate.updates_per_second),
        updates_per_cpu_second: middle(|rate| rate.updates_per_cpu_second),
    }
}

/// The interpreter of a virtual environment in the cache that has the pinned JAX; made on first use.
fn jax() -> Result<PathBuf> {
    let home = setup::cache_directory()?.join("peers/jax-0.10.2");
    let python = home.join("bin/python");
    let complete = home.join("complete");
    if !complete.exists() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&home))
            .context("the peer needs python3 with its venv module (Debian's package python3-venv)")?;
        let pins = process::root().join("xtask/peers/jax.txt");
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"];
        process::run(Command::new(&python).args(install).arg(&pins))
            .with_context(|| format!("cannot install the peer from {}", pins.display()))?;
        mark(&complete)?;
    }
    Ok(python)
}

fn mark(complete: &Path) -> Result<()> {
    std::fs::write(complete, "").with_context(|| format!("cannot write {}", complete.display()))
}
