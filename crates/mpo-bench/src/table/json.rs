//! The table as JSON: everything a [`Row`] holds, sources of published figures included.

use serde::Serialize;

use super::{Row, games};
use crate::atari;

/// A row of either table.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    Task(&'a Row),
    Game(Box<games::Entry<'a>>),
}

impl<'a> Entry<'a> {
    fn of(row: &'a Row) -> Self {
        if atari::is_game(&row.task) { Self::Game(Box::new(games::Entry::of(row))) } else { Self::Task(row) }
    }
}

/// Renders `rows` as an indented JSON array with a final newline. Games have other keys than the suite's tasks.
///
/// # Panics
/// Never: rows hold only strings and figures.
#[must_use]
pub fn json(rows: &[Row]) -> String {
    let entries: Vec<Entry<'_>> = rows.iter().map(Entry::of).collect();
    let mut out = serde_json::to_string_pretty(&entries).expect("rows hold only strings and figures");
    out.push('\n');
    out
}
