//! The table as Markdown (GitHub's flavour), for a README.

use super::{Row, tables};

/// Renders `rows` as a Markdown table with the legend below; games in a table of their own.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    let tables: Vec<String> =
        tables(rows).iter().map(|(grid, legend)| format!("{}\n{}", grid.markdown(), lines(legend))).collect();
    tables.join("\n")
}

/// Lines that stay lines in Markdown.
pub(super) fn lines(text: &str) -> String {
    format!("{}\n", super::grid::escaped(text).replace('\n', "  \n"))
}
