//! The learner on a device, run by the emulation: every kernel and whole updates against the CPU's learner and mpo-core.

mod data;
mod frames;
mod kernels;
mod launches;
mod nvrtc;
mod population;
mod updates;
mod workers;
