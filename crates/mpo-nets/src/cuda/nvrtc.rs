//! NVIDIA's compiler at run time, from a library that is found when it is needed.
//!
//! Looked for in this order: `MPO_NVRTC`, the path of the library; what `cargo xtask setup cuda` put into the cache; the system.
//! What it compiled is kept in the cache, so that a machine without it runs what another compiled.
#![expect(unsafe_code, reason = "the compiler's foreign functions")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs,
    path::PathBuf,
    ptr,
};

use libloading::Library;

use super::{cache_folder, model::fingerprint};
use crate::NetsError;

/// The folder that `cargo xtask setup cuda` makes in the cache.
pub const FOLDER: &str = "nvidia_cuda_nvrtc-13.0.88";

/// The environment variable that names the library.
const VARIABLE: &str = "MPO_NVRTC";

const NAMES: [&str; 3] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

type Program = *mut c_void;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type Size = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Fill = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;
type Version = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;

/// The compiler.
#[derive(Debug)]
pub struct Nvrtc {
    library: Library,
    /// What the compiler itself would look for by name, kept loaded.
    _builtins: Option<Library>,
}

/// What was compiled, and what the compiler said of it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Code for the architecture asked for.
    pub cubin: Vec<u8>,
    /// Registers, spills and warnings.
    pub log: String,
}

fn failed(reason: impl Into<String>) -> NetsError {
    NetsError::Device { device: "NVRTC", reason: reason.into() }
}

impl Nvrtc {
    /// Finds and loads the library.
    ///
    /// # Errors
    /// [`NetsError::Device`] that names what was looked for and the cure.
    pub fn load() -> Result<Self, NetsError> {
        let mut tried = Vec::new();
        let set = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cached = cache_folder().map(|folder| folder.join(FOLDER).join(NAMES[0]));
        let paths = match set {
            Some(path) => vec![path],
            None => cached.into_iter().chain(NAMES.map(PathBuf::from)).collect(),
        };
        for path in paths {
            // A library that lies in a folder has its companion beside it, which it opens by name only.
            let builtins = path.parent().filter(|folder| folder.is_dir()).and_then(|folder| {
                let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
                let named = |path: &PathBuf| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with("libnvrtc-builtins.so")
                };
                // SAFETY: NVIDIA's library of tables, without initialisers that concern us.
                unsafe { Library::new(entries.into_iter().find(named)?) }.ok()
            });
            // SAFETY: NVIDIA's compiler; loading it runs its own initialisers only.
            match unsafe { Library::new(&path) } {
                Ok(library) => return Ok(Self { library, _builtins: builtins }),
                Err(error) => tried.push(format!("{}: {error}", path.display())),
            }
        }
        Err(failed(format!(
            "the compiler's library was not found ({}); run `cargo xtask setup cuda`, or set {VARIABLE} to it",
            tried.join("; ")
        )))
    }

    fn function<T>(&self, name: &str) -> Result<libloading::Symbol<'_, T>, NetsError> {
        // SAFETY: the types above are those of NVRTC's header for these names, since its version 8.
        unsafe { self.library.get::<T>(name.as_bytes()) }.map_err(|error| failed(error.to_string()))
    }

    /// Major and minor version.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the library lacks the function.
    pub fn version(&self) -> Result<(i32, i32), NetsError> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: two pointers to integers that outlive the call.
        check(unsafe { self.function::<Version>("nvrtcVersion")?(&raw mut major, &raw mut minor) }, "nvrtcVersion")?;
        Ok((major, minor))
    }

    /// Compiles `source` for `architecture`, such as `sm_90`.
    ///
    /// # Errors
    /// [`NetsError::Device`] with what the compiler said.
    pub fn compile(&self, source: &str, architecture: &str) -> Result<Compiled, NetsError> {
        let text = CString::new(source).map_err(|error| failed(error.to_string()))?;
        let options = [format!("--gpu-architecture={architecture}"), "--std=c++17".into(), "--ptxas-options=-v".into()];
        let options: Vec<CString> = options.into_iter().filter_map(|option| CString::new(option).ok()).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut program: Program = ptr::null_mut();
        let create = self.function::<Create>("nvrtcCreateProgram")?;
        // SAFETY: `text` outlives the program, which is destroyed below; no headers are given.
        let outcome =
            unsafe { create(&raw mut program, text.as_ptr(), c"mpo.cu".as_ptr(), 0, ptr::null(), ptr::null()) };
        check(outcome, "nvrtcCreateProgram")?;
        let compile = self.function::<Compile>("nvrtcCompileProgram")?;
        // SAFETY: the program was created above; the options are as many as said and outlive the call.
        let outcome = unsafe { compile(program, pointers.len() as c_int, pointers.as_ptr()) };
        let log = self.bytes(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog").map(|bytes| {
            CStr::from_bytes_until_nul(&bytes).map_or(String::new(), |text| text.to_string_lossy().into_owned())
        });
        let cubin = if outcome == 0 {
            self.bytes(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
        } else {
            Err(failed(format!("the kernels were refused (code {outcome}):\n{}", log.as_deref().unwrap_or_default())))
        };
        // SAFETY: the program was created above and is not used again.
        unsafe { self.function::<Destroy>("nvrtcDestroyProgram")?(&raw mut program) };
        Ok(Compiled { cubin: cubin?, log: log? })
    }

    fn bytes(&self, program: Program, size: &str, fill: &str) -> Result<Vec<u8>, NetsError> {
        let mut len = 0;
        // SAFETY: a program that exists, and a pointer to a size.
        check(unsafe { self.function::<Size>(size)?(program, &raw mut len) }, size)?;
        let mut bytes = vec![0_u8; len];
        // SAFETY: as many bytes as the library asked for.
        check(unsafe { self.function::<Fill>(fill)?(program, bytes.as_mut_ptr().cast()) }, fill)?;
        Ok(bytes)
    }
}

fn check(outcome: c_int, call: &str) -> Result<(), NetsError> {
    if outcome == 0 { Ok(()) } else { Err(failed(format!("{call} failed with code {outcome}"))) }
}

/// The code of `source` for `architecture`: from the cache, or compiled and put there.
///
/// # Errors
/// [`NetsError::Device`] when it is not there and there is no compiler, or it refuses.
pub fn cubin(source: &str, architecture: &str) -> Result<Vec<u8>, NetsError> {
    let name = format!("{}.cubin", fingerprint(&[source, architecture]));
    let path = cache_folder().map(|folder| folder.join("kernels").join(name));
    if let Some(bytes) = path.as_ref().and_then(|path| fs::read(path).ok()) {
        return Ok(bytes);
    }
    let compiled = Nvrtc::load()?.compile(source, architecture)?;
    if let Some(path) = path {
        // A cache that cannot be written costs time, nothing else.
        let aside = path.with_extension(std::process::id().to_string());
        let _ = path.parent().map(fs::create_dir_all);
        if fs::write(&aside, &compiled.cubin).is_ok() {
            let _ = fs::rename(&aside, &path);
        }
    }
    Ok(compiled.cubin)
}
