//! The table of Atari games: best and last scores beside the random policy, a person and published agents.

use serde::Serialize;

use super::{NONE, Row, UNFINISHED, grid::Grid, label};
use crate::{
    atari::{self, AGENTS, FRAMES_PER_STEP, Score},
    output,
};

/// Headings before those of [`AGENTS`]; `true` where the column's figures stand on the right.
const HEADINGS: [(&str, bool); 8] = [
    ("Game", false),
    ("Learner", false),
    ("Frames", true),
    ("Seeds", true),
    ("Best", true),
    ("IQR", true),
    ("Last", true),
    ("Random", true),
];

/// The table for people: a row per game and series, then each series' mean.
pub(super) fn grid(rows: &[Row]) -> Grid {
    let headings =
        HEADINGS.into_iter().chain(AGENTS.map(|(_, heading)| (heading, true))).chain([("Human-norm.", true)]);
    Grid {
        headings: headings.map(|(heading, right)| (heading.to_owned(), right)).collect(),
        lines: rows.iter().map(cells).chain(means(rows)).collect(),
    }
}

fn cells(row: &Row) -> Vec<String> {
    let figure = |score: Option<f64>| score.map_or(NONE.to_owned(), |score| format!("{score:.1}"));
    let own = [
        label(atari::title(&row.task), row.finished),
        row.series.clone(),
        output::steps(FRAMES_PER_STEP * row.steps),
        row.seeds.to_string(),
        format!("{:.1}", row.best),
        if row.seeds > 1 { format!("{:.1} to {:.1}", row.best_lower, row.best_upper) } else { NONE.to_owned() },
        format!("{:.1}", row.median),
        figure(row.random),
    ];
    let published = AGENTS.iter().map(|(agent, _)| figure(atari::score(&row.task, agent)));
    let normalised = atari::human_normalised(&row.task, row.best).map_or(NONE.to_owned(), percent);
    own.into_iter().chain(published).chain([normalised]).collect()
}

fn percent(part: f64) -> String {
    // No minus before a score that is the random policy's.
    format!("{:.0} %", (100.0 * part).round() + 0.0)
}

/// The last rows: each series' mean human-normalised score beside the agents' in the same games, where there are two or more.
fn means(rows: &[Row]) -> Vec<Vec<String>> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.series.as_str()) {
            names.push(&row.series);
        }
    }
    names.into_iter().filter_map(|name| mean(name, rows)).collect()
}

fn mean(series: &str, rows: &[Row]) -> Option<Vec<String>> {
    let known = |row: &&Row| row.series == series && atari::human_normalised(&row.task, 0.0).is_some();
    let games: Vec<&Row> = rows.iter().filter(known).collect();
    if games.len() < 2 {
        return None;
    }
    let mean = |score: &dyn Fn(&Row) -> Option<f64>| -> String {
        let scores: Option<Vec<f64>> =
            games.iter().map(|row| atari::human_normalised(&row.task, score(row)?)).collect();
        scores.map_or(NONE.to_owned(), |scores| percent(crate::summary::mean(&scores)))
    };
    let frames = FRAMES_PER_STEP * games[0].steps;
    let own = [
        label(&format!("mean of {} games", games.len()), games.iter().all(|row| row.finished)),
        series.to_owned(),
        if games.iter().all(|row| row.steps == games[0].steps) { output::steps(frames) } else { NONE.to_owned() },
        NONE.to_owned(),
        mean(&|row| Some(row.best)),
        NONE.to_owned(),
        mean(&|row| Some(row.median)),
        mean(&|row| row.random),
    ];
    let published = AGENTS.iter().map(|(agent, _)| mean(&|row| atari::score(&row.task, agent)));
    Some(own.into_iter().chain(published).chain([mean(&|row| Some(row.best))]).collect())
}

/// What the columns mean, for under the table.
pub(super) fn legend(rows: &[Row]) -> String {
    let mut lines = vec![
        "Frames: of the console, seen by each run, 4 per step. Seeds: runs.",
        "Best: median over seeds of the best evaluation's mean score, the untrained policy's left out; it is what the published scores",
        "are, after 200M frames, and flatters. IQR: its 25 % to 75 % quantile over seeds. Last: the same of the last evaluation.",
        "Human-norm.: Best, where 0 % is the random policy's score, measured by us, and 100 % the human one.",
    ];
    if !means(rows).is_empty() {
        lines.push("mean: of human-normalised scores over these games, in every column.");
    }
    if rows.iter().any(|row| !row.finished) {
        lines.push(UNFINISHED);
    }
    lines.join("\n")
}

/// A row for other programs.
#[derive(Debug, Serialize)]
struct Flat<'a> {
    task: &'a str,
    learner: &'a str,
    algorithm: &'a str,
    frames: u64,
    steps: u64,
    seeds: usize,
    finished: bool,
    best: f64,
    best_q25: f64,
    best_q75: f64,
    last: f64,
    last_q25: f64,
    last_q75: f64,
    random: Option<f64>,
    human: Option<f64>,
    dqn: Option<f64>,
    prioritized_dueling: Option<f64>,
    c51: Option<f64>,
    mpo: Option<f64>,
    human_normalised: Option<f64>,
}

impl<'a> Flat<'a> {
    fn of(row: &'a Row) -> Self {
        let published = |agent| atari::score(&row.task, agent);
        Self {
            task: &row.task,
            learner: &row.series,
            algorithm: &row.algorithm,
            frames: FRAMES_PER_STEP * row.steps,
            steps: row.steps,
            seeds: row.seeds,
            finished: row.finished,
            best: row.best,
            best_q25: row.best_lower,
            best_q75: row.best_upper,
            last: row.median,
            last_q25: row.lower,
            last_q75: row.upper,
            random: row.random,
            human: published("human"),
            dqn: published("dqn"),
            prioritized_dueling: published("prioritized_dueling"),
            c51: published("c51"),
            mpo: published("mpo"),
            human_normalised: atari::human_normalised(&row.task, row.best),
        }
    }
}

/// The rows as CSV with a heading line.
///
/// # Panics
/// Never: writing to memory cannot fail.
pub(super) fn csv(rows: &[Row]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(Flat::of(row)).expect("a row of plain figures can be written to memory");
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("figures and task names are text")
}

/// A row with the sources of what is published.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    #[serde(flatten)]
    row: Flat<'a>,
    published: Vec<&'static Score>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        let published = atari::published().iter().filter(|score| score.task == row.task).collect();
        Self { row: Flat::of(row), published }
    }
}
