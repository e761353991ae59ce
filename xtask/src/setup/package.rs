//! The packages that set-up fetches, and what it takes out of their wheels.

use anyhow::{Context, Result, bail};
use std::fmt;

/// Version and hash of every package: the one place where they stand.
pub(super) const PINS: &str = include_str!("../../pins.txt");

/// The same of what CUDA takes.
const CUDA_PINS: &str = include_str!("../../pins-cuda.txt");

/// One package of the cache.
#[derive(Debug, Clone)]
pub(super) struct Package {
    /// As pip knows it.
    pub(super) name: String,
    /// The one version that will do.
    pub(super) version: String,
    /// SHA-256 of the wheel, in lower-case hexadecimal.
    pub(super) sha256: String,
    /// The environment variable by which a user points to a copy of their own.
    pub(super) variable: &'static str,
    /// What that variable must name.
    pub(super) substitute: String,
    /// The only platform that the pinned wheel is for; `None` is any.
    pub(super) platform: Option<&'static str>,
    /// What is taken out of the wheel.
    pub(super) rules: Vec<Rule>,
}

/// Entries of a wheel that begin with `from` and end with `suffix` go to `to` plus the rest of their name.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) suffix: &'static str,
}

impl Package {
    /// The name of its folder in the cache, and the beginning of its wheel's file name.
    pub(super) fn folder(&self) -> String {
        format!("{}-{}", self.name.replace('-', "_"), self.version)
    }

    /// Its line of a requirements file.
    pub(super) fn requirement(&self) -> String {
        format!("{}=={} --hash=sha256:{}", self.name, self.version, self.sha256)
    }

    /// Whether a file of this name claims to be this package's wheel.
    pub(super) fn owns_wheel(&self, file_name: &str) -> bool {
        file_name
            .strip_suffix(".whl")
            .and_then(|stem| stem.strip_prefix(&self.folder()))
            .is_some_and(|rest| rest.starts_with('-'))
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Rule {
    /// Where an entry of the wheel goes, if this rule takes it.
    pub(super) fn target(&self, entry: &str) -> Option<String> {
        let rest = entry.strip_prefix(&self.from)?;
        (entry.ends_with(self.suffix) && !entry.ends_with('/')).then(|| format!("{}{rest}", self.to))
    }
}

/// The pinned packages of this checkout.
///
/// # Errors
/// When `pins.txt` is not what [`pins`] expects.
pub(super) fn pinned() -> Result<Vec<Package>> {
    pins(PINS)?.into_iter().map(|(name, version, sha256)| package(name, version, sha256)).collect()
}

/// The packages of `pins-cuda.txt`.
///
/// # Errors
/// When it is not what [`pins`] expects.
pub(super) fn pinned_for_cuda() -> Result<Vec<Package>> {
    pins(CUDA_PINS)?.into_iter().map(|(name, version, sha256)| package(name, version, sha256)).collect()
}

fn package(name: &str, version: &str, sha256: &str) -> Result<Package> {
    let rule = |from: String, to: &str, suffix| Rule { from, to: to.to_owned(), suffix };
    let licences = |wheel: &str| rule(format!("{wheel}-{version}.dist-info/licenses/"), "licenses/", "");
    let (variable, substitute, platform, rules) = match name {
        "mujoco" => {
            let library = format!("libmujoco.so.{version}");
            let rules = vec![rule(format!("mujoco/{library}"), &library, ""), licences("mujoco")];
            let substitute = format!("MuJoCo {version}'s shared library");
            ("MPO_MUJOCO_LIBRARY", substitute, Some("x86_64-linux"), rules)
        }
        "dm-control" => {
            let rules = vec![rule("dm_control/suite/".to_owned(), "suite/", ".xml"), licences("dm_control")];
            ("MPO_DM_CONTROL", "the folder that holds suite/*.xml".to_owned(), None, rules)
        }
        "nvidia-cuda-nvrtc" => {
            let library = |name: &str| rule(format!("nvidia/cu13/lib/{name}"), name, "");
            let rules =
                vec![library("libnvrtc.so.13"), library("libnvrtc-builtins.so.13.0"), licences("nvidia_cuda_nvrtc")];
            ("MPO_NVRTC", "NVRTC's shared library".to_owned(), Some("x86_64-linux"), rules)
        }
        other => bail!("pins.txt names {other}, which set-up does not know how to unpack"),
    };
    Ok(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        sha256: sha256.to_owned(),
        variable,
        substitute,
        platform,
        rules,
    })
}

/// Name, version and hash of each line of a requirements file: `name==version --hash=sha256:hex`.
///
/// # Errors
/// When a line that is neither empty nor a comment has another form.
pub(super) fn pins(text: &str) -> Result<Vec<(&str, &str, &str)>> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (requirement, hash) = line.split_once(" --hash=sha256:")?;
            let (name, version) = requirement.split_once("==")?;
            let sound = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            sound.then_some((name, version, hash))
        })
        .map(|pin| pin.context("pins.txt has a line that is not `name==version --hash=sha256:HEX`"))
        .collect()
}

/// This machine's platform, in the form of [`Package::platform`].
pub(super) fn host() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_pins_name_both_packages() {
        let packages = pinned().expect("pins.txt is sound");
        let folders: Vec<String> = packages.iter().map(Package::folder).collect();
        assert_eq!(folders, ["mujoco-3.17.0", "dm_control-1.0.50"]);
        assert!(packages[1].owns_wheel("dm_control-1.0.50-py3-none-any.whl"));
        assert!(!packages[1].owns_wheel("dm_control-1.0.5-py3-none-any.whl"));
        assert!(!packages[1].owns_wheel("dm_control-1.0.50.tar.gz"));
    }

    #[test]
    fn nvidias_compiler_is_pinned_with_its_companion() {
        let packages = pinned_for_cuda().expect("pins-cuda.txt is sound");
        let [nvrtc] = &packages[..] else { panic!("one package") };
        assert!(
            nvrtc.owns_wheel(&format!("{}-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl", nvrtc.folder()))
        );
        for name in ["libnvrtc.so.13", "libnvrtc-builtins.so.13.0"] {
            let entry = format!("nvidia/cu13/lib/{name}");
            assert_eq!(nvrtc.rules.iter().find_map(|rule| rule.target(&entry)).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_pin_without_a_whole_hash_is_refused() {
        for line in ["mujoco", "mujoco==1", "mujoco==1 --hash=sha256:abc", "mujoco>=1 --hash=md5:abc"] {
            assert!(pins(line).is_err(), "{line}");
        }
        assert!(pins("# a comment\n\n").expect("nothing is pinned").is_empty());
    }

    #[test]
    fn rules_take_files_and_keep_their_folders() {
        let packages = pinned().expect("pins.txt is sound");
        let target = |package: &Package, entry: &str| package.rules.iter().find_map(|rule| rule.target(entry));
        let (mujoco, suite) = (&packages[0], &packages[1]);
        assert_eq!(target(mujoco, "mujoco/libmujoco.so.3.17.0").as_deref(), Some("libmujoco.so.3.17.0"));
        assert_eq!(target(mujoco, "mujoco/plugin/libsensor.so"), None);
        assert_eq!(target(suite, "dm_control/suite/common/skybox.xml").as_deref(), Some("suite/common/skybox.xml"));
        assert_eq!(target(suite, "dm_control/suite/cheetah.py"), None);
        assert_eq!(target(suite, "dm_control/suite/"), None);
        let licence = "dm_control-1.0.50.dist-info/licenses/LICENSE";
        assert_eq!(target(suite, licence).as_deref(), Some("licenses/LICENSE"));
    }
}
