//! The table as Markdown (GitHub's flavour), for a README.

use super::{Row, grid, legend};

/// Renders `rows` as a Markdown table with the legend below.
#[must_use]
pub fn markdown(rows: &[Row]) -> String {
    format!("{}\n{}", grid(rows).markdown(), lines(&legend(rows)))
}

/// Lines that stay lines in Markdown.
pub(super) fn lines(text: &str) -> String {
    format!("{}\n", super::grid::escaped(text).replace('\n', "  \n"))
}
