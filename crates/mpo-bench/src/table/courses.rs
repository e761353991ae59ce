//! The table of parkour's courses: return, distance and obstacles, beside the random policy's.

use serde::Serialize;

use super::{NONE, Row, UNFINISHED, grid::Grid, label};
use crate::{courses, output};

/// Headings; `true` where the column's figures stand on the right.
const HEADINGS: [(&str, bool); 13] = [
    ("Course", false),
    ("Learner", false),
    ("Steps", true),
    ("Trajectories", true),
    ("Seeds", true),
    ("Return", true),
    ("IQR", true),
    ("Distance", true),
    ("Obstacles", true),
    ("Past 1st", true),
    ("Random: return", true),
    ("distance", true),
    ("obstacles", true),
];

/// The table for people: a row per course and series.
pub(super) fn grid(rows: &[Row]) -> Grid {
    Grid {
        headings: HEADINGS.map(|(heading, right)| (heading.to_owned(), right)).to_vec(),
        lines: rows.iter().map(|row| cells(row).to_vec()).collect(),
    }
}

/// One row's cells, in the order of [`HEADINGS`]; a dash where there is no figure.
fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let figure = |figure: Option<f64>| figure.map_or(NONE.to_owned(), |figure| format!("{figure:.1}"));
    let metres = |metres: Option<f64>| metres.map_or(NONE.to_owned(), |metres| format!("{metres:.1} m"));
    let course = row.course.as_ref();
    // On level ground there is none to pass.
    let obstacles = course.filter(|_| !row.task.ends_with("-flat"));
    [
        label(courses::title(&row.task), row.finished),
        row.series.clone(),
        output::steps(row.steps),
        course.map_or(NONE.to_owned(), |course| format!("{:.0}", course.trajectories)),
        row.seeds.to_string(),
        format!("{:.1}", row.median),
        if row.seeds > 1 { format!("{:.1} to {:.1}", row.lower, row.upper) } else { NONE.to_owned() },
        metres(course.map(|course| course.distance)),
        figure(obstacles.map(|course| course.obstacles)),
        obstacles.map_or(NONE.to_owned(), |course| format!("{:.0} %", 100.0 * course.past_first)),
        figure(row.random),
        metres(course.and_then(|course| course.random_distance)),
        figure(obstacles.and_then(|course| course.random_obstacles)),
    ]
}

/// What the columns mean, for under the table.
pub(super) fn legend(rows: &[Row]) -> String {
    let mut lines = vec![
        "Steps, Trajectories: environment steps and episodes of training. Return, Distance, Obstacles: medians over seeds of means over",
        "the episodes of the last evaluation; IQR: 25 % to 75 % quantile over seeds. A course is 80 m long and the return of a good run",
        "about 1000. Past 1st: episodes in which at least one obstacle was passed. Random: uniformly random actions, measured by us.",
        "The paper's walker took MPO about 70,000 trajectories (60M steps), and PPO about a million.",
    ];
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
    steps: u64,
    trajectories: Option<f64>,
    seeds: usize,
    finished: bool,
    median: f64,
    q25: f64,
    q75: f64,
    best: f64,
    distance: Option<f64>,
    obstacles: Option<f64>,
    past_first: Option<f64>,
    random: Option<f64>,
    random_distance: Option<f64>,
    random_obstacles: Option<f64>,
}

/// The rows as CSV with a heading line.
///
/// # Panics
/// Never: writing to memory cannot fail.
pub(super) fn csv(rows: &[Row]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let course = row.course.as_ref();
        let flat = Flat {
            task: &row.task,
            learner: &row.series,
            algorithm: &row.algorithm,
            steps: row.steps,
            trajectories: course.map(|course| course.trajectories),
            seeds: row.seeds,
            finished: row.finished,
            median: row.median,
            q25: row.lower,
            q75: row.upper,
            best: row.best,
            distance: course.map(|course| course.distance),
            obstacles: course.map(|course| course.obstacles),
            past_first: course.map(|course| course.past_first),
            random: row.random,
            random_distance: course.and_then(|course| course.random_distance),
            random_obstacles: course.and_then(|course| course.random_obstacles),
        };
        writer.serialize(flat).expect("a row of plain figures can be written to memory");
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("figures and task names are text")
}
