//! `cargo xtask setup`: MuJoCo's library and the control suite's models, from their Python wheels into the cache.
//!
//! Nothing of either is in this repository. Each package gets a folder of its own, made beside its
//! place and renamed into it when complete, with a manifest of hashes: an interrupted set-up leaves
//! nothing that a later one, or the environments, could take for whole.

pub(crate) mod atari;
mod cache;
mod download;
mod package;
mod wheel;

use anyhow::{Context, Result, bail};
use package::Package;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the command line of `cargo xtask setup` takes.
#[derive(Debug, Default, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// Something else than MuJoCo.
    #[command(subcommand)]
    other: Option<Other>,
    /// A wheel that is on this machine already, instead of a download; may be given once per package.
    #[arg(long, value_name = "FILE")]
    wheel: Vec<PathBuf>,
    /// Fetch and unpack again even what is there and sound.
    #[arg(long)]
    force: bool,
}

/// What can be set up besides MuJoCo.
#[derive(Debug, clap::Subcommand)]
enum Other {
    /// Fetch the Arcade Learning Environment's source package by pip and build its library: needs a C++17 compiler.
    Atari(atari::Options),
    /// Fetch NVIDIA's run-time compiler by pip: 90 MB, for tests of the kernels and for cards without a toolkit.
    Cuda(Cuda),
}

/// What the command line of `cargo xtask setup cuda` takes.
#[derive(Debug, Default, clap::Args)]
struct Cuda {
    /// The wheel, if it is on this machine already.
    #[arg(long, value_name = "FILE")]
    wheel: Vec<PathBuf>,
    /// Fetch and unpack again even what is there and sound.
    #[arg(long)]
    force: bool,
}

/// Fills the cache as the command line says.
///
/// # Errors
/// See [`Setup::run`].
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.other {
        Some(Other::Atari(options)) => atari::run(options),
        Some(Other::Cuda(Cuda { wheel, force })) => fill(&package::pinned_for_cuda()?, wheel, *force),
        None => fill(&package::pinned()?, &options.wheel, options.force),
    }
}

fn fill(packages: &[Package], wheels: &[PathBuf], force: bool) -> Result<()> {
    let line = Setup {
        packages,
        wheels,
        force,
        cache: &cache_directory()?,
        platform: &package::host(),
        variable: &|name| std::env::var_os(name).filter(|value| !value.is_empty()),
        fetch: &download::with_pip,
    }
    .run()?;
    println!("{line}");
    Ok(())
}

/// Where the cache is.
///
/// # Errors
/// When no variable says where it could be.
pub(crate) fn cache_directory() -> Result<PathBuf> {
    cache::directory(|name| std::env::var_os(name))
}

/// Fills the cache before another command that needs it.
///
/// # Errors
/// See [`Setup::run`].
pub(crate) fn ensure() -> Result<()> {
    run(&Options::default())
}

/// Fetches NVIDIA's run-time compiler before another command that needs it.
///
/// # Errors
/// See [`Setup::run`].
pub(crate) fn ensure_cuda() -> Result<()> {
    fill(&package::pinned_for_cuda()?, &[], false)
}

/// Whether there is a build of NVIDIA's compiler for this machine.
pub(crate) fn has_cuda_compiler() -> bool {
    package::pinned_for_cuda().is_ok_and(|packages| {
        packages.iter().all(|package| package.platform.is_none_or(|platform| platform == package::host()))
    })
}

/// The folder of the cache that `cargo xtask setup cuda` makes.
///
/// # Errors
/// When `pins-cuda.txt` is unsound.
pub(crate) fn cuda_folders() -> Result<Vec<String>> {
    Ok(package::pinned_for_cuda()?.iter().map(Package::folder).collect())
}

/// The folders of the cache that the control suite needs.
///
/// # Errors
/// When `pins.txt` is unsound.
pub(crate) fn control_suite_folders() -> Result<Vec<String>> {
    Ok(package::pinned()?.iter().map(Package::folder).collect())
}

/// The folders of the cache that this checkout's set-up makes, such as `mujoco-3.17.0`.
///
/// # Errors
/// When `pins.txt` or `pins-atari.txt` is unsound.
pub(crate) fn folders() -> Result<Vec<String>> {
    let mut folders = control_suite_folders()?;
    folders.push(atari::Source::pinned()?.built());
    Ok(folders)
}

