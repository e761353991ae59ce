//! The table for a terminal: aligned columns.

use super::{Row, tables};

/// Renders `rows` in aligned columns, with a rule under the headings and the legend below; games in a table of their own.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let tables: Vec<String> =
        tables(rows).iter().map(|(grid, legend)| format!("{}\n{legend}\n", grid.text())).collect();
    tables.join("\n")
}
