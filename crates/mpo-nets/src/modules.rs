//! The networks as dfdx module types: shapes as const generics, initial values, and one coarse differentiable operation.

use dfdx::{
    nn::{
        Module, ModuleVisitor, NonMutableModule, RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor,
        ViewTensorRef, modules::Linear,
    },
    shapes::{Const, Dim, Dtype, HasShape, Rank1, Rank2, Shape},
    tensor::{Cpu, CpuError, Gradients, PutTape, SplitTape, Storage, Tape, Tensor, TensorFromVec},
    tensor_ops::Device,
};
use rand_distr_dfdx::{Uniform, uniform::SampleUniform};

use crate::{Activations, Torso, layout::Layout, network::Network};

/// Initial range of a head's weights: small enough that a new policy hardly depends on the state and a new critic is near zero.
const HEAD_RANGE: f64 = 1e-3;

/// Which torso a network type has; a type, so that two networks that compute different things differ in type.
pub trait TorsoKind: Default + Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The run-time name.
    const TORSO: Torso;
}

/// First layer followed by `LayerNorm` and tanh.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayerNormTorso;
/// First layer followed by ELU; its scale and shift exist but are unused.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainTorso;

impl TorsoKind for LayerNormTorso {
    const TORSO: Torso = Torso::LayerNorm;
}
impl TorsoKind for PlainTorso {
    const TORSO: Torso = Torso::Plain;
}

/// Network of an observation alone: `OBS` numbers to `OUT`. As a policy, the raw mean and what describes the covariance; as a
/// state's value, one number.
#[derive(Clone, Debug)]
pub struct Perceptron<
    const OBS: usize,
    const OUT: usize,
    const H1: usize,
    const H2: usize,
    T: TorsoKind,
    E: Dtype,
    D: Storage<E>,
> {
    /// First weight, `[H1, OBS]`.
    pub observation: Tensor<Rank2<H1, OBS>, E, D>,
    /// Rest of the first layer.
    pub torso: TorsoParameters<H1, E, D>,
    /// Second layer.
    pub hidden: Linear<H1, H2, E, D>,
    /// Output layer.
    pub head: Head<H2, OUT, E, D>,
    /// The torso, a marker without data.
    pub kind: T,
}

/// Critic network: `OBS` observations and `ACT` actions to one value, with a first weight for each.
#[derive(Clone, Debug)]
pub struct Critic<
    const OBS: usize,
    const ACT: usize,
    const H1: usize,
    const H2: usize,
    T: TorsoKind,
    E: Dtype,
    D: Storage<E>,
> {
    /// First weight on the observation, `[H1, OBS]`.
    pub observation: Tensor<Rank2<H1, OBS>, E, D>,
    /// First weight on the action, `[H1, ACT]`.
    pub action: Tensor<Rank2<H1, ACT>, E, D>,
    /// Rest of the first layer.
    pub torso: TorsoParameters<H1, E, D>,
    /// Second layer.
    pub hidden: Linear<H1, H2, E, D>,
    /// Output layer.
    pub head: Head<H2, 1, E, D>,
    /// The torso, a marker without data.
    pub kind: T,
}

/// Bias of the first layer, and scale and shift of its normalisation.
#[derive(Clone, Debug)]
pub struct TorsoParameters<const H1: usize, E: Dtype, D: Storage<E>> {
    /// Added before normalisation or activation.
    pub bias: Tensor<Rank1<H1>, E, D>,
    /// Multiplies the normalised units.
    pub scale: Tensor<Rank1<H1>, E, D>,
    /// Added after scaling.
    pub shift: Tensor<Rank1<H1>, E, D>,
}

/// A linear layer that starts near zero.
#[derive(Clone, Debug)]
pub struct Head<const I: usize, const O: usize, E: Dtype, D: Storage<E>> {
    /// Weight, `[O, I]`.
    pub weight: Tensor<Rank2<O, I>, E, D>,
    /// Bias, `[O]`.
    pub bias: Tensor<Rank1<O>, E, D>,
}

/// What dfdx's uniform initialisation asks of a number, under one name.
pub(crate) trait Real: Dtype + num_traits::Float + SampleUniform {}
impl<E: Dtype + num_traits::Float + SampleUniform> Real for E {}

/// Uniform in `[-range, range]`.
pub(crate) fn uniform<S: Shape, E: Real, D: Device<E>>(t: &mut Tensor<S, E, D>, range: f64) -> Result<(), D::Err> {
    let range = E::from_f64(range).expect("every dtype holds a small float");
    t.try_fill_with_distr(Uniform::new_inclusive(-range, range))
}

