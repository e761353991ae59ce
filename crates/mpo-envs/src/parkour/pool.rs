//! The pool of boxes that a course is laid out of, without compiling the model again.
//!
//! Every box is a static body of its own. Geoms of the world body that are moved lose their contacts silently: the tree of
//! bounding boxes that collision detection descends is made when the model is compiled. So besides its place and size, each
//! bound of a box is written here: the radius of its sphere, its box in its own frame, and the only leaf of its body's tree.

use std::fmt::Write as _;

use super::course::Slab;
use crate::EnvError;
use crate::mujoco::Physics;

/// Where boxes lie that the present course does not need: invisible, far below, apart from each other.
const STORE: [f64; 3] = [-100.0, 0.0, -100.0];
/// Half the size of a stored box, and the distance between two, in metres.
const STORED_HALF: f64 = 0.1;
const STORED_APART: f64 = 1.0;

/// The boxes' indices in a model.
#[derive(Debug)]
pub(super) struct Pool {
    boxes: Vec<Place>,
}

/// Where a box's numbers are.
#[derive(Debug)]
struct Place {
    body: usize,
    geom: usize,
    leaf: usize,
}

impl Pool {
    /// The bodies of `count` boxes, as MJCF. Their inertial frames are given, so that the axes of the tree of bounds,
    /// which belongs to these frames, are those of the box whatever its sides.
    pub(super) fn mjcf(count: usize) -> String {
        let mut text = String::new();
        for index in 0..count {
            let [x, y, z] = stored(index).center;
            let _ = writeln!(
                text,
                "<body name='box{index}' pos='{x} {y} {z}'><inertial pos='0 0 0' mass='1' diaginertia='1 1 1'/>\
                 <geom name='box{index}' class='course' type='box' size='{STORED_HALF} {STORED_HALF} {STORED_HALF}'/></body>"
            );
        }
        text
    }

    /// The pool of a model with the bodies of [`mjcf`](Self::mjcf).
    pub(super) fn find(physics: &Physics, count: usize) -> Result<Self, EnvError> {
        let place = |index| {
            let name = format!("box{index}");
            let (body, geom) = (physics.body(&name)?, physics.geom(&name)?);
            Ok(Place { body, geom, leaf: physics.body_bvhadr()[body] as usize })
        };
        let boxes = (0..count).map(place).collect::<Result<_, EnvError>>()?;
        Ok(Self { boxes })
    }

    /// Puts the boxes where the course wants them and the rest into the store. All are written every time: after a state was
    /// restored they may lie anywhere.
    ///
    /// # Panics
    ///
    /// If the course has more boxes than the pool.
    pub(super) fn lay(&self, physics: &mut Physics, slabs: &[Slab]) {
        assert!(slabs.len() <= self.boxes.len(), "{} boxes of a pool of {}", slabs.len(), self.boxes.len());
        let stored = (slabs.len()..).map(stored);
        for (place, slab) in self.boxes.iter().zip(slabs.iter().copied().chain(stored)) {
            place.put(physics, &slab);
        }
    }
}

impl Place {
    fn put(&self, physics: &mut Physics, slab: &Slab) {
        let Slab { center, half: [x, y, z], pitch, color } = *slab;
        let (sin, cos) = (0.5 * pitch).sin_cos();
        physics.body_pos_mut()[self.body] = center;
        physics.body_quat_mut()[self.body] = [cos, 0.0, sin, 0.0];
        physics.geom_size_mut()[self.geom] = [x, y, z];
        physics.geom_rbound_mut()[self.geom] = (x * x + y * y + z * z).sqrt();
        physics.geom_aabb_mut()[self.geom] = [0.0, 0.0, 0.0, x, y, z];
        physics.bvh_aabb_mut()[self.leaf] = [0.0, 0.0, 0.0, x, y, z];
        physics.geom_rgba_mut()[self.geom] = color;
    }
}

fn stored(index: usize) -> Slab {
    let [x, y, z] = STORE;
    let center = [x - STORED_APART * index as f64, y, z];
    Slab { center, half: [STORED_HALF; 3], pitch: 0.0, color: [0.0; 4] }
}
