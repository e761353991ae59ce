//! Learners or variants beside each other on the same tasks, with a mean normalised score each.

use std::fmt::Write as _;

use super::{Row, grid::Grid, markdown};
use crate::{atari, catalogue, output};

/// The score of every series on every task.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<'a> {
    /// The tasks, in the table's order.
    pub tasks: Vec<&'a str>,
    /// The series, in the order in which they come first in the table.
    pub lines: Vec<Line<'a>>,
    /// How many tasks every series has a score on, with a scale for it; the means are taken over these.
    pub common: usize,
}

/// One series of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Line<'a> {
    /// Name of the series.
    pub series: &'a str,
    /// Its row of the table for each task, if there is one.
    pub rows: Vec<Option<&'a Row>>,
    /// Mean of [`normalised`] scores over the tasks that all series have; `None` if there is no such task.
    pub mean: Option<f64>,
}

/// A return on the scale from the random policy's, 0, to the task's largest, 1. Without a measured random policy the scale
/// starts at a return of 0. A game's scale ends at the human score; without that and a random policy it has none.
#[must_use]
pub fn normalised(task: &str, score: f64, random: Option<f64>) -> Option<f64> {
    if atari::is_game(task) {
        return atari::human_normalised(task, score);
    }
    let random = random.unwrap_or(0.0);
    catalogue::whole(task).map(|whole| (score - random) / (whole - random))
}

/// Sorts the rows of a table by series and task.
#[must_use]
pub fn comparison(rows: &[Row]) -> Comparison<'_> {
    let (mut tasks, mut names): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for row in rows {
        if !tasks.contains(&row.task.as_str()) {
            tasks.push(&row.task);
        }
        if !names.contains(&row.series.as_str()) {
            names.push(&row.series);
        }
    }
    let find = |series: &str, task: &str| rows.iter().find(|row| row.series == series && row.task == task);
    let scored =
        |name: &str, task| find(name, task).is_some_and(|row| normalised(task, row.median, row.random).is_some());
    let common: Vec<&str> = tasks.iter().copied().filter(|task| names.iter().all(|name| scored(name, task))).collect();
    let lines = names
        .iter()
        .map(|&series| {
            let scores: Vec<f64> = common
                .iter()
                .filter_map(|task| find(series, task))
                .filter_map(|row| normalised(&row.task, row.median, row.random))
                .collect();
            Line {
                series,
                rows: tasks.iter().map(|task| find(series, task)).collect(),
                mean: (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64),
            }
        })
        .collect();
    Comparison { tasks, lines, common: common.len() }
}

impl Comparison<'_> {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n", self.grid().text(), self.legend())
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        format!("{}\n{}", self.grid().markdown(), markdown::lines(&self.legend()))
    }

    /// As CSV: a row per series with full figures, empty where there is none.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut out = String::from("series,mean_normalised");
        for task in &self.tasks {
            let _ = write!(out, ",{task}");
        }
        for line in &self.lines {
            // A name from an experiment file has no comma or quote, an algorithm's title neither.
            let _ = write!(out, "\n{},{}", line.series, line.mean.map_or(String::new(), |mean| mean.to_string()));
            for row in &line.rows {
                let _ = write!(out, ",{}", row.map_or(String::new(), |row| row.median.to_string()));
            }
        }
        out.push('\n');
        out
    }

    /// The longer of tasks and series is listed downwards.
    fn grid(&self) -> Grid {
        let mean = |line: &Line<'_>| line.mean.map_or("–".to_owned(), |mean| format!("{mean:.3}"));
        let cell = |line: &Line<'_>, task: usize| line.rows[task].map_or("–".to_owned(), |row| self.cell(task, row));
        if self.tasks.len() > self.lines.len() {
            let headings = [("Task".to_owned(), false)]
                .into_iter()
                .chain(self.lines.iter().map(|line| (line.series.to_owned(), true)))
                .collect();
            let mut lines: Vec<Vec<String>> = self
                .tasks
                .iter()
                .enumerate()
                .map(|(index, task)| {
                    [(*task).to_owned()].into_iter().chain(self.lines.iter().map(|line| cell(line, index))).collect()
                })
                .collect();
            lines.push(["Mean, normalised".to_owned()].into_iter().chain(self.lines.iter().map(mean)).collect());
            return Grid { headings, lines };
        }
        let headings = [("Learner".to_owned(), false)]
            .into_iter()
            .chain(self.tasks.iter().map(|task| ((*task).to_owned(), true)))
            .chain([("Mean, normalised".to_owned(), true)])
            .collect();
        let lines = self
            .lines
            .iter()
            .map(|line| {
                [line.series.to_owned()]
                    .into_iter()
                    .chain((0..self.tasks.len()).map(|task| cell(line, task)))
                    .chain([mean(line)])
                    .collect()
            })
            .collect();
        Grid { headings, lines }
    }

    /// Median, quartiles if there are seeds, and the steps where other series have gone further.
    fn cell(&self, task: usize, row: &Row) -> String {
        let furthest = self.lines.iter().filter_map(|line| line.rows[task]).map(|row| row.steps).max();
        let places = catalogue::decimals(&row.task);
        let spread =
            if row.seeds > 1 { format!(" ({:.places$}–{:.places$})", row.lower, row.upper) } else { String::new() };
        let steps =
            if furthest == Some(row.steps) { String::new() } else { format!(" @ {}", output::steps(row.steps)) };
        format!("{:.places$}{spread}{steps}", row.median)
    }

    fn legend(&self) -> String {
        let tasks = match self.common {
            0 => "but no task has a score of every one yet".to_owned(),
            1 => "mean over the one task that all have a score on".to_owned(),
            count => format!("mean over the {count} tasks that all have a score on"),
        };
        let whole = if self.tasks.iter().all(|task| catalogue::whole(task) == Some(1000.0)) {
            "a return of 1000"
        } else {
            "the task's largest return, in a game the human score"
        };
        format!(
            "Median return over seeds, with the quartiles in brackets; \"@\" marks a score after fewer steps than others'.\n\
             Mean, normalised: 0 is the random policy's return, 1 is {whole}; {tasks}."
        )
    }
}
