//! Pictures. A [`Renderer`] is a small ray caster over the shapes of a [`Scene`]: it needs neither a GPU nor a window nor a
//! system package, and draws the same pixels everywhere. An [`EglRenderer`](crate::mujoco::EglRenderer) is MuJoCo's own renderer where the system has
//! EGL: it also knows meshes, textures and materials.

mod intersect;
mod renderer;
mod scene;

pub use renderer::Renderer;
pub use scene::{Camera, Scene, Shape, Solid};
