//! MuJoCo 3.17.0, loaded at run time: the library, and a simulation to read and step.

mod physics;
mod sys;

pub use physics::{Fault, Physics};
pub use sys::{EglRenderer, JointType, Library, Simulation};
