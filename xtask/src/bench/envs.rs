//! Environment steps, against bare physics, `dm_control` and `EnvPool`; and several threads against one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Serialize;

use super::peers;
use super::side::{Rate, Side, median};
use crate::{process, setup};

/// What the command line of `cargo xtask bench envs` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Tasks to race; `none` for none.
    #[arg(long, value_name = "T", default_values = TASKS)]
    task: Vec<String>,
    /// Tasks whose vectors are raced, one thread against several; `none` for none.
    #[arg(long, value_name = "T", default_values = VECTORS)]
    vector: Vec<String>,
    /// Threads of the vector that is raced against the one on a single thread.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Turns of each side.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Length of a turn in seconds.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Leave out the peers in Python, whose packages take a gigabyte.
    #[arg(long)]
    no_peers: bool,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One task of every domain, the swimmer with six links.
const TASKS: [&str; 14] = [
    "acrobot-swingup",
    "ball_in_cup-catch",
    "cartpole-swingup",
    "cheetah-run",
    "finger-spin",
    "fish-swim",
    "hopper-hop",
    "humanoid-run",
    "manipulator-bring_ball",
    "pendulum-swingup",
    "point_mass-easy",
    "reacher-easy",
    "swimmer-swimmer6",
    "walker-run",
];
const VECTORS: [&str; 3] = ["cartpole-swingup", "cheetah-run", "humanoid-run"];
/// Environments of a vector, ours and `EnvPool`'s.
const COUNT: &str = "32";

#[derive(Debug, Serialize)]
struct Outcome {
    task: String,
    side: String,
    turns: Vec<Rate>,
    median: Rate,
}

/// Races, prints the tables and writes JSON if asked.
///
/// # Errors
/// When a side cannot be built, installed or started, or stops answering.
pub(super) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-envs", "--example", "race"]))?;
    let ours = process::root().join("target/release/examples/race");
    let mut results = Vec::new();
    race_tasks(options, &ours, &mut results)?;
    race_threads(options, &ours, &mut results)?;
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&results)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn race_tasks(options: &Options, ours: &Path, results: &mut Vec<Outcome>) -> Result<()> {
    let tasks = named(&options.task);
    if tasks.is_empty() {
        return Ok(());
    }
    let script = process::root().join("xtask/peers/environment_steps.py");
    let pythons = if options.no_peers {
        None
    } else {
        Some((peers::python("dm_control-1.0.50", "dm_control.txt")?, peers::python("envpool-1.2.5", "envpool.txt")?))
    };
    println!("{} turns of {} s each; medians of steps per CPU-second", options.turns, options.seconds);
    println!(
        "{:<23} {:>10} {:>9} {:>6}   {:>10} {:>10} {:>6} {:>10} {:>6}",
        "task", "mj_step", "ours", "share", "episodes", "dm_control", "ratio", "EnvPool", "ratio"
    );
    for task in tasks {
        let mut sides = ["bare", "steps", "episodes"]
            .map(|mode| Side::start(Command::new(ours).args([mode, task.as_str()])))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        if let Some((dm_control, envpool)) = &pythons {
            sides.push(Side::start(Command::new(dm_control).arg(&script).args(["dm_control", task.as_str()]))?);
            sides.push(Side::start(Command::new(envpool).arg(&script).args(["envpool", task.as_str(), COUNT]))?);
        }
        let rates = take_turns(options, &mut sides)?;
        let of = |side: usize| rates.get(side).map_or(f64::NAN, |rate| rate.per_cpu_second);
        println!(
            "{task:<23} {:>10.0} {:>9.0} {:>6.3}   {:>10.0} {:>10.0} {:>6.2} {:>10.0} {:>6.2}",
            of(0),
            of(1),
            of(1) / of(0),
            of(2),
            of(3),
            of(2) / of(3),
            of(4),
            of(2) / of(4)
        );
        keep(results, task, sides);
    }
    println!(
        "share: ours by mj_step, both between resets; episodes: ours with resets, as the peers and for their ratios"
    );
    Ok(())
}

fn race_threads(options: &Options, ours: &Path, results: &mut Vec<Outcome>) -> Result<()> {
    let tasks = named(&options.vector);
    if tasks.is_empty() {
        return Ok(());
    }
    println!("\n{COUNT} environments stepped together; medians of steps per second of wall time");
    println!("{:<23} {:>10} {:>10} {:>6}", "task", "1 thread", format!("{} threads", options.threads), "ratio");
    for task in tasks {
        let start = |threads: usize| {
            Side::start(Command::new(ours).args(["vector", task.as_str(), COUNT, &threads.to_string()]))
        };
        let mut sides = vec![start(1)?, start(options.threads)?];
        let rates = take_turns(options, &mut sides)?;
        let [one, many] = [0, 1].map(|side| rates[side].per_second);
        println!("{task:<23} {one:>10.0} {many:>10.0} {:>6.2}", many / one);
        keep(results, task, sides);
    }
    Ok(())
}

fn named(tasks: &[String]) -> Vec<&String> {
    tasks.iter().filter(|task| *task != "none").collect()
}

/// The median rate of each side.
fn take_turns(options: &Options, sides: &mut [Side]) -> Result<Vec<Rate>> {
    for _ in 0..options.turns {
        for side in &mut *sides {
            side.turn(options.seconds)?;
        }
    }
    Ok(sides.iter().map(|side| median(&side.turns)).collect())
}

fn keep(results: &mut Vec<Outcome>, task: &str, sides: Vec<Side>) {
    results.extend(sides.into_iter().map(|side| Outcome {
        task: task.to_owned(),
        side: side.name.clone(),
        median: median(&side.turns),
        turns: side.turns.clone(),
    }));
}
