//! The table for a terminal: aligned columns.

use std::fmt::Write as _;

use super::{HEADINGS, Row, cells, legend};

/// Renders `rows` in aligned columns, with a rule under the headings and the legend below.
pub fn text(rows: &[Row]) -> String {
    let lines: Vec<[String; 8]> = rows.iter().map(cells).collect();
    let widths: Vec<usize> = HEADINGS
        .iter()
        .enumerate()
        .map(|(column, (heading, _))| {
            let cells = lines.iter().map(|line| line[column].chars().count());
            cells.chain([heading.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
    let mut out = aligned(&HEADINGS.map(|(heading, _)| heading), &widths);
    out += &aligned(&rule, &widths);
    for line in &lines {
        out += &aligned(line, &widths);
    }
    format!("{out}\n{}\n", legend(rows))
}

fn aligned<S: AsRef<str>>(cells: &[S], widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, width), (_, right)) in cells.iter().zip(widths).zip(HEADINGS) {
        let cell = cell.as_ref();
        let _ = if right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
    }
    format!("{}\n", line.trim_end())
}
