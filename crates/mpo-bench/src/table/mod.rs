//! The results table: our runs per task beside the random policy and published agents. One exporter per file.
//!
//! A run's score is the mean return over all episodes of its last evaluation; a task's is the median of its runs'
//! scores, with the interquartile range over runs as spread. Figures are taken over the finished runs. Where a task
//! has none yet, they are taken over its unfinished runs at the latest evaluation that all of them have reached, and
//! the row is marked.

mod command;
mod csv;
mod json;
mod markdown;
mod text;

use std::collections::BTreeMap;

use mpo_envs::suite;
use serde::Serialize;

pub use self::{command::command, csv::csv, json::json, markdown::markdown, text::text};
use crate::{
    anchors::{self, Anchor},
    output, random,
    records::Record,
    summary::{self, Spread},
};

/// One task of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Suite name of the task.
    pub task: String,
    /// Whether the task is one of the headline set, for which published figures exist.
    pub headline: bool,
    /// Environment steps at which our figures were taken (the fewest of its runs).
    pub steps: u64,
    /// Runs that the figures are taken over.
    pub seeds: usize,
    /// Whether those runs have finished; then all the figures are final.
    pub finished: bool,
    /// Median score over the runs.
    pub median: f64,
    /// 25 % quantile over the runs.
    pub lower: f64,
    /// 75 % quantile over the runs.
    pub upper: f64,
    /// Median over the runs of each run's best evaluation.
    pub best: f64,
    /// The random policy's mean return.
    pub random: Option<f64>,
    /// Published MPO at the nearest number of steps.
    pub mpo: Option<Reference>,
    /// Published D4PG at the nearest number of steps.
    pub d4pg: Option<Reference>,
}

/// A published figure as the table shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// Environment steps of the published figure.
    pub steps: u64,
    /// Mean over its seeds.
    pub mean: f64,
    /// Standard deviation over its seeds.
    pub std: f64,
    /// How many seeds it had.
    pub seeds: u32,
    /// Where it was published.
    pub source: String,
}

impl From<&Anchor> for Reference {
    fn from(anchor: &Anchor) -> Self {
        Self {
            steps: anchor.steps,
            mean: anchor.mean,
            std: anchor.std,
            seeds: anchor.seeds,
            source: anchor.source.clone(),
        }
    }
}

/// Groups the runs of each task, in the suite's order; tasks outside the suite follow by name.
#[must_use]
pub fn by_task(records: &[Record]) -> Vec<(&str, Vec<&Record>)> {
    let mut groups: BTreeMap<(usize, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        let tasks = suite::tasks();
        let rank = tasks.iter().position(|task| task.name == record.task).unwrap_or(tasks.len());
        groups.entry((rank, &record.task)).or_default().push(record);
    }
    groups.into_iter().map(|((_, task), group)| (task, group)).collect()
}

/// The table's rows. Runs without any evaluation yet are left out, and so are tasks that have no other.
#[must_use]
pub fn rows(records: &[Record]) -> Vec<Row> {
    by_task(records).into_iter().filter_map(|(task, group)| row(task, &group)).collect()
}

fn row(task: &str, group: &[&Record]) -> Option<Row> {
    let evaluated: Vec<&Record> = group.iter().copied().filter(|record| !record.evaluations.is_empty()).collect();
    let done: Vec<&Record> = evaluated.iter().copied().filter(|record| record.finished).collect();
    let finished = !done.is_empty();
    let runs = if finished { done } else { evaluated };
    let steps = runs.iter().filter_map(|run| run.last_step()).min()?;
    // Finished runs may have ended at different steps (`stop_at_return`): each counts with its end.
    let limit = if finished { u64::MAX } else { steps };
    let scores: Vec<f64> = runs.iter().filter_map(|run| run.final_score(limit)).collect();
    let bests: Vec<f64> = runs.iter().filter_map(|run| run.best_score(limit)).collect();
    let Spread { lower, median, upper } = summary::spread(&scores)?;
    let info = suite::tasks().iter().find(|info| info.name == task);
    Some(Row {
        task: task.to_owned(),
        headline: info.is_some_and(|info| info.headline),
        steps,
        seeds: scores.len(),
        finished,
        median,
        lower,
        upper,
        best: summary::spread(&bests)?.median,
        random: random::mean_return(task),
        mpo: anchors::nearest(task, "mpo", steps).map(Reference::from),
        d4pg: anchors::nearest(task, "d4pg", steps).map(Reference::from),
    })
}

/// Headings of the table for people; `true` where the column's figures stand on the right.
const HEADINGS: [(&str, bool); 8] = [
    ("Task", false),
    ("Steps", true),
    ("Seeds", true),
    ("MPO (ours)", true),
    ("IQR", true),
    ("Random", true),
    ("MPO (published)", true),
    ("D4PG (published)", true),
];

/// One row's cells, in the order of [`HEADINGS`]; a dash where there is no figure.
fn cells(row: &Row) -> [String; 8] {
    let reference = |reference: &Option<Reference>| {
        reference.as_ref().map_or("–".to_owned(), |figure| {
            if figure.steps == row.steps {
                format!("{:.1}", figure.mean)
            } else {
                format!("{:.1} @ {}", figure.mean, output::steps(figure.steps))
            }
        })
    };
    [
        format!(
            "{}{}{}",
            row.task,
            if row.headline { "*" } else { "" },
            if row.finished { "" } else { " (unfinished)" }
        ),
        output::steps(row.steps),
        row.seeds.to_string(),
        format!("{:.1}", row.median),
        if row.seeds > 1 { format!("{:.1}–{:.1}", row.lower, row.upper) } else { "–".to_owned() },
        row.random.map_or("–".to_owned(), |mean| format!("{mean:.1}")),
        reference(&row.mpo),
        reference(&row.d4pg),
    ]
}

/// What the columns mean, for under the table.
fn legend(rows: &[Row]) -> String {
    let mut lines = vec![
        "Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.",
        "Published: mean over seeds, at the same number of environment steps or at the one named.",
    ];
    if rows.iter().any(|row| row.headline) {
        lines.push("*: one of the 18 tasks that published MPO figures exist for.");
    }
    if rows.iter().any(|row| !row.finished) {
        lines.push("unfinished: no run has reached its end; figures at the latest step that all runs have reached.");
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
