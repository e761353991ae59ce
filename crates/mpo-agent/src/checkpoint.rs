//! Checkpoints that are whole or absent.
//!
//! A checkpoint is a directory `checkpoints/NNNNNNNNN` named after its environment step. It is filled
//! under a temporary name, every file is on the disk before the manifest with their hashes is, and the
//! directory takes its name last. So whatever interrupts the writing, a full disk or a killed process,
//! the checkpoints before it are untouched, and a damaged one is recognised.
//!
//! Several workers write it in two phases: each but the first fills a directory `worker-K` of its own in it, manifest included,
//! and once all have, the first lists their manifests in its own and gives the whole its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mpo_replay::ReplayBuffer;
use serde::{Deserialize, Serialize};

use crate::AgentError;
use crate::distributed::Workers;
use crate::error::AtPath;
use crate::files::{self, Fingerprint};
use crate::records::{Reason, Warning};
use crate::seeds::Stream;

const LEARNER: &str = "learner.safetensors";
const REPLAY: &str = "replay.bin";
const RUN: &str = "run.json";
const MANIFEST: &str = "MANIFEST.json";
const FORMAT: u32 = 2;
/// How many checkpoints are kept: the newest, and one to go back to.
const KEPT: usize = 2;

/// Everything of a run that is neither networks nor replay. Nothing of it comes from a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// The resolved settings as TOML, which keeps every number exactly.
    pub(crate) config: String,
    pub(crate) counters: Counters,
    /// Set when the run had ended.
    pub(crate) finished: Option<Reason>,
    /// Each actor's environment between two episodes, in hexadecimal digits.
    pub(crate) environments: Vec<String>,
    pub(crate) streams: Streams,
    /// Lengths of the growing files.
    pub(crate) files: BTreeMap<String, u64>,
}

impl RunState {
    /// An actor's environment and stream.
    ///
    /// # Panics
    /// If there are fewer actors: the settings, which were compared before, say how many.
    pub(crate) fn actor(&self, lane: usize) -> (Vec<u8>, Stream) {
        // A state that is no hexadecimal is passed on empty: the environment names what is wrong.
        (files::unhex(&self.environments[lane]).unwrap_or_default(), self.streams.actors[lane].clone())
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counters {
    /// Environment steps.
    pub(crate) step: u64,
    /// Finished episodes.
    pub(crate) episodes: u64,
    /// Evaluations.
    pub(crate) evaluations: u64,
    /// Millionths of an update that are due.
    pub(crate) update_credit: u64,
    /// Transitions since an on-policy learner's last round.
    pub(crate) collected: u64,
}

/// The random streams that this crate keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Streams {
    /// One for each actor.
    pub(crate) actors: Vec<Stream>,
    pub(crate) replay: Stream,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    files: BTreeMap<String, Fingerprint>,
}

/// A checkpoint whose hashes are right.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) path: PathBuf,
    pub(crate) state: RunState,
}

impl Checkpoint {
    pub(crate) fn learner(&self) -> Result<Vec<u8>, AgentError> {
        let path = self.path.join(LEARNER);
        fs::read(&path).at("read", &path)
    }

    /// Opens the replay's file for `load`.
    pub(crate) fn replay<T>(
        &self,
        load: impl FnOnce(&mut dyn std::io::Read) -> Result<T, mpo_replay::ReplayError>,
    ) -> Result<T, AgentError> {
        let path = self.path.join(REPLAY);
        let mut file = std::io::BufReader::new(fs::File::open(&path).at("read", &path)?);
        load(&mut file).map_err(|source| AgentError::ReplayFile { action: "read", path, source })
    }
}

