//! Pictures without a GPU or a window: a small ray caster over the shapes of a [`Scene`].

mod intersect;
mod renderer;
mod scene;

pub use renderer::Renderer;
pub use scene::{Camera, Scene, Shape, Solid};
