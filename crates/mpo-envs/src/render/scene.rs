//! What there is to see.

/// Shapes and the camera that looks at them. Lengths are in metres, vectors in world coordinates.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// Where the picture is taken from.
    pub camera: Camera,
    /// Everything that may be in it.
    pub solids: Vec<Solid>,
}

/// A perspective camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    /// Its place.
    pub position: [f64; 3],
    /// Unit vector along the line of sight.
    pub forward: [f64; 3],
    /// Unit vector to the picture's upper edge.
    pub up: [f64; 3],
    /// Height of the picture's lower edge at distance 1; negative below the line of sight.
    pub bottom: f64,
    /// Height of the picture's upper edge at distance 1.
    pub top: f64,
}

/// A coloured shape at its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Solid {
    /// The shape in its own frame.
    pub shape: Shape,
    /// The centre.
    pub position: [f64; 3],
    /// The rotation from the shape's frame to the world, a 3x3 matrix row by row.
    pub rotation: [f64; 9],
    /// Red, green, blue and opacity, each in 0..=1.
    pub color: [f64; 4],
}

/// A shape around the origin of its frame; `z` is the axis of those that have one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// The rectangle at z = 0, seen from z > 0; an extent of 0 means endless.
    Plane {
        /// Half the size along x and y.
        half_extents: [f64; 2],
    },
    /// An ellipsoid, or a sphere.
    Ellipsoid {
        /// Along x, y and z.
        radii: [f64; 3],
    },
    /// A cylinder with half a sphere on each end.
    Capsule {
        /// Of the cylinder and the spheres.
        radius: f64,
        /// Half the distance between the centres of the spheres.
        half_length: f64,
    },
    /// A cylinder with flat ends.
    Cylinder {
        /// Of the round side.
        radius: f64,
        /// Half the distance between the ends.
        half_length: f64,
    },
    /// A box.
    Box {
        /// Half the size along x, y and z.
        half_extents: [f64; 3],
    },
}
