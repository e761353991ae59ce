//! A lock-free replay buffer of trajectories: actors append transitions, learners sample short windows of them.
//!
//! - **Writing** is wait-free: each actor owns a *lane*, a ring of its own, and pushing a transition is a few plain stores.
//! - **Sampling** takes no lock: a window is copied and then validated, and copied anew if its writer overtook it.
//! - **Windows** never cross an episode's end. A batch is *packed*: short windows take less room, nothing is padded.
//! - **Termination** (discount 0) and a **time limit** (last, but discount 1) stay distinct, and the final observation
//!   is kept, so that the value of a state cut off by a time limit can still be bootstrapped.
//! - **Restoring** a saved buffer continues bit for bit where it was saved.
//!
//! ```
//! use mpo_replay::{Batch, Layout, ReplayBuffer};
//! use rand::SeedableRng;
//!
//! let buffer = ReplayBuffer::new(Layout { observation: 2, action: 1 }, 1_000, 1);
//! let mut writer = buffer.writer(0)?;
//! writer.begin(&[0.0, 0.0]);
//! for step in 1..=5_u8 {
//!     let observation = [f32::from(step), 0.5];
//!     // action, log-probability, reward, discount, next observation, last
//!     writer.push(&[0.1], -1.0, f32::from(step), 1.0, &observation, step == 5);
//! }
//! assert_eq!(buffer.len(), 5);
//!
//! let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(1);
//! let mut batch = Batch::default();
//! buffer.sample(&mut rng, 32, 3, &mut batch)?;
//! for window in batch.iter() {
//!     assert!((1..=3).contains(&window.rewards.len()));
//!     assert_eq!(window.observations.len(), 2 * (window.rewards.len() + 1));
//! }
//! # Ok::<(), mpo_replay::ReplayError>(())
//! ```
//!
//! [`ring::Ring`] explains the memory ordering; the README compares features and names what is missing.
#![cfg_attr(not(feature = "mmap"), forbid(unsafe_code))]

mod batch;
mod buffer;
mod checked;
mod error;
mod file;
mod latest;
mod layout;
mod limiter;
#[cfg(feature = "mmap")]
mod mapping;
mod memory;
mod persist;
mod priority;
mod record;
pub mod ring;
mod sample;
mod statistics;
mod sum_tree;
mod sync;
mod tables;
mod writer;

pub use batch::{Batch, Key, StepType, Window, Windows};
pub use buffer::ReplayBuffer;
pub use error::{ReplayError, Section};
pub use file::{load_file, save_file};
pub use layout::{Action, ActionLayout, Frames, Layout, Observation, Outcome, TransitionLayout};
pub use limiter::RateLimiter;
pub use memory::Memory;
pub use priority::Priorities;
pub use statistics::{LaneStatistics, Statistics};
pub use tables::Tables;
pub use writer::TrajectoryWriter;

#[cfg(loom)]
pub use sync::{Weakening, weaken};
