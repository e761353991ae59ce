//! OpenGL without a window, from the system's EGL. Its library is looked for when pictures are asked of it, not before.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;

/// The name under which Linux systems have EGL.
const LIBRARY: &str = "libEGL.so.1";

/// A display, device, configuration, context or surface.
type Handle = *mut c_void;
/// What `eglGetProcAddress` returns, before one knows better.
type Function = unsafe extern "C" fn();
type QueryDevices = unsafe extern "C" fn(c_int, *mut Handle, *mut c_int) -> c_uint;
type GetPlatformDisplay = unsafe extern "C" fn(c_uint, Handle, *const c_int) -> Handle;

const NONE: c_int = 0x3038;
const SURFACE_TYPE: c_int = 0x3033;
const PBUFFER_BIT: c_int = 0x0001;
const RENDERABLE_TYPE: c_int = 0x3040;
const OPENGL_BIT: c_int = 0x0008;
const OPENGL_API: c_uint = 0x30A2;
const PLATFORM_DEVICE_EXT: c_uint = 0x313F;
const GL_EXTENSIONS: c_uint = 0x1F03;
const GL_MAX_RENDERBUFFER_SIZE: c_uint = 0x84E8;

/// MuJoCo draws into buffers of its own, so the surfaces do not matter.
const CONFIGURATION: [c_int; 5] = [SURFACE_TYPE, PBUFFER_BIT, RENDERABLE_TYPE, OPENGL_BIT, NONE];
/// MuJoCo ends the process where these are missing.
const EXTENSIONS: [&str; 2] = ["GL_ARB_framebuffer_object", "GL_ARB_vertex_buffer_object"];
const MOST_DEVICES: usize = 16;

/// The functions that are used, with the signatures of Khronos' `EGL/egl.h` and `EGL/eglext.h`.
struct Egl {
    get_proc_address: unsafe extern "C" fn(*const c_char) -> Option<Function>,
    get_error: unsafe extern "C" fn() -> c_int,
    initialize: unsafe extern "C" fn(Handle, *mut c_int, *mut c_int) -> c_uint,
    bind_api: unsafe extern "C" fn(c_uint) -> c_uint,
    choose_config: unsafe extern "C" fn(Handle, *const c_int, *mut Handle, c_int, *mut c_int) -> c_uint,
    create_context: unsafe extern "C" fn(Handle, Handle, Handle, *const c_int) -> Handle,
    destroy_context: unsafe extern "C" fn(Handle, Handle) -> c_uint,
    make_current: unsafe extern "C" fn(Handle, Handle, Handle, Handle) -> c_uint,
    query_devices: QueryDevices,
    get_platform_display: GetPlatformDisplay,
    _file: libloading::Library,
}

impl Egl {
    /// The system's EGL. It stays loaded for the life of the process, and its displays open: drivers start threads, and
    /// a display is one for all who draw on it.
    fn system() -> Result<&'static Self, String> {
        static SYSTEM: OnceLock<Result<Egl, String>> = OnceLock::new();
        SYSTEM.get_or_init(|| Self::open(LIBRARY)).as_ref().map_err(Clone::clone)
    }

    fn open(name: &str) -> Result<Self, String> {
        // SAFETY: the system's own library, whose initialisers are meant to be run; every symbol has the type that the
        // headers of EGL 1.4 give it.
        unsafe {
            let file =
                libloading::Library::new(name).map_err(|error| format!("{name} cannot be loaded ({})", why(&error)))?;
            let missing = |error| format!("{name} lacks a function ({})", why(&error));
            let get_proc_address: unsafe extern "C" fn(*const c_char) -> Option<Function> =
                *file.get(b"eglGetProcAddress\0").map_err(missing)?;
            let extension = |name: &CStr| {
                get_proc_address(name.as_ptr()).ok_or_else(|| format!("EGL here lacks {}", name.to_string_lossy()))
            };
            let query_devices = extension(c"eglQueryDevicesEXT")?;
            let get_platform_display = extension(c"eglGetPlatformDisplayEXT")?;
            Ok(Self {
                get_proc_address,
                get_error: *file.get(b"eglGetError\0").map_err(missing)?,
                initialize: *file.get(b"eglInitialize\0").map_err(missing)?,
                bind_api: *file.get(b"eglBindAPI\0").map_err(missing)?,
                choose_config: *file.get(b"eglChooseConfig\0").map_err(missing)?,
                create_context: *file.get(b"eglCreateContext\0").map_err(missing)?,
                destroy_context: *file.get(b"eglDestroyContext\0").map_err(missing)?,
                make_current: *file.get(b"eglMakeCurrent\0").map_err(missing)?,
                query_devices: std::mem::transmute::<Function, QueryDevices>(query_devices),
                get_platform_display: std::mem::transmute::<Function, GetPlatformDisplay>(get_platform_display),
                _file: file,
            })
        }
    }

    /// `Ok` when `function` succeeded, else its name and EGL's reason.
    fn check(&self, success: bool, function: &str) -> Result<(), String> {
        // SAFETY: takes nothing, and returns the calling thread's last error.
        if success { Ok(()) } else { Err(format!("{function} fails with error {:#x}", unsafe { (self.get_error)() })) }
    }

    /// Graphics cards, and the processor where a software driver is installed.
    fn devices(&self) -> Vec<Handle> {
        let (mut devices, mut count) = ([std::ptr::null_mut(); MOST_DEVICES], 0);
        // SAFETY: the length given is the array's own.
        let success = unsafe { (self.query_devices)(MOST_DEVICES as c_int, devices.as_mut_ptr(), &raw mut count) };
        devices[..if success == 0 { 0 } else { count as usize }].to_vec()
    }
}

