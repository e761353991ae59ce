//! One MPO update, against the same update in jitted JAX, and against what the machine could do.

pub(super) mod machine;
mod scaling;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::peers;
use super::side::{Rate, Side, median};
use crate::process;
use machine::{Ceiling, Phases};

/// What the command line of `cargo xtask bench learner` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Settings to race: `walker`, `humanoid`.
    #[arg(long, default_values = ["walker", "humanoid"])]
    setting: Vec<String>,
    /// Numbers of threads to race with; both sides get the same.
    #[arg(long, default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Turns of each side.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure instead how updates per second depend on batch, M, width and threads: results/bench-learner-scaling.{csv,svg}.
    #[arg(long)]
    scaling: bool,
}

/// One side of one race.
#[derive(Debug, Serialize)]
struct Outcome {
    setting: String,
    threads: usize,
    side: String,
    turns: Vec<Rate>,
    median: Rate,
    ratio_to_peer: Option<Rate>,
    /// Counted operations a second over the best matrix product's on as many cores.
    fraction_of_ceiling: Option<f64>,
}

/// All that was found in one run.
#[derive(Debug, Serialize)]
struct Report {
    ceilings: Vec<Ceiling>,
    races: Vec<Outcome>,
    phases: Vec<Phases>,
    acting: Vec<serde_json::Value>,
}

/// Races, prints tables and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-nets", "--examples"]))?;
    if options.scaling {
        return scaling::run();
    }
    let python = peers::python("jax-0.10.2", "jax.txt")?;

    let ceilings = machine::ceilings()?;
    println!("Matrix products in cache, GFLOP/s: the kernel of mpo-nets, the gemm crate");
    for ceiling in &ceilings {
        println!("  {} cores {:>8.1} {:>8.1}", ceiling.threads, ceiling.own_gflops, ceiling.gemm_gflops);
    }
    let mut report = Report { ceilings, races: Vec::new(), phases: Vec::new(), acting: machine::acting()? };
    println!("{} turns of {} s each; medians", options.turns, options.seconds);
    println!(
        "{:<9} {:>7} {:<21} {:>10} {:>14} {:>7} {:>9} {:>9}",
        "setting", "threads", "side", "updates/s", "per CPU-second", "ratio", "CPU ratio", "ceiling"
    );
    for setting in &options.setting {
        for &threads in &options.threads {
            race(options, setting, threads, &python, &mut report)?;
        }
    }
    for phases in &report.phases {
        phases.print();
    }
    for acting in &report.acting {
        println!("{acting}");
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Both torsos, both with target values in half precision, and the peer in both precisions take turns; appends their rates and our phases.
fn race(options: &Options, setting: &str, threads: usize, python: &PathBuf, report: &mut Report) -> Result<()> {
    let ours = machine::example("updates_per_second");
    let peer = process::root().join("xtask/peers/jax_update.py");
    let count = threads.to_string();
    let forms: [&[&str]; 4] = [&[], &["layer_norm"], &["bf16"], &["layer_norm", "bf16"]];
    let mut sides = Vec::new();
    for words in forms {
        sides.push(Side::start(Command::new(&ours).arg(setting).args(words).args(["threads", &count]))?);
    }
    sides.push(Side::start(Command::new(python).arg(&peer).args([setting, &count]))?);
    sides.push(Side::start(Command::new(python).arg(&peer).args([setting, &count, "bf16"]))?);
    for _ in 0..options.turns {
        for side in &mut sides {
            side.turn(options.seconds)?;
        }
    }
    let (ours, peers) = sides.split_at(forms.len());
    let peer = median(&peers[0].turns);
    let ceiling = report.ceilings.iter().find(|c| c.threads == threads).map(Ceiling::best);
    let names = ["ours, ELU", "ours, LayerNorm", "ours, ELU, bf16", "ours, LayerNorm, bf16"];
    let named = ours.iter().zip(names).zip(forms).map(|((side, name), words)| (side, name, Some(words)));
    for (side, name, words) in named.chain(peers.iter().map(|side| (side, side.name.as_str(), None))) {
        let rate = median(&side.turns);
        let ratio = rate.over(peer);
        let phases = words.map(|words| machine::phases(setting, words, threads)).transpose()?;
        // The ceiling is that of single precision.
        let ceiling = ceiling.filter(|_| words.is_some_and(|words| !words.contains(&"bf16")));
        let fraction = phases.as_ref().zip(ceiling).map(|(p, ceiling)| p.mflop * 1e-3 * rate.per_second / ceiling);
        println!(
            "{setting:<9} {threads:>7} {name:<21} {:>10.1} {:>14.1} {:>7.2} {:>9.2} {:>9}",
            rate.per_second,
            rate.per_cpu_second,
            ratio.per_second,
            ratio.per_cpu_second,
            fraction.map_or(String::new(), |f| format!("{:.0} %", 100.0 * f))
        );
        report.races.push(Outcome {
            setting: setting.to_owned(),
            threads,
            side: name.to_owned(),
            turns: side.turns.clone(),
            median: rate,
            ratio_to_peer: (side.name != peers[0].name).then_some(ratio),
            fraction_of_ceiling: fraction,
        });
        report.phases.extend(phases);
    }
    Ok(())
}
