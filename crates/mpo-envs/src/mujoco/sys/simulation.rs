//! A model and its data, owned together.

use std::borrow::Cow;
use std::ffi::{CString, c_int, c_void};
use std::fmt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bindings::{self, mjData, mjModel, mjtSize};
use super::library::{Library, text};

/// The kinds of named things in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Body,
    Joint,
    Geom,
    Site,
    Sensor,
}

/// The kinds of joints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JointType {
    /// A body that floats: seven numbers in `qpos`, six in `qvel`.
    Free,
    /// A ball in its socket: four numbers in `qpos`, three in `qvel`.
    Ball,
    /// A translation along an axis, in metres.
    Slide,
    /// A rotation about an axis, in radians.
    Hinge,
}

/// How many simulations there ever were.
static MADE: AtomicU64 = AtomicU64::new(0);

/// One `mjModel` with one `mjData` made from it. They are owned together because every function of MuJoCo that takes
/// both trusts that they fit.
///
/// Arrays have the names and the units of MuJoCo's documentation; arrays of vectors are slices of fixed-size rows.
pub struct Simulation {
    pub(super) library: Arc<Library>,
    pub(super) model: NonNull<mjModel>,
    pub(super) data: NonNull<mjData>,
    /// How many cameras and lights the model has.
    pub(super) sights: [mjtSize; 2],
    /// Of this value alone in the whole process, so that what was made for its model is known from what was not.
    pub(super) identity: u64,
}

// SAFETY: the model and the data are owned by this value alone, and MuJoCo keeps no thread-bound state about them.
unsafe impl Send for Simulation {}

impl fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.model();
        formatter.debug_struct("Simulation").field("nq", &model.nq).field("nv", &model.nv).finish_non_exhaustive()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // SAFETY: both were allocated by this library, are owned by this value and not used afterwards.
        unsafe {
            self.library.functions.mj_deleteData(self.data.as_ptr());
            self.library.functions.mj_deleteModel(self.model.as_ptr());
        }
    }
}

