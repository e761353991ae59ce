//! The table as Markdown (GitHub's flavour), for a README.

use super::{HEADINGS, Row, cells, legend};

/// Renders `rows` as a Markdown table with the legend below.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut put = |cells: &[&str]| {
        out.push_str("| ");
        out.push_str(&cells.join(" | "));
        out.push_str(" |\n");
    };
    put(&HEADINGS.map(|(heading, _)| heading));
    put(&HEADINGS.map(|(_, right)| if right { "---:" } else { "---" }));
    for row in rows {
        // A bare asterisk would start an emphasis.
        let cells = cells(row).map(|cell| cell.replace('*', "\\*").replace('|', "\\|"));
        put(&cells.each_ref().map(String::as_str));
    }
    format!("{out}\n{}\n", legend(rows).replace('*', "\\*").replace('\n', "  \n"))
}
