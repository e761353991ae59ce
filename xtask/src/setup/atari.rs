//! `cargo xtask setup atari`: the Arcade Learning Environment's source package into the cache, and a library built of it.
//!
//! The library's manifest names the package's hash and that of this checkout's part of it (`crates/mpo-envs/ale/` and the
//! compiler's options): when either changes, it is built again. The package stays in the cache, so that this needs no network.

mod compile;

use super::{cache, download, package, wheel};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Name, version and hash of the source package.
const PIN: &str = include_str!("../../pins-atari.txt");

/// The environment variables by which a user points to a library and games of their own.
const VARIABLES: [&str; 2] = ["MPO_ALE_LIBRARY", "MPO_ATARI_ROMS"];

/// The package's folder of games, and its licence.
const GAMES: &str = "src/ale/python/roms/";
const LICENCE: &str = "LICENSE.md";

/// What the command line of `cargo xtask setup atari` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The source package, if it is on this machine already.
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    /// Build again even what is there and sound.
    #[arg(long)]
    force: bool,
}

/// The pinned source package.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    version: String,
    sha256: String,
}

impl Source {
    /// What `pins-atari.txt` says.
    ///
    /// # Errors
    /// When it is not one line `name==version --hash=sha256:HEX`.
    pub(crate) fn pinned() -> Result<Self> {
        let pins = package::pins(PIN)?;
        let [(name, version, sha256)] = pins[..] else { bail!("pins-atari.txt pins {} packages", pins.len()) };
        Ok(Self { name: name.to_owned(), version: version.to_owned(), sha256: sha256.to_owned() })
    }

    /// Name and version, as in the file's name.
    fn stem(&self) -> String {
        format!("{}-{}", self.name.replace('-', "_"), self.version)
    }

    fn file(&self) -> String {
        format!("{}.tar.gz", self.stem())
    }

    /// The cache's folder of what is built of it.
    pub(crate) fn built(&self) -> String {
        format!("{}-built", self.stem())
    }

    /// Holds a file against the pin.
    fn check(&self, file: &Path) -> Result<()> {
        let found = wheel::sha256(file)?;
        if found != self.sha256 {
            bail!(
                "{} is not the pinned source package of {} {}\n  pinned sha256 {}\n  this file's   {found}",
                file.display(),
                self.name,
                self.version,
                self.sha256
            );
        }
        Ok(())
    }
}

/// Sets up as the command line says.
///
/// # Errors
/// See [`Setup::run`].
pub(crate) fn run(options: &Options) -> Result<()> {
    let line = Setup {
        source: &Source::pinned()?,
        package: options.package.as_deref(),
        force: options.force,
        cache: &super::cache_directory()?,
        variable: &|name| std::env::var_os(name).filter(|value| !value.is_empty()),
        fetch: &|source, folder| with_pip("python3", source, folder),
        recipe: &compile::recipe(),
        can_build: &|| compile::chosen().map(|_| ()),
        build: &compile::build,
    }
    .run()?;
    println!("{line}");
    Ok(())
}

/// Sets up before another command that needs the games.
///
/// # Errors
/// See [`Setup::run`].
pub(crate) fn ensure() -> Result<()> {
    run(&Options::default())
}

/// Whether there is a compiler to set up with.
pub(crate) fn has_compiler() -> bool {
    compile::chosen().is_ok()
}

/// One run of the set-up; what it reads of the world is passed in, so that tests can play the world.
struct Setup<'a> {
    source: &'a Source,
    package: Option<&'a Path>,
    force: bool,
    cache: &'a Path,
    /// A non-empty environment variable.
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Brings the source package into a folder.
    fetch: &'a dyn Fn(&Source, &Path) -> Result<()>,
    /// What the library depends on besides the package.
    recipe: &'a str,
    /// Fails where nothing can be built.
    can_build: &'a dyn Fn() -> Result<()>,
    /// Builds the unpacked package, its first argument, into a library, its second.
    build: &'a dyn Fn(&Path, &Path) -> Result<()>,
}

