//! What can go wrong in this crate.

use crate::{PixelShape, PixelTorso};

/// An error of the networks, the learner or a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetsError {
    /// A setting is outside the range in which the algorithm is defined.
    #[error("`{key}` is {value}, but must be {must}")]
    Setting {
        /// The setting's name.
        key: &'static str,
        /// The value given.
        value: String,
        /// The condition it must meet.
        must: &'static str,
    },
    /// Widths for which no statically-shaped network was compiled.
    #[error(
        "hidden layers {policy:?} (policy) and {critic:?} (critic) are not compiled in; \
         compiled pairs are {compiled}; add a line to `widths!` in crates/mpo-nets/src/learner/build.rs for others"
    )]
    Widths {
        /// The policy's widths asked for.
        policy: [usize; 2],
        /// The critic's widths asked for.
        critic: [usize; 2],
        /// The pairs that exist.
        compiled: &'static str,
    },
    /// Sizes for which no statically-shaped network over pixels was compiled.
    #[error(
        "networks over {shape:?} with the torso {torso:?} are not compiled in; compiled are {compiled}, \
         each with 2 to 18 actions; add a line to `frames!` in crates/mpo-nets/src/learner/pixels.rs for others"
    )]
    Pixels {
        /// The sizes asked for.
        shape: PixelShape,
        /// The torso asked for.
        torso: PixelTorso,
        /// The frames and torsos that exist.
        compiled: &'static str,
    },
    /// An update produced NaN or infinity.
    #[error(
        "update {update}: {quantity} is {value}; the parameters were left as they were before it. \
         Lower the learning rates, or look for non-finite observations or rewards in the replay"
    )]
    NonFinite {
        /// The update's number, from 1.
        update: u64,
        /// Which quantity.
        quantity: &'static str,
        /// Its value.
        value: f32,
    },
    /// Workers that should update together do not.
    #[error("the workers of this training no longer update together: {reason}")]
    Workers {
        /// Who is missing, or why.
        reason: String,
    },
    /// There is no CUDA on this machine, or none that will do.
    #[error(
        "there is no CUDA device: {reason}. Install NVIDIA's driver, or choose `--device cpu`; \
         `--device auto` takes a card where there is one"
    )]
    NoCuda {
        /// What is missing.
        reason: String,
    },
    /// A device, or what compiles for it, failed.
    #[error("{device}: {reason}")]
    Device {
        /// Which.
        device: &'static str,
        /// What it said.
        reason: String,
    },
    /// The bytes of a checkpoint are no safetensors file.
    #[error("not a learner checkpoint: {reason}; it is damaged or of another program")]
    Damaged {
        /// What the parser said.
        reason: String,
    },
    /// A checkpoint of a learner with other tensors or shapes.
    #[error(
        "the checkpoint's `{tensor}` {found}, but this learner expects {expected}; \
         it belongs to another task, algorithm or network configuration"
    )]
    Mismatch {
        /// The tensor's name.
        tensor: String,
        /// What the checkpoint holds.
        found: String,
        /// What the learner needs.
        expected: String,
    },
}
