//! `mpo table`.

use anyhow::bail;

use super::{csv, json, markdown, rows, text};
use crate::{cli::TableOptions, output, records};

/// Runs `mpo table`: prints the table (text, or JSON with `--json`) and writes the files asked for.
///
/// # Errors
/// If the folder holds no evaluated run, or a file cannot be read or written.
pub fn command(options: &TableOptions) -> anyhow::Result<()> {
    let rows = rows(&records::find(&options.runs)?);
    if rows.is_empty() {
        bail!("no run has been evaluated yet: wait for the first line of an eval.csv");
    }
    if let Some(path) = &options.csv {
        output::save(path, csv(&rows).as_bytes())?;
    }
    if let Some(path) = &options.markdown {
        output::save(path, markdown(&rows).as_bytes())?;
    }
    output::print(&if options.json { json(&rows) } else { text(&rows) })
}
