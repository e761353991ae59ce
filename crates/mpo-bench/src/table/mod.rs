//! The results table: our runs per task beside the random policy and published agents. One exporter per file.
//!
//! A run's score is the mean return over all episodes of its last evaluation; a task's is the median of its runs'
//! scores, with the interquartile range over runs as spread. Figures are taken over the finished runs. Where a task
//! has none yet, they are taken over its unfinished runs at the latest evaluation that all of them have reached, and
//! the row is marked. Games and parkour's courses have tables of their own, with other columns: the tasks decide.

mod command;
mod comparison;
mod control;
mod courses;
mod csv;
mod games;
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
    csv::{csv, csv_files},
    grid::Grid,
    json::json,
    markdown::markdown,
    means::{Mean, means},
    text::text,
};
use crate::{
    anchors::{self, Anchor},
    atari, catalogue, courses as parkour, random,
    records::Record,
    series::{self, Series},
    summary::{self, Spread},
};

/// One task of the table, under one learner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Short name of the task.
    pub task: String,
    /// What the learner is called: an algorithm's title or a variant's name.
    pub series: String,
    /// The setting `learner.algorithm`.
    pub algorithm: String,
    /// Whether the task is one of the headline set, or of the paper's games, for which published figures exist.
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
    /// 25 % quantile over the runs of each one's best evaluation.
    pub best_lower: f64,
    /// 75 % quantile over the runs of each one's best evaluation.
    pub best_upper: f64,
    /// The random policy's mean return.
    pub random: Option<f64>,
    /// Published MPO at the nearest number of steps.
    pub mpo: Option<Reference>,
    /// Published DMPO, MPO with a distributional critic, at the nearest number of steps.
    pub dmpo: Option<Reference>,
    /// Published D4PG at the nearest number of steps.
    pub d4pg: Option<Reference>,
    /// How far a course was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub course: Option<Course>,
}

/// How far a course was run: medians over the runs of means over the episodes of the evaluation that [`Row::median`] is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// Training episodes until that evaluation.
    pub trajectories: f64,
    /// Metres from the start at an episode's end.
    pub distance: f64,
    /// Obstacles passed.
    pub obstacles: f64,
    /// Episodes in which at least one obstacle was passed, of all.
    pub past_first: f64,
    /// The random policy's distance.
    pub random_distance: Option<f64>,
    /// The random policy's obstacles.
    pub random_obstacles: Option<f64>,
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

/// Groups the runs of each task, in the catalogue's order; tasks that nobody knows follow by name.
#[must_use]
pub fn by_task<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<(&'a str, Vec<&'a Record>)> {
    let mut groups: BTreeMap<(usize, &str), Vec<&Record>> = BTreeMap::new();
    for record in records {
        groups.entry((catalogue::rank(&record.task), &record.task)).or_default().push(record);
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
    let best = summary::spread(&bests)?;
    let info = suite::tasks().iter().find(|info| info.name == task);
    Some(Row {
        task: task.to_owned(),
        series: series.name.clone(),
        algorithm: series.algorithm.name().to_owned(),
        headline: info.is_some_and(|info| info.headline) || atari::is_headline(task),
        steps,
        seeds: scores.len(),
        finished,
        median,
        lower,
        upper,
        best: best.median,
        best_lower: best.lower,
        best_upper: best.upper,
        random: random::mean_return(task),
        mpo: anchors::nearest(task, "mpo", steps).map(Reference::from),
        dmpo: anchors::nearest(task, "dmpo", steps).map(Reference::from),
        d4pg: anchors::nearest(task, "d4pg", steps).map(Reference::from),
        course: course(task, &runs, limit),
    })
}

fn course(task: &str, runs: &[&Record], limit: u64) -> Option<Course> {
    let last: Vec<_> = runs.iter().filter_map(|run| run.final_evaluation(limit)).collect();
    let progress: Vec<[f64; 3]> = last.iter().filter_map(|evaluation| evaluation.progress()).collect();
    let trajectories: Vec<f64> =
        last.iter().filter_map(|evaluation| evaluation.trajectories).map(|count| count as f64).collect();
    let median = |figures: &[f64]| summary::spread(figures).map(|spread| spread.median);
    let of = |which: usize| median(&progress.iter().map(|figures| figures[which]).collect::<Vec<_>>());
    let random = random::of_task(task);
    Some(Course {
        trajectories: median(&trajectories)?,
        distance: of(0)?,
        obstacles: of(1)?,
        past_first: of(2)?,
        random_distance: random.and_then(|baseline| baseline.distance),
        random_obstacles: random.and_then(|baseline| baseline.obstacles),
    })
}

/// The rows of the suite's table, which is also that of all tasks that are neither games nor courses, of the courses' and of the
/// games'.
#[must_use]
pub fn split(rows: &[Row]) -> [Vec<Row>; 3] {
    let (games, others): (Vec<Row>, Vec<Row>) = rows.iter().cloned().partition(|row| atari::is_game(&row.task));
    let (runs, others): (Vec<Row>, Vec<Row>) = others.into_iter().partition(|row| parkour::is_course(&row.task));
    [others, runs, games]
}

/// The tables for people that `rows` make, with what their columns mean: one of the suite, one of courses, one of games.
fn tables(rows: &[Row]) -> Vec<(Grid, String)> {
    let [others, runs, games] = split(rows);
    let mut tables = Vec::new();
    if !others.is_empty() {
        tables.push((control::grid(&others), control::legend(&others)));
    }
    if !runs.is_empty() {
        tables.push((courses::grid(&runs), courses::legend(&runs)));
    }
    if !games.is_empty() {
        tables.push((games::grid(&games), games::legend(&games)));
    }
    tables
}

const NONE: &str = "–";

/// What a task is called in its first column, with what there is to say of its runs.
fn label(name: &str, finished: bool) -> String {
    format!("{name}{}", if finished { "" } else { " (unfinished)" })
}

/// What is to be known of unfinished runs.
const UNFINISHED: &str =
    "unfinished: no run has reached its end; figures at the latest step that all runs have reached.";

#[cfg(test)]
mod tests;
