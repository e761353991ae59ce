//! Statically-shaped networks with fused CPU kernels, and the learner step.
//!
//! A network is a [dfdx](https://docs.rs/dfdx) module type whose shapes are const generics
//! ([`Perceptron`], [`Critic`], [`Branched`], [`DqnNetwork`]); a wrong observation or action size does not compile. The module
//! type is the source of three things: the parameters' initial values, the [`Layout`] of the one flat
//! buffer in which the learner keeps them, and the autodiff that the tests use as an oracle.
//!
//! The hot path never touches a tensor: [`Network`] runs a whole multi-layer perceptron forward and
//! backward on slices of that flat buffer, so Adam, target copies, checkpoints, an
//! all-reduce and a GPU see nothing but `&[f32]`. The same kernels are one coarse differentiable
//! operation for dfdx programs: the modules' `forward`.
//!
//! | step of an update | function |
//! |---|---|
//! | networks, forward and backward | [`Network`]; over pixels [`PixelNetwork`] |
//! | Gaussian head: raw output to mean and factor | [`GaussianHead`] |
//! | threads that share a pass | [`Threads`], given to [`Activations`] |
//! | optimiser | [`Adam`] |
//! | random numbers for sampled actions | [`noise::Noise`] |
//! | one update of an [`Algorithm`] | [`LearnerStep`], made by [`cpu_learner`], [`learner_for!`] or [`pixel_learner`] |
//! | the same on a CUDA device | [`cuda`] |
//! | several workers' gradients as one | [`GradientReducer`] |
//! | acting with the newest parameters | [`ActingPolicy`], [`PixelActingPolicy`] |

pub mod cuda;
pub mod noise;

mod acting;
mod adam;
mod branches;
mod checkpoint;
mod config;
mod error;
mod head;
mod kernels;
mod layout;
mod learner;
mod matmul;
mod modules;
mod network;
mod pixels;
mod threads;

pub use acting::ActingPolicy;
pub use adam::{Adam, clip_by_global_norm};
pub use branches::{Branch, Branched};
pub use config::{
    Algorithm, LearnerConfig, NetworkConfig, PixelTorso, PolicyKind, PpoConfig, Precision, TemperatureMode, Torso,
};
pub use dfdx::tensor::Cpu;
pub use error::NetsError;
pub use head::GaussianHead;
pub use layout::{Entry, Layout};
pub use learner::{
    Alone, BatchView, Demand, GradientReducer, InitialNetworks, LearnerStep, UpdateStats, cpu_learner,
    initial_networks, initial_parameters, pixel_learner,
};
pub use matmul::matrix_product;
pub use modules::{Critic, Head, LayerNormTorso, Perceptron, PlainTorso, TorsoKind, TorsoParameters};
pub use mpo_core::{Covariance, KlSplit};
pub use network::{Activations, FixedParameters, Network};
pub use pixels::{
    Convolution, Convolutional, ConvolutionalTorso, Dense, DqnNetwork, PixelActingPolicy, PixelActivations,
    PixelNetwork, PixelShape,
};
pub use threads::Threads;
