//! `mpo table`.

use std::path::{Path, PathBuf};

use anyhow::bail;

use super::{Row, comparison, csv_files, json, markdown, rows, split, text};
use crate::{
    cli::{Suite, TableOptions},
    output, records,
};

/// Runs `mpo table`: prints the table (text, or JSON with `--json`) and writes the files asked for. Text and Markdown of
/// several learners begin with these beside each other. The CSV of several tables is as many files.
///
/// # Errors
/// If the folder holds no evaluated run of the suite, or a file cannot be read or written.
pub fn command(options: &TableOptions) -> anyhow::Result<()> {
    let rows = chosen(options.suite, &rows(&records::find(&options.runs)?))?;
    let beside = comparison(&rows);
    let several = beside.lines.len() > 1;
    if let Some(path) = &options.csv {
        for (suffix, table) in csv_files(&rows) {
            output::save(&with_suffix(path, suffix), table.as_bytes())?;
        }
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

/// The rows of the suite's table.
///
/// # Errors
/// If there are none.
fn chosen(suite: Suite, all: &[Row]) -> anyhow::Result<Vec<Row>> {
    if all.is_empty() {
        bail!("no run has been evaluated yet: wait for the first line of an eval.csv");
    }
    let [control, parkour, atari] = split(all);
    let tables = [
        (Suite::ControlSuite, "control-suite", control),
        (Suite::Parkour, "parkour", parkour),
        (Suite::Atari, "atari", atari),
    ];
    let (mut chosen, mut elsewhere) = (Vec::new(), Vec::new());
    for (table, name, rows) in tables {
        if suite == Suite::All || suite == table {
            chosen.extend(rows);
        } else if !rows.is_empty() {
            elsewhere.push(format!("`mpo table {name}`"));
        }
    }
    let others = elsewhere.join(" and ");
    if chosen.is_empty() {
        bail!("none of the runs belongs to this suite: try {others}");
    }
    if !elsewhere.is_empty() {
        output::note(&format!("other runs there are shown by {others}, all by `mpo table all`"));
    }
    Ok(chosen)
}

/// `out/table.csv` with `-atari` is `out/table-atari.csv`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    if suffix.is_empty() {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (part(path.file_stem()), part(path.extension()));
    path.with_file_name(format!("{stem}{suffix}{}{extension}", if extension.is_empty() { "" } else { "." }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_table_has_its_suites_name() {
        for (path, expected) in [("out/t.csv", "out/t-atari.csv"), ("t", "t-atari")] {
            assert_eq!(with_suffix(Path::new(path), "-atari"), Path::new(expected));
            assert_eq!(with_suffix(Path::new(path), ""), Path::new(path));
        }
    }
}
