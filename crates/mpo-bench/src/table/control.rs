//! The control suite's table for people. Tasks outside both suites are in it, too.

use super::{Mean, NONE, Reference, Row, UNFINISHED, grid::Grid, label, means};
use crate::{catalogue, output};

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
pub(super) fn grid(rows: &[Row]) -> Grid {
    let means = means(rows);
    let lines = rows.iter().map(cells).chain(means.iter().map(mean_cells));
    Grid {
        headings: HEADINGS.map(|(heading, right)| (heading.to_owned(), right)).to_vec(),
        lines: lines.map(Vec::from).collect(),
    }
}

/// One row's cells, in the order of [`HEADINGS`]; a dash where there is no figure.
fn cells(row: &Row) -> [String; HEADINGS.len()] {
    let places = catalogue::decimals(&row.task).max(1);
    let reference = |reference: &Option<Reference>| {
        reference.as_ref().map_or(NONE.to_owned(), |figure| beside(figure.mean, Some(figure.steps), Some(row.steps)))
    };
    [
        label(&format!("{}{}", row.task, if row.headline { "*" } else { "" }), row.finished),
        row.series.clone(),
        output::steps(row.steps),
        row.seeds.to_string(),
        format!("{:.places$}", row.median),
        if row.seeds > 1 { format!("{:.places$}–{:.places$}", row.lower, row.upper) } else { NONE.to_owned() },
        row.random.map_or(NONE.to_owned(), |mean| format!("{mean:.places$}")),
        reference(&row.mpo),
        reference(&row.dmpo),
        reference(&row.d4pg),
    ]
}

fn mean_cells(mean: &Mean) -> [String; HEADINGS.len()] {
    let [mpo, dmpo, d4pg] = mean.published.map(|(figure, steps)| beside(figure, steps, mean.steps));
    [
        label(&format!("mean of {} tasks", mean.tasks), mean.finished),
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
pub(super) fn legend(rows: &[Row]) -> String {
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
        lines.push(UNFINISHED);
    }
    lines.join("\n")
}
