//! Networks with a torso for each of two kinds of observation, as dfdx module types.

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Const, Dim, Dtype, HasShape, Rank2},
    tensor::{Cpu, CpuError, SplitTape, Storage, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    Critic, Perceptron, TorsoKind, TorsoParameters,
    modules::{Operand, Real, coarse, uniform},
};

/// A torso for the last `PART` numbers of an observation, of `H1` units, and its weight in the second layer, of `H2`.
#[derive(Clone, Debug)]
pub struct Branch<const PART: usize, const H1: usize, const H2: usize, E: Dtype, D: Storage<E>> {
    /// First weight, `[H1, PART]`.
    pub observation: Tensor<Rank2<H1, PART>, E, D>,
    /// Rest of the first layer.
    pub torso: TorsoParameters<H1, E, D>,
    /// Weight in the second layer of the network that it joins, `[H2, H1]`.
    pub hidden: Tensor<Rank2<H2, H1>, E, D>,
}

/// A [`Perceptron`] or [`Critic`] `M` with a second torso: observations are `STATE` numbers, of which `M` sees all but the last
/// `PART`, and a [`Branch`] these. `H1` and `H2` are the widths of `M`, whose second layer joins the two torsos.
///
/// ```
/// use mpo_nets::{Branched, Cpu, LayerNormTorso, Perceptron, initial_parameters};
///
/// // 20 numbers of a body, 50 of the ground ahead; means and deviations of 6 actions.
/// type Policy = Branched<Perceptron<20, 12, 200, 200, LayerNormTorso, f32, Cpu>, 70, 50, 200, 200, f32, Cpu>;
/// let (layout, parameters) = initial_parameters::<Policy>(0);
/// let (main, branch) = (200 * (20 + 3) + 200 * 201 + 12 * 201, 200 * (50 + 3) + 200 * 200);
/// assert_eq!(parameters.len(), main + branch);
/// assert_eq!(layout.entries().last().map(|entry| entry.name.as_str()), Some("branch.hidden"));
/// ```
#[derive(Clone, Debug)]
pub struct Branched<M, const STATE: usize, const PART: usize, const H1: usize, const H2: usize, E: Dtype, D: Storage<E>>
{
    /// Everything but the second torso.
    pub main: M,
    /// The second torso.
    pub branch: Branch<PART, H1, H2, E, D>,
}

impl<const PART: usize, const H1: usize, const H2: usize, E: Real, D: Device<E>> TensorCollection<E, D>
    for Branch<PART, H1, H2, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Branch<PART, H1, H2, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::tensor(
                    "observation",
                    |s| &s.observation,
                    |s| &mut s.observation,
                    TensorOptions::reset_with(|t| uniform(t, 1.0 / (PART as f64).sqrt())),
                ),
                Self::module("torso", |s| &s.torso, |s| &mut s.torso),
                Self::tensor(
                    "hidden",
                    |s| &s.hidden,
                    |s| &mut s.hidden,
                    TensorOptions::reset_with(|t| uniform(t, 1.0 / (H1 as f64).sqrt())),
                ),
            ),
            |(observation, torso, hidden)| Branch { observation, torso, hidden },
        )
    }
}

impl<
    M: TensorCollection<E, D>,
    const STATE: usize,
    const PART: usize,
    const H1: usize,
    const H2: usize,
    E: Real,
    D: Device<E>,
> TensorCollection<E, D> for Branched<M, STATE, PART, H1, H2, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Branched<M::To<E2, D2>, STATE, PART, H1, H2, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::module("main", |s| &s.main, |s| &mut s.main),
                Self::module("branch", |s| &s.branch, |s| &mut s.branch),
            ),
            |(main, branch)| Branched { main, branch },
        )
    }
}

impl<M, const STATE: usize, const PART: usize, const H1: usize, const H2: usize, E: Dtype, D: Storage<E>>
    NonMutableModule for Branched<M, STATE, PART, H1, H2, E, D>
{
}

impl<
    const STATE: usize,
    const OBS: usize,
    const PART: usize,
    const OUT: usize,
    const H1: usize,
    const H2: usize,
    K: TorsoKind,
    B: Dim,
    T: Tape<f32, Cpu>,
> Module<Tensor<(B, Const<STATE>), f32, Cpu, T>>
    for Branched<Perceptron<OBS, OUT, H1, H2, K, f32, Cpu>, STATE, PART, H1, H2, f32, Cpu>
{
    type Output = Tensor<(B, Const<OUT>), f32, Cpu, T>;
    type Error = CpuError;

    /// The outputs for a batch of observations, as one operation on the tape.
    fn try_forward(&self, observation: Tensor<(B, Const<STATE>), f32, Cpu, T>) -> Result<Self::Output, CpuError> {
        const { assert!(STATE == OBS + PART, "the two parts of an observation are all of it") };
        let batch = observation.shape().0;
        let (observation, tape) = observation.split_tape();
        coarse(self, K::TORSO, vec![Operand::new(observation)], batch, tape)
    }
}

impl<
    const STATE: usize,
    const OBS: usize,
    const PART: usize,
    const ACT: usize,
    const H1: usize,
    const H2: usize,
    K: TorsoKind,
    B: Dim,
    T: Tape<f32, Cpu>,
> Module<(Tensor<(B, Const<STATE>), f32, Cpu, T>, Tensor<(B, Const<ACT>), f32, Cpu>)>
    for Branched<Critic<OBS, ACT, H1, H2, K, f32, Cpu>, STATE, PART, H1, H2, f32, Cpu>
{
    type Output = Tensor<(B, Const<1>), f32, Cpu, T>;
    type Error = CpuError;

    /// The values of a batch of observations and actions, as one operation on the tape.
    fn try_forward(
        &self,
        (observation, action): (Tensor<(B, Const<STATE>), f32, Cpu, T>, Tensor<(B, Const<ACT>), f32, Cpu>),
    ) -> Result<Self::Output, CpuError> {
        const { assert!(STATE == OBS + PART, "the two parts of an observation are all of it") };
        let batch = observation.shape().0;
        let (observation, tape) = observation.split_tape();
        coarse(self, K::TORSO, vec![Operand::new(observation), Operand::new(action)], batch, tape)
    }
}
