//! Loading MuJoCo's shared library.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::bindings::{MuJoCo, mjLOG_ERROR, mjLogMessage};
use crate::EnvError;

/// `mj_version()` of the library that the bindings were generated from. Three digits each for the
/// minor release and the patch, the rest for the major release.
const VERSION: i32 = 3_017_000;

/// Loaded libraries. They stay loaded for the life of the process: unloading a C++ library with thread-local state
/// while other threads live is not sound, and there is only ever one or two.
static LOADED: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());

/// MuJoCo 3.17.0, loaded.
pub struct Library {
    path: PathBuf,
    pub(super) functions: MuJoCo,
}

impl fmt::Debug for Library {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Library").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Library {
    /// Loads the library at `path`, or returns it when it is loaded already, and checks its version: the layout of
    /// MuJoCo's structures changes with every release.
    ///
    /// # Errors
    ///
    /// [`EnvError::LibraryUnloadable`] when it is no library for this machine, or lacks a function;
    /// [`EnvError::LibraryVersion`] when it is not MuJoCo 3.17.0.
    pub fn load(path: &Path) -> Result<Arc<Self>, EnvError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.iter().find(|library| library.path == path) {
            return Ok(Arc::clone(library));
        }
        let library = Arc::new(Self::open(path)?);
        loaded.push(Arc::clone(&library));
        Ok(library)
    }

    fn open(path: &Path) -> Result<Self, EnvError> {
        let unloadable = |source| EnvError::LibraryUnloadable { path: path.to_owned(), source };
        // SAFETY: loading runs the file's initialisers. The path is the user's own choice or the cache that set-up
        // filled after checking hashes; nothing is loaded that the user did not name.
        let file = unsafe { libloading::Library::new(path) }.map_err(unloadable)?;
        // The version is asked for alone and first: another release may lack some of the functions bound below.
        let version = {
            // SAFETY: in every release of MuJoCo this function takes nothing and returns an int.
            let mj_version =
                unsafe { file.get::<unsafe extern "C" fn() -> i32>(b"mj_version\0") }.map_err(unloadable)?;
            // SAFETY: as above; the function only returns a constant.
            unsafe { mj_version() }
        };
        if version != VERSION {
            return Err(EnvError::LibraryVersion {
                path: path.to_owned(),
                found: dotted(version),
                expected: dotted(VERSION),
            });
        }
        // SAFETY: the version is the one whose headers the signatures were generated from.
        let functions = unsafe { MuJoCo::from_library(file) }.map_err(unloadable)?;
        // SAFETY: the handler is a plain function without state, so it may be called from any thread.
        unsafe { functions.mju_setLogHandler(Some(on_message)) };
        Ok(Self { path: path.to_owned(), functions })
    }

    /// The file that was loaded.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version of every library that loads, "major.minor.patch".
    #[must_use]
    pub fn version() -> String {
        dotted(VERSION)
    }
}

fn dotted(version: i32) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000)
}

/// Replaces MuJoCo's own handler, which prints and appends to `MUJOCO_LOG.TXT` in the working folder. Warnings of the
/// simulation are counted in its data, where they become errors; so nothing needs to be written here. Errors of the
/// engine (out of memory, a corrupt stack) must not return: MuJoCo ends the process after them. A panic here does the
/// same, with the message.
unsafe extern "C" fn on_message(message: *const mjLogMessage) {
    // SAFETY: MuJoCo passes a valid message for the length of the call.
    let message = unsafe { &*message };
    let goes_on = message.level != mjLOG_ERROR as i32;
    assert!(goes_on, "MuJoCo cannot go on: {}", text(&message.subject));
}

/// A C string from a fixed buffer, up to its first zero.
pub(super) fn text(buffer: &[c_char]) -> String {
    // SAFETY: `c_char` and `u8` have the same size, alignment and valid values.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), buffer.len()) };
    CStr::from_bytes_until_nul(bytes).unwrap_or_default().to_string_lossy().trim().to_owned()
}
