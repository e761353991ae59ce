//! Ctrl-C: the first asks every run to stop at the end of its episode, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::output;

/// How a subcommand that can be interrupted came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// It did everything.
    Complete,
    /// It was asked to stop and left the rest for later; the program's exit code is then 130.
    Interrupted,
}

static ASKED: AtomicBool = AtomicBool::new(false);

/// Takes over Ctrl-C (and `SIGTERM`) for the rest of the program; the flag tells whether it came.
///
/// # Errors
/// If the system refuses the handler, or there already is one.
pub fn install() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("\nstopping at the end of the episode; press Ctrl-C again to stop at once");
    })
    .context("cannot take over Ctrl-C")?;
    Ok(&ASKED)
}