/// The checkpoints of a run.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    pub(crate) fn new(run: &Path) -> Self {
        Self { directory: run.join("checkpoints") }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes this worker's part of a checkpoint and, in the first, removes all but the newest once all parts are written. On an
    /// error the older ones stay as they are.
    pub(crate) fn write(
        &self,
        state: &RunState,
        learner: &[u8],
        replay: &ReplayBuffer,
        workers: &mut dyn Workers,
    ) -> Result<PathBuf, AgentError> {
        let path = self.path(state.counters.step);
        let temporary = self.directory.join(".writing");
        if !workers.is_first() {
            workers.wait()?;
            let part = part(&temporary, workers.rank());
            let files = fill(&part, state, learner, replay)?;
            seal(&part, files)?;
            workers.wait()?;
            return Ok(path);
        }
        fs::create_dir_all(&self.directory).at("create the directory", &self.directory)?;
        remove(&temporary)?;
        fs::create_dir(&temporary).at("create the directory", &temporary)?;
        workers.wait()?;
        let filled = fill(&temporary, state, learner, replay).and_then(|mut files| {
            workers.wait()?;
            for rank in 1..workers.workers() {
                let name = part_manifest(rank);
                let file = temporary.join(&name);
                files.insert(name, files::fingerprint(&file).at("read", &file)?);
            }
            seal(&temporary, files)
        });
        filled.inspect_err(|_| {
            // A full disk is the likeliest cause: give the space back. The error itself is what matters.
            let _ = fs::remove_dir_all(&temporary);
        })?;
        // Only a damaged or abandoned checkpoint can stand at the same step.
        remove(&path)?;
        fs::rename(&temporary, &path).at("rename to", &path)?;
        files::sync_directory(&self.directory)?;
        self.prune(state.counters.step)?;
        Ok(path)
    }

    /// The newest checkpoint whose hashes are right, with a warning for every newer one; `None`
    /// when none was ever written.
    pub(crate) fn newest(&self) -> Result<(Option<Checkpoint>, Vec<Warning>), AgentError> {
        let mut warnings = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match verify(&path) {
                Ok(state) => return Ok((Some(Checkpoint { path, state }), warnings)),
                Err(reason) => warnings.push(Warning::DamagedCheckpoint { path, reason }),
            }
        }
        if warnings.is_empty() {
            return Ok((None, warnings));
        }
        let reasons: Vec<String> = warnings.iter().map(Warning::to_string).collect();
        Err(AgentError::NoValidCheckpoint { path: self.directory.clone(), reasons: reasons.join("; ") })
    }

    /// A worker's part of the checkpoint at `step`, which the first one has verified.
    pub(crate) fn part(&self, step: u64, rank: usize) -> Result<Checkpoint, AgentError> {
        let path = part(&self.path(step), rank);
        match read_state(&path) {
            Ok(state) => Ok(Checkpoint { path, state }),
            Err(reasons) => Err(AgentError::NoValidCheckpoint { path, reasons }),
        }
    }

    fn path(&self, step: u64) -> PathBuf {
        self.directory.join(format!("{step:09}"))
    }

    /// Steps and paths, oldest first.
    fn list(&self) -> Result<Vec<(u64, PathBuf)>, AgentError> {
        if !self.directory.exists() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).at("read", &self.directory)? {
            let entry = entry.at("read", &self.directory)?;
            if let Some(step) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                found.push((step, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Keeps the newest up to `step`. Later ones are damaged: this run went back behind them.
    fn prune(&self, step: u64) -> Result<(), AgentError> {
        let (current, abandoned): (Vec<_>, Vec<_>) = self.list()?.into_iter().partition(|(found, _)| *found <= step);
        let old = current.len().saturating_sub(KEPT);
        current[..old].iter().chain(&abandoned).try_for_each(|(_, path)| remove(path))
    }
}

/// The directory of a worker that is not the first.
fn part(checkpoint: &Path, rank: usize) -> PathBuf {
    checkpoint.join(format!("worker-{rank}"))
}

/// Its manifest, as the first worker's lists it.
fn part_manifest(rank: usize) -> String {
    format!("worker-{rank}/{MANIFEST}")
}

/// Writes a worker's files, all but the manifest, into its directory, and returns what the manifest will say.
fn fill(
    path: &Path,
    state: &RunState,
    learner: &[u8],
    replay: &ReplayBuffer,
) -> Result<BTreeMap<String, Fingerprint>, AgentError> {
    fs::create_dir_all(path).at("create the directory", path)?;
    let mut fingerprints = BTreeMap::new();
    let mut write = |name: &str, bytes: &[u8]| {
        let file = path.join(name);
        let print = files::write_synced(&file, |out| out.write_all(bytes).at("write", &file))?;
        fingerprints.insert(name.to_owned(), print);
        Ok::<(), AgentError>(())
    };
    write(LEARNER, learner)?;
    write(RUN, &json(state))?;
    let file = path.join(REPLAY);
    let print = files::write_synced(&file, |out| {
        replay.save(out).map_err(|source| AgentError::ReplayFile { action: "write", path: file.clone(), source })
    })?;
    fingerprints.insert(REPLAY.to_owned(), print);
    Ok(fingerprints)
}

/// Writes the manifest.
fn seal(path: &Path, files: BTreeMap<String, Fingerprint>) -> Result<(), AgentError> {
    let manifest = Manifest { format: FORMAT, files };
    let file = path.join(MANIFEST);
    files::write_synced(&file, |out| out.write_all(&json(&manifest)).at("write", &file))?;
    files::sync_directory(path)
}

fn read(path: &Path, name: &str) -> Result<Vec<u8>, String> {
    fs::read(path.join(name)).map_err(|error| format!("{name} cannot be read: {error}"))
}

fn read_state(path: &Path) -> Result<RunState, String> {
    serde_json::from_slice(&read(path, RUN)?).map_err(|error| format!("{RUN} is damaged: {error}"))
}

/// Reads a checkpoint's state if every file, those of all workers, is what the manifests say.
fn verify(path: &Path) -> Result<RunState, String> {
    let manifest: Manifest =
        serde_json::from_slice(&read(path, MANIFEST)?).map_err(|error| format!("{MANIFEST} is damaged: {error}"))?;
    if manifest.format != FORMAT {
        return Err(format!("it has format {}, this program reads {FORMAT}", manifest.format));
    }
    if let Some(missing) = [LEARNER, REPLAY, RUN].into_iter().find(|name| !manifest.files.contains_key(*name)) {
        return Err(format!("{MANIFEST} does not list {missing}"));
    }
    for (name, expected) in &manifest.files {
        let found = files::fingerprint(&path.join(name)).map_err(|error| format!("{name} cannot be read: {error}"))?;
        if found.bytes != expected.bytes {
            return Err(format!("{name} has {} bytes instead of {}", found.bytes, expected.bytes));
        }
        if found.sha256 != expected.sha256 {
            return Err(format!("{name} has another SHA-256 than when it was written"));
        }
    }
    let state = read_state(path)?;
    for rank in (1..).take_while(|&rank| manifest.files.contains_key(&part_manifest(rank))) {
        verify(&part(path, rank)).map_err(|reason| format!("worker-{rank}: {reason}"))?;
    }
    Ok(state)
}

fn remove(path: &Path) -> Result<(), AgentError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// Readable JSON with a final newline.
#[expect(clippy::expect_used, reason = "plain structs with string keys always serialise")]
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain values serialise");
    text.push(b'\n');
    text
}
