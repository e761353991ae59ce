//! `cargo xtask align`: the environments against the originals, played side by side on this machine.

mod atari;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::bench::peers;
use crate::{process, setup};

/// What there is to align.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Suite {
    /// The control suite's tasks, against `dm_control` 1.0.50 in a virtual environment made for it.
    ControlSuite(Options),
    /// Atari games, against `ale_py` 0.12.1 in a virtual environment made for it.
    Atari(atari::Options),
}

/// What the command line of `cargo xtask align control-suite` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Tasks, such as cheetah-run [default: all 28].
    #[arg(long, value_name = "T")]
    task: Vec<String>,
    /// Seeds of the start states; the actions' follow from them.
    #[arg(long, value_name = "S", default_values_t = [0, 1, 2])]
    seed: Vec<u32>,
    /// Episodes under each seed, one after the other.
    #[arg(long, value_name = "E", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    episodes: u32,
    /// Also write the figures to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// Largest difference that is still the same episode: physics amplifies less than this into another course.
const TOLERANCE: f64 = 1e-9;
const ALL_TASKS: usize = 28;

/// How far numbers were from the original's. A largest difference that is no number reaches JSON as `null`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Distance {
    compared: u64,
    equal: u64,
    largest: Option<f64>,
}

impl Distance {
    fn add(&mut self, other: Self) {
        let largest = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
        self.largest = match (self.compared, self.largest, other.largest) {
            (0, _, only) => only,
            (_, Some(a), Some(b)) => Some(largest(a, b)),
            _ => None,
        };
        self.compared += other.compared;
        self.equal += other.equal;
    }

    fn aligned(&self) -> bool {
        self.compared > 0 && self.largest.is_some_and(|largest| largest <= TOLERANCE)
    }

    fn share(&self) -> f64 {
        // Rounded down, so that 100.00 means all of them.
        (10_000.0 * self.equal as f64 / self.compared as f64).floor() / 100.0
    }
}

/// What the replay says of one recording.
#[derive(Debug, Deserialize)]
struct Replayed {
    task: String,
    observations: Distance,
    rewards: Distance,
}

/// A task over all its seeds.
#[derive(Debug)]
struct Row {
    task: String,
    seeds: usize,
    observations: Distance,
    rewards: Distance,
}

/// Records the originals, replays them and prints how far the environments are from them.
///
/// # Errors
/// When something is not aligned or missing, and when something cannot be set up.
pub(crate) fn run(suite: &Suite) -> Result<()> {
    match suite {
        Suite::ControlSuite(options) => control_suite(options),
        Suite::Atari(options) => atari::run(options),
    }
}

/// # Errors
/// When a task is further from its original than 1e-9, when one is missing, and when something cannot be set up.
fn control_suite(options: &Options) -> Result<()> {
    setup::ensure()?;
    let python = peers::python("dm_control-1.0.50", "dm_control.txt")?;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-envs", "--example", "align"]))?;
    let replay = process::root().join("target/release/examples/align");

    let (seeds, episodes) = (options.seed.iter().collect::<BTreeSet<_>>().len(), options.episodes);
    println!("dm_control 1.0.50 on MuJoCo 3.17.0; {seeds} seeds, {episodes} episodes each, random actions");
    println!("{:<26} {:>12} {:>10} {:>12} {:>10}", "task", "observations", "bit-equal", "rewards", "bit-equal");
    let rows = record_and_replay(options, &python, &replay)?;
    if let Some(file) = &options.csv {
        std::fs::write(file, csv(&rows)).with_context(|| format!("cannot write {}", file.display()))?;
    }
    verdict(&rows, if options.task.is_empty() { ALL_TASKS } else { options.task.iter().collect::<BTreeSet<_>>().len() })
}

/// Replays each recording as soon as it is written; prints a task's row when its last seed has been replayed.
fn record_and_replay(options: &Options, python: &Path, replay: &Path) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let script = process::root().join("crates/mpo-envs/tests/alignment/record.py");
    let mut command = Command::new(python);
    command.arg(script).arg("--out").arg(folder.path()).args(["--every", "1", "--seeds"]);
    command.args(options.seed.iter().map(u32::to_string)).args(["--episodes", &options.episodes.to_string(), "--"]);
    command.args(&options.task).env("MUJOCO_GL", "disable").stdout(Stdio::piped());
    let mut recorder = command.spawn().context("cannot start the recorder")?;
    let lines = BufReader::new(recorder.stdout.take().context("its output is piped")?).lines();
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        let file = PathBuf::from(line?);
        let one = replayed(replay, &file)?;
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        if rows.last().is_none_or(|row| row.task != one.task) {
            rows.last().inspect(|row| println!("{}", text(row)));
            let nothing = Distance::default();
            rows.push(Row { task: one.task, seeds: 0, observations: nothing, rewards: nothing });
        }
        if let Some(row) = rows.last_mut() {
            row.seeds += 1;
            row.observations.add(one.observations);
            row.rewards.add(one.rewards);
        }
    }
    rows.last().inspect(|row| println!("{}", text(row)));
    let status = recorder.wait()?;
    ensure!(status.success(), "recording dm_control failed ({status}); its message is above");
    Ok(rows)
}

