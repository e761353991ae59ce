//! The library that set-up builds of ALE and `crates/mpo-envs/ale/shim.cpp`: loading it, and calls that cannot be misused.
#![allow(unsafe_code, reason = "calls of foreign functions")]

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::EnvError;

/// Number of the functions and structures below; the shim's must be the same.
const INTERFACE: i32 = 1;
/// ALE's release, whose episodes these are.
/// The release of ALE that the shim is compiled with.
pub const VERSION: &str = "0.12.1";

const DONE: i32 = 0;
const UNREADABLE: i32 = 2;
const UNKNOWN_ROM: i32 = 3;

/// Longest message that the shim may write.
const MESSAGE: usize = 512;

/// The shim's `Facts`: what is known of a game once it is opened.
#[repr(C)]
pub(super) struct Facts {
    pub(super) height: i32,
    pub(super) width: i32,
    minimal_actions: i32,
    legal_actions: i32,
    minimal: [i32; 18],
    legal: [i32; 18],
    /// 0xRRGGBB of each value of a screen's byte.
    pub(super) palette: [u32; 256],
    /// ALE's own grey of each.
    pub(super) grey: [u8; 256],
    name: [c_char; 64],
}

impl Facts {
    /// ALE's numbers of the actions that do something in this game.
    pub(super) fn minimal(&self) -> &[i32] {
        &self.minimal[..usize::try_from(self.minimal_actions).unwrap_or(0)]
    }

    /// ALE's numbers of all actions that the game takes.
    pub(super) fn legal(&self) -> &[i32] {
        &self.legal[..usize::try_from(self.legal_actions).unwrap_or(0)]
    }

    /// ALE's name of the game.
    pub(super) fn name(&self) -> &str {
        // SAFETY: the shim ends the name by a zero inside the array, which lives as long as `self`.
        unsafe { CStr::from_ptr(self.name.as_ptr()) }.to_str().unwrap_or_default()
    }
}

/// The shim's `Outcome`: what came of some frames.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(super) struct Outcome {
    /// Sum over the frames played.
    pub(super) reward: i32,
    pub(super) lives: i32,
    /// Frames played: fewer than asked for if the game ended.
    pub(super) frames: i32,
    /// Screens written: 2 if the frame before the last one asked for was played, too.
    pub(super) screens: i32,
    pub(super) game_over: i32,
}

/// The shim's `Game`.
#[repr(C)]
struct RawGame {
    opaque: [u8; 0],
}

type Open =
    unsafe extern "C" fn(*const c_char, i32, f32, *mut Facts, *mut *mut RawGame, message: *mut c_char, i32) -> i32;
type Act = unsafe extern "C" fn(*mut RawGame, i32, i32, *mut u8, *mut u8, *mut Outcome, *mut c_char, i32) -> i32;
type Save = unsafe extern "C" fn(*mut RawGame, *mut *const u8, *mut i64, *mut c_char, i32) -> i32;

/// The functions, by the names that the shim gives them after `mpo_ale_`.
#[derive(Clone, Copy)]
struct Functions {
    open: Open,
    close: unsafe extern "C" fn(*mut RawGame),
    reset: unsafe extern "C" fn(*mut RawGame, *mut i32, *mut c_char, i32) -> i32,
    act: Act,
    screen: unsafe extern "C" fn(*const RawGame, *mut u8),
    ram: unsafe extern "C" fn(*const RawGame, *mut u8),
    save: Save,
    restore: unsafe extern "C" fn(*mut RawGame, *const u8, i64, *mut c_char, i32) -> i32,
}

/// Loaded libraries, which stay for the life of the process.
static LOADED: Mutex<Vec<Arc<Library>>> = Mutex::new(Vec::new());

/// ALE fills tables of its own when a game is opened: one at a time.
static OPENING: Mutex<()> = Mutex::new(());

/// ALE, loaded.
pub(super) struct Library {
    path: PathBuf,
    functions: Functions,
    /// Keeps the functions where they are.
    _file: libloading::Library,
}

