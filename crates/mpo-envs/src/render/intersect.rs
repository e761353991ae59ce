//! Where rays meet shapes.

use super::scene::{Shape, Solid};

pub(super) type Vector = [f64; 3];

pub(super) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `a + scale * b`.
pub(super) fn along(a: Vector, scale: f64, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] + scale * b[i])
}

pub(super) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn unit(a: Vector) -> Vector {
    let length = dot(a, a).sqrt();
    a.map(|x| x / length)
}

/// A half line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ray {
    pub(super) origin: Vector,
    /// Of length 1.
    pub(super) direction: Vector,
}

/// Where a ray enters a solid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) distance: f64,
    /// Unit vector out of the solid, in world coordinates.
    pub(super) normal: Vector,
    /// The point in the solid's own frame.
    pub(super) local: Vector,
}

/// The first entry of the ray into the solid farther away than `beyond`.
pub(super) fn enter(ray: Ray, solid: &Solid, beyond: f64) -> Option<Hit> {
    let r = solid.rotation;
    let to_local = |v: Vector| -> Vector { std::array::from_fn(|i| r[i] * v[0] + r[3 + i] * v[1] + r[6 + i] * v[2]) };
    let to_world = |v: Vector| -> Vector { std::array::from_fn(|i| dot([r[3 * i], r[3 * i + 1], r[3 * i + 2]], v)) };
    let offset = along(ray.origin, -1.0, solid.position);
    if let Some(radius) = bounding_radius(&solid.shape) {
        let middle = -dot(offset, ray.direction);
        let off_axis = dot(offset, offset) - middle * middle;
        if off_axis > radius * radius || middle + radius < beyond {
            return None;
        }
    }
    let local = Ray { origin: to_local(offset), direction: to_local(ray.direction) };
    let (distance, normal) = match solid.shape {
        Shape::Plane { half_extents } => plane(local, half_extents),
        Shape::Ellipsoid { radii } => ellipsoid(local, radii),
        Shape::Capsule { radius, half_length } => capsule(local, radius, half_length),
        Shape::Cylinder { radius, half_length } => cylinder(local, radius, half_length),
        Shape::Box { half_extents } => cuboid(local, half_extents),
    }
    .filter(|(distance, _)| *distance > beyond)?;
    Some(Hit { distance, normal: to_world(normal), local: along(local.origin, distance, local.direction) })
}

fn bounding_radius(shape: &Shape) -> Option<f64> {
    match *shape {
        Shape::Plane { .. } => None,
        Shape::Ellipsoid { radii } => Some(radii[0].max(radii[1]).max(radii[2])),
        Shape::Capsule { radius, half_length } => Some(radius + half_length),
        Shape::Cylinder { radius, half_length } => Some(radius.hypot(half_length)),
        Shape::Box { half_extents } => Some(dot(half_extents, half_extents).sqrt()),
    }
}

/// A distance along the ray and the outward normal there, in the shape's frame.
type Entry = Option<(f64, Vector)>;

fn plane(ray: Ray, half_extents: [f64; 2]) -> Entry {
    if ray.direction[2] >= 0.0 {
        return None;
    }
    let distance = -ray.origin[2] / ray.direction[2];
    let point = along(ray.origin, distance, ray.direction);
    let inside = (0..2).all(|i| half_extents[i] <= 0.0 || point[i].abs() <= half_extents[i]);
    inside.then_some((distance, [0.0, 0.0, 1.0]))
}

/// The smaller root of a t^2 + 2 b t + c, where the ray goes in.
fn first_root(a: f64, b: f64, c: f64) -> Option<f64> {
    let discriminant = b * b - a * c;
    (discriminant >= 0.0 && a > 0.0).then(|| (-b - discriminant.sqrt()) / a)
}

fn ellipsoid(ray: Ray, radii: Vector) -> Entry {
    // Scaled such that the ellipsoid is the unit sphere.
    let origin: Vector = std::array::from_fn(|i| ray.origin[i] / radii[i]);
    let direction: Vector = std::array::from_fn(|i| ray.direction[i] / radii[i]);
    let distance = first_root(dot(direction, direction), dot(origin, direction), dot(origin, origin) - 1.0)?;
    let point = along(origin, distance, direction);
    Some((distance, unit(std::array::from_fn(|i| point[i] / radii[i]))))
}

/// The round side of a cylinder, as long as it is.
fn side(ray: Ray, radius: f64, half_length: f64) -> Entry {
    let flat = |v: Vector| [v[0], v[1], 0.0];
    let (origin, direction) = (flat(ray.origin), flat(ray.direction));
    let c = dot(origin, origin) - radius * radius;
    let distance = first_root(dot(direction, direction), dot(origin, direction), c)?;
    let point = along(ray.origin, distance, ray.direction);
    (point[2].abs() <= half_length).then(|| (distance, flat(point).map(|x| x / radius)))
}

fn nearer(a: Entry, b: Entry) -> Entry {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
        (a, b) => a.or(b),
    }
}

