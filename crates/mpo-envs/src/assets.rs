//! Where the libraries of MuJoCo and ALE, the suite's model files and the Atari games lie.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::EnvError;

const LIBRARY_VARIABLE: &str = "MPO_MUJOCO_LIBRARY";
const PACKAGE_VARIABLE: &str = "MPO_DM_CONTROL";
const CACHED_LIBRARY: &str = "mujoco-3.17.0/libmujoco.so.3.17.0";
const CACHED_PACKAGE: &str = "dm_control-1.0.50";

const ALE_VARIABLE: &str = "MPO_ALE_LIBRARY";
const ROMS_VARIABLE: &str = "MPO_ATARI_ROMS";
const CACHED_ALE: &str = "ale_py-0.12.1-built";

/// The files that this crate needs at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    /// The file of the MuJoCo library.
    pub library: PathBuf,
    /// The folder that holds the suite's `*.xml`, and `common/*.xml` below.
    pub suite: PathBuf,
}

impl Assets {
    /// Looks the files up. The library: `$MPO_MUJOCO_LIBRARY`, else `mujoco-3.17.0/libmujoco.so.3.17.0` in the cache.
    /// The models: `suite` in `$MPO_DM_CONTROL`, else in `dm_control-1.0.50` in the cache. The cache is [`cache_folder`].
    ///
    /// # Errors
    ///
    /// [`EnvError::AssetMissing`] for what is not there, [`EnvError::NoCacheFolder`] when there is no cache either.
    pub fn locate() -> Result<Self, EnvError> {
        Self::locate_by(&|name| env::var_os(name))
    }

    fn locate_by(variable: Lookup<'_>) -> Result<Self, EnvError> {
        let library = library_by(variable)?;
        let suite = locate(variable, PACKAGE_VARIABLE, CACHED_PACKAGE)?.join("suite");
        if !suite.is_dir() {
            return Err(EnvError::AssetMissing {
                what: "the dm_control model folder",
                path: suite,
                variable: "MPO_DM_CONTROL to the package's folder",
            });
        }
        Ok(Self { library, suite })
    }
}

/// The files that Atari games need at run time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtariAssets {
    /// The library that set-up builds of ALE.
    pub library: PathBuf,
    /// The folder that holds a file `NAME.bin` for every game.
    pub roms: PathBuf,
}

impl AtariAssets {
    /// Looks the files up. The library: `$MPO_ALE_LIBRARY`, else `ale_py-0.12.1-built/libmpo_ale.so` in the cache. The games:
    /// `$MPO_ATARI_ROMS`, else `ale_py-0.12.1-built/roms` in the cache. The cache is [`cache_folder`].
    ///
    /// # Errors
    ///
    /// [`EnvError::AtariMissing`] for what is not there, [`EnvError::NoCacheFolder`] when there is no cache either.
    pub fn locate() -> Result<Self, EnvError> {
        Self::locate_by(&|name| env::var_os(name))
    }

    fn locate_by(variable: Lookup<'_>) -> Result<Self, EnvError> {
        let library = locate(variable, ALE_VARIABLE, &format!("{CACHED_ALE}/libmpo_ale.so"))?;
        if !library.is_file() {
            let (what, variable) = ("the library of the Arcade Learning Environment", "MPO_ALE_LIBRARY to the file");
            return Err(EnvError::AtariMissing { what, path: library, variable });
        }
        let roms = locate(variable, ROMS_VARIABLE, &format!("{CACHED_ALE}/roms"))?;
        if !roms.is_dir() {
            let (what, variable) = ("the folder of Atari games", "MPO_ATARI_ROMS to one");
            return Err(EnvError::AtariMissing { what, path: roms, variable });
        }
        Ok(Self { library, roms })
    }
}

/// The file of the MuJoCo library alone, found as [`Assets::locate`] does: a model of your own needs no more.
///
/// # Errors
///
/// [`EnvError::AssetMissing`] when it is not there, [`EnvError::NoCacheFolder`] when there is no cache either.
pub fn library() -> Result<PathBuf, EnvError> {
    library_by(&|name| env::var_os(name))
}

fn library_by(variable: Lookup<'_>) -> Result<PathBuf, EnvError> {
    let path = locate(variable, LIBRARY_VARIABLE, CACHED_LIBRARY)?;
    if path.is_file() {
        return Ok(path);
    }
    Err(EnvError::AssetMissing { what: "the MuJoCo library", path, variable: "MPO_MUJOCO_LIBRARY to the file" })
}

/// The cache folder: `$MPO_CACHE`, else `$XDG_CACHE_HOME/mpo`, else `$HOME/.cache/mpo`; `None` when all are unset.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    cache_folder_by(&|name| env::var_os(name))
}

/// How an environment variable is read.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn path(variable: Lookup<'_>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn cache_folder_by(variable: Lookup<'_>) -> Option<PathBuf> {
    path(variable, "MPO_CACHE")
        .or_else(|| path(variable, "XDG_CACHE_HOME").map(|folder| folder.join("mpo")))
        .or_else(|| path(variable, "HOME").map(|folder| folder.join(".cache/mpo")))
}