impl Setup<'_> {
    /// Makes library and games sound, touching only what is not, and returns the line that says so.
    ///
    /// # Errors
    /// When a given package is not the pinned one, the download fails, there is no compiler or it fails, or the cache cannot
    /// be written.
    fn run(&self) -> Result<String> {
        let Source { name, version, .. } = self.source;
        if let Some(package) = self.package {
            self.source.check(package)?;
        } else if !self.force && VARIABLES.iter().all(|variable| (self.variable)(variable).is_some()) {
            return Ok(format!("{name} {version} taken from {}", VARIABLES.join(" and ")));
        }
        let place = self.cache.join(self.source.built());
        if self.force || cache::fault_in(&place, &self.heading()).is_some() {
            fs::create_dir_all(self.cache)
                .with_context(|| format!("cannot make the cache folder {}", self.cache.display()))?;
            let _lock = cache::lock(self.cache)?;
            cache::remove_leftovers(self.cache)?;
            // Another set-up may have built it while this one waited for the lock.
            if self.force || cache::fault_in(&place, &self.heading()).is_some() {
                self.install(&place)?;
            }
        }
        Ok(format!("{name} {version} ready in {}", place.display()))
    }

    /// The first line of the library's manifest.
    fn heading(&self) -> String {
        let Source { name, version, sha256 } = self.source;
        format!("# {name} {version}, source sha256 {sha256}, recipe {}", self.recipe)
    }

    fn install(&self, place: &Path) -> Result<()> {
        // Before a download that would be in vain.
        (self.can_build)()?;
        let staging = cache::staging(self.cache)?;
        let package = self.bring(staging.path())?;
        let (unpacked, built) = (staging.path().join("source"), staging.path().join("built"));
        unpack(&package, &self.source.stem(), &unpacked)?;
        fs::create_dir_all(built.join("roms")).context("cannot write to the cache")?;
        (self.build)(&unpacked, &built.join("libmpo_ale.so"))?;
        let mut files = vec!["libmpo_ale.so".to_owned(), LICENCE.to_owned()];
        fs::rename(unpacked.join(LICENCE), built.join(LICENCE)).context("the package has no licence")?;
        for entry in fs::read_dir(unpacked.join(GAMES)).context("the package has no games")? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(game) = name.strip_suffix(".bin") {
                fs::rename(entry.path(), built.join("roms").join(&name))
                    .with_context(|| format!("cannot keep {game}"))?;
                files.push(format!("roms/{name}"));
            }
        }
        files.sort();
        cache::write_manifest_under(&self.heading(), &built, &files)?;
        cache::publish(&built, place)
    }

    /// The source package in the cache: the one that is there, or the given one, or a downloaded one.
    fn bring(&self, staging: &Path) -> Result<PathBuf> {
        let kept = self.cache.join(self.source.file());
        if self.source.check(&kept).is_err() {
            let downloads = staging.join("downloads");
            if self.package.is_none() {
                (self.fetch)(self.source, &downloads)?;
            }
            let found = self.package.map_or_else(|| downloads.join(self.source.file()), Path::to_path_buf);
            self.source.check(&found)?;
            let copy = staging.join(self.source.file());
            fs::copy(&found, &copy).with_context(|| format!("cannot copy {}", found.display()))?;
            cache::publish(&copy, &kept)?;
        }
        Ok(kept)
    }
}

/// Writes C++ files, games and licence of a source package to `folder`.
fn unpack(package: &Path, stem: &str, folder: &Path) -> Result<()> {
    let context = || format!("cannot unpack {}", package.display());
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(package).with_context(context)?));
    for entry in archive.entries().with_context(context)? {
        let mut entry = entry.with_context(context)?;
        let name = entry.path().with_context(context)?.into_owned();
        let Ok(inside) = name.strip_prefix(stem) else { continue };
        let wanted = inside == Path::new(LICENCE) || inside.starts_with("src/ale");
        if !wanted || !entry.header().entry_type().is_file() {
            continue;
        }
        if inside.components().any(|component| !matches!(component, Component::Normal(_))) {
            bail!("{} holds {}, which is outside of it", package.display(), name.display());
        }
        let path = folder.join(inside);
        fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(context)?;
        std::io::copy(&mut entry, &mut File::create(&path).with_context(context)?).with_context(context)?;
    }
    Ok(())
}

/// Downloads the source package into `folder`; pip checks its hash.
fn with_pip(python: &str, source: &Source, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let requirements = folder.join("pins.txt");
    fs::write(&requirements, PIN).with_context(|| format!("cannot write {}", requirements.display()))?;
    let Source { name, version, .. } = source;
    eprintln!("fetching the source package of {name} {version} by pip, which takes half a minute");
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--no-binary", name, "--require-hashes"]);
    command.args(download::MANNERS.split(' ')).arg("-r").arg(&requirements).arg("-d").arg(folder);
    let said = match command.output() {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => download::gist(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("  {python}: {error}"),
    };
    bail!(
        "could not fetch {name} {version} by `{python} -m pip download`, which said:\n{said}\n\n\
         One of these mends it:\n  \
         - install pip for python3 (Debian's package python3-pip), be online, and try again;\n  \
         - where you are online, `python3 -m pip download --no-deps --no-binary {name} {name}=={version}`, bring {} here,\n    \
         then `cargo xtask setup atari --package FILE`;\n  \
         - set {}: then nothing is fetched.\n\
         Everything but the Atari games works without it.",
        source.file(),
        VARIABLES.join(" to a library that was built elsewhere, and ")
    )
}

#[cfg(test)]
mod tests;
