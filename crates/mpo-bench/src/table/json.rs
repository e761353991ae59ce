//! The table as JSON: everything a [`Row`] holds, sources of published figures included.

use super::Row;

/// Renders `rows` as an indented JSON array with a final newline.
///
/// # Panics
/// Never: rows hold only strings and figures.
#[must_use]
pub fn json(rows: &[Row]) -> String {
    let mut out = serde_json::to_string_pretty(rows).expect("rows hold only strings and figures");
    out.push('\n');
    out
}
