//! The peers' programs: virtual environments in the cache, made on first use from pinned, hashed requirements.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, setup};

/// The interpreter of the virtual environment `name` in the cache, which has what `xtask/peers/REQUIREMENTS` pins.
///
/// # Errors
/// When python3 or its venv module is missing, or a package cannot be installed.
pub(crate) fn python(name: &str, requirements: &str) -> Result<PathBuf> {
    let home = setup::cache_directory()?.join("peers").join(name);
    let python = home.join("bin/python");
    let complete = home.join("complete");
    if !complete.exists() {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(&home))
            .context("the peer needs python3 with its venv module (Debian's package python3-venv)")?;
        let pins = process::root().join("xtask/peers").join(requirements);
        let install = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r"];
        process::run(Command::new(&python).args(install).arg(&pins))
            .with_context(|| format!("cannot install the peer from {}", pins.display()))?;
        std::fs::write(&complete, "").with_context(|| format!("cannot write {}", complete.display()))?;
    }
    Ok(python)
}
