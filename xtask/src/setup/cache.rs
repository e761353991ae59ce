//! The cache: where it is, when a package in it is sound, and how one gets there in a single step.

use super::package::Package;
use super::wheel::sha256;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// In each package's folder: a comment with the package's hash, then one line per file, as `sha256sum -c` reads them.
pub(super) const MANIFEST: &str = "MANIFEST.sha256";

const STAGING: &str = ".staging-";

/// `$MPO_CACHE`, else `$XDG_CACHE_HOME/mpo`, else `~/.cache/mpo`: the same order as in `mpo-envs`.
///
/// # Errors
/// When none of the three variables is set.
pub(super) fn directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let found = set("MPO_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("mpo")))
        .or_else(|| set("HOME").map(|path| path.join(".cache").join("mpo")))
        .context("there is no place for the cache: set MPO_CACHE to a folder")?;
    std::path::absolute(&found).with_context(|| format!("{} is no usable path", found.display()))
}

/// What is wrong with a package in the cache; `None` when it is sound, every byte of it.
pub(super) fn fault(package: &Package, cache: &Path) -> Option<String> {
    fault_in(&cache.join(package.folder()), &heading(package))
}

/// What is wrong with a folder whose manifest should begin with `heading`; `None` when it is sound.
pub(super) fn fault_in(folder: &Path, heading: &str) -> Option<String> {
    let Ok(manifest) = fs::read_to_string(folder.join(MANIFEST)) else {
        return Some("it is not there, or not complete".to_owned());
    };
    let mut lines = manifest.lines();
    if lines.next() != Some(heading) {
        return Some("it came from another package than the pinned one".to_owned());
    }
    let mut files = 0;
    for line in lines {
        let sound = line
            .split_once("  ")
            .is_some_and(|(expected, file)| sha256(&folder.join(file)).is_ok_and(|found| found == expected));
        if !sound {
            let file = line.split_once("  ").map_or(line, |(_, file)| file);
            return Some(format!("{file} is not what was installed"));
        }
        files += 1;
    }
    (files == 0).then(|| "its manifest is empty".to_owned())
}

/// Writes the manifest: the last file of a package.
///
/// # Errors
/// When a file cannot be read or the manifest not written.
pub(super) fn write_manifest(package: &Package, folder: &Path, files: &[String]) -> Result<()> {
    write_manifest_under(&heading(package), folder, files)
}

/// Writes a manifest that begins with `heading`.
///
/// # Errors
/// When a file cannot be read or the manifest not written.
pub(super) fn write_manifest_under(heading: &str, folder: &Path, files: &[String]) -> Result<()> {
    let mut text = format!("{heading}\n");
    for file in files {
        let hash = sha256(&folder.join(file))?;
        writeln!(text, "{hash}  {file}").context("a string takes any text")?;
    }
    let path = folder.join(MANIFEST);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn heading(package: &Package) -> String {
    format!("# {package}, wheel sha256 {}", package.sha256)
}

/// Puts a complete folder into its place, and what was there before away.
///
/// # Errors
/// When a folder cannot be renamed.
pub(super) fn publish(complete: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        let away = complete.with_extension("replaced");
        fs::rename(place, &away).with_context(|| format!("cannot move {} away", place.display()))?;
    }
    fs::rename(complete, place).with_context(|| format!("cannot put {} into its place", place.display()))
}

/// A folder for work in progress, on the cache's own file system; removed when dropped.
///
/// # Errors
/// When it cannot be made.
pub(super) fn staging(cache: &Path) -> Result<TempDir> {
    tempfile::Builder::new()
        .prefix(STAGING)
        .tempdir_in(cache)
        .with_context(|| format!("cannot make a folder in {}", cache.display()))
}

/// Removes the staging folders of set-ups that were killed. Call it under the lock.
///
/// # Errors
/// When the cache cannot be listed or a folder not removed.
pub(super) fn remove_leftovers(cache: &Path) -> Result<()> {
    for entry in fs::read_dir(cache).with_context(|| format!("cannot list {}", cache.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(STAGING) {
            let path = entry.path();
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Keeps a second set-up waiting; freed when the file is dropped, or its process ends in whatever way.
///
/// # Errors
/// When the lock's file cannot be made or locked.
pub(super) fn lock(cache: &Path) -> Result<File> {
    let path = cache.join(".lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.lock() {
        Ok(()) => Ok(file),
        // Some network file systems have no locks; publishing by rename is safe without one.
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(error) => bail!("cannot lock {}: {error}", path.display()),
    }
}