/// What the dynamic loader said.
fn why(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// A context for OpenGL calls on the first device that can draw. It belongs to the thread that made it.
pub(super) struct Context {
    egl: &'static Egl,
    display: Handle,
    handle: Handle,
    /// Pixels along the longest side of a picture.
    pub(super) longest_side: usize,
}

impl Context {
    /// Makes the context and makes it current. On failure says what is missing.
    pub(super) fn new() -> Result<Self, String> {
        let egl = Egl::system()?;
        let mut reason = "EGL knows no device to draw on".to_owned();
        for device in egl.devices() {
            match Self::on(egl, device) {
                Ok(context) => return Ok(context),
                Err(failure) => reason = failure,
            }
        }
        Err(reason)
    }

    fn on(egl: &'static Egl, device: Handle) -> Result<Self, String> {
        let null = std::ptr::null_mut();
        let (mut configuration, mut count) = (null, 0);
        // SAFETY: the device was listed by EGL. A display is opened before it is used, and opening it again does nothing;
        // the list of attributes ends as it must; a null pointer says that a result or an attribute is not wanted.
        let (display, handle) = unsafe {
            let display = (egl.get_platform_display)(PLATFORM_DEVICE_EXT, device, std::ptr::null());
            egl.check(!display.is_null(), "eglGetPlatformDisplayEXT")?;
            egl.check((egl.initialize)(display, std::ptr::null_mut(), std::ptr::null_mut()) != 0, "eglInitialize")?;
            let chosen =
                (egl.choose_config)(display, CONFIGURATION.as_ptr(), &raw mut configuration, 1, &raw mut count);
            egl.check(chosen != 0 && count == 1, "eglChooseConfig for OpenGL")?;
            egl.check((egl.bind_api)(OPENGL_API) != 0, "eglBindAPI for OpenGL")?;
            let handle = (egl.create_context)(display, configuration, null, std::ptr::null());
            egl.check(!handle.is_null(), "eglCreateContext")?;
            (display, handle)
        };
        let mut made = Self { egl, display, handle, longest_side: 0 };
        made.make_current()?;
        made.longest_side = made.usable()?;
        Ok(made)
    }

    /// Directs this thread's OpenGL calls to this context.
    pub(super) fn make_current(&self) -> Result<(), String> {
        let none = std::ptr::null_mut();
        // SAFETY: both handles are valid as long as this value; drawing needs no surface.
        let success = unsafe { (self.egl.make_current)(self.display, none, none, self.handle) };
        self.egl.check(success != 0, "eglMakeCurrent without a surface")
    }

    /// The longest side of a picture, if the current context can do what MuJoCo's renderer asks of it.
    fn usable(&self) -> Result<usize, String> {
        let function = |name: &CStr| {
            // SAFETY: the name is terminated.
            let found = unsafe { (self.egl.get_proc_address)(name.as_ptr()) };
            found.ok_or_else(|| format!("OpenGL here lacks {}", name.to_string_lossy()))
        };
        let (get_string, get_integers) = (function(c"glGetString")?, function(c"glGetIntegerv")?);
        let mut longest_side = 0;
        // SAFETY: the functions have these signatures since OpenGL 1.0, the context is current, the size is one integer,
        // and the text is terminated and lives as long as the context.
        let extensions = unsafe {
            let get_string: unsafe extern "C" fn(c_uint) -> *const c_char = std::mem::transmute(get_string);
            let get_integers: unsafe extern "C" fn(c_uint, *mut c_int) = std::mem::transmute(get_integers);
            get_integers(GL_MAX_RENDERBUFFER_SIZE, &raw mut longest_side);
            let text = get_string(GL_EXTENSIONS);
            if text.is_null() { c"" } else { CStr::from_ptr(text) }.to_string_lossy()
        };
        match EXTENSIONS.iter().find(|name| !extensions.split(' ').any(|known| known == **name)) {
            Some(missing) => Err(format!("OpenGL here lacks {missing}")),
            None => Ok(longest_side as usize),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let none = std::ptr::null_mut();
        // SAFETY: valid until here, and not used afterwards; a current context would live on until another takes its place.
        unsafe {
            (self.egl.make_current)(self.display, none, none, none);
            (self.egl.destroy_context)(self.display, self.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named() {
        let reason = Egl::open("libEGL-of-nobody.so").err().expect("there is no such library");
        let parts = ["libEGL-of-nobody.so cannot be loaded", "No such file"];
        assert!(parts.iter().all(|part| reason.contains(part)), "{reason}");
    }
}
