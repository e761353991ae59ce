//! Reads finished and unfinished run directories back: what `mpo table` and `mpo plot` work on.
//!
//! Only the documented files are looked at (`config.toml`, `eval.csv`, `progress.csv`, `metrics.csv`, `timing.csv`,
//! `done.json`), so tables and figures need neither `MuJoCo` nor a checkpoint, and may be drawn while the run still trains.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use mpo_agent::{Algorithm, ProgressRow};
use serde::Deserialize;

use crate::{catalogue, courses, summary};

/// One evaluation: the returns of its episodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Environment steps of training at which the policy was evaluated.
    pub step: u64,
    /// Return of each evaluation episode.
    pub returns: Vec<f64>,
    /// Of a course, metres that each episode came to, and obstacles that it passed; else empty.
    pub progress: Vec<(f64, u64)>,
    /// Of a course, training episodes until then.
    pub trajectories: Option<u64>,
}

impl Evaluation {
    /// Mean return over the episodes.
    #[must_use]
    pub fn mean(&self) -> f64 {
        summary::mean(&self.returns)
    }

    /// Means over the episodes of metres covered, of obstacles passed, and of whether there was at least one; `None` off courses.
    #[must_use]
    pub fn progress(&self) -> Option<[f64; 3]> {
        let mean = |of: fn(&(f64, u64)) -> f64| summary::mean(&self.progress.iter().map(of).collect::<Vec<_>>());
        (!self.progress.is_empty()).then(|| {
            [
                mean(|(distance, _)| *distance),
                mean(|(_, passed)| *passed as f64),
                mean(|(_, passed)| f64::from(*passed > 0)),
            ]
        })
    }
}

/// What a run directory says about its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The directory.
    pub dir: PathBuf,
    /// The task's short name: `walker-walk`, `atari/pong`.
    pub task: String,
    /// The run's seed.
    pub seed: u64,
    /// The run's learning algorithm.
    pub algorithm: Algorithm,
    /// The folder that holds the task's, where the run stands in one: `mpo` of `runs/mpo/walker-walk/seed-0`.
    pub group: Option<String>,
    /// What an experiment file calls the run's settings, if it gives them a name.
    pub variant: Option<String>,
    /// Evaluations by rising step; the first is that of the untrained policy.
    pub evaluations: Vec<Evaluation>,
    /// Whether the run reached its end (`done.json` exists).
    pub finished: bool,
}

impl Record {
    /// The run's *final score*: the mean return over all episodes of its last evaluation at or before step `limit`.
    #[must_use]
    pub fn final_score(&self, limit: u64) -> Option<f64> {
        self.final_evaluation(limit).map(Evaluation::mean)
    }

    /// The last evaluation at or before step `limit`.
    #[must_use]
    pub fn final_evaluation(&self, limit: u64) -> Option<&Evaluation> {
        self.evaluations.iter().rfind(|evaluation| evaluation.step <= limit)
    }

    /// The best mean return of any evaluation at or before step `limit`, but for that of the untrained policy if there are others. It
    /// is a maximum over noisy figures and so
    /// flatters; the suite's tables show [`Record::final_score`], those of Atari both.
    pub fn best_score(&self, limit: u64) -> Option<f64> {
        let untrained = match self.evaluations[..] {
            [ref first, ref second, ..] => usize::from(first.step == 0 && second.step <= limit),
            _ => 0,
        };
        self.scores(limit).skip(untrained).max_by(f64::total_cmp)
    }

    fn scores(&self, limit: u64) -> impl Iterator<Item = f64> {
        self.evaluations.iter().filter(move |evaluation| evaluation.step <= limit).map(Evaluation::mean)
    }

    /// The run as it was at step `limit`: without what was evaluated later, and finished if it had got that far.
    #[must_use]
    pub fn until(&self, limit: u64) -> Self {
        let mut cut = self.clone();
        cut.evaluations.retain(|evaluation| evaluation.step <= limit);
        cut.finished |= self.last_step().is_some_and(|last| last >= limit);
        cut
    }

    /// The step of the last evaluation.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        self.evaluations.last().map(|evaluation| evaluation.step)
    }
}

/// The keys of `config.toml` that identify a run; the others are the agent's.
#[derive(Deserialize)]
struct Identity {
    task: String,
    seed: u64,
    #[serde(default)]
    learner: Learner,
}

/// Absent from the files of older runs, which were all MPO's.
#[derive(Default, Deserialize)]
struct Learner {
    #[serde(default)]
    algorithm: Algorithm,
}

#[derive(Deserialize)]
struct EvaluationRow {
    step: u64,
    #[serde(rename = "return")]
    episode_return: f64,
}

/// Reads one run directory.
///
/// # Errors
/// If `dir` does not exist, is no run directory, or one of its files does not parse.
pub fn read(dir: &Path) -> anyhow::Result<Record> {
    if !dir.is_dir() {
        bail!("there is no run directory {}: give one that `mpo train` made", dir.display());
    }
    let path = dir.join("config.toml");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is no run directory: it holds no config.toml", dir.display()))?;
    let identity: Identity = toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let task = catalogue::short(&identity.task);
    let mut evaluations = read_evaluations(&dir.join("eval.csv"))?;
    if courses::is_course(task) {
        add_progress(&dir.join("progress.csv"), &mut evaluations)?;
        add_trajectories(&dir.join("metrics.csv"), &mut evaluations)?;
    }
    Ok(Record {
        dir: dir.to_owned(),
        task: task.to_owned(),
        seed: identity.seed,
        algorithm: identity.learner.algorithm,
        group: group(dir, task),
        variant: None,
        evaluations,
        finished: dir.join("done.json").is_file(),
    })
}

