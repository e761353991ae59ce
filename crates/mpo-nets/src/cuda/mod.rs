//! The learner on a CUDA device: one update as one graph of kernels, for one run or for many side by side.
//!
//! ```text
//! Model      sizes and settings, as macros before the sources in kernels/
//! Program    the update as data: a LaunchList over named pieces of an Arena     (update)
//! Device     what runs it: Cuda, a card; or Emulator, the processor, for tests
//! Population learners that share a device and step together; each is a LearnerStep
//! ```
//!
//! Kernels are our own, compiled by NVRTC for the card at hand and for the learner's sizes, and kept in the cache. Their sources are
//! a subset of CUDA C++ that a C++ compiler takes as well, so that every kernel and the whole update are checked against
//! mpo-core and the CPU's learner where there is no card.

pub mod check;

mod arena;
mod device;
mod driver;
mod emulator;
mod frames;
mod launch;
mod meeting;
mod memory;
mod model;
mod nvrtc;
mod population;
mod state;
mod step;
mod update;

use std::path::PathBuf;

pub use arena::{Arena, Buffer};
pub use device::Device;
pub use driver::{Card, Cuda, card, cards};
pub use emulator::Emulator;
pub use frames::KERNELS as FRAME_KERNELS;
pub use launch::{Argument, Launch, LaunchList};
pub use meeting::Place;
pub use memory::Capacity;
pub use model::{DeviceNetwork, KERNELS, Model, supports, supports_frames};
pub use nvrtc::{Compiled, FOLDER as NVRTC_FOLDER, Nvrtc, cubin};
pub use population::{Pace, Population};
pub use step::DeviceLearner;
pub use update::Program;

/// Where compiled kernels are kept: `$MPO_CACHE`, else `$XDG_CACHE_HOME/mpo`, else `$HOME/.cache/mpo`.
fn cache_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("MPO_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("mpo")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache").join("mpo")))
}