fn capsule(ray: Ray, radius: f64, half_length: f64) -> Entry {
    let cap = |z: f64| {
        let shifted = Ray { origin: along(ray.origin, -z, [0.0, 0.0, 1.0]), ..ray };
        ellipsoid(shifted, [radius; 3])
    };
    nearer(side(ray, radius, half_length), nearer(cap(half_length), cap(-half_length)))
}

fn cylinder(ray: Ray, radius: f64, half_length: f64) -> Entry {
    // Only the end that faces the ray can be entered.
    let sign = -ray.direction[2].signum();
    let distance = (sign * half_length - ray.origin[2]) / ray.direction[2];
    let [x, y, _] = along(ray.origin, distance, ray.direction);
    let end = (x.hypot(y) <= radius).then_some((distance, [0.0, 0.0, sign]));
    nearer(side(ray, radius, half_length), end)
}

fn cuboid(ray: Ray, half_extents: Vector) -> Entry {
    let (mut enter, mut leave, mut axis) = (f64::NEG_INFINITY, f64::INFINITY, 0);
    for (i, extent) in half_extents.iter().enumerate() {
        let (origin, direction) = (ray.origin[i], ray.direction[i]);
        let near = (-extent.copysign(direction) - origin) / direction;
        let far = (extent.copysign(direction) - origin) / direction;
        if near > enter {
            (enter, axis) = (near, i);
        }
        leave = leave.min(far);
    }
    let mut normal = [0.0; 3];
    normal[axis] = -ray.direction[axis].signum();
    (enter <= leave).then_some((enter, normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turned by 90 degrees about x: the shape's z axis is the world's -y, its y axis the world's z.
    const TURNED: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0];

    fn check(shape: Shape, ray: ([f64; 3], [f64; 3]), expected: Option<(f64, [f64; 3])>) {
        let solid = Solid { shape, position: [1.0, 2.0, 3.0], rotation: TURNED, color: [1.0; 4] };
        let ray = Ray { origin: along(ray.0, 1.0, solid.position), direction: unit(ray.1) };
        let hit = enter(ray, &solid, 1e-6);
        assert_eq!(hit.is_some(), expected.is_some(), "{shape:?} {ray:?}: {hit:?}");
        if let (Some(hit), Some((distance, normal))) = (hit, expected) {
            let error = along(hit.normal, -1.0, normal);
            assert!((hit.distance - distance).abs() < 1e-9 && dot(error, error) < 1e-18, "{shape:?} {ray:?}: {hit:?}");
        }
    }

    #[test]
    fn every_shape_is_met_where_it_is() {
        let (from_x, to_x) = ([-5.0, 0.0, 0.0], [1.0, 0.0, 0.0]);
        let (from_y, to_y) = ([0.0, -5.0, 0.0], [0.0, 1.0, 0.0]);
        let (from_z, to_z) = ([0.0, 0.0, -5.0], [0.0, 0.0, 1.0]);
        let (west, south, down) = ([-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]);

        let plane = Shape::Plane { half_extents: [0.0, 2.0] };
        check(plane, (from_y, to_y), Some((5.0, south)));
        check(plane, ([9.0, -5.0, 1.9], to_y), Some((5.0, south)));
        check(plane, ([0.0, -5.0, 2.1], to_y), None);
        check(plane, ([0.0, 5.0, 0.0], south), None);

        let ellipsoid = Shape::Ellipsoid { radii: [1.0, 2.0, 3.0] };
        check(ellipsoid, (from_x, to_x), Some((4.0, west)));
        check(ellipsoid, (from_y, to_y), Some((2.0, south)));
        check(ellipsoid, (from_z, to_z), Some((3.0, down)));
        check(ellipsoid, ([-5.0, 0.0, 2.1], to_x), None);

        let capsule = Shape::Capsule { radius: 0.5, half_length: 1.0 };
        check(capsule, (from_x, to_x), Some((4.5, west)));
        check(capsule, (from_y, to_y), Some((3.5, south)));
        check(capsule, ([-5.0, 1.4, 0.0], to_x), Some((4.7, [-0.6, 0.8, 0.0])));
        check(capsule, ([-5.0, 1.6, 0.0], to_x), None);

        let cylinder = Shape::Cylinder { radius: 0.5, half_length: 1.0 };
        check(cylinder, (from_x, to_x), Some((4.5, west)));
        check(cylinder, (from_y, to_y), Some((4.0, south)));
        check(cylinder, ([0.4, -5.0, 0.4], to_y), None);
        check(cylinder, ([-5.0, 1.1, 0.0], to_x), None);

        let cuboid = Shape::Box { half_extents: [1.0, 2.0, 3.0] };
        check(cuboid, (from_x, to_x), Some((4.0, west)));
        check(cuboid, (from_y, to_y), Some((2.0, south)));
        check(cuboid, (from_z, to_z), Some((3.0, down)));
        check(cuboid, ([-5.0, 3.1, 0.0], to_x), None);
        check(cuboid, ([0.0, 0.0, 0.0], to_x), None);
    }
}
