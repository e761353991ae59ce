//! `cargo xtask gpu-check`: one folder to carry to a machine with a card and no Rust toolchain, and its check run here.
//!
//! The folder holds the program `mpo`, and a cache of its own with MuJoCo, the suite's models and the kernels compiled for the cards
//! asked for: there, nothing is fetched and nothing compiled.

use crate::{process, setup};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the command line of `cargo xtask gpu-check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Architectures of the cards to compile for; may be given several times. An H100's and an H200's is `sm_90`.
    #[arg(long, value_name = "ARCHITECTURE", default_values = ["sm_90"])]
    architecture: Vec<String>,
    /// Only make the folder.
    #[arg(long)]
    pack: bool,
    /// Folder for the report of the check that is run here.
    #[arg(long, value_name = "DIR", default_value = "target/gpu-check/report")]
    out: PathBuf,
    /// Only the agreement of one setting.
    #[arg(long)]
    quick: bool,
}

/// The folder to carry, from the root.
const FOLDER: &str = "target/gpu-check";

/// Builds, fills the folder, and runs the check unless only the folder was asked for.
///
/// # Errors
/// When the set-up, the build, a copy, a compilation or the check fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    setup::ensure_cuda()?;
    process::run(&mut process::cargo(["build", "--release", "--package", "mpo-bench", "--bin", "mpo"]))?;
    let folder = process::root().join(FOLDER);
    let cache = folder.join("cache");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let built = process::target().join("release/mpo");
    let program = folder.join("mpo");
    fs::copy(&built, &program).with_context(|| format!("cannot copy {}", built.display()))?;
    // Line tables are most of the program and nothing there needs them; without a `strip` they travel too.
    let _ = Command::new("strip").arg("--strip-debug").arg(&program).status();
    let from = setup::cache_directory()?;
    for name in setup::control_suite_folders()? {
        copy(&from.join(&name), &cache.join(&name))?;
    }
    for architecture in &options.architecture {
        let mut command = Command::new(&program);
        command.args(["gpu-check", "--compile", architecture]).env("MPO_CACHE", &cache);
        for name in setup::cuda_folders()? {
            command.env("MPO_NVRTC", from.join(name).join("libnvrtc.so.13"));
        }
        process::run(&mut command)?;
    }
    println!("\n{FOLDER} is to be carried; on the machine with the card, in under nine minutes:");
    println!("  MPO_CACHE={FOLDER}/cache {FOLDER}/mpo gpu-check --out DIR");
    if options.pack {
        return Ok(());
    }
    let mut command = Command::new(&program);
    command.args(["gpu-check", "--out"]).arg(&options.out).args(options.quick.then_some("--quick"));
    process::run(command.env("MPO_CACHE", &cache).current_dir(process::root()))
}

/// Copies a folder with all that is in it, over what is there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let at = |path: &Path| format!("cannot copy {}", path.display());
    fs::create_dir_all(to).with_context(|| at(to))?;
    for entry in fs::read_dir(from).with_context(|| at(from))? {
        let entry = entry.with_context(|| at(from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).with_context(|| at(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_with_what_is_below_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("below")).expect("it can be made");
        fs::write(from.join("below/file"), "text").expect("it can be written");
        copy(&from, &to).expect("it can be copied");
        assert_eq!(fs::read_to_string(to.join("below/file")).expect("it is there"), "text");
        assert!(copy(&from.join("nothing"), &to).is_err());
    }
}
