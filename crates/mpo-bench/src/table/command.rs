//! `mpo table`.

use anyhow::bail;

use super::{comparison, csv, json, markdown, rows, text};
use crate::{cli::TableOptions, output, records};

/// Runs `mpo table`: prints the table (text, or JSON with `--json`) and writes the files asked for. Text and Markdown of
/// several learners begin with these beside each other.
///
/// # Errors
/// If the folder holds no evaluated run, or a file cannot be read or written.
pub fn command(options: &TableOptions) -> anyhow::Result<()> {
    let rows = rows(&records::find(&options.runs)?);
    if rows.is_empty() {
        bail!("no run has been evaluated yet: wait for the first line of an eval.csv");
    }
    let beside = comparison(&rows);
    let several = beside.lines.len() > 1;
    if let Some(path) = &options.csv {
        output::save(path, csv(&rows).as_bytes())?;
    }
    if let Some(path) = &options.markdown {
        let first = if several { format!("{}\n", beside.markdown()) } else { String::new() };
        output::save(path, (first + &markdown(&rows)).as_bytes())?;
    }
    if options.json {
        return output::print(&json(&rows));
    }
    let first = if several { format!("{}\n", beside.text()) } else { String::new() };
    output::print(&(first + &text(&rows)))
}
