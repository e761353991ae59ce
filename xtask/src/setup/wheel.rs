//! A wheel is a zip file: checking that it is the pinned one, and taking what is needed out of it.

use super::package::Package;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let mut hasher = Hasher(Sha256::new());
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hexadecimal = String::new();
    for byte in hasher.0.finalize() {
        write!(hexadecimal, "{byte:02x}").context("a string takes any text")?;
    }
    Ok(hexadecimal)
}

struct Hasher(Sha256);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Holds a wheel against its pin.
///
/// # Errors
/// When the file cannot be read, or its hash is another; the message holds both.
pub(super) fn check(package: &Package, wheel: &Path) -> Result<()> {
    let found = sha256(wheel)?;
    if found != package.sha256 {
        bail!(
            "{} is not the pinned wheel of {package}\n  pinned sha256 {}\n  this file's   {found}",
            wheel.display(),
            package.sha256
        );
    }
    Ok(())
}

/// The one wheel of a package in a folder.
///
/// # Errors
/// When there is none, or the folder cannot be read.
pub(super) fn find(package: &Package, folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if package.owns_wheel(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!("the download brought no wheel of {package}")
}

/// Writes what the package's rules take into `folder`, and returns the files' names in it, sorted.
///
/// # Errors
/// When the file is no zip, a rule finds nothing, an entry's name would leave the folder, or writing fails.
pub(super) fn unpack(package: &Package, wheel: &Path, folder: &Path) -> Result<Vec<String>> {
    let context = || format!("cannot unpack {}", wheel.display());
    let mut archive = zip::ZipArchive::new(File::open(wheel).with_context(context)?).with_context(context)?;
    let names = archive.file_names().map(|name| name.map(std::borrow::Cow::into_owned));
    let entries = names.collect::<Result<Vec<String>, _>>().with_context(context)?;
    let mut files = Vec::new();
    for rule in &package.rules {
        let before = files.len();
        for entry in &entries {
            let Some(target) = rule.target(entry) else {
                continue;
            };
            if target.split('/').any(|part| part == "..") {
                bail!("{} holds {entry:?}, which would be written outside the cache", wheel.display());
            }
            let mut source = archive.by_name(entry).with_context(context)?;
            let path = folder.join(&target);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            }
            let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            io::copy(&mut source, &mut file).with_context(|| format!("cannot write {}", path.display()))?;
            files.push(target);
        }
        if files.len() == before {
            bail!("the wheel of {package} holds nothing that begins with {:?}", rule.from);
        }
    }
    files.sort();
    Ok(files)
}
