//! From a scene to pixels.

use super::intersect::{Hit, Ray, Vector, along, cross, dot, enter, unit};
use super::scene::{Scene, Shape, Solid};

/// How many transparent surfaces may lie before an opaque one.
const LAYERS: usize = 4;
/// Distance in metres within which a ray does not meet the surface that it starts from.
const CLEARANCE: f64 = 1e-4;
/// Direction of the light that throws shadows.
const LIGHT: Vector = [0.3, -0.4, 0.866];
/// Light from everywhere, from the camera, and from [`LIGHT`]; together at most 1.
const BRIGHTNESS: [f64; 3] = [0.35, 0.3, 0.35];
/// The checks of the ground, as in the suite's texture: two colours, squares of half a metre.
const CHECKS: [Vector; 2] = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4]];
const SKY: Vector = [0.4, 0.6, 0.8];

/// Draws scenes by casting a ray through every pixel. The memory of the frame is reused.
///
/// ```
/// use mpo_envs::render::{Camera, Renderer, Scene, Shape, Solid};
///
/// let position = [0.0, -5.0, 0.0];
/// let camera = Camera { position, forward: [0.0, 1.0, 0.0], up: [0.0, 0.0, 1.0], bottom: -0.5, top: 0.5 };
/// let ball = Solid {
///     shape: Shape::Ellipsoid { radii: [1.0; 3] },
///     position: [0.0; 3],
///     rotation: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
///     color: [1.0, 0.0, 0.0, 1.0],
/// };
/// let mut renderer = Renderer::new(32, 24);
/// let frame = renderer.frame(&Scene { camera, solids: vec![ball] });
/// let [red, green, blue] = frame.as_chunks::<3>().0[12 * 32 + 16];
/// assert!(red > 100 && green == 0 && blue == 0);
/// ```
#[derive(Debug)]
pub struct Renderer {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Renderer {
    /// For frames of `width` by `height` pixels.
    ///
    /// # Panics
    ///
    /// If one of them is 0.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        assert!(width > 0 && height > 0, "a frame of {width} x {height} pixels has none");
        Self { width, height, pixels: vec![0; 3 * width * height] }
    }

    /// Pixels in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Draws the scene: red, green and blue of every pixel, row by row from the upper left.
    pub fn frame(&mut self, scene: &Scene) -> &[u8] {
        let camera = scene.camera;
        let right = unit(cross(camera.forward, camera.up));
        let scale = (camera.top - camera.bottom) / self.height as f64;
        let half_width = self.width as f64 / 2.0;
        for (index, pixel) in self.pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (row, column) = (index / self.width, index % self.width);
            let x = (column as f64 + 0.5 - half_width) * scale;
            let y = camera.top - (row as f64 + 0.5) * scale;
            let direction = unit(along(along(camera.forward, x, right), y, camera.up));
            let color = color(scene, Ray { origin: camera.position, direction });
            *pixel = color.map(|x| (255.0 * x.clamp(0.0, 1.0)).round() as u8);
        }
        &self.pixels
    }
}

fn nearest(scene: &Scene, ray: Ray, beyond: f64) -> Option<(Hit, &Solid)> {
    let visible = scene.solids.iter().filter(|solid| solid.color[3] > 0.0);
    let hits = visible.filter_map(|solid| Some((enter(ray, solid, beyond)?, solid)));
    hits.min_by(|a, b| a.0.distance.total_cmp(&b.0.distance))
}

/// What the ray sees: surfaces from front to back, until one is opaque or the sky is reached.
fn color(scene: &Scene, ray: Ray) -> Vector {
    let (mut sum, mut left, mut beyond) = ([0.0; 3], 1.0, 0.0);
    for _ in 0..LAYERS {
        let Some((hit, solid)) = nearest(scene, ray, beyond) else { break };
        let opacity = solid.color[3].min(1.0);
        sum = along(sum, left * opacity, shade(scene, ray, &hit, solid));
        left *= 1.0 - opacity;
        beyond = hit.distance + CLEARANCE;
        if left < 0.01 {
            return sum;
        }
    }
    // The sky darkens towards the nadir.
    let height = f64::midpoint(ray.direction[2], 1.0);
    along(sum, left * height, SKY)
}

