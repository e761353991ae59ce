//! MuJoCo's own renderer, into memory instead of a window.

use std::ffi::c_int;
use std::fmt;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::bindings::{self, mjrContext, mjrRect};
use super::egl::Context;
use super::scene::View;
use super::simulation::Simulation;
use crate::EnvError;
use crate::mujoco::Physics;

/// `mjFONTSCALE_100`: no text is ever drawn.
const FONT_SCALE: c_int = 100;

/// MuJoCo counts its contexts without regard to threads.
static COUNTED: Mutex<()> = Mutex::new(());

fn counted() -> MutexGuard<'static, ()> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Draws simulations by MuJoCo's own renderer: with meshes, textures, materials and lights as the model has them. The
/// system's EGL and an OpenGL driver are looked for at run time; a graphics card is used where there is one.
///
/// The pictures depend on the driver. A [`Renderer`](crate::render::Renderer) draws the same ones everywhere.
///
/// OpenGL belongs to a thread, so this is not [`Send`].
///
/// ```no_run
/// use mpo_envs::mujoco::EglRenderer;
///
/// let mut renderer = EglRenderer::new(320, 240)?;
/// let mut environment = mpo_envs::suite::load_textured("cheetah-run", 0)?;
/// environment.reset()?;
/// let physics = environment.physics().expect("the suite's tasks are simulations");
/// let frame = renderer.frame(physics, 0)?;
/// assert_eq!(frame.len(), 3 * 320 * 240);
/// # Ok::<(), mpo_envs::EnvError>(())
/// ```
pub struct EglRenderer {
    /// For the model that was drawn last.
    stage: Option<Stage>,
    context: Rc<Context>,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl fmt::Debug for EglRenderer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EglRenderer")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

impl EglRenderer {
    /// For frames of `width` by `height` pixels.
    ///
    /// # Errors
    ///
    /// [`EnvError::EglMissing`] when EGL, a driver or a device is missing; [`EnvError::EglPicture`] when OpenGL draws no
    /// pictures of this size.
    ///
    /// # Panics
    ///
    /// If one of them is 0.
    pub fn new(width: usize, height: usize) -> Result<Self, EnvError> {
        assert!(width > 0 && height > 0, "a frame of {width} x {height} pixels has none");
        let context = Context::new().map_err(|reason| EnvError::EglMissing { reason })?;
        let longest = context.longest_side;
        if width > longest || height > longest {
            let reason = format!("OpenGL here draws at most {longest} a side");
            return Err(EnvError::EglPicture { width, height, reason });
        }
        Ok(Self { stage: None, context: Rc::new(context), width, height, pixels: vec![0; 3 * width * height] })
    }

    /// Draws what the model's camera with the index `camera` sees of the present state; a free camera looks on when
    /// there is no such one. Returns red, green and blue of every pixel, row by row from the upper left.
    ///
    /// # Errors
    ///
    /// [`EnvError::EglPicture`] when the driver gives up: it has no memory left, or its device is gone.
    pub fn frame(&mut self, physics: &mut Physics, camera: usize) -> Result<&[u8], EnvError> {
        let drawn = physics.with_cameras(|simulation| self.draw(simulation, camera));
        drawn.map_err(|reason| EnvError::EglPicture { width: self.width, height: self.height, reason })?;
        Ok(&self.pixels)
    }

    fn draw(&mut self, simulation: &mut Simulation, camera: usize) -> Result<(), String> {
        self.context.make_current()?;
        let [width, height] = [self.width, self.height].map(|side| side as c_int);
        let stage = match self.stage.take().filter(|stage| stage.view.is_of(simulation)) {
            Some(stage) => self.stage.insert(stage),
            None => self.stage.insert(Stage::new(&self.context, simulation, [width, height])?),
        };
        stage.view.update(simulation, camera);
        let frame = mjrRect { left: 0, bottom: 0, width, height };
        let functions = &simulation.library.functions;
        // SAFETY: the OpenGL context is current; scene and renderer were made for this model, and `pixels` holds three
        // bytes for each pixel of the frame, which is as large as the renderer's buffer.
        let error = unsafe {
            functions.mjr_render(frame, &raw mut *stage.view.raw, &raw const *stage.renderer);
            functions.mjr_readPixels(self.pixels.as_mut_ptr(), std::ptr::null_mut(), frame, &raw const *stage.renderer);
            functions.mjr_getError()
        };
        if error != 0 {
            return Err(format!("drawing ends with OpenGL's error {error:#x}"));
        }
        // OpenGL's first row is the lowest.
        let row = 3 * self.width;
        let (upper, lower) = self.pixels.split_at_mut(self.height / 2 * row);
        for (above, below) in upper.chunks_exact_mut(row).zip(lower.rchunks_exact_mut(row)) {
            above.swap_with_slice(below);
        }
        Ok(())
    }
}

/// A model's meshes and textures on the device, and a buffer to draw into.
struct Stage {
    context: Rc<Context>,
    renderer: Box<mjrContext>,
    view: View,
}

impl Stage {
    /// For a context that is current.
    fn new(context: &Rc<Context>, simulation: &mut Simulation, [width, height]: [c_int; 2]) -> Result<Self, String> {
        let view = View::new(simulation);
        // A buffer that OpenGL refuses ends the process here, but is an error where it is resized.
        let declared = simulation.offscreen_size([1, 1]);
        let functions = &view.library.functions;
        // SAFETY: the structure is plain data for which all zeros are valid, and MuJoCo writes its defaults over them. The
        // model is valid, and an OpenGL context that can do all that the renderer needs is current.
        let renderer = unsafe {
            let _alone = counted();
            let mut renderer: Box<mjrContext> = Box::new(std::mem::zeroed());
            functions.mjr_defaultContext(&raw mut *renderer);
            functions.mjr_makeContext(simulation.model.as_ptr(), &raw mut *renderer, FONT_SCALE);
            renderer
        };
        simulation.offscreen_size(declared);
        let mut stage = Self { context: Rc::clone(context), renderer, view };
        let functions = &stage.view.library.functions;
        // SAFETY: made above, and its OpenGL context is current.
        let error = unsafe {
            functions.mjr_resizeOffscreen(width, height, &raw mut *stage.renderer);
            functions.mjr_setBuffer(bindings::mjFB_OFFSCREEN as c_int, &raw mut *stage.renderer);
            functions.mjr_getError()
        };
        if error == 0 { Ok(stage) } else { Err(format!("OpenGL has no buffer for it, error {error:#x}")) }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Where the context cannot be current any more, its driver has lost what there was to free.
        if self.context.make_current().is_ok() {
            let _alone = counted();
            // SAFETY: made in `new`, its OpenGL context is current, and it is not used afterwards.
            unsafe { self.view.library.functions.mjr_freeContext(&raw mut *self.renderer) };
        }
    }
}
