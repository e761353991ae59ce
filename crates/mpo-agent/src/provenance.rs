//! `provenance.json`: by what, and where, a run's numbers were made.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use mpo_envs::assets::{Assets, AtariAssets};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toml::Table;

use crate::AgentError;
use crate::checkpoint::json;
use crate::error::AtPath;
use crate::files;
use crate::metrics::wall_time;

/// The processes that worked on a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The process that began it.
    #[serde(flatten)]
    pub started: Process,
    /// The processes that resumed it, in order.
    pub resumed: Vec<Process>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Seconds since 1970 when it began.
    pub unix_time: u64,
    /// Environment steps that were done when it began.
    pub step: u64,
    /// The commit of the source tree, if it is a Git checkout.
    pub commit: Option<String>,
    /// Versions of the crates that it was built from.
    pub crates: BTreeMap<String, String>,
    /// What the environment is made of: for the control suite MuJoCo's version and library hash.
    pub environment: BTreeMap<String, String>,
    /// Operating system, architecture, processor and number of cores.
    pub machine: BTreeMap<String, String>,
}

impl Process {
    /// This process, as it takes a run up at `step`.
    pub(crate) fn this(step: u64, environment: BTreeMap<String, String>) -> Self {
        Self {
            unix_time: wall_time() as u64,
            step,
            commit: commit(Path::new(env!("CARGO_MANIFEST_DIR"))),
            crates: locked_versions(include_str!("../../../Cargo.lock")),
            environment,
            machine: machine(),
        }
    }
}

/// Writes the file of a new run.
pub(crate) fn begin(path: &Path, process: Process) -> Result<(), AgentError> {
    files::replace(path, &json(&Provenance { started: process, resumed: Vec::new() }))
}

/// Adds a process that resumes the run. A missing or damaged file is begun anew.
pub(crate) fn resume(path: &Path, process: Process) -> Result<(), AgentError> {
    let text = if path.exists() { fs::read_to_string(path).at("read", path)? } else { String::new() };
    match serde_json::from_str::<Provenance>(&text) {
        Ok(mut provenance) => {
            provenance.resumed.push(process);
            files::replace(path, &json(&provenance))
        }
        Err(_) => begin(path, process),
    }
}

/// What the environment of `task` is made of. What is missing is left out: making the environment says so better.
pub(crate) fn environment(task: &str) -> BTreeMap<String, String> {
    if let Some(game) = task.strip_prefix("atari/") {
        return atari(game);
    }
    let mut found = control_suite();
    if task.starts_with("parkour/") {
        // Its models are ours, but returns on courses of different ranges cannot be compared.
        found.remove("models_sha256");
        found.insert("parkour_ranges".to_owned(), mpo_envs::parkour::VERSION.to_string());
    }
    found
}

/// ALE's version, and the hashes of the library made of it and of the game's ROM file.
fn atari(game: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Ok(assets) = AtariAssets::locate() else { return found };
    found.insert("ale".to_owned(), mpo_envs::atari::VERSION.to_owned());
    for (name, path) in [("ale_sha256", assets.library), ("rom_sha256", assets.roms.join(format!("{game}.bin")))] {
        if let Ok(print) = files::fingerprint(&path) {
            found.insert(name.to_owned(), print.sha256);
        }
    }
    found
}

/// MuJoCo's version and hash, and one hash over the suite's model files.
fn control_suite() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Ok(assets) = Assets::locate() else { return found };
    found.insert("mujoco".to_owned(), mpo_envs::mujoco::Library::version());
    if let Ok(print) = files::fingerprint(&assets.library) {
        found.insert("mujoco_sha256".to_owned(), print.sha256);
    }
    if let Ok(hash) = hash_models(&assets.suite) {
        found.insert("models_sha256".to_owned(), hash);
    }
    found
}

/// SHA-256 over the names and hashes of all `*.xml` in `folder`, in order of name.
fn hash_models(folder: &Path) -> io::Result<String> {
    let mut models = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            models.insert(name, files::fingerprint(&path)?.sha256);
        }
    }
    let mut all = Sha256::new();
    for (name, hash) in models {
        all.update(format!("{hash}  {name}\n"));
    }
    Ok(files::hex(&all.finalize()))
}

/// The commit checked out in the repository around `inside`, read from Git's own files.
fn commit(inside: &Path) -> Option<String> {
    let git = inside.ancestors().map(|folder| folder.join(".git")).find(|git| git.is_dir())?;
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref: ") else {
        return Some(head.trim().to_owned());
    };
    let loose = fs::read_to_string(git.join(reference)).ok();
    loose.map(|hash| hash.trim().to_owned()).or_else(|| {
        let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
        packed.lines().find_map(|line| line.strip_suffix(reference)?.split_whitespace().next().map(str::to_owned))
    })
}

/// Names and versions in a `Cargo.lock`; of a crate that is there twice, both versions.
fn locked_versions(lock: &str) -> BTreeMap<String, String> {
    let packages = lock.parse::<Table>().ok().and_then(|table| table.get("package").cloned());
    let packages = packages.as_ref().and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut versions = BTreeMap::<String, String>::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        versions
            .entry(text("name").to_owned())
            .and_modify(|known| {
                known.push_str(", ");
                known.push_str(text("version"));
            })
            .or_insert_with(|| text("version").to_owned());
    }
    versions
}

fn machine() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    [
        ("system", std::env::consts::OS.to_owned()),
        ("architecture", std::env::consts::ARCH.to_owned()),
        ("cores", cores.to_string()),
        ("processor", processor.unwrap_or_else(|| "unknown".to_owned())),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_games_environment_is_ale_and_its_rom() {
        let found = environment("atari/pong");
        assert!(!found.contains_key("mujoco"), "{found:?}");
        if AtariAssets::locate().is_ok() {
            assert_eq!(found.keys().collect::<Vec<_>>(), ["ale", "ale_sha256", "rom_sha256"]);
            assert_ne!(found["rom_sha256"], environment("atari/boxing")["rom_sha256"]);
        }
    }

    #[test]
    fn a_commit_is_found_loose_packed_and_detached() {
        let repository = tempfile::tempdir().expect("a temporary directory");
        let git = repository.path().join(".git");
        let inside = repository.path().join("crates/one");
        let write = |name: &str, text: &str| {
            fs::write(git.join(name), text).expect("a writable temporary directory");
        };
        fs::create_dir_all(git.join("refs/heads")).expect("a writable temporary directory");
        write("HEAD", "ref: refs/heads/main\n");
        assert_eq!(commit(&inside), None, "a repository without commits");
        write("packed-refs", "# pack-refs\nabc1 refs/heads/other\nabc2 refs/heads/main\n");
        assert_eq!(commit(&inside).as_deref(), Some("abc2"));
        write("refs/heads/main", "abc3\n");
        assert_eq!(commit(&inside).as_deref(), Some("abc3"));
        write("HEAD", "abc4\n");
        assert_eq!(commit(&inside).as_deref(), Some("abc4"));
    }

    #[test]
    fn the_lock_file_names_this_crate() {
        let crates = Process::this(0, BTreeMap::new()).crates;
        let own = crates.get("mpo-agent").map(String::as_str);
        assert_eq!(own, Some(env!("CARGO_PKG_VERSION")));
    }
}