fn shade(scene: &Scene, ray: Ray, hit: &Hit, solid: &Solid) -> Vector {
    let point = along(ray.origin, hit.distance, ray.direction);
    let towards_light = dot(hit.normal, LIGHT).max(0.0);
    let lit = towards_light > 0.0 && !in_shadow(scene, point);
    let [ambient, head, key] = BRIGHTNESS;
    let facing = -dot(hit.normal, ray.direction);
    let light = ambient + head * facing.max(0.0) + if lit { key * towards_light } else { 0.0 };
    surface(solid, hit.local).map(|x| x * light)
}

fn in_shadow(scene: &Scene, point: Vector) -> bool {
    let ray = Ray { origin: point, direction: LIGHT };
    let throws = |solid: &&Solid| solid.color[3] >= 1.0 && !matches!(solid.shape, Shape::Plane { .. });
    scene.solids.iter().filter(throws).any(|solid| enter(ray, solid, CLEARANCE).is_some())
}

/// The solid's own colour. Models are compiled without their textures, which leaves the ground white: it gets checks.
fn surface(solid: &Solid, local: Vector) -> Vector {
    let [red, green, blue, _] = solid.color;
    let white = red.min(green).min(blue) >= 1.0;
    if white && matches!(solid.shape, Shape::Plane { .. }) {
        let odd = (2.0 * local[0]).floor() + (2.0 * local[1]).floor();
        return CHECKS[odd.rem_euclid(2.0) as usize];
    }
    [red, green, blue]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Camera;

    const UPRIGHT: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

    fn scene(solids: Vec<Solid>) -> Scene {
        let camera = Camera {
            position: [0.0, -5.0, 1.0],
            forward: [0.0, 1.0, 0.0],
            up: [0.0, 0.0, 1.0],
            bottom: -0.4,
            top: 0.4,
        };
        Scene { camera, solids }
    }

    fn ball(position: Vector, color: [f64; 4]) -> Solid {
        Solid { shape: Shape::Ellipsoid { radii: [0.5; 3] }, position, rotation: UPRIGHT, color }
    }

    fn pixel(solids: Vec<Solid>, column: usize, row: usize) -> [u8; 3] {
        let mut renderer = Renderer::new(40, 30);
        renderer.frame(&scene(solids)).as_chunks::<3>().0[row * 40 + column]
    }

    #[test]
    fn nearer_things_hide_farther_ones_and_transparent_ones_let_them_through() {
        let red = |opacity| ball([0.0, 0.0, 1.0], [1.0, 0.0, 0.0, opacity]);
        let green = ball([0.0, 3.0, 1.0], [0.0, 1.0, 0.0, 1.0]);
        let [r, g, _] = pixel(vec![green, red(1.0)], 20, 15);
        assert!(r > 100 && g == 0, "{r} {g}");
        let [r, g, _] = pixel(vec![green, red(0.5)], 20, 15);
        assert!(r > 50 && g > 50, "{r} {g}");
        let [r, g, _] = pixel(vec![green, red(0.0)], 20, 15);
        assert!(r == 0 && g > 100, "{r} {g}");
    }

    #[test]
    fn up_is_up_and_right_is_right() {
        let upper_right = ball([1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(pixel(vec![upper_right], 27, 7)[1], 0, "the ball");
        for (column, row) in [(12, 7), (27, 22), (12, 22)] {
            assert_ne!(pixel(vec![upper_right], column, row)[1], 0, "sky at {column} {row}");
        }
    }

    #[test]
    fn things_throw_shadows_on_the_ground() {
        let ground = Solid {
            shape: Shape::Plane { half_extents: [0.0; 2] },
            position: [0.0; 3],
            rotation: UPRIGHT,
            color: [0.8; 4],
        };
        let blocker = ball([0.0 + 0.3 * 2.0, -0.4 * 2.0, 0.866 * 2.0], [1.0; 4]);
        let at_origin = |solids| {
            let direction = unit(along([0.0; 3], -1.0, scene(Vec::new()).camera.position));
            color(&scene(solids), Ray { origin: [0.0, -5.0, 1.0], direction })[0]
        };
        let ground = Solid { color: [0.8, 0.8, 0.8, 1.0], ..ground };
        assert!(at_origin(vec![ground, blocker]) < at_origin(vec![ground]) - 0.1);
    }
}
