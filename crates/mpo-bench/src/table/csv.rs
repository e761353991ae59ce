//! The table as CSV, for other programs: one row per task and learner, full figures, empty fields where there is none.

use serde::Serialize;

use super::{Reference, Row, courses, games, split};

#[derive(Serialize)]
struct Record<'a> {
    task: &'a str,
    learner: &'a str,
    algorithm: &'a str,
    headline: bool,
    steps: u64,
    seeds: usize,
    finished: bool,
    median: f64,
    q25: f64,
    q75: f64,
    best: f64,
    random: Option<f64>,
    mpo_steps: Option<u64>,
    mpo_mean: Option<f64>,
    mpo_std: Option<f64>,
    dmpo_steps: Option<u64>,
    dmpo_mean: Option<f64>,
    dmpo_std: Option<f64>,
    d4pg_steps: Option<u64>,
    d4pg_mean: Option<f64>,
    d4pg_std: Option<f64>,
}

/// The CSV files that `rows` make, each with what its name ends with before `.csv`: the columns of the suite, of courses and of games
/// differ, so rows of several make several. The first has the plain name.
#[must_use]
pub fn csv_files(rows: &[Row]) -> Vec<(&'static str, String)> {
    let [others, runs, games] = split(rows);
    let mut files = Vec::new();
    if !others.is_empty() || rows.is_empty() {
        files.push(("", csv(&others)));
    }
    for (suffix, rows, csv) in [("-parkour", runs, courses::csv as fn(&[Row]) -> String), ("-atari", games, games::csv)]
    {
        if !rows.is_empty() {
            files.push((if files.is_empty() { "" } else { suffix }, csv(&rows)));
        }
    }
    files
}

/// Renders `rows`, which are neither games nor courses, as CSV with a heading line.
///
/// # Panics
/// Never: writing to memory cannot fail.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let steps = |reference: &Option<Reference>| reference.as_ref().map(|figure| figure.steps);
    let mean = |reference: &Option<Reference>| reference.as_ref().map(|figure| figure.mean);
    let std = |reference: &Option<Reference>| reference.as_ref().map(|figure| figure.std);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer
            .serialize(Record {
                task: &row.task,
                learner: &row.series,
                algorithm: &row.algorithm,
                headline: row.headline,
                steps: row.steps,
                seeds: row.seeds,
                finished: row.finished,
                median: row.median,
                q25: row.lower,
                q75: row.upper,
                best: row.best,
                random: row.random,
                mpo_steps: steps(&row.mpo),
                mpo_mean: mean(&row.mpo),
                mpo_std: std(&row.mpo),
                dmpo_steps: steps(&row.dmpo),
                dmpo_mean: mean(&row.dmpo),
                dmpo_std: std(&row.dmpo),
                d4pg_steps: steps(&row.d4pg),
                d4pg_mean: mean(&row.d4pg),
                d4pg_std: std(&row.d4pg),
            })
            .expect("a row of plain figures can be written to memory");
    }
    let bytes = writer.into_inner().expect("memory can be flushed");
    String::from_utf8(bytes).expect("figures and task names are text")
}