/// Brings the wheels of some packages into a folder.
type Fetch<'a> = &'a dyn Fn(&[&Package], &Path) -> Result<()>;

/// One run of the set-up; what it reads of the world is passed in, so that tests can play the world.
struct Setup<'a> {
    packages: &'a [Package],
    wheels: &'a [PathBuf],
    force: bool,
    cache: &'a Path,
    /// Such as `x86_64-linux`.
    platform: &'a str,
    /// A non-empty environment variable.
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    fetch: Fetch<'a>,
}

impl Setup<'_> {
    /// Makes every package sound, touching only what is not, and returns the line that says so.
    ///
    /// # Errors
    /// When a given wheel is none of the pinned ones, a package has no build for this platform,
    /// the download fails, a hash differs, or the cache cannot be written.
    fn run(&self) -> Result<String> {
        // Wheels first: a wrong one is an error even when nothing is missing.
        let given = self.recognise_wheels()?;
        if !self.missing().is_empty() {
            std::fs::create_dir_all(self.cache)
                .with_context(|| format!("cannot make the cache folder {}", self.cache.display()))?;
            let _lock = cache::lock(self.cache)?;
            cache::remove_leftovers(self.cache)?;
            // Another set-up may have filled the cache while this one waited for the lock.
            self.install(&self.missing(), &given)?;
        }
        Ok(self.summary())
    }

    /// The packages that the environments could not use now.
    fn missing(&self) -> Vec<&Package> {
        let needed = |package: &&Package| {
            self.force || ((self.variable)(package.variable).is_none() && cache::fault(package, self.cache).is_some())
        };
        self.packages.iter().filter(needed).collect()
    }

    fn install(&self, missing: &[&Package], given: &[(&Package, &Path)]) -> Result<()> {
        let wheel_of = |package: &Package| given.iter().find(|(of, _)| of.name == package.name).map(|(_, path)| *path);
        let to_fetch: Vec<&Package> = missing.iter().copied().filter(|package| wheel_of(package).is_none()).collect();
        for package in missing {
            if package.platform.is_some_and(|platform| platform != self.platform) {
                bail!(
                    "{package} is pinned for {} only, and this machine is {}\n\n{}",
                    package.platform.unwrap_or_default(),
                    self.platform,
                    download::by_hand(missing)
                );
            }
            match cache::fault(package, self.cache) {
                Some(fault) if self.cache.join(package.folder()).exists() => {
                    eprintln!("{package}: {fault}; replacing it");
                }
                _ => {}
            }
        }
        let staging = cache::staging(self.cache)?;
        let downloads = staging.path().join("wheels");
        if !to_fetch.is_empty() {
            (self.fetch)(&to_fetch, &downloads)?;
        }
        for package in missing {
            let wheel = match wheel_of(package) {
                Some(path) => path.to_path_buf(),
                None => wheel::find(package, &downloads)?,
            };
            wheel::check(package, &wheel)?;
            let folder = staging.path().join(package.folder());
            let files = wheel::unpack(package, &wheel, &folder)?;
            cache::write_manifest(package, &folder, &files)?;
            cache::publish(&folder, &self.cache.join(package.folder()))?;
        }
        Ok(())
    }

    /// Pairs each `--wheel` with its package.
    fn recognise_wheels(&self) -> Result<Vec<(&Package, &Path)>> {
        let mut given = Vec::new();
        for path in self.wheels {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(package) = self.packages.iter().find(|package| package.owns_wheel(&name)) else {
                let wanted: Vec<String> =
                    self.packages.iter().map(|package| format!("{}-*.whl", package.folder())).collect();
                bail!("{} is not a wheel that this set-up uses: it takes {}", path.display(), wanted.join(" and "));
            };
            wheel::check(package, path)?;
            given.push((package, path.as_path()));
        }
        Ok(given)
    }

    fn summary(&self) -> String {
        let (set, cached): (Vec<&Package>, Vec<&Package>) =
            self.packages.iter().partition(|package| (self.variable)(package.variable).is_some());
        let mut parts = Vec::new();
        if !cached.is_empty() {
            let names: Vec<String> = cached.iter().map(ToString::to_string).collect();
            parts.push(format!("{} ready in {}", names.join(" and "), self.cache.display()));
        }
        parts.extend(set.iter().map(|package| format!("{} taken from {}", package.name, package.variable)));
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests;
