//! The replay buffer against a plain copy of the same bytes, a NumPy ring, cpprb, flashbax and Reverb.

mod curve;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::peers;
use super::side::{Rate, Side, median};
use crate::process;

/// What the command line of `cargo xtask bench replay` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Parts to run.
    #[arg(long, value_enum, default_values = ["windows", "inserts", "lateness", "capacity"])]
    part: Vec<Part>,
    /// Peers to leave out: numpy, cpprb, flashbax, reverb.
    #[arg(long)]
    without: Vec<String>,
    /// Turns of each side.
    #[arg(long, default_value_t = 7)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the curve over capacities to this folder, as CSV and SVG.
    #[arg(long, value_name = "DIR")]
    curve: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Windows sampled per second.
    Windows,
    /// Transitions inserted per second, one by one.
    Inserts,
    /// How late insertions at a fixed rate are, beside a busy sampler.
    Lateness,
    /// Windows sampled per second, from 10^4 to 10^7 stored transitions.
    Capacity,
}

/// A peer: its name, its environment in the cache, what that is made of.
const PEERS: [(&str, &str, &str); 4] = [
    ("numpy", "replay-2026-11", "replay.txt"),
    ("cpprb", "replay-2026-11", "replay.txt"),
    ("flashbax", "replay-2026-11", "replay.txt"),
    ("reverb", "reverb-0.14.0", "reverb.txt"),
];

#[derive(Debug, Serialize)]
struct Outcome {
    side: String,
    name: String,
    turns: Vec<Rate>,
    median: Rate,
    /// The median of the ratios of neighbouring turns.
    ratio_to_memcpy: Rate,
}

/// Microseconds from the moment when an insertion was due until it was done.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Lateness {
    side: String,
    inserts: u64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    greatest_us: f64,
    /// The part of it that the call itself took.
    call_p50_us: f64,
    call_p99_us: f64,
    windows_per_second: f64,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    windows: Vec<Outcome>,
    inserts: Vec<Outcome>,
    /// One of each side for each turn.
    lateness: Vec<Lateness>,
    capacity: Vec<curve::Point>,
    /// Peers that did not take part, and why.
    absent: Vec<String>,
}

