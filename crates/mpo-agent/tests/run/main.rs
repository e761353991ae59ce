//! Whole runs in a small environment: reproducible, resumable, and clear about what goes wrong.

mod algorithms;
mod checkpoints;
mod common;
mod concurrent;
mod config;
mod control_suite;
mod device;
mod distributed;
mod failures;
mod files;
mod killed;
mod pixels;
mod policies;
mod reproducible;
mod seeds;
