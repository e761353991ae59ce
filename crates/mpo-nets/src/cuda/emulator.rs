//! The kernels on the processor: the same sources, compiled by the machine's C++ compiler with `emulation/emulation.h` before
//! them, block after block.
//!
//! It is there for tests and for seeing what a device would compute where there is none; it is far slower than the CPU's
//! learner. The compiled library is kept in the cache under a hash of its text.
#![expect(unsafe_code, reason = "calls the library that was compiled of our own kernels")]

use std::{
    ffi::c_void,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use libloading::Library;

use super::{
    cache_folder,
    device::Device,
    launch::{Argument, Launch, LaunchList},
    model::{Model, fingerprint},
};
use crate::NetsError;

const HEADER: &str = include_str!("emulation/emulation.h");

/// As the processor itself is asked for, so that products and sums fuse as they do on a card.
const OPTIONS: [&str; 7] = ["-std=c++17", "-O2", "-march=native", "-fPIC", "-shared", "-w", "-U_FORTIFY_SOURCE"];

/// The entry of an emulated kernel, as the header's last macro defines it.
type Entry =
    unsafe extern "C" fn(grid: *const u32, threads: u32, shared_bytes: u32, arguments: *mut *mut c_void) -> i32;

/// A device made of the processor.
#[derive(Debug)]
pub struct Emulator {
    library: Library,
    list: Option<LaunchList>,
    arenas: Vec<u32>,
    /// Both slots.
    batches: Vec<u32>,
    staged: [Vec<u32>; 2],
}

impl Emulator {
    /// Compiles the kernels of `model`, or finds them compiled.
    ///
    /// # Errors
    /// [`NetsError::Device`] where there is no C++ compiler, or what it said.
    pub fn new(model: &Model) -> Result<Self, NetsError> {
        let mut text = format!("{HEADER}\n{}\n", model.source());
        for kernel in model.kernels() {
            let _ = writeln!(text, "EMULATED({kernel})");
        }
        let path = compiled(&text)?;
        // SAFETY: the library was compiled from our own sources, which have no initialisers that do anything.
        let library =
            unsafe { Library::new(&path) }.map_err(|error| failed(&format!("{}: {error}", path.display())))?;
        Ok(Self { library, list: None, arenas: Vec::new(), batches: Vec::new(), staged: [Vec::new(), Vec::new()] })
    }
}

fn failed(reason: &str) -> NetsError {
    NetsError::Device { device: "the emulated device", reason: reason.to_owned() }
}

/// The path of the library compiled from `text`.
fn compiled(text: &str) -> Result<PathBuf, NetsError> {
    let compiler = std::env::var("CXX").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "c++".to_owned());
    let folder = cache_folder()
        .ok_or_else(|| failed("there is no place for the cache: set MPO_CACHE to a folder"))?
        .join("emulation");
    let path = folder.join(format!("{}.so", fingerprint(&[text, &compiler, &OPTIONS.join(" ")])));
    if path.exists() {
        return Ok(path);
    }
    let at = |path: &Path, error: std::io::Error| failed(&format!("{}: {error}", path.display()));
    fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
    // A name of its own for this process, then renamed: others may compile the same.
    let (source, output) = (path.with_extension(format!("{}.cpp", unique())), path.with_extension(unique()));
    fs::write(&source, text).map_err(|error| at(&source, error))?;
    let ran = Command::new(&compiler).args(OPTIONS).arg("-o").arg(&output).arg(&source).output();
    let ran = ran.map_err(|error| {
        failed(&format!("{compiler}: {error}; the emulation needs a C++ compiler: install g++, or set CXX to one"))
    })?;
    let _ = fs::remove_file(&source);
    if !ran.status.success() {
        return Err(failed(&format!("{compiler} refused the kernels:\n{}", String::from_utf8_lossy(&ran.stderr))));
    }
    fs::rename(&output, &path).map_err(|error| at(&path, error))?;
    Ok(path)
}

/// A name that no other thread of any process uses at the same time.
fn unique() -> String {
    format!("{}-{:?}", std::process::id(), std::thread::current().id()).replace(['(', ')'], "")
}

impl Device for Emulator {
    fn prepare(&mut self, list: &LaunchList) -> Result<(), NetsError> {
        // Work space is not zero on a card either: what is read before it is written must show.
        self.arenas = vec![f32::NAN.to_bits(); list.runs * list.arena.len()];
        let slot = list.runs * list.batch.len();
        self.batches = vec![0; 2 * slot];
        self.staged = [vec![0; slot], vec![0; slot]];
        self.list = Some(list.clone());
        Ok(())
    }

    fn write(&mut self, at: usize, words: &[u32]) -> Result<(), NetsError> {
        self.arenas[at..at + words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read(&mut self, at: usize, words: &mut [u32]) -> Result<(), NetsError> {
        words.copy_from_slice(&self.arenas[at..at + words.len()]);
        Ok(())
    }

    fn staging(&mut self, slot: usize) -> Result<&mut [u32], NetsError> {
        Ok(&mut self.staged[slot])
    }

    fn launch(&mut self, slot: usize) -> Result<(), NetsError> {
        let len = self.staged[slot].len();
        self.batches[slot * len..(slot + 1) * len].copy_from_slice(&self.staged[slot]);
        self.run(LaunchList::before_meeting)
    }

    fn conclude(&mut self, _: usize) -> Result<(), NetsError> {
        self.run(LaunchList::after_meeting)
    }

    fn time(&mut self, _: usize) -> Result<Option<Vec<f64>>, NetsError> {
        Ok(None)
    }
}

impl Emulator {
    /// Runs a part of the list.
    fn run(&mut self, part: fn(&LaunchList) -> &[Launch]) -> Result<(), NetsError> {
        let Some(list) = &self.list else { return Err(failed("nothing was prepared")) };
        let (arenas, batches) = (self.arenas.as_mut_ptr(), self.batches.as_mut_ptr());
        for launch in part(list) {
            let name = format!("emulated_{}", launch.kernel);
            // SAFETY: the header's macro gives every kernel an entry of this type.
            let entry = unsafe { self.library.get::<Entry>(name.as_bytes()) };
            let entry = entry.map_err(|error| failed(&error.to_string()))?;
            // What the kernel's parameters are: a pointer, or a number in the first half of a word.
            let mut values: Vec<u64> = launch
                .arguments
                .iter()
                .map(|argument| match argument {
                    Argument::Read(name) | Argument::Write(name) => arenas.wrapping_add(list.arena.get(name).at) as u64,
                    Argument::Batch(name) => batches.wrapping_add(list.batch.get(name).at) as u64,
                    Argument::Arena => arenas as u64,
                    Argument::Batches => batches as u64,
                    Argument::Word(word) => u64::from(*word),
                })
                .collect();
            let mut pointers: Vec<*mut c_void> =
                values.iter_mut().map(|value| std::ptr::from_mut(value).cast::<c_void>()).collect();
            // SAFETY: the arguments are those of the kernel of this name, which the list's maker and a test of all kernels
            // vouch for; both allocations outlive the call, and nothing else touches them during it.
            let outcome =
                unsafe { entry(launch.grid.as_ptr(), launch.threads, 4 * launch.shared, pointers.as_mut_ptr()) };
            if outcome != 0 {
                let reason = format!("{}: threads of a block wait for each other at different barriers", launch.kernel);
                return Err(failed(&reason));
            }
        }
        Ok(())
    }
}