/// Races, prints tables and writes files if asked.
///
/// # Errors
/// When our side cannot be built or started, or a side stops answering. A peer that cannot be installed or started is left
/// out, with the reason.
pub(super) fn run(options: &Options) -> Result<()> {
    let build = ["build", "--release", "-p", "mpo-replay", "--features", "mmap", "--examples"];
    process::run(&mut process::cargo(build))?;
    let mut report = Report::default();
    for part in &options.part {
        match part {
            Part::Windows => report.windows = race("windows", &["memcpy", "ours"], options, &mut report.absent)?,
            Part::Inserts => {
                report.inserts = race("inserts", &["memcpy", "inlined", "ours"], options, &mut report.absent)?;
            }
            Part::Lateness => report.lateness = lateness(options)?,
            Part::Capacity => report.capacity = capacity(options)?,
        }
    }
    if let Some(folder) = &options.curve {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        curve::write(&report.capacity, folder)?;
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A program of the workspace, its memory in huge pages as NumPy asks for them too.
fn example(name: &str) -> Command {
    let mut command = Command::new(process::root().join("target/release/examples").join(name));
    command.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    command
}

/// The sides of `work`, those of this workspace and the peers, in turns.
fn race(work: &str, ours: &[&str], options: &Options, absent: &mut Vec<String>) -> Result<Vec<Outcome>> {
    let mut sides = Vec::new();
    for side in ours {
        sides.push((*side, Side::start(example("replay_per_second").args([work, side]))?));
    }
    for (peer, environment, requirements) in PEERS {
        if options.without.iter().any(|name| name == peer) {
            continue;
        }
        let started = peers::python(environment, requirements).and_then(|python| {
            let program = process::root().join("xtask/peers/replay_peer.py");
            Side::start(Command::new(python).arg(program).args([peer, work]))
        });
        match started {
            Ok(side) => sides.push((peer, side)),
            Err(error) => {
                println!("{peer} does not take part in {work}: {error:#}");
                absent.push(format!("{peer}, {work}: {error:#}"));
            }
        }
    }
    for _ in 0..options.turns {
        for (_, side) in &mut sides {
            side.turn(options.seconds)?;
        }
    }
    println!("\n{work}: {} turns of {} s each; medians", options.turns, options.seconds);
    println!("{:<10} {:>13} {:>14} {:>12}   program", "side", "per second", "per CPU-second", "share (CPU)");
    let plain = sides[0].1.turns.clone();
    let outcomes = sides.into_iter().map(|(name, side)| {
        let ratios: Vec<Rate> = side.turns.iter().zip(&plain).map(|(mine, plain)| mine.over(*plain)).collect();
        let (median, ratio) = (median(&side.turns), median(&ratios));
        println!(
            "{name:<10} {:>13.0} {:>14.0} {:>12.3}   {}",
            median.per_second, median.per_cpu_second, ratio.per_cpu_second, side.name
        );
        Outcome {
            side: name.to_owned(),
            name: side.name.clone(),
            turns: side.turns.clone(),
            median,
            ratio_to_memcpy: ratio,
        }
    });
    Ok(outcomes.collect())
}

fn lateness(options: &Options) -> Result<Vec<Lateness>> {
    const SIDES: [&str; 3] = ["ours", "memcpy", "mutex"];
    let mut rounds = Vec::new();
    for _ in 0..options.turns {
        for side in SIDES {
            let mut command = example("replay_lateness");
            let output = command.args([side, &(2.0 * options.seconds).to_string()]).output()?;
            if !output.status.success() {
                bail!("`{}` failed: {}", process::show(&command), String::from_utf8_lossy(&output.stderr));
            }
            rounds.push(serde_json::from_slice::<Lateness>(&output.stdout)?);
        }
    }
    println!(
        "\nlateness of 100,000 inserts/s beside a busy sampler, microseconds: medians of {} turns of {} s",
        options.turns,
        2.0 * options.seconds
    );
    println!(
        "{:<8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>12}",
        "side", "p50", "p90", "p99", "p99.9", "call p50", "call p99", "windows/s"
    );
    for side in SIDES {
        let of = |value: fn(&Lateness) -> f64| {
            let mut values: Vec<f64> = rounds.iter().filter(|round| round.side == side).map(value).collect();
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
        };
        println!(
            "{side:<8} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>12.0}",
            of(|round| round.p50_us),
            of(|round| round.p90_us),
            of(|round| round.p99_us),
            of(|round| round.p999_us),
            of(|round| round.call_p50_us),
            of(|round| round.call_p99_us),
            of(|round| round.windows_per_second)
        );
    }
    Ok(rounds)
}

fn capacity(options: &Options) -> Result<Vec<curve::Point>> {
    const CAPACITIES: [usize; 7] = [10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
    println!("\nwindows per CPU-second over the number of stored transitions");
    println!("{:>12} {:>14} {:>14} {:>8}", "transitions", "ours", "memcpy", "share");
    let mut points = Vec::new();
    for capacity in CAPACITIES {
        let start =
            |side: &str| Side::start(example("replay_per_second").args(["windows", side, &capacity.to_string()]));
        let [mut ours, mut plain] = [start("ours")?, start("memcpy")?];
        for _ in 0..options.turns {
            ours.turn(options.seconds)?;
            plain.turn(options.seconds)?;
        }
        let point = curve::Point {
            transitions: capacity,
            ours: median(&ours.turns).per_cpu_second,
            memcpy: median(&plain.turns).per_cpu_second,
        };
        println!("{capacity:>12} {:>14.0} {:>14.0} {:>8.3}", point.ours, point.memcpy, point.ours / point.memcpy);
        points.push(point);
    }
    Ok(points)
}

/// Writes `text` to `file` in `folder`.
fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    let file = folder.join(file);
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