/// The name of the folder above the task's, if the run's directory is `GROUP/TASK/seed-N`.
fn group(dir: &Path, task: &str) -> Option<String> {
    let dir = std::path::absolute(dir).ok()?;
    // A game's folder is two: `atari/pong`.
    let parent = dir.parent().filter(|parent| parent.ends_with(task))?;
    let above = parent.ancestors().nth(Path::new(task).components().count())?;
    Some(above.file_name()?.to_str()?.to_owned())
}

/// Every run directory at or below `roots` (five levels at most: `PRESET/ALGORITHM/atari/GAME/seed-N`), sorted by path.
///
/// # Errors
/// If a root does not exist, holds no run, or a run does not parse.
pub fn find(roots: &[PathBuf]) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for root in roots {
        if !root.is_dir() {
            bail!("there is no directory {}: give a run directory or a folder of them", root.display());
        }
        let before = records.len();
        descend(root, 5, &mut records)?;
        if records.len() == before {
            bail!(
                "{} holds no run: none of its folders has a config.toml (make one with `mpo train TASK`)",
                root.display()
            );
        }
    }
    records.sort_by(|a, b| a.dir.cmp(&b.dir));
    records.dedup_by(|a, b| a.dir == b.dir);
    Ok(records)
}

fn descend(dir: &Path, levels: usize, records: &mut Vec<Record>) -> anyhow::Result<()> {
    if dir.join("config.toml").is_file() {
        records.push(read(dir)?);
        return Ok(());
    }
    if levels == 0 {
        return Ok(());
    }
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
        if path.is_dir() {
            descend(&path, levels - 1, records)?;
        }
    }
    Ok(())
}

/// Complete lines of a CSV file that may still be growing: a last line without its newline is left out. A file that
/// does not exist yet has none.
fn complete_lines(path: &Path) -> anyhow::Result<String> {
    let mut text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

fn read_evaluations(path: &Path) -> anyhow::Result<Vec<Evaluation>> {
    let text = complete_lines(path)?;
    let mut evaluations: Vec<Evaluation> = Vec::new();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: EvaluationRow = row.with_context(|| format!("cannot read {}", path.display()))?;
        match evaluations.last_mut() {
            Some(last) if last.step == row.step => last.returns.push(row.episode_return),
            _ => {
                let returns = vec![row.episode_return];
                evaluations.push(Evaluation { step: row.step, returns, ..Evaluation::default() });
            }
        }
    }
    Ok(evaluations)
}

/// Gives evaluations how far their episodes got. Runs that were made before that was recorded have no such file.
fn add_progress(path: &Path, evaluations: &mut [Evaluation]) -> anyhow::Result<()> {
    let text = complete_lines(path)?;
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let row: ProgressRow = row.with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(found) = evaluations.binary_search_by_key(&row.step, |evaluation| evaluation.step) {
            evaluations[found].progress.push((row.distance, row.obstacles));
        }
    }
    Ok(())
}

/// Gives evaluations the number of training episodes before them.
fn add_trajectories(path: &Path, evaluations: &mut [Evaluation]) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct MetricsRow {
        step: u64,
        episode: u64,
    }
    let text = complete_lines(path)?;
    let rows = csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<Vec<MetricsRow>, _>>()
        .with_context(|| format!("cannot read {}", path.display()))?;
    for evaluation in evaluations {
        let before = rows.partition_point(|row| row.step <= evaluation.step);
        evaluation.trajectories = Some(before.checked_sub(1).map_or(0, |last| rows[last].episode));
    }
    Ok(())
}

/// The mean standard deviation of the policy over the last tenth of a run's training episodes up to step `limit`, from its
/// `metrics.csv`; `None` where no update was made there.
///
/// # Errors
/// If the file does not parse.
pub fn deviation(dir: &Path, limit: u64) -> anyhow::Result<Option<f64>> {
    #[derive(Deserialize)]
    struct MetricsRow {
        step: u64,
        stddev_mean: Option<f64>,
    }
    let path = dir.join("metrics.csv");
    let text = complete_lines(&path)?;
    let rows = csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<Vec<MetricsRow>, _>>()
        .with_context(|| format!("cannot read {}", path.display()))?;
    let rows: Vec<_> = rows.iter().filter(|row| row.step <= limit).collect();
    let last = &rows[rows.len() - rows.len().div_ceil(10)..];
    let values: Vec<f64> = last.iter().filter_map(|row| row.stddev_mean).collect();
    Ok((!values.is_empty()).then(|| summary::mean(&values)))
}

/// Seconds per environment step of an earlier run, from its `timing.csv` (columns `step,seconds`); `None` if it has
/// no two rows yet.
///
/// # Errors
/// If the file does not parse.
pub fn seconds_per_step(dir: &Path) -> anyhow::Result<Option<f64>> {
    #[derive(Deserialize)]
    struct TimingRow {
        step: u64,
        seconds: f64,
    }
    let path = dir.join("timing.csv");
    let text = complete_lines(&path)?;
    let rows = csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<Vec<TimingRow>, _>>()
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(match (rows.first(), rows.last()) {
        (Some(first), Some(last)) if last.step > first.step => {
            Some((last.seconds - first.seconds) / (last.step - first.step) as f64)
        }
        _ => None,
    })
}
