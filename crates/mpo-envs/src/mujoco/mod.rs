//! MuJoCo 3.17.0, loaded at run time.

mod physics;
mod sys;

pub(crate) use physics::{Fault, Physics};
pub use sys::Library;
pub(crate) use sys::{JointType, Simulation};
