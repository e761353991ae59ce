//! Atari games against Python's `ale_py` and ALE's own vector environment.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::bench::peers;
use crate::{process, setup};

/// What the command line of `cargo xtask align atari` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Games, such as pong, of all that ALE has [default: the paper's five].
    #[arg(long, value_name = "G")]
    game: Vec<String>,
    /// Seeds of the actions, and of when they stick.
    #[arg(long, value_name = "S", default_values_t = [0])]
    seed: Vec<u32>,
    /// Probability that an action sticks.
    #[arg(long, value_name = "P", default_values_t = [0.0, 0.25])]
    sticky: Vec<f64>,
}

const THE_PAPERS: usize = 5;

/// A quantity's checksums, one a step.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Comparison {
    compared: u64,
    equal: u64,
    /// The step of the first that differs: from there on all do, as they run on.
    first_unequal: Option<u64>,
}

/// What was earned in the original.
#[derive(Debug, Deserialize)]
struct Totals {
    reward: i64,
    games: u64,
}

/// What the replay says of one recording.
#[derive(Debug, Deserialize)]
struct Replayed {
    game: String,
    sticky: f64,
    seed: u32,
    totals: Totals,
    quantities: BTreeMap<String, Comparison>,
}

impl Replayed {
    /// The quantities that differ somewhere, and from which step on.
    fn unequal(&self) -> Vec<String> {
        let differs = |(_, one): &(&String, &Comparison)| one.compared == 0 || one.equal != one.compared;
        let text = |(name, one): (&String, &Comparison)| match one.first_unequal {
            Some(step) => format!("{name} from step {step}"),
            None => format!("{name} (nothing compared)"),
        };
        self.quantities.iter().filter(differs).map(text).collect()
    }
}

/// Records the originals, replays them and prints whether everything is equal, recording by recording.
///
/// # Errors
/// When anything is not equal, when a recording is missing, and when something cannot be set up.
pub(super) fn run(options: &Options) -> Result<()> {
    setup::atari::ensure()?;
    let python = peers::python("ale-py-0.12.1", "ale.txt")?;
    process::run(&mut process::cargo(["build", "--release", "-p", "mpo-envs", "--example", "align_atari"]))?;
    let replay = process::root().join("target/release/examples/align_atari");
    println!("ale_py 0.12.1 and its vector environment; 2000 steps of 4 frames each, random actions");
    println!("{:<20} {:>6} {:>5} {:>8} {:>6}  equal at every step", "game", "sticky", "seed", "reward", "games");
    let mut replayed = Vec::new();
    for seed in &options.seed {
        record_and_replay(options, *seed, &python, &replay, &mut replayed)?;
    }
    let games = if options.game.is_empty() { THE_PAPERS } else { options.game.len() };
    verdict(&replayed, games * options.seed.len() * options.sticky.len())
}

fn record_and_replay(
    options: &Options,
    seed: u32,
    python: &Path,
    replay: &Path,
    replayed: &mut Vec<Replayed>,
) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let script = process::root().join("crates/mpo-envs/tests/atari/record.py");
    let mut command = Command::new(python);
    command.arg(script).arg("--out").arg(folder.path()).args(["--every", "1", "--seed", &seed.to_string()]);
    command.arg("--sticky").args(options.sticky.iter().map(f64::to_string));
    command.arg("--game").args(&options.game).stdout(Stdio::piped());
    let mut recorder = command.spawn().context("cannot start the recorder")?;
    let lines = BufReader::new(recorder.stdout.take().context("its output is piped")?).lines();
    for line in lines {
        let file = PathBuf::from(line?);
        let output =
            Command::new(replay).arg(&file).stderr(Stdio::inherit()).output().context("cannot start the replay")?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        ensure!(output.status.success(), "{name} cannot be replayed ({}); its message is above", output.status);
        let one: Replayed =
            serde_json::from_slice(&output.stdout).with_context(|| format!("the replay of {name} gave no figures"))?;
        println!("{}", text(&one));
        replayed.push(one);
    }
    let status = recorder.wait()?;
    ensure!(status.success(), "recording ale_py failed ({status}); its message is above");
    Ok(())
}

fn text(one: &Replayed) -> String {
    let unequal = one.unequal();
    let equal: Vec<&str> = one.quantities.keys().map(String::as_str).collect();
    let verdict = if unequal.is_empty() { equal.join(", ") } else { format!("NOT: {}", unequal.join(", ")) };
    let Totals { reward, games } = one.totals;
    format!("{:<20} {:>6} {:>5} {reward:>8} {games:>6}  {verdict}", one.game, one.sticky, one.seed)
}

fn verdict(replayed: &[Replayed], expected: usize) -> Result<()> {
    let unequal: Vec<String> = replayed
        .iter()
        .filter(|one| !one.unequal().is_empty())
        .map(|one| format!("{} with sticky {} and seed {}", one.game, one.sticky, one.seed))
        .collect();
    if !unequal.is_empty() {
        bail!("not as ale_py plays: {}", unequal.join("; "));
    }
    ensure!(replayed.len() == expected, "{} recordings were compared instead of {expected}", replayed.len());
    println!("\n{expected} recordings repeated to the last bit");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(compared: u64, equal: u64, first_unequal: Option<u64>) -> Replayed {
        let quantities = [("rewards", Comparison { compared: 9, equal: 9, first_unequal: None })]
            .into_iter()
            .chain([("screens", Comparison { compared, equal, first_unequal })])
            .map(|(name, comparison)| (name.to_owned(), comparison))
            .collect();
        let totals = Totals { reward: -21, games: 1 };
        Replayed { game: "pong".to_owned(), sticky: 0.25, seed: 3, totals, quantities }
    }

    #[test]
    fn a_game_that_differs_or_is_missing_is_an_error() {
        assert!(verdict(&[replayed(9, 9, None)], 1).is_ok());
        let message =
            |replayed: &[Replayed], expected| verdict(replayed, expected).expect_err("not aligned").to_string();
        let differs = replayed(9, 4, Some(5));
        assert!(text(&differs).ends_with("NOT: screens from step 5"), "{}", text(&differs));
        assert_eq!(message(&[differs], 1), "not as ale_py plays: pong with sticky 0.25 and seed 3");
        assert_eq!(message(&[replayed(9, 9, None)], 10), "1 recordings were compared instead of 10");
        assert!(verdict(&[replayed(0, 0, None)], 1).is_err(), "nothing was compared");
        assert!(text(&replayed(9, 9, None)).ends_with("rewards, screens"));
    }
}
