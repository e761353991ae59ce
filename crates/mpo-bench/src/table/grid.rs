//! Cells in rows and columns, for a terminal and as Markdown.

use std::fmt::Write as _;

/// A table of text with a line of headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// The headings; `true` where the column's figures stand on the right.
    pub headings: Vec<(String, bool)>,
    /// The rows, with a cell for every heading.
    pub lines: Vec<Vec<String>>,
}

impl Grid {
    /// Aligned columns, with a rule under the headings.
    #[must_use]
    pub fn text(&self) -> String {
        let widths: Vec<usize> = self
            .headings
            .iter()
            .enumerate()
            .map(|(column, (heading, _))| {
                let cells = self.lines.iter().map(|line| line[column].chars().count());
                cells.chain([heading.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let headings: Vec<&str> = self.headings.iter().map(|(heading, _)| heading.as_str()).collect();
        let rule: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
        let mut out = self.aligned(&headings, &widths);
        out += &self.aligned(&rule, &widths);
        for line in &self.lines {
            out += &self.aligned(line, &widths);
        }
        out
    }

    fn aligned<S: AsRef<str>>(&self, cells: &[S], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, right)) in cells.iter().zip(widths).zip(&self.headings) {
            let cell = cell.as_ref();
            let _ = if *right { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        format!("{}\n", line.trim_end())
    }

    /// GitHub's flavour of Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let mut put = |cells: Vec<String>| {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        };
        put(self.headings.iter().map(|(heading, _)| escaped(heading)).collect());
        put(self.headings.iter().map(|(_, right)| if *right { "---:" } else { "---" }.to_owned()).collect());
        for line in &self.lines {
            put(line.iter().map(|cell| escaped(cell)).collect());
        }
        out
    }
}

/// A bare asterisk would start an emphasis, a bar another cell.
pub(super) fn escaped(text: &str) -> String {
    text.replace('*', "\\*").replace('|', "\\|")
}
