//! The only place of the crate with `unsafe` code: the C interfaces of MuJoCo and EGL, and the handles that own what they
//! allocate.
#![allow(unsafe_code, reason = "these are C libraries; every call into them is wrapped here, each with its reason")]

mod arrays;
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    dead_code,
    missing_debug_implementations,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unused_imports,
    unsafe_op_in_unsafe_fn,
    reason = "generated from MuJoCo's headers"
)]
pub(crate) mod bindings;
mod egl;
mod library;
mod rendering;
mod scene;
mod simulation;

pub use library::Library;
pub use rendering::EglRenderer;
pub use simulation::{JointType, Simulation};
pub(crate) use simulation::{ObjectKind, WARNINGS};
