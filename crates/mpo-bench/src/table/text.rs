//! The table for a terminal: aligned columns.

use super::{Row, grid, legend};

/// Renders `rows` in aligned columns, with a rule under the headings and the legend below.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    format!("{}\n{}\n", grid(rows).text(), legend(rows))
}
