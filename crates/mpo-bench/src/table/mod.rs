//! The results table: our runs per task beside the random policy and published agents. One exporter per file.
//!
//! A run's score is the mean return over all episodes of its last evaluation; a task's is the median of its runs'
//! scores, with the interquartile range over runs as spread. Figures are taken over the finished runs. Where a task
//! has none yet, they are taken over its unfinished runs at the latest evaluation that all of them have reached, and
//! the row is marked.

mod command;
mod comparison;
mod csv;
mod grid;
mod json;
mod markdown;
mod means;
mod text;

use std::collections::BTreeMap;

use mpo_envs::suite;
use serde::Serialize;

pub use self::{
    command::command,
    comparison::{Comparison, Line, comparison, normalised},
    csv::csv,
    grid::Grid,
    json::json,
    markdown::markdown,
    means::{Mean, means},
    text::text,
};
use crate::{
    anchors::{self, Anchor},
    output, random,
    records::Record,
    series::{self, Series},
    summary::{self, Spread},
};

/// One task of the table, under one learner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Suite name of the task.
    pub task: String,
    /// What the learner is called: an algorithm's title or a variant's name.
    pub series: String,
    /// The setting `learner.algorithm`.
    pub algorithm: String,
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
    /// Published DMPO, MPO with a distributional critic, at the nearest number of steps.
    pub dmpo: Option<Reference>,
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
pub fn by_task<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(&'a str, Vec<&'a Record>)> {
    let mut groups: BTreeMap<(usize, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        let tasks = suite::tasks();
        let rank = tasks.iter().position(|task| task.name == record.task).unwrap_or(tasks.len());
        groups.entry((rank, &record.task)).or_default().push(record);
    }
    groups.into_iter().map(|((_, task), group)| (task, group)).collect()
}

/// The table's rows: every task with its series. Runs without any evaluation yet are left out, and so are tasks that
/// have no other.
#[must_use]
pub fn rows(records: &[Record]) -> Vec<Row> {
    let all = series::gather(records);
    let tasks = by_task(records).into_iter().map(|(task, _)| task);
    tasks.flat_map(|task| all.iter().filter_map(|series| row(task, series)).collect::<Vec<_>>()).collect()
}

fn row(task: &str, series: &Series<'_>) -> Option<Row> {
    let evaluated: Vec<&Record> =
        series.of_task(task).into_iter().filter(|record| !record.evaluations.is_empty()).collect();
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
        series: series.name.clone(),
        algorithm: series.algorithm.name().to_owned(),
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
        dmpo: anchors::nearest(task, "dmpo", steps).map(Reference::from),
        d4pg: anchors::nearest(task, "d4pg", steps).map(Reference::from),
    })
}

/// Headings of the table for people; `true` where the column's figures stand on the right.
const HEADINGS: [(&str, bool); 10] = [
    ("Task", false),
    ("Learner", false),
    ("Steps", true),
    ("Seeds", true),
    ("Ours", true),
    ("IQR", true),
    ("Random", true),
    ("MPO (publ.)", true),
    ("DMPO (publ.)", true),
    ("D4PG (publ.)", true),
];

/// The table for people: a row per task and series, then the means.
fn grid(rows: &[Row]) -> Grid {
    let means = means(rows);
    let lines = rows.iter().map(cells).chain(means.iter().map(mean_cells));
    Grid {
        headings: HEADINGS.map(|(heading, right)| (heading.to_owned(), right)).to_vec(),
        lines: lines.map(Vec::from).collect(),
    }
}

const NONE: &str = "–";

/// One row's cells, in the order of [`HEADINGS`]; a dash where there is no figure.
fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let reference = |reference: &Option<Reference>| {
        reference.as_ref().map_or(NONE.to_owned(), |figure| beside(figure.mean, Some(figure.steps), Some(row.steps)))
    };
    [
        format!(
            "{}{}{}",
            row.task,
            if row.headline { "*" } else { "" },
            if row.finished { "" } else { " (unfinished)" }
        ),
        row.series.clone(),
        output::steps(row.steps),
        row.seeds.to_string(),
        format!("{:.1}", row.median),
        if row.seeds > 1 { format!("{:.1}–{:.1}", row.lower, row.upper) } else { NONE.to_owned() },
        row.random.map_or(NONE.to_owned(), |mean| format!("{mean:.1}")),
        reference(&row.mpo),
        reference(&row.dmpo),
        reference(&row.d4pg),
    ]
}

fn mean_cells(mean: &Mean) -> [String; HEADINGS.len()] {
    let [mpo, dmpo, d4pg] = mean.published.map(|(figure, steps)| beside(figure, steps, mean.steps));
    [
        format!("mean of {} tasks{}", mean.tasks, if mean.finished { "" } else { " (unfinished)" }),
        mean.series.clone(),
        mean.steps.map_or(NONE.to_owned(), output::steps),
        NONE.to_owned(),
        format!("{:.1}", mean.ours),
        NONE.to_owned(),
        mean.random.map_or(NONE.to_owned(), |mean| format!("{mean:.1}")),
        mpo,
        dmpo,
        d4pg,
    ]
}

/// A published figure, with its steps where they are known and not ours.
fn beside(figure: f64, steps: Option<u64>, ours: Option<u64>) -> String {
    match steps {
        Some(steps) if ours != Some(steps) => format!("{figure:.1} @ {}", output::steps(steps)),
        _ => format!("{figure:.1}"),
    }
}

/// What the columns mean, for under the table.
fn legend(rows: &[Row]) -> String {
    let mut lines = vec![
        "Ours: median over seeds of the mean return of the last evaluation; IQR: 25 % to 75 % quantile over seeds.",
        "publ.: published mean over seeds, at the same number of environment steps or at the one named.",
    ];
    if rows.iter().any(|row| row.headline) {
        lines.push("*: one of the 18 tasks that published MPO figures exist for.");
    }
    if !means(rows).is_empty() {
        lines.push("mean: over the tasks above on which MPO, DMPO and D4PG are all published.");
    }
    if rows.iter().any(|row| !row.finished) {
        lines.push("unfinished: no run has reached its end; figures at the latest step that all runs have reached.");
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests;
