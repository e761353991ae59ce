//! The growing files of a run: `metrics.csv`, `eval.csv`, `timing.csv`, TensorBoard's events and, where there is somewhere to get
//! to, `progress.csv`.
//!
//! Each row is one write to the file, so a killed process loses no finished episode. A checkpoint
//! records the files' lengths after they are on disk; a resumed run cuts them back to it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::AgentError;
use crate::error::AtPath;
use crate::records::{EpisodeRow, EvaluationRow, EvaluationSummary, ProgressRow, TimingRow};
use crate::tensorboard;

/// The beginning of every event file's name; TensorBoard looks for it.
const EVENTS: &str = "events.out.tfevents.";

/// The file of how far evaluations got.
const PROGRESS: &str = "progress.csv";

/// A file that only grows, and knows how long it is.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    fn create(path: PathBuf, beginning: &[u8]) -> Result<Self, AgentError> {
        let file = File::create(&path).at("create", &path)?;
        let mut log = Self { path, file, length: 0 };
        log.append(beginning)?;
        Ok(log)
    }

    /// Cuts the file back to `length` bytes and goes on from there.
    fn reopen(path: PathBuf, length: u64) -> Result<Self, AgentError> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).at("open", &path)?;
        let found = file.metadata().at("read", &path)?.len();
        if found < length {
            return Err(AgentError::Truncated { path, length: found, expected: length });
        }
        file.set_len(length).at("truncate", &path)?;
        file.seek(SeekFrom::End(0)).at("seek in", &path)?;
        Ok(Self { path, file, length })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), AgentError> {
        self.file.write_all(bytes).at("write", &self.path)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn row(&mut self, row: impl Serialize) -> Result<(), AgentError> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        let bytes = writer
            .serialize(row)
            .map_err(std::io::Error::from)
            .and_then(|()| writer.into_inner().map_err(csv::IntoInnerError::into_error))
            .at("write", &self.path)?;
        self.append(&bytes)
    }

    fn sync(&self) -> Result<(), AgentError> {
        self.file.sync_data().at("write", &self.path)
    }
}

/// All growing files of a run.
#[derive(Debug)]
pub(crate) struct Logs {
    metrics: Log,
    evaluation: Log,
    timing: Log,
    events: Log,
    /// Begun with the first evaluation that has something to say.
    progress: Option<Log>,
    directory: PathBuf,
    opened: Instant,
    seconds_before: f64,
}

impl Logs {
    /// Files with nothing but their headers; what was there before is lost.
    pub(crate) fn create(directory: &Path) -> Result<Self, AgentError> {
        for entry in fs::read_dir(directory).at("read", directory)? {
            let path = entry.at("read", directory)?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(EVENTS)) {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        let now = wall_time();
        let events = directory.join(format!("{EVENTS}{:010}.mpo", now as u64));
        Ok(Self {
            metrics: Log::create(directory.join("metrics.csv"), &header(&EpisodeRow::COLUMNS))?,
            evaluation: Log::create(directory.join("eval.csv"), &header(&EvaluationRow::COLUMNS))?,
            timing: Log::create(directory.join("timing.csv"), &header(&TimingRow::COLUMNS))?,
            events: Log::create(events, &tensorboard::header(now))?,
            progress: None,
            directory: directory.to_owned(),
            opened: Instant::now(),
            seconds_before: 0.0,
        })
    }

    /// Files as they were when a checkpoint recorded `lengths`.
    pub(crate) fn resume(directory: &Path, lengths: &BTreeMap<String, u64>) -> Result<Self, AgentError> {
        let reopen = |name: &str| Log::reopen(directory.join(name), lengths.get(name).copied().unwrap_or_default());
        let events = lengths.keys().find(|name| name.starts_with(EVENTS));
        let events = events.map_or(EVENTS, String::as_str);
        let timing = reopen("timing.csv")?;
        let seconds_before = last_seconds(&timing.path)?;
        Ok(Self {
            metrics: reopen("metrics.csv")?,
            evaluation: reopen("eval.csv")?,
            events: reopen(events)?,
            progress: lengths.contains_key(PROGRESS).then(|| reopen(PROGRESS)).transpose()?,
            directory: directory.to_owned(),
            timing,
            opened: Instant::now(),
            seconds_before,
        })
    }

    /// The name and length of every file, for a checkpoint.
    pub(crate) fn lengths(&self) -> BTreeMap<String, u64> {
        self.files()
            .map(|log| {
                let name = log.path.file_name().unwrap_or_default().to_string_lossy();
                (name.into_owned(), log.length)
            })
            .collect()
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> Result<(), AgentError> {
        self.files().try_for_each(Log::sync)
    }

    pub(crate) fn episode(&mut self, row: &EpisodeRow) -> Result<(), AgentError> {
        self.metrics.row(row)?;
        let seconds = self.seconds_before + self.opened.elapsed().as_secs_f64();
        // Milliseconds: more digits would say nothing.
        let seconds = (seconds * 1e3).round() / 1e3;
        self.timing.row(TimingRow { step: row.step, seconds })?;
        let mut scalars =
            vec![("train/return".to_owned(), row.episode_return), ("train/length".to_owned(), row.length as f64)];
        for (name, value) in row.learning() {
            scalars.extend(value.map(|value| (format!("learner/{name}"), value)));
        }
        self.events.append(&tensorboard::scalars(wall_time(), row.step, &scalars))
    }

    pub(crate) fn evaluation(&mut self, summary: &EvaluationSummary) -> Result<(), AgentError> {
        for row in summary.rows() {
            self.evaluation.row(row)?;
        }
        let mut scalars = vec![("evaluation/return".to_owned(), summary.mean())];
        if let Some((distance, obstacles)) = summary.mean_progress() {
            let log = match &mut self.progress {
                Some(log) => log,
                begun => begun.insert(Log::create(self.directory.join(PROGRESS), &header(&ProgressRow::COLUMNS))?),
            };
            for row in summary.progress_rows() {
                log.row(row)?;
            }
            scalars.push(("evaluation/distance".to_owned(), distance));
            scalars.push(("evaluation/obstacles".to_owned(), obstacles));
        }
        self.events.append(&tensorboard::scalars(wall_time(), summary.step, &scalars))
    }

    fn files(&self) -> impl Iterator<Item = &Log> {
        [&self.metrics, &self.evaluation, &self.timing, &self.events].into_iter().chain(&self.progress)
    }
}

fn header(columns: &[&str]) -> Vec<u8> {
    format!("{}\n", columns.join(",")).into_bytes()
}

/// The seconds in the last row of `timing.csv`, from which a resumed run counts on.
fn last_seconds(path: &Path) -> Result<f64, AgentError> {
    let text = fs::read_to_string(path).at("read", path)?;
    let last = text.lines().last().and_then(|line| line.split(',').nth(1));
    Ok(last.and_then(|field| field.parse().ok()).unwrap_or(0.0))
}

/// Seconds since 1970, for records that people read; nothing is decided by it.
pub(crate) fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