impl<const H1: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for TorsoParameters<H1, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = TorsoParameters<H1, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, TensorOptions::reset_to_zeros()),
                Self::tensor("scale", |s| &s.scale, |s| &mut s.scale, TensorOptions::reset_to_ones()),
                Self::tensor("shift", |s| &s.shift, |s| &mut s.shift, TensorOptions::reset_to_zeros()),
            ),
            |(bias, scale, shift)| TorsoParameters { bias, scale, shift },
        )
    }
}

impl<const I: usize, const O: usize, E: Real, D: Device<E>> TensorCollection<E, D> for Head<I, O, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Head<I, O, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_with(|t| uniform(t, HEAD_RANGE)),
                ),
                Self::tensor("bias", |s| &s.bias, |s| &mut s.bias, TensorOptions::reset_to_zeros()),
            ),
            |(weight, bias)| Head { weight, bias },
        )
    }
}

impl<const OBS: usize, const OUT: usize, const H1: usize, const H2: usize, T: TorsoKind, E: Real, D: Device<E>>
    TensorCollection<E, D> for Perceptron<OBS, OUT, H1, H2, T, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Perceptron<OBS, OUT, H1, H2, T, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::tensor(
                    "observation",
                    |s| &s.observation,
                    |s| &mut s.observation,
                    TensorOptions::reset_with(|t| uniform(t, 1.0 / (OBS as f64).sqrt())),
                ),
                Self::module("torso", |s| &s.torso, |s| &mut s.torso),
                Self::module("hidden", |s| &s.hidden, |s| &mut s.hidden),
                Self::module("head", |s| &s.head, |s| &mut s.head),
            ),
            |(observation, torso, hidden, head)| Perceptron { observation, torso, hidden, head, kind: T::default() },
        )
    }
}

impl<const OBS: usize, const ACT: usize, const H1: usize, const H2: usize, T: TorsoKind, E: Real, D: Device<E>>
    TensorCollection<E, D> for Critic<OBS, ACT, H1, H2, T, E, D>
{
    type To<E2: Dtype, D2: Device<E2>> = Critic<OBS, ACT, H1, H2, T, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(v: &mut V) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        v.visit_fields(
            (
                Self::tensor(
                    "observation",
                    |s| &s.observation,
                    |s| &mut s.observation,
                    TensorOptions::reset_with(|t| uniform(t, 1.0 / ((OBS + ACT) as f64).sqrt())),
                ),
                Self::tensor(
                    "action",
                    |s| &s.action,
                    |s| &mut s.action,
                    TensorOptions::reset_with(|t| uniform(t, 1.0 / ((OBS + ACT) as f64).sqrt())),
                ),
                Self::module("torso", |s| &s.torso, |s| &mut s.torso),
                Self::module("hidden", |s| &s.hidden, |s| &mut s.hidden),
                Self::module("head", |s| &s.head, |s| &mut s.head),
            ),
            |(observation, action, torso, hidden, head)| Critic {
                observation,
                action,
                torso,
                hidden,
                head,
                kind: T::default(),
            },
        )
    }
}

impl<const OBS: usize, const OUT: usize, const H1: usize, const H2: usize, T: TorsoKind, E: Dtype, D: Storage<E>>
    NonMutableModule for Perceptron<OBS, OUT, H1, H2, T, E, D>
{
}
impl<const OBS: usize, const ACT: usize, const H1: usize, const H2: usize, T: TorsoKind, E: Dtype, D: Storage<E>>
    NonMutableModule for Critic<OBS, ACT, H1, H2, T, E, D>
{
}

impl<const OBS: usize, const OUT: usize, const H1: usize, const H2: usize, K: TorsoKind, B: Dim, T: Tape<f32, Cpu>>
    Module<Tensor<(B, Const<OBS>), f32, Cpu, T>> for Perceptron<OBS, OUT, H1, H2, K, f32, Cpu>
{
    type Output = Tensor<(B, Const<OUT>), f32, Cpu, T>;
    type Error = CpuError;

    /// The outputs for a batch of observations, as one operation on the tape.
    fn try_forward(&self, observation: Tensor<(B, Const<OBS>), f32, Cpu, T>) -> Result<Self::Output, CpuError> {
        let batch = observation.shape().0;
        let (observation, tape) = observation.split_tape();
        coarse(self, K::TORSO, vec![Operand::new(observation)], batch, tape)
    }
}