impl Library {
    /// Loads the library at `path`, or returns it when it is loaded already.
    ///
    /// # Errors
    ///
    /// [`EnvError::AleUnloadable`] when it is no library for this machine; [`EnvError::AleVersion`] when it was not built
    /// for this program.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, EnvError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.iter().find(|library| library.path == path) {
            return Ok(Arc::clone(library));
        }
        let library = Arc::new(Self::open(path)?);
        loaded.push(Arc::clone(&library));
        Ok(library)
    }

    fn open(path: &Path) -> Result<Self, EnvError> {
        let unloadable = |source| EnvError::AleUnloadable { path: path.to_owned(), source };
        let other = |found: String| EnvError::AleVersion { path: path.to_owned(), found, expected: VERSION };
        // SAFETY: loading runs the file's initialisers. The path is the user's own choice or the cache in which set-up built
        // the library; nothing is loaded that the user did not name.
        let file = unsafe { libloading::Library::new(path) }.map_err(unloadable)?;
        // SAFETY: in every shim these two take nothing and return a number and a constant text that ends by a zero. They are
        // asked first: the other functions are those below only if the numbers are the same.
        let (interface, version) = unsafe {
            let interface = file.get::<unsafe extern "C" fn() -> i32>(b"mpo_ale_interface\0");
            let version = file.get::<unsafe extern "C" fn() -> *const c_char>(b"mpo_ale_version\0");
            match (interface, version) {
                (Ok(interface), Ok(version)) => (interface(), CStr::from_ptr(version()).to_string_lossy().into_owned()),
                _ => return Err(other("another library".to_owned())),
            }
        };
        if (interface, version.as_str()) != (INTERFACE, VERSION) {
            return Err(other(format!("ALE {version} with functions number {interface}")));
        }
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the numbers are equal, so the shim's functions have the signatures written here.
                *unsafe { file.get(concat!("mpo_ale_", $name, "\0").as_bytes()) }.map_err(unloadable)?
            };
        }
        let functions = Functions {
            open: function!("open"),
            close: function!("close"),
            reset: function!("reset"),
            act: function!("act"),
            screen: function!("screen"),
            ram: function!("ram"),
            save: function!("save"),
            restore: function!("restore"),
        };
        Ok(Self { path: path.to_owned(), functions, _file: file })
    }
}

/// A game under way. Its methods can be called in any order: opening it has set it up.
pub(super) struct Game {
    library: Arc<Library>,
    raw: *mut RawGame,
    /// Bytes of a screen.
    screen: usize,
}

// SAFETY: a game has no tie to a thread, and `&mut` or `&` methods that only read are all that reaches it; what ALE shares
// between games is constant after opening, which is done by one thread at a time.
unsafe impl Send for Game {}

impl fmt::Debug for Game {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Game").field("library", &self.library.path).finish_non_exhaustive()
    }
}

impl Drop for Game {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `open`, and nothing uses it after this.
        unsafe { (self.library.functions.close)(self.raw) }
    }
}

/// A text that the shim writes if it fails.
struct Message([c_char; MESSAGE]);

impl Message {
    fn text(&self) -> String {
        // SAFETY: the buffer began as zeros, and the shim ends what it writes by one.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy().into_owned()
    }
}

impl Game {
    /// Starts the game of a ROM file. `seed` decides when actions stick, each frame with probability `sticky`.
    ///
    /// # Errors
    ///
    /// [`EnvError::Rom`] when the file cannot be read, or is not a game that ALE has rewards for.
    pub(super) fn open(
        library: &Arc<Library>,
        rom: &Path,
        seed: i32,
        sticky: f32,
    ) -> Result<(Self, Box<Facts>), EnvError> {
        let refused = |reason: String| EnvError::Rom { path: rom.to_owned(), reason };
        let path = CString::new(rom.as_os_str().as_encoded_bytes()).map_err(|_| refused("no such path".to_owned()))?;
        let mut message = Message([0; MESSAGE]);
        // SAFETY: all fields are numbers and arrays of numbers, for which zeros are valid.
        let mut facts: Box<Facts> = Box::new(unsafe { std::mem::zeroed() });
        let mut raw = ptr::null_mut();
        let status = {
            let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: every pointer is valid for the call, and the message's length is told.
            unsafe {
                let text = message.0.as_mut_ptr();
                (library.functions.open)(
                    path.as_ptr(),
                    seed,
                    sticky,
                    &raw mut *facts,
                    &raw mut raw,
                    text,
                    MESSAGE as i32,
                )
            }
        };
        match status {
            DONE => {}
            UNREADABLE | UNKNOWN_ROM => return Err(refused(message.text())),
            _ => return Err(refused(format!("ALE says: {}", message.text()))),
        }
        let screen = usize::try_from(facts.height * facts.width).unwrap_or(0);
        Ok((Self { library: Arc::clone(library), raw, screen }, facts))
    }