impl Simulation {
    /// Compiles the MJCF file at `path`, with the files that it names.
    ///
    /// On failure returns MuJoCo's message.
    pub(crate) fn compile_file(library: &Arc<Library>, path: &Path) -> Result<Self, String> {
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| "its path holds a zero".to_owned())?;
        let mut message = [0; 1024];
        // SAFETY: the path is terminated, a null file system means the disk, and the length given is the buffer's own.
        let model = unsafe {
            let length = message.len() as c_int;
            library.functions.mj_loadXML(path.as_ptr(), std::ptr::null(), message.as_mut_ptr(), length)
        };
        Self::with_data(library, NonNull::new(model).ok_or_else(|| one_line(&text(&message)))?)
    }

    /// Compiles MJCF text; `assets` are the files that it may include, by the names used there.
    ///
    /// On failure returns MuJoCo's message.
    pub(crate) fn compile(library: &Arc<Library>, xml: &str, assets: &[(&str, &str)]) -> Result<Self, String> {
        let mut files = VirtualFiles::new(library);
        for (name, content) in assets {
            files.add(name, content)?;
        }
        files.add(MODEL_NAME, xml)?;
        Self::with_data(library, files.load_model()?)
    }

    fn with_data(library: &Arc<Library>, model: NonNull<mjModel>) -> Result<Self, String> {
        // SAFETY: the model is valid and was made by this library.
        let data = unsafe { library.functions.mj_makeData(model.as_ptr()) };
        let Some(data) = NonNull::new(data) else {
            // SAFETY: the model is owned here and not used afterwards.
            unsafe { library.functions.mj_deleteModel(model.as_ptr()) };
            return Err("mj_makeData returned nothing".to_owned());
        };
        // SAFETY: the model is valid.
        let sights = unsafe { [model.as_ref().ncam, model.as_ref().nlight] };
        let identity = MADE.fetch_add(1, Ordering::Relaxed);
        Ok(Self { library: Arc::clone(library), model, data, sights, identity })
    }

    pub(super) fn model(&self) -> &mjModel {
        // SAFETY: valid and owned since construction; mutated only through `&mut self`.
        unsafe { self.model.as_ref() }
    }

    pub(super) fn data(&self) -> &mjData {
        // SAFETY: as for the model.
        unsafe { self.data.as_ref() }
    }

    pub(super) fn data_mut(&mut self) -> &mut mjData {
        // SAFETY: as for the model, and `self` is borrowed exclusively.
        unsafe { self.data.as_mut() }
    }

    pub(super) fn model_mut(&mut self) -> &mut mjModel {
        // SAFETY: as for the model, and `self` is borrowed exclusively.
        unsafe { self.model.as_mut() }
    }

    /// `mj_resetData`: everything to the model's initial state.
    pub(crate) fn reset_data(&mut self) {
        // SAFETY: the data was made from this model, and both are borrowed exclusively.
        unsafe { self.library.functions.mj_resetData(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// `mj_forward`: all that follows from positions, velocities and controls, without advancing time.
    pub(crate) fn forward(&mut self) {
        // SAFETY: as for `reset_data`.
        unsafe { self.library.functions.mj_forward(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// `mj_step`: one whole physics step.
    pub(crate) fn step(&mut self) {
        // SAFETY: as for `reset_data`.
        unsafe { self.library.functions.mj_step(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// `mj_step1`: the first part of a step, what depends on positions and velocities.
    pub(crate) fn step1(&mut self) {
        // SAFETY: as for `reset_data`.
        unsafe { self.library.functions.mj_step1(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// `mj_step2`: the second part of a step, with the controls; not with the Runge-Kutta integrator.
    pub(crate) fn step2(&mut self) {
        // SAFETY: as for `reset_data`.
        unsafe { self.library.functions.mj_step2(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// `mj_kinematics`: places and orientations of bodies, geoms and sites from `qpos`, and nothing else.
    pub(crate) fn kinematics(&mut self) {
        // SAFETY: as for `reset_data`.
        unsafe { self.library.functions.mj_kinematics(self.model.as_ptr(), self.data.as_ptr()) }
    }

    /// Whether MuJoCo takes all positions and velocities for numbers that it can go on with.
    pub(crate) fn is_sound(&self) -> bool {
        self.qpos().iter().chain(self.qvel()).all(|number| number.abs() <= MOST)
    }

    /// The names of all things of a kind, in the order of their indices; empty for those without.
    pub(crate) fn names_of(&self, kind: ObjectKind) -> impl Iterator<Item = Cow<'_, str>> {
        let addresses = match kind {
            ObjectKind::Body => self.name_bodyadr(),
            ObjectKind::Joint => self.name_jntadr(),
            ObjectKind::Geom => self.name_geomadr(),
            ObjectKind::Site => self.name_siteadr(),
            ObjectKind::Sensor => self.name_sensoradr(),
        };
        addresses.iter().map(|start| {
            let name = self.names()[*start as usize..].split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name)
        })
    }

    /// The index of the `kind` called `name`. MuJoCo's own look-up counts the cameras, which may be hidden.
    pub(crate) fn find(&self, kind: ObjectKind, name: &str) -> Option<usize> {
        if name.is_empty() { None } else { self.names_of(kind).position(|known| known == name) }
    }

    /// The kind of the joint with the given index.
    ///
    /// # Panics
    ///
    /// If there is no such joint.
    #[must_use]
    pub fn joint_type(&self, joint: usize) -> JointType {
        match self.jnt_type()[joint].cast_unsigned() {
            bindings::mjJNT_FREE => JointType::Free,
            bindings::mjJNT_BALL => JointType::Ball,
            bindings::mjJNT_SLIDE => JointType::Slide,
            _ => JointType::Hinge,
        }
    }

    /// Seconds simulated since the last reset.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.data().time
    }

    /// Sets the simulation's clock, in seconds.
    pub fn set_time(&mut self, time: f64) {
        self.data_mut().time = time;
    }

    /// Potential and kinetic energy in joules. MuJoCo computes them where the model says `<flag energy="enable"/>`.
    #[must_use]
    pub fn energy(&self) -> [f64; 2] {
        self.data().energy
    }

    /// Seconds per physics step.
    #[must_use]
    pub fn timestep(&self) -> f64 {
        self.model().opt.timestep
    }

    /// Whether the model is integrated by the fourth-order Runge-Kutta method.
    pub(crate) fn runge_kutta(&self) -> bool {
        self.model().opt.integrator == bindings::mjINT_RK4 as c_int
    }

    /// Switches the actuators' forces on or off; returns whether they were on.
    pub(crate) fn enable_actuation(&mut self, on: bool) -> bool {
        let bit = bindings::mjDSBL_ACTUATION as c_int;
        let flags = &mut self.model_mut().opt.disableflags;
        let was_on = *flags & bit == 0;
        *flags = if on { *flags & !bit } else { *flags | bit };
        was_on
    }

    /// Whether the next steps move cameras and lights along with their bodies. Nothing of the physics depends on them
    /// but sensors on cameras; with these, they always move.
    pub(crate) fn move_cameras(&mut self, on: bool) {
        let camera = bindings::mjOBJ_CAMERA as c_int;
        let sensed = self.sensor_objtype().iter().chain(self.sensor_reftype()).any(|kind| *kind == camera);
        let [cameras, lights] = if on || sensed { self.sights } else { [0, 0] };
        let model = self.model_mut();
        (model.ncam, model.nlight) = (cameras, lights);
    }

    /// Sets the width and height that the model asks of MuJoCo's own renderer; returns what they were.
    pub(super) fn offscreen_size(&mut self, [width, height]: [c_int; 2]) -> [c_int; 2] {
        let visual = &mut self.model_mut().vis.global;
        [std::mem::replace(&mut visual.offwidth, width), std::mem::replace(&mut visual.offheight, height)]
    }

    /// Number of contacts found by the last forward computation.
    #[must_use]
    pub fn contacts(&self) -> usize {
        self.data().ncon as usize
    }

    /// The arrays of the model that tasks of the suite change from episode to episode.
    pub(crate) fn variable_arrays(&self) -> [&[f64]; 7] {
        [
            self.body_pos().as_flattened(),
            self.body_quat().as_flattened(),
            self.geom_pos().as_flattened(),
            self.geom_size().as_flattened(),
            self.site_pos().as_flattened(),
            self.site_size().as_flattened(),
            self.dof_damping(),
        ]
    }

    /// Writes `next()` to every number of [`variable_arrays`](Self::variable_arrays), in their order.
    pub(crate) fn restore_variable_arrays(&mut self, mut next: impl FnMut() -> f64) {
        self.body_pos_mut().as_flattened_mut().fill_with(&mut next);
        self.body_quat_mut().as_flattened_mut().fill_with(&mut next);
        self.geom_pos_mut().as_flattened_mut().fill_with(&mut next);
        self.geom_size_mut().as_flattened_mut().fill_with(&mut next);
        self.site_pos_mut().as_flattened_mut().fill_with(&mut next);
        self.site_size_mut().as_flattened_mut().fill_with(&mut next);
        self.dof_damping_mut().fill_with(&mut next);
    }

    /// How often each kind of warning was raised since the last reset.
    pub(crate) fn warnings(&self) -> [i32; WARNINGS.len()] {
        self.data().warning.map(|warning| warning.number)
    }
}

/// MuJoCo's warnings in the order of `mjtWarning`, in its own names with the usual cause.
pub(crate) const WARNINGS: [&str; bindings::mjNWARNING as usize] = [
    "mjWARN_INERTIA (singular inertia matrix)",
    "mjWARN_CONTACTFULL (too many contacts)",
    "mjWARN_CNSTRFULL (too many constraints)",
    "mjWARN_BADQPOS (bad number in qpos)",
    "mjWARN_BADQVEL (bad number in qvel)",
    "mjWARN_BADQACC (bad number in qacc: the simulation is unstable)",
    "mjWARN_BADCTRL (bad number in ctrl)",
];

const MODEL_NAME: &str = "model_.xml";

/// `mjMAXVAL`: MuJoCo takes positions and velocities beyond it for signs of divergence.
const MOST: f64 = 1e10;

/// MuJoCo names the element and its line on a line of their own.
fn one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// MuJoCo's in-memory file system, from which models are read.
struct VirtualFiles<'a> {
    library: &'a Library,
    vfs: Box<bindings::mjVFS>,
}

impl<'a> VirtualFiles<'a> {
    fn new(library: &'a Library) -> Self {
        let mut vfs = Box::new(bindings::mjVFS { impl_: std::ptr::null_mut() });
        // SAFETY: the pointer is to a valid structure, which this call initialises.
        unsafe { library.functions.mj_defaultVFS(&raw mut *vfs) };
        Self { library, vfs }
    }

    fn add(&mut self, name: &str, content: &str) -> Result<(), String> {
        let c_name = CString::new(name).map_err(|_| format!("the file name {name:?} holds a zero"))?;
        let size = c_int::try_from(content.len()).map_err(|_| format!("the file `{name}` is too large"))?;
        // SAFETY: the file system is initialised; MuJoCo copies the `size` bytes during the call.
        let status = unsafe {
            let bytes = content.as_ptr().cast::<c_void>();
            self.library.functions.mj_addBufferVFS(&raw mut *self.vfs, c_name.as_ptr(), bytes, size)
        };
        if status == 0 { Ok(()) } else { Err(format!("mj_addBufferVFS refused `{name}` with status {status}")) }
    }

    fn load_model(&self) -> Result<NonNull<mjModel>, String> {
        let name = CString::new(MODEL_NAME).unwrap_or_default();
        let mut message = [0; 1024];
        // SAFETY: the file system is initialised, the name is terminated, and the length given is the buffer's own.
        let model = unsafe {
            let length = message.len() as c_int;
            self.library.functions.mj_loadXML(name.as_ptr(), &raw const *self.vfs, message.as_mut_ptr(), length)
        };
        NonNull::new(model).ok_or_else(|| one_line(&text(&message)))
    }
}

impl Drop for VirtualFiles<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not used afterwards.
        unsafe { self.library.functions.mj_deleteVFS(&raw mut *self.vfs) };
    }
}