impl<const OBS: usize, const ACT: usize, const H1: usize, const H2: usize, K: TorsoKind, B: Dim, T: Tape<f32, Cpu>>
    Module<(Tensor<(B, Const<OBS>), f32, Cpu, T>, Tensor<(B, Const<ACT>), f32, Cpu>)>
    for Critic<OBS, ACT, H1, H2, K, f32, Cpu>
{
    type Output = Tensor<(B, Const<1>), f32, Cpu, T>;
    type Error = CpuError;

    /// The values of a batch of observations and actions, as one operation on the tape.
    fn try_forward(
        &self,
        (observation, action): (Tensor<(B, Const<OBS>), f32, Cpu, T>, Tensor<(B, Const<ACT>), f32, Cpu>),
    ) -> Result<Self::Output, CpuError> {
        let batch = observation.shape().0;
        let (observation, tape) = observation.split_tape();
        coarse(self, K::TORSO, vec![Operand::new(observation), Operand::new(action)], batch, tape)
    }
}

/// Adds numbers to the gradient that dfdx keeps for one tensor.
type Deposit = Box<dyn FnOnce(&mut Gradients<f32, Cpu>, &[f32]) -> Result<(), CpuError>>;

fn deposit<S: Shape>(tensor: Tensor<S, f32, Cpu>) -> Deposit {
    Box::new(move |gradients, numbers| {
        for (g, &x) in gradients.get_or_alloc_mut(&tensor)?.iter_mut().zip(numbers) {
            *g += x;
        }
        Ok(())
    })
}

/// One input of the coarse operation: its numbers, and the way back to its gradient.
pub(crate) struct Operand {
    values: Vec<f32>,
    deposit: Deposit,
}

impl Operand {
    pub(crate) fn new<S: Shape>(tensor: Tensor<S, f32, Cpu>) -> Self {
        Self { values: tensor.as_vec(), deposit: deposit(tensor) }
    }
}

/// Collects a deposit for every parameter, in the layout's order.
#[derive(Default)]
struct Deposits(Vec<Deposit>);

impl TensorVisitor<f32, Cpu> for Deposits {
    type Viewer = ViewTensorRef;
    type Err = CpuError;
    type E2 = f32;
    type D2 = Cpu;

    fn visit<S: Shape>(
        &mut self,
        _: TensorOptions<S, f32, Cpu>,
        tensor: &Tensor<S, f32, Cpu>,
    ) -> Result<Option<Tensor<S, f32, Cpu>>, CpuError> {
        self.0.push(deposit(tensor.clone()));
        Ok(None)
    }
}

/// The whole network as one operation: [`Network::forward`] now, [`Network::backward`] when the tape runs back.
pub(crate) fn coarse<M, B: Dim, const O: usize, T: Tape<f32, Cpu>>(
    module: &M,
    torso: Torso,
    operands: Vec<Operand>,
    batch: B,
    mut tape: T,
) -> Result<Tensor<(B, Const<O>), f32, Cpu, T>, CpuError>
where
    M: TensorCollection<f32, Cpu>,
{
    let (layout, parameters) = Layout::flatten(module);
    let network = Network::from_layout(&layout, torso);
    let rows = batch.size();
    let mut activations = Activations::default();
    let mut out = vec![0.0; rows * O];
    let values: Vec<&[f32]> = operands.iter().map(|o| o.values.as_slice()).collect();
    network.forward(&parameters, &values, rows, &mut activations, &mut out);
    let out = Cpu::default().try_tensor_from_vec(out, (batch, Const::<O>))?;

    let mut deposits = Deposits::default();
    M::iter_tensors(&mut RecursiveWalker { m: module, f: &mut deposits })?;
    let result = out.clone();
    tape.add_backward_op(move |gradients| {
        let d_out = gradients.get_or_alloc_mut(&result)?.to_vec();
        let values: Vec<&[f32]> = operands.iter().map(|o| o.values.as_slice()).collect();
        let mut gradient = vec![0.0; network.parameters()];
        let mut d_inputs: Vec<Vec<f32>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
        let mut wanted: Vec<(usize, &mut [f32])> = d_inputs.iter_mut().map(Vec::as_mut_slice).enumerate().collect();
        network.backward(&parameters, &values, rows, &mut activations, &d_out, &mut gradient, &mut wanted);
        for (deposit, entry) in deposits.0.into_iter().zip(layout.entries()) {
            deposit(gradients, &gradient[entry.range.clone()])?;
        }
        for (operand, d_input) in operands.into_iter().zip(&d_inputs) {
            (operand.deposit)(gradients, d_input)?;
        }
        Ok(())
    });
    Ok(out.put_tape(tape))
}