    /// Starts an episode, and returns the lives in it.
    ///
    /// # Errors
    ///
    /// What ALE says.
    pub(super) fn reset(&mut self) -> Result<i32, String> {
        let mut lives = 0;
        // SAFETY: the game is open; the message's length is told.
        self.call(|functions, raw, text| unsafe { (functions.reset)(raw, &raw mut lives, text, MESSAGE as i32) })?;
        Ok(lives)
    }

    /// Plays an action for up to `frames` frames; the screen after the last of them goes to `newest` and, unless the game
    /// ended before that, the one a frame earlier to `before`.
    ///
    /// # Errors
    ///
    /// What ALE says.
    ///
    /// # Panics
    ///
    /// If a buffer is not as long as a screen.
    pub(super) fn act(
        &mut self,
        action: i32,
        frames: i32,
        before: &mut [u8],
        newest: &mut [u8],
    ) -> Result<Outcome, String> {
        assert!(before.len() == self.screen && newest.len() == self.screen, "buffers of a screen's length");
        let mut outcome = Outcome::default();
        let (before, newest) = (before.as_mut_ptr(), newest.as_mut_ptr());
        // SAFETY: the game is open; both buffers hold a screen, which is all that is written; the message's length is told.
        self.call(|functions, raw, text| unsafe {
            (functions.act)(raw, action, frames, before, newest, &raw mut outcome, text, MESSAGE as i32)
        })?;
        Ok(outcome)
    }

    /// Copies the present screen.
    ///
    /// # Panics
    ///
    /// If the buffer is not as long as a screen.
    pub(super) fn screen(&self, newest: &mut [u8]) {
        assert_eq!(newest.len(), self.screen, "a buffer of a screen's length");
        // SAFETY: the game is open, and the buffer holds a screen.
        unsafe { (self.library.functions.screen)(self.raw, newest.as_mut_ptr()) }
    }

    /// The console's memory.
    pub(super) fn ram(&self) -> [u8; 128] {
        let mut bytes = [0; 128];
        // SAFETY: the game is open, and the console has as many bytes.
        unsafe { (self.library.functions.ram)(self.raw, bytes.as_mut_ptr()) }
        bytes
    }

    /// Everything that later episodes depend on.
    pub(super) fn save(&self) -> Result<Vec<u8>, String> {
        let (mut bytes, mut length) = (ptr::null(), 0);
        // SAFETY: the game is open; the message's length is told.
        self.call(|functions, raw, text| unsafe {
            (functions.save)(raw, &raw mut bytes, &raw mut length, text, MESSAGE as i32)
        })?;
        // SAFETY: the shim keeps that many bytes there until its next call, and they are copied before.
        Ok(unsafe { std::slice::from_raw_parts(bytes, usize::try_from(length).unwrap_or(0)) }.to_vec())
    }

    /// Takes over what [`save`](Self::save) returned for the same game.
    ///
    /// # Errors
    ///
    /// What ALE says.
    pub(super) fn restore(&mut self, bytes: &[u8]) -> Result<(), String> {
        // SAFETY: the game is open; the bytes are valid for the call; the message's length is told.
        self.call(|functions, raw, text| unsafe {
            (functions.restore)(raw, bytes.as_ptr(), bytes.len() as i64, text, MESSAGE as i32)
        })
    }

    fn call(&self, function: impl FnOnce(&Functions, *mut RawGame, *mut c_char) -> i32) -> Result<(), String> {
        let mut message = Message([0; MESSAGE]);
        match function(&self.library.functions, self.raw, message.0.as_mut_ptr()) {
            DONE => Ok(()),
            _ => Err(message.text()),
        }
    }
}
