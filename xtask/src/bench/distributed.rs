//! Distributed updates: where their time goes with one to four processes here, on two hosts, and, by a model, on more.

mod hosts;
mod model;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::process;
use hosts::{Hosts, Wire};

/// What the command line of `cargo xtask bench distributed` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Turns of each setting.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Updates in a turn.
    #[arg(long, default_value_t = 300)]
    updates: usize,
    /// Also on two hosts of two processes each: network namespaces of this machine, which only root can make.
    #[arg(long)]
    hosts: bool,
    /// Measure this build of mpo-agent's example `distributed_rate`, in place of building it.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Also write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fit the model to the figures, and write `distributed-model.csv` and `.svg` to this folder.
    #[arg(long, value_name = "DIR", requires = "hosts")]
    model: Option<PathBuf>,
}

/// What one turn measured: the line that `distributed_rate` prints. Times are medians over updates, of the first process.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Figures {
    workers: usize,
    /// Numbers that travel, four bytes each.
    numbers: usize,
    updates_per_second: f64,
    samples_per_second: f64,
    update_us: f64,
    /// For the slowest process, before the reduction.
    waiting_us: f64,
    reducing_us: f64,
    waiting_share: f64,
    reducing_share: f64,
    /// Drawing one batch.
    sampling_us: f64,
    /// Copying the numbers once within a process.
    copying_us: f64,
}

/// One row of the table.
#[derive(Debug, Serialize)]
struct Row {
    place: &'static str,
    reduction: &'static str,
    #[serde(flatten)]
    figures: Figures,
    /// The reduction's time over that of the least that must move: through memory, or over the wire.
    over_limit: f64,
}

const REDUCTIONS: [&str; 2] = ["all_reduce", "rank_order"];

/// Where processes run.
#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    processes: usize,
    wire: Option<Wire>,
}

const HERE: [Place; 3] = [
    Place { name: "1 process", processes: 1, wire: None },
    Place { name: "2 processes", processes: 2, wire: None },
    Place { name: "4 processes", processes: 4, wire: None },
];

const HOSTS: [Place; 2] = [
    Place { name: "2 hosts x 2, free wire", processes: 4, wire: Some(Wire::Free) },
    Place { name: "2 hosts x 2, 1 Gbit/s", processes: 4, wire: Some(Wire::Gigabit) },
];

/// Measures, prints the table, and writes JSON, table and picture if asked.
///
/// # Errors
/// When the example cannot be built, or a job fails.
pub(super) fn run(options: &Options) -> Result<()> {
    let program = if let Some(program) = &options.program {
        std::path::absolute(program)?
    } else {
        let example = ["build", "--release", "-p", "mpo-agent", "--features", "mpi", "--example", "distributed_rate"];
        process::run(&mut process::cargo(example))?;
        process::target().join("release/examples/distributed_rate")
    };
    let places: Vec<Place> = if options.hosts { HERE.iter().chain(&HOSTS).copied().collect() } else { HERE.to_vec() };
    let mut turns: Vec<Vec<Figures>> = vec![Vec::new(); places.len() * REDUCTIONS.len()];
    for _ in 0..options.turns {
        for (place, turns) in places.iter().zip(turns.chunks_mut(REDUCTIONS.len())) {
            let hosts = place.wire.map(Hosts::new).transpose()?;
            for (reduction, turns) in REDUCTIONS.iter().zip(turns) {
                turns.push(measure(&program, place.processes, hosts.as_ref(), reduction, options.updates)?);
            }
        }
    }
    println!("walker's learner, default settings, {} turns of {} updates; medians", options.turns, options.updates);
    println!(
        "{:<24} {:<11} {:>9} {:>10} {:>9} {:>9} {:>10} {:>9} {:>10}",
        "place", "reduction", "updates/s", "samples/s", "waiting", "reducing", "reduced in", "a copy in", "over limit"
    );
    let mut rows = Vec::new();
    for (place, turns) in places.iter().zip(turns.chunks_mut(REDUCTIONS.len())) {
        for (reduction, turns) in REDUCTIONS.iter().zip(turns) {
            let figures = medians(turns);
            let row = Row { place: place.name, reduction, over_limit: over_limit(place, &figures), figures };
            print_row(&row);
            rows.push(row);
        }
    }
    if let Some(file) = &options.json {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(folder) = &options.model {
        let row = |place: &str| rows.iter().find(|row| row.place == place && row.reduction == REDUCTIONS[0]);
        let two = row(HERE[1].name).zip(row(HOSTS[1].name)).zip(row(HERE[0].name)).context("the rows are measured")?;
        let ((shared, network), alone) = two;
        model::write(&model::Fit::new(&alone.figures, &shared.figures, &network.figures), folder)?;
    }
    Ok(())
}

fn print_row(Row { place, reduction, figures: f, over_limit }: &Row) {
    println!(
        "{place:<24} {reduction:<11} {:>9.1} {:>10.0} {:>7.1} % {:>7.1} % {:>7.0} us {:>6.0} us {:>10}",
        f.updates_per_second,
        f.samples_per_second,
        100.0 * f.waiting_share,
        100.0 * f.reducing_share,
        f.reducing_us,
        f.copying_us,
        if over_limit.is_finite() { format!("{over_limit:.1}") } else { "-".to_owned() }
    );
}

/// Over the wire half of a host's processes' sums must go out and the other's come in, at once; in memory, whoever is to know the
/// mean copies the others' numbers once, and its own are copied by them.
fn over_limit(place: &Place, figures: &Figures) -> f64 {
    let least = match place.wire {
        Some(Wire::Gigabit) => 32.0 * figures.numbers as f64 / 1e3,
        Some(Wire::Free) => return f64::NAN,
        None => figures.copying_us * (figures.workers - 1) as f64,
    };
    if least > 0.0 { figures.reducing_us / least } else { f64::NAN }
}

/// Each figure's middle by itself.
fn medians(turns: &mut [Figures]) -> Figures {
    let middle = |value: fn(&Figures) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Figures {
        workers: turns.first().map_or(0, |turn| turn.workers),
        numbers: turns.first().map_or(0, |turn| turn.numbers),
        updates_per_second: middle(|turn| turn.updates_per_second),
        samples_per_second: middle(|turn| turn.samples_per_second),
        update_us: middle(|turn| turn.update_us),
        waiting_us: middle(|turn| turn.waiting_us),
        reducing_us: middle(|turn| turn.reducing_us),
        waiting_share: middle(|turn| turn.waiting_share),
        reducing_share: middle(|turn| turn.reducing_share),
        sampling_us: middle(|turn| turn.sampling_us),
        copying_us: middle(|turn| turn.copying_us),
    }
}

fn measure(
    program: &Path,
    processes: usize,
    hosts: Option<&Hosts>,
    reduction: &str,
    updates: usize,
) -> Result<Figures> {
    let mut command = hosts.map_or_else(|| Command::new("mpirun"), Hosts::mpirun);
    // More processes than processors: whoever waits gives way. Without the last, all of a host's would share its first core.
    command.args(["--oversubscribe", "--mca", "mpi_yield_when_idle", "1", "--bind-to", "none"]);
    command.args(["-np", &processes.to_string()]).arg(program).args([reduction, &updates.to_string()]);
    for variable in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        command.env(variable, "1");
    }
    let shown = process::show(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`: is MPI installed?"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({})", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with('{')).with_context(|| format!("`{shown}` said {text:?}"))?;
    serde_json::from_str(line).with_context(|| format!("`{shown}` said {line}"))
}
