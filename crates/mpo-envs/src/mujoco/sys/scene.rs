//! Reading MuJoCo's abstract picture of a state: shapes and a camera, before any drawing.

use std::sync::Arc;

use super::bindings::{self, mjvCamera, mjvGeom, mjvOption, mjvScene};
use super::library::Library;
use super::simulation::Simulation;
use crate::render::{Camera, Scene, Shape, Solid};

/// More shapes than any model of the suite shows.
const MAX_GEOMS: i32 = 1000;

/// What there is to draw of a state, in MuJoCo's own terms and with memory for one model.
pub(super) struct View {
    pub(super) library: Arc<Library>,
    model: u64,
    pub(super) raw: Box<mjvScene>,
}

impl View {
    pub(super) fn new(simulation: &Simulation) -> Self {
        let library = Arc::clone(&simulation.library);
        // SAFETY: the structure is plain data for which all zeros are valid, and MuJoCo's own defaults are written over
        // them before any other use. The model is valid.
        let raw = unsafe {
            let mut raw: Box<mjvScene> = Box::new(std::mem::zeroed());
            library.functions.mjv_defaultScene(&raw mut *raw);
            library.functions.mjv_makeScene(simulation.model.as_ptr(), &raw mut *raw, MAX_GEOMS);
            raw
        };
        Self { library, model: simulation.identity, raw }
    }

    /// Whether this was made for the simulation's model.
    pub(super) fn is_of(&self, simulation: &Simulation) -> bool {
        self.model == simulation.identity
    }

    /// What the model's camera with the index `camera` sees; a free camera looks on when there is no such one.
    pub(super) fn update(&mut self, simulation: &mut Simulation, camera: usize) {
        assert!(self.is_of(simulation), "the view belongs to another model");
        let fixed = i32::try_from(camera).ok().filter(|index| i64::from(*index) < simulation.model().ncam);
        let functions = &self.library.functions;
        // SAFETY: as in `new`. Model and data fit each other and are borrowed exclusively, and the view was made for them.
        unsafe {
            let mut option: mjvOption = std::mem::zeroed();
            let mut view: mjvCamera = std::mem::zeroed();
            functions.mjv_defaultOption(&raw mut option);
            functions.mjv_defaultCamera(&raw mut view);
            if let Some(index) = fixed {
                view.type_ = bindings::mjCAMERA_FIXED as i32;
                view.fixedcamid = index;
            }
            functions.mjv_updateScene(
                simulation.model.as_ptr(),
                simulation.data.as_ptr(),
                &raw const option,
                std::ptr::null(),
                &raw mut view,
                bindings::mjCAT_ALL as i32,
                &raw mut *self.raw,
            );
        }
    }

    fn geoms(&self) -> &[mjvGeom] {
        // SAFETY: MuJoCo allocated them for this view, and as many were written as it says.
        unsafe { std::slice::from_raw_parts(self.raw.geoms, self.raw.ngeom as usize) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: made in `new`, and not used afterwards.
        unsafe { self.library.functions.mjv_freeScene(&raw mut *self.raw) };
    }
}

impl Simulation {
    /// What the model's camera with the index `camera` sees; a free camera looks on when there is no such one.
    pub(crate) fn scene(&mut self, camera: usize) -> Scene {
        let mut view = View::new(self);
        view.update(self, camera);
        Scene { camera: seen_by(&view.raw), solids: view.geoms().iter().filter_map(solid).collect() }
    }
}

fn wide<const N: usize>(values: [f32; N]) -> [f64; N] {
    values.map(f64::from)
}

/// MuJoCo gives one camera per eye; the picture is taken from between them.
fn seen_by(scene: &mjvScene) -> Camera {
    let [left, right] = &scene.camera;
    let position: [f64; 3] = std::array::from_fn(|i| f64::midpoint(f64::from(left.pos[i]), f64::from(right.pos[i])));
    let near = f64::from(left.frustum_near);
    Camera {
        position,
        forward: wide(left.forward),
        up: wide(left.up),
        bottom: f64::from(left.frustum_bottom) / near,
        top: f64::from(left.frustum_top) / near,
    }
}

fn solid(geom: &mjvGeom) -> Option<Solid> {
    let [a, b, c] = wide(geom.size);
    let shape = match geom.type_.cast_unsigned() {
        bindings::mjGEOM_PLANE => Shape::Plane { half_extents: [a, b] },
        bindings::mjGEOM_SPHERE | bindings::mjGEOM_ELLIPSOID => Shape::Ellipsoid { radii: [a, b, c] },
        bindings::mjGEOM_CAPSULE => Shape::Capsule { radius: a, half_length: c },
        bindings::mjGEOM_CYLINDER => Shape::Cylinder { radius: a, half_length: c },
        bindings::mjGEOM_BOX => Shape::Box { half_extents: [a, b, c] },
        _ => return None,
    };
    Some(Solid { shape, position: wide(geom.pos), rotation: wide(geom.mat), color: wide(geom.rgba) })
}
