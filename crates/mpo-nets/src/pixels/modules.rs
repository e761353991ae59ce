//! The convolutional network as a dfdx module type: shapes as const generics, names and initial values.

use dfdx::{
    nn::{ModuleVisitor, TensorCollection, TensorOptions},
    shapes::{Dtype, Rank1, Rank2, Rank4},
    tensor::{Storage, Tensor},
    tensor_ops::Device,
};

use super::{KERNELS, features};
use crate::modules::{Head, Real, uniform};

/// A convolution's parameters. The weight stands as its product reads it, inputs first.
#[derive(Clone, Debug)]
pub struct Convolution<const KERNEL: usize, const IN: usize, const OUT: usize, E: Dtype, D: Storage<E>> {
    /// Weight, `[row, column, channel in, channel out]`.
    pub weight: Tensor<Rank4<KERNEL, KERNEL, IN, OUT>, E, D>,
    /// Bias, `[channel out]`.
    pub bias: Tensor<Rank1<OUT>, E, D>,
}

/// A dense layer's parameters, inputs first.
#[derive(Clone, Debug)]
pub struct Dense<const IN: usize, const OUT: usize, E: Dtype, D: Storage<E>> {
    /// Weight, `[IN, OUT]`.
    pub weight: Tensor<Rank2<IN, OUT>, E, D>,
    /// Bias, `[OUT]`.
    pub bias: Tensor<Rank1<OUT>, E, D>,
}

/// The torso of the deep Q-network (Mnih et al. 2015) for stacks of `STACK` frames: convolutions of 8x8 at stride 4, 4x4 at
/// stride 2 and 3x3 at stride 1 with `C1`, `C2` and `C3` channels, and a dense layer of `DENSE` units, each followed by a `relu`.
///
/// `FEATURES` is what the last convolution leaves, in the order row, column, channel.
#[derive(Clone, Debug)]
pub struct ConvolutionalTorso<
    const STACK: usize,
    const C1: usize,
    const C2: usize,
    const C3: usize,
    const FEATURES: usize,
    const DENSE: usize,
    E: Dtype,
    D: Storage<E>,
> {
    /// 8x8, stride 4.
    pub conv1: Convolution<8, STACK, C1, E, D>,
    /// 4x4, stride 2.
    pub conv2: Convolution<4, C1, C2, E, D>,
    /// 3x3, stride 1.
    pub conv3: Convolution<3, C2, C3, E, D>,
    /// Dense layer.
    pub dense: Dense<FEATURES, DENSE, E, D>,
}

/// Network of stacked frames: the torso, and a linear head of `OUT` numbers. [`PixelNetwork`](crate::PixelNetwork) runs it.
///
/// `FEATURES` must be what frames of `HEIGHT` by `WIDTH` leave after three convolutions; anything else does not compile.
///
/// ```
/// use mpo_nets::{Cpu, DqnNetwork, initial_parameters};
///
/// // Atari's 84x84 pixels leave maps of 20x20, 9x9 and 7x7; six actions.
/// type Policy = DqnNetwork<4, 84, 84, { 7 * 7 * 64 }, 6, f32, Cpu>;
/// let (layout, parameters) = initial_parameters::<Policy>(0);
/// assert_eq!(parameters.len(), 8_224 + 32_832 + 36_928 + 1_606_144 + 3_078);
/// assert_eq!(layout.entries()[0].name, "torso.conv1.weight");
/// ```
#[derive(Clone, Debug)]
pub struct Convolutional<
    const STACK: usize,
    const HEIGHT: usize,
    const WIDTH: usize,
    const C1: usize,
    const C2: usize,
    const C3: usize,
    const FEATURES: usize,
    const DENSE: usize,
    const OUT: usize,
    E: Dtype,
    D: Storage<E>,
> {
    /// Everything but the head.
    pub torso: ConvolutionalTorso<STACK, C1, C2, C3, FEATURES, DENSE, E, D>,
    /// Output layer.
    pub head: Head<DENSE, OUT, E, D>,
}

