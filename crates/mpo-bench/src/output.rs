//! Writing to the terminal and to result files.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;

/// Writes `text` to standard output, as results are. A reader that has gone away (`mpo tasks | head`) is no error.
///
/// # Errors
/// If standard output cannot be written for another reason.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes one line to standard error, as everything is that is no result. There is nowhere left to report a failure.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a result file, making its folder first.
///
/// # Errors
/// If the folder or the file cannot be written.
pub fn save(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

/// An error with its causes, one per line.
#[must_use]
pub fn causes(error: &anyhow::Error) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // Some libraries repeat their cause within their own message.
        if !lines.last().is_some_and(|line| line.ends_with(&text)) {
            lines.push(text);
        }
    }
    lines.join("\n  because: ")
}

/// A count of steps as people read it: `900`, `60k`, `2.5M`.
#[must_use]
pub fn steps(count: u64) -> String {
    let (value, unit) = match count {
        0..1_000 => (count as f64, ""),
        1_000..1_000_000 => (count as f64 / 1e3, "k"),
        _ => (count as f64 / 1e6, "M"),
    };
    let digits = format!("{value:.1}");
    format!("{}{unit}", digits.strip_suffix(".0").unwrap_or(&digits))
}

/// A duration as people read it: `45 s`, `12 min`, `3 h 05 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_durations_are_short() {
        assert_eq!(steps(900), "900");
        assert_eq!(steps(60_000), "60k");
        assert_eq!(steps(2_500_000), "2.5M");
        assert_eq!(steps(1_000_000), "1M");
        assert_eq!(duration(44.6), "45 s");
        assert_eq!(duration(700.0), "12 min");
        assert_eq!(duration(11_100.0), "3 h 05 min");
    }
}