fn locate(variable: Lookup<'_>, name: &'static str, cached: &str) -> Result<PathBuf, EnvError> {
    if let Some(path) = path(variable, name) {
        return Ok(path);
    }
    let cache = cache_folder_by(variable).ok_or(EnvError::NoCacheFolder { variable: name })?;
    Ok(cache.join(cached))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn variables<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_cache_is_the_first_that_is_set() {
        let folder = |set: &[(&str, &str)]| cache_folder_by(&variables(set));
        let all = [("MPO_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(folder(&all), Some(PathBuf::from("/a")));
        assert_eq!(folder(&all[1..]), Some(PathBuf::from("/b/mpo")));
        assert_eq!(folder(&all[2..]), Some(PathBuf::from("/c/.cache/mpo")));
        assert_eq!(folder(&[("MPO_CACHE", ""), ("HOME", "/c")]), Some(PathBuf::from("/c/.cache/mpo")));
        assert_eq!(folder(&[]), None);
    }

    #[test]
    fn what_is_missing_is_named_with_its_cure() {
        let message = |set: &[(&str, &str)]| Assets::locate_by(&variables(set)).expect_err("nothing there").to_string();
        assert_eq!(
            message(&[("MPO_CACHE", "/nowhere")]),
            "the MuJoCo library not found at `/nowhere/mujoco-3.17.0/libmujoco.so.3.17.0`: \
             run `cargo xtask setup`, or set MPO_MUJOCO_LIBRARY to the file"
        );
        assert_eq!(
            message(&[("MPO_CACHE", "/nowhere"), ("MPO_MUJOCO_LIBRARY", "/lib.so")]),
            "the MuJoCo library not found at `/lib.so`: run `cargo xtask setup`, or set MPO_MUJOCO_LIBRARY to the file"
        );
        assert!(message(&[]).starts_with("no cache folder"));
    }

    #[test]
    fn the_files_of_atari_games_are_found_or_named_with_their_cure() {
        let cache = tempfile::tempdir().expect("a folder");
        let root = cache.path().to_str().expect("a readable path");
        let locate = |set: &[(&str, &str)]| AtariAssets::locate_by(&variables(set));
        let message = |set: &[(&str, &str)]| locate(set).expect_err("something is missing").to_string();
        assert_eq!(
            message(&[("MPO_CACHE", "/nowhere")]),
            "the library of the Arcade Learning Environment not found at `/nowhere/ale_py-0.12.1-built/libmpo_ale.so`: \
             run `cargo xtask setup atari`, or set MPO_ALE_LIBRARY to the file"
        );
        let built = cache.path().join(CACHED_ALE);
        fs::create_dir_all(&built).expect("a folder");
        fs::write(built.join("libmpo_ale.so"), "").expect("a file");
        let no_games = message(&[("MPO_CACHE", root)]);
        assert!(no_games.starts_with("the folder of Atari games not found at") && no_games.contains("MPO_ATARI_ROMS"));
        fs::create_dir(built.join("roms")).expect("a folder");
        let library = built.join("libmpo_ale.so");
        let found = locate(&[("MPO_CACHE", root)]).expect("a filled cache");
        assert_eq!(found, AtariAssets { library: library.clone(), roms: built.join("roms") });
        let own = locate(&[("MPO_CACHE", root), ("MPO_ATARI_ROMS", root)]).expect("games elsewhere");
        assert_eq!(own, AtariAssets { library, roms: cache.path().to_owned() });
    }

    #[test]
    fn a_filled_cache_and_the_overriding_variables_are_found() {
        let cache = tempfile::tempdir().expect("a folder");
        let at = |relative: &str| cache.path().join(relative);
        fs::create_dir_all(at("mujoco-3.17.0")).expect("a folder");
        fs::write(at(CACHED_LIBRARY), "").expect("a file");
        let root = cache.path().to_str().expect("a readable path");
        let error = Assets::locate_by(&variables(&[("MPO_CACHE", root)])).expect_err("no models yet").to_string();
        assert!(error.starts_with("the dm_control model folder not found at") && error.contains("MPO_DM_CONTROL"));

        fs::create_dir_all(at("dm_control-1.0.50/suite")).expect("a folder");
        let found = Assets::locate_by(&variables(&[("MPO_CACHE", root)])).expect("a filled cache");
        assert_eq!(found, Assets { library: at(CACHED_LIBRARY), suite: at("dm_control-1.0.50/suite") });

        fs::create_dir_all(at("own/suite")).expect("a folder");
        let own = at("own");
        let set = [("MPO_CACHE", root), ("MPO_DM_CONTROL", own.to_str().expect("a readable path"))];
        assert_eq!(Assets::locate_by(&variables(&set)).expect("both").suite, at("own/suite"));
    }
}