/// [`Convolutional`] with the widths of the deep Q-network: 32, 64 and 64 channels and 512 units.
pub type DqnNetwork<
    const STACK: usize,
    const HEIGHT: usize,
    const WIDTH: usize,
    const FEATURES: usize,
    const OUT: usize,
    E,
    D,
> = Convolutional<STACK, HEIGHT, WIDTH, 32, 64, 64, FEATURES, 512, OUT, E, D>;

/// Range of uniform weights that keep the variance of what passes a `relu` (He et al. 2015): sqrt(6 / inputs).
fn he(inputs: usize) -> f64 {
    (6.0 / inputs as f64).sqrt()
}

impl<const KERNEL: usize, const IN: usize, const OUT: usize, E: Real, D: Device<E>> TensorCollection<E, D>
    for Convolution<KERNEL, IN, OUT, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Convolution<KERNEL, IN, OUT, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let initial = TensorOptions::reset_with(|t| uniform(t, he(KERNEL * KERNEL * IN)));
        v.visit_fields(
            (
                Self::tensor("weight", |s| &s.weight, |s| &mut s.weight, initial),
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, TensorOptions::reset_to_zeros()),
            ),
            |(weight, bias)| Convolution { weight, bias },
        )
    }
}

impl<const IN: usize, const OUT: usize, E: Real, D: Device<E>> TensorCollection<E, D> for Dense<IN, OUT, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Dense<IN, OUT, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let initial = TensorOptions::reset_with(|t| uniform(t, he(IN)));
        v.visit_fields(
            (
                Self::tensor("weight", |s| &s.weight, |s| &mut s.weight, initial),
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, TensorOptions::reset_to_zeros()),
            ),
            |(weight, bias)| Dense { weight, bias },
        )
    }
}

impl<
    const STACK: usize,
    const C1: usize,
    const C2: usize,
    const C3: usize,
    const FEATURES: usize,
    const DENSE: usize,
    E: Real,
    D: Device<E>,
> TensorCollection<E, D> for ConvolutionalTorso<STACK, C1, C2, C3, FEATURES, DENSE, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = ConvolutionalTorso<STACK, C1, C2, C3, FEATURES, DENSE, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        const { assert!(KERNELS[0].0 == 8 && KERNELS[1].0 == 4 && KERNELS[2].0 == 3, "sizes of the kernels") };
        v.visit_fields(
            (
                Self::module("conv1", |s| &s.conv1, |s| &mut s.conv1),
                Self::module("conv2", |s| &s.conv2, |s| &mut s.conv2),
                Self::module("conv3", |s| &s.conv3, |s| &mut s.conv3),
                Self::module("dense", |s| &s.dense, |s| &mut s.dense),
            ),
            |(conv1, conv2, conv3, dense)| ConvolutionalTorso { conv1, conv2, conv3, dense },
        )
    }
}

impl<
    const STACK: usize,
    const HEIGHT: usize,
    const WIDTH: usize,
    const C1: usize,
    const C2: usize,
    const C3: usize,
    const FEATURES: usize,
    const DENSE: usize,
    const OUT: usize,
    E: Real,
    D: Device<E>,
> TensorCollection<E, D> for Convolutional<STACK, HEIGHT, WIDTH, C1, C2, C3, FEATURES, DENSE, OUT, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Convolutional<STACK, HEIGHT, WIDTH, C1, C2, C3, FEATURES, DENSE, OUT, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        const {
            assert!(features(HEIGHT, WIDTH, C3) == FEATURES, "what the last convolution leaves of the frames");
        }
        v.visit_fields(
            (Self::module("torso", |s| &s.torso, |s| &mut s.torso), Self::module("head", |s| &s.head, |s| &mut s.head)),
            |(torso, head)| Convolutional { torso, head },
        )
    }
}