fn replayed(replay: &Path, file: &Path) -> Result<Replayed> {
    let mut command = Command::new(replay);
    let output = command.arg(file).stderr(Stdio::inherit()).output().context("cannot start the replay")?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    ensure!(output.status.success(), "{name} cannot be replayed ({}); its message is above", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("the replay of {name} gave no figures"))
}

fn text(row: &Row) -> String {
    let largest = |distance: &Distance| distance.largest.map_or("NaN".to_owned(), |largest| format!("{largest:.1e}"));
    let (seen, earned) = (&row.observations, &row.rewards);
    let mark = if seen.aligned() && earned.aligned() { "" } else { "  too far" };
    format!(
        "{:<26} {:>12} {:>9.2}% {:>12} {:>9.2}%{mark}",
        row.task,
        largest(seen),
        seen.share(),
        largest(earned),
        earned.share()
    )
}

fn csv(rows: &[Row]) -> String {
    let columns = "compared,equal,largest".split(',');
    let header = ["observations", "rewards"].map(|what| columns.clone().map(move |column| format!("{what}_{column}")));
    let mut text = format!("task,seeds,{}\n", header.into_iter().flatten().collect::<Vec<_>>().join(","));
    for row in rows {
        let _ = write!(text, "{},{}", row.task, row.seeds);
        for Distance { compared, equal, largest } in [row.observations, row.rewards] {
            let _ = write!(text, ",{compared},{equal},{:e}", largest.unwrap_or(f64::NAN));
        }
        text.push('\n');
    }
    text
}

fn verdict(rows: &[Row], expected: usize) -> Result<()> {
    let far: Vec<&str> = rows
        .iter()
        .filter(|row| !(row.observations.aligned() && row.rewards.aligned()))
        .map(|row| row.task.as_str())
        .collect();
    if !far.is_empty() {
        bail!("further than {TOLERANCE:e} from dm_control: {}", far.join(", "));
    }
    ensure!(rows.len() == expected, "{} tasks were compared instead of {expected}", rows.len());
    println!("\n{} tasks within {TOLERANCE:e} of dm_control", rows.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(largest: Option<f64>) -> Row {
        let distance = Distance { compared: 4, equal: 3, largest };
        let exact = Distance { compared: 2, equal: 2, largest: Some(0.0) };
        Row { task: "walker-run".to_owned(), seeds: 3, observations: distance, rewards: exact }
    }

    #[test]
    fn a_task_that_is_too_far_or_missing_is_an_error() {
        assert!(verdict(&[row(Some(1e-9))], 1).is_ok());
        let message = |rows: &[Row], expected| verdict(rows, expected).expect_err("not aligned").to_string();
        for largest in [Some(1.1e-9), Some(f64::INFINITY), None] {
            let message = message(&[row(Some(0.0)), row(largest)], 2);
            assert_eq!(message, "further than 1e-9 from dm_control: walker-run");
        }
        assert_eq!(message(&[row(Some(0.0))], 28), "1 tasks were compared instead of 28");
        let nothing = Row { observations: Distance::default(), ..row(Some(0.0)) };
        assert!(verdict(&[nothing], 1).is_err(), "nothing was compared");
    }

    #[test]
    fn distances_add_up_and_what_is_no_number_stays() {
        let mut sum = Distance::default();
        for (equal, largest) in [(5, Some(2e-16)), (4, Some(3e-16)), (5, Some(0.0))] {
            sum.add(Distance { compared: 5, equal, largest });
        }
        assert_eq!((sum.compared, sum.equal, sum.largest), (15, 14, Some(3e-16)));
        assert!((sum.share() - 93.33).abs() < 1e-9);
        sum.add(Distance { compared: 1, equal: 0, largest: None });
        sum.add(Distance { compared: 1, equal: 1, largest: Some(0.0) });
        assert_eq!(sum.largest, None);
        let almost = Distance { compared: 100_000, equal: 99_999, largest: Some(1e-16) };
        assert!((almost.share() - 99.99).abs() < 1e-9, "all but one is not all");
    }

    #[test]
    fn the_table_as_csv_has_a_line_per_task() {
        let expected = "task,seeds,observations_compared,observations_equal,observations_largest,\
                        rewards_compared,rewards_equal,rewards_largest\nwalker-run,3,4,3,2e-16,2,2,0e0\n";
        assert_eq!(csv(&[row(Some(2e-16))]), expected);
    }
}
