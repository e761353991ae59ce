//! The fused networks against two oracles: dfdx's own operations with its autodiff, and finite differences.

use dfdx::{
    nn::{BuildModule, Module, TensorCollection},
    shapes::{Axis, Const, HasShape},
    tensor::{Cpu, Gradients, OwnedTape, Tensor, TensorFromVec, Trace},
    tensor_ops::{Backward, BroadcastTo, PermuteTo, SumTo, TryMatMul},
};
use mpo_nets::{
    Activations, Branch, Branched, Critic, LayerNormTorso, Layout, Network, Perceptron, PlainTorso, Torso, TorsoKind,
    noise::Noise,
};
use proptest::prelude::*;

const OBS: usize = 5;
const ACT: usize = 2;
/// Numbers of a second kind in a state, and all of them.
const PART: usize = 3;
const STATE: usize = OBS + PART;
const H1: usize = 13;
const H2: usize = 9;
type Batch<const N: usize> = Tensor<(usize, Const<N>), f32, Cpu>;
type Taped<const N: usize> = Tensor<(usize, Const<N>), f32, Cpu, OwnedTape<f32, Cpu>>;
type Policy<T> = Perceptron<OBS, 5, H1, H2, T, f32, Cpu>;
type Value<T> = Critic<OBS, ACT, H1, H2, T, f32, Cpu>;
type Joined<M> = Branched<M, STATE, PART, H1, H2, f32, Cpu>;

/// A network with noise in every parameter, so that no gradient vanishes by symmetry.
fn noisy<M: TensorCollection<f32, Cpu, To<f32, Cpu> = M>>(device: &Cpu, seed: u64) -> M {
    struct AddNoise(Noise);
    impl dfdx::nn::TensorVisitor<f32, Cpu> for AddNoise {
        type Viewer = dfdx::nn::ViewTensorMut;
        type Err = std::convert::Infallible;
        type E2 = f32;
        type D2 = Cpu;
        fn visit<S: dfdx::shapes::Shape>(
            &mut self,
            _: dfdx::nn::TensorOptions<S, f32, Cpu>,
            tensor: &mut Tensor<S, f32, Cpu>,
        ) -> Result<Option<Tensor<S, f32, Cpu>>, Self::Err> {
            let mut noise = vec![0.0; tensor.shape().num_elements()];
            self.0.fill(&mut noise);
            let values: Vec<f32> = tensor.as_vec().iter().zip(&noise).map(|(x, z)| x + 0.3 * z).collect();
            tensor.copy_from(&values);
            Ok(None)
        }
    }
    let mut module = M::build(device);
    let mut add = AddNoise(Noise::new(seed));
    let Ok(_) = M::iter_tensors(&mut dfdx::nn::RecursiveWalker { m: &mut module, f: &mut add });
    module
}

fn batch<const N: usize>(device: &Cpu, rows: usize, seed: u64) -> Batch<N> {
    let mut values = vec![0.0; rows * N];
    Noise::new(seed).fill(&mut values);
    device.tensor_from_vec(values, (rows, Const))
}

/// ELU from operations that dfdx has.
fn stock_elu<const N: usize>(x: Taped<N>) -> Taped<N> {
    use dfdx::{tensor::PutTape, tensor::SplitTape};
    let (x, tape) = x.split_tape();
    let negative = (-((-x.clone().put_tape(tape)).relu())).exp() - 1.0;
    let (negative, tape) = negative.split_tape();
    x.put_tape(tape).relu() + negative
}

/// What follows the first layer's product, from dfdx's own operations.
fn stock_torso<T: TorsoKind>(first: Taped<H1>, torso: &mpo_nets::TorsoParameters<H1, f32, Cpu>) -> Taped<H1> {
    let shape = *first.shape();
    let first = first + torso.bias.retaped::<OwnedTape<f32, Cpu>>().broadcast_like(&shape);
    match T::TORSO {
        Torso::Plain => stock_elu(first),
        Torso::LayerNorm => (first.normalize::<Axis<1>>(1e-5)
            * torso.scale.retaped::<OwnedTape<f32, Cpu>>().broadcast_like(&shape)
            + torso.shift.retaped::<OwnedTape<f32, Cpu>>().broadcast_like(&shape))
        .tanh(),
    }
}

/// What follows the second layer's product.
fn stock_head<const OUT: usize>(second: Taped<H2>, head: &mpo_nets::Head<H2, OUT, f32, Cpu>) -> Taped<OUT> {
    let out = stock_elu(second).matmul(head.weight.retaped::<OwnedTape<f32, Cpu>>().permute());
    let shape = *out.shape();
    out + head.bias.retaped::<OwnedTape<f32, Cpu>>().broadcast_like(&shape)
}

/// Everything after the first layer's product.
fn stock_rest<const OUT: usize, T: TorsoKind>(
    first: Taped<H1>,
    torso: &mpo_nets::TorsoParameters<H1, f32, Cpu>,
    hidden: &dfdx::nn::modules::Linear<H1, H2, f32, Cpu>,
    head: &mpo_nets::Head<H2, OUT, f32, Cpu>,
) -> Taped<OUT> {
    stock_head(hidden.forward(stock_torso::<T>(first, torso)), head)
}

/// What a second branch adds to the second layer.
fn stock_branch<T: TorsoKind>(part: &Batch<PART>, branch: &Branch<PART, H1, H2, f32, Cpu>) -> Taped<H2> {
    let mut gradients = Gradients::leaky();
    gradients.try_alloc_for(&branch.torso.scale).expect("memory");
    gradients.try_alloc_for(&branch.torso.shift).expect("memory");
    let first = part.trace(gradients).matmul(branch.observation.retaped::<OwnedTape<f32, Cpu>>().permute());
    stock_torso::<T>(first, &branch.torso).matmul(branch.hidden.retaped::<OwnedTape<f32, Cpu>>().permute())
}

/// The rows of two matrices beside each other.
fn beside(left: &[f32], right: &[f32]) -> Vec<f32> {
    left.chunks(OBS).zip(right.chunks(PART)).flat_map(|(left, right)| [left, right].concat()).collect()
}

/// Equal to 1e-5 of the largest, and to 1e-6 where all are small: one row's value is a sum of `H2`
/// terms near one, whose rounding stays when they cancel.
fn close(a: &[f32], b: &[f32], what: &str) {
    let scale = b.iter().map(|x| x.abs()).fold(0.1, f32::max);
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= 1e-5 * scale, "{what}[{i}]: fused {x}, stock {y}, largest {scale}");
    }
    assert_eq!(a.len(), b.len(), "{what}");
}

/// Collects the gradients of all parameters.
struct Read<'a>(&'a Gradients<f32, Cpu>, Vec<f32>);
impl dfdx::nn::TensorVisitor<f32, Cpu> for Read<'_> {
    type Viewer = dfdx::nn::ViewTensorRef;
    type Err = std::convert::Infallible;
    type E2 = f32;
    type D2 = Cpu;
    fn visit<S: dfdx::shapes::Shape>(
        &mut self,
        _: dfdx::nn::TensorOptions<S, f32, Cpu>,
        tensor: &Tensor<S, f32, Cpu>,
    ) -> Result<Option<Tensor<S, f32, Cpu>>, Self::Err> {
        self.1.extend(self.0.get(tensor).as_vec());
        Ok(None)
    }
}

/// Output and all gradients of `sum(out * weights)`.
fn run<const OUT: usize, M: TensorCollection<f32, Cpu>>(
    module: &M,
    weights: &Batch<OUT>,
    inputs: &dyn Fn(&Gradients<f32, Cpu>) -> Vec<f32>,
    out: Taped<OUT>,
) -> (Vec<f32>, Vec<f32>) {
    let values = out.as_vec();
    let gradients = (out * weights.clone()).sum().backward();
    let mut read = Read(&gradients, Vec::new());
    let Ok(_) = M::iter_tensors(&mut dfdx::nn::RecursiveWalker { m: module, f: &mut read });
    let mut all = read.1;
    all.extend(inputs(&gradients));
    (values, all)
}

fn policy_agrees<T: TorsoKind>(rows: usize, seed: u64) {
    let device = Cpu::seed_from_u64(seed);
    let policy: Policy<T> = noisy(&device, seed);
    let (x, weights) = (batch::<OBS>(&device, rows, seed + 1), batch::<5>(&device, rows, seed + 2));
    let d_x = |g: &Gradients<f32, Cpu>| g.get(&x).as_vec();
    let mut gradients = Gradients::leaky();
    gradients.try_alloc_for(&policy.torso.scale).expect("memory");
    gradients.try_alloc_for(&policy.torso.shift).expect("memory");
    let first = x.trace(gradients).matmul(policy.observation.retaped::<OwnedTape<f32, Cpu>>().permute());
    let stock = run(&policy, &weights, &d_x, stock_rest::<5, T>(first, &policy.torso, &policy.hidden, &policy.head));
    let fused = run(&policy, &weights, &d_x, policy.forward(x.leaky_trace()));
    close(&fused.0, &stock.0, "head");
    close(&fused.1, &stock.1, "gradient");
}

fn critic_agrees<T: TorsoKind>(rows: usize, seed: u64) {
    let device = Cpu::seed_from_u64(seed);
    let critic: Value<T> = noisy(&device, seed);
    let (x, a) = (batch::<OBS>(&device, rows, seed + 1), batch::<ACT>(&device, rows, seed + 2));
    let weights = batch::<1>(&device, rows, seed + 3);
    let d_inputs = |g: &Gradients<f32, Cpu>| [g.get(&x).as_vec(), g.get(&a).as_vec()].concat();
    let mut gradients = Gradients::leaky();
    gradients.try_alloc_for(&critic.torso.scale).expect("memory");
    gradients.try_alloc_for(&critic.torso.shift).expect("memory");
    let first = x.trace(gradients).matmul(critic.observation.retaped::<OwnedTape<f32, Cpu>>().permute())
        + a.retaped::<OwnedTape<f32, Cpu>>().matmul(critic.action.retaped::<OwnedTape<f32, Cpu>>().permute());
    let stock =
        run(&critic, &weights, &d_inputs, stock_rest::<1, T>(first, &critic.torso, &critic.hidden, &critic.head));
    let fused = run(&critic, &weights, &d_inputs, critic.forward((x.leaky_trace(), a.clone())));
    close(&fused.0, &stock.0, "value");
    close(&fused.1, &stock.1, "gradient");
}

/// Policy and critic with a second torso: all gradients, of the inputs, too.
fn branches_agree<T: TorsoKind>(rows: usize, seed: u64) {
    let device = Cpu::seed_from_u64(seed);
    let (x, part) = (batch::<OBS>(&device, rows, seed + 1), batch::<PART>(&device, rows, seed + 4));
    let a = batch::<ACT>(&device, rows, seed + 2);
    let state: Batch<STATE> = device.tensor_from_vec(beside(&x.as_vec(), &part.as_vec()), (rows, Const));
    let begun = |torso: &mpo_nets::TorsoParameters<H1, f32, Cpu>| {
        let mut gradients = Gradients::leaky();
        gradients.try_alloc_for(&torso.scale).expect("memory");
        gradients.try_alloc_for(&torso.shift).expect("memory");
        x.trace(gradients)
    };
    let stock_d = |g: &Gradients<f32, Cpu>| beside(&g.get(&x).as_vec(), &g.get(&part).as_vec());
    let fused_d = |g: &Gradients<f32, Cpu>| g.get(&state).as_vec();

    let policy: Joined<Policy<T>> = noisy(&device, seed);
    let weights = batch::<5>(&device, rows, seed + 3);
    let main = &policy.main;
    let first = begun(&main.torso).matmul(main.observation.retaped::<OwnedTape<f32, Cpu>>().permute());
    let second = main.hidden.forward(stock_torso::<T>(first, &main.torso)) + stock_branch::<T>(&part, &policy.branch);
    let stock = run(&policy, &weights, &stock_d, stock_head(second, &main.head));
    let fused = run(&policy, &weights, &fused_d, policy.forward(state.leaky_trace()));
    close(&fused.0, &stock.0, "head");
    close(&fused.1, &stock.1, "gradient");

    let critic: Joined<Value<T>> = noisy(&device, seed);
    let weights = batch::<1>(&device, rows, seed + 3);
    let main = &critic.main;
    let first = begun(&main.torso).matmul(main.observation.retaped::<OwnedTape<f32, Cpu>>().permute())
        + a.retaped::<OwnedTape<f32, Cpu>>().matmul(main.action.retaped::<OwnedTape<f32, Cpu>>().permute());
    let second = main.hidden.forward(stock_torso::<T>(first, &main.torso)) + stock_branch::<T>(&part, &critic.branch);
    let with_action = |d: Vec<f32>, g: &Gradients<f32, Cpu>| [d, g.get(&a).as_vec()].concat();
    let stock = run(&critic, &weights, &|g| with_action(stock_d(g), g), stock_head(second, &main.head));
    let out = critic.forward((state.leaky_trace(), a.clone()));
    let fused = run(&critic, &weights, &|g| with_action(fused_d(g), g), out);
    close(&fused.0, &stock.0, "value");
    close(&fused.1, &stock.1, "gradient");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn fused_branches_equal_stock_dfdx(rows in 1_usize..40, seed in 0_u64..1_000_000) {
        branches_agree::<LayerNormTorso>(rows, seed);
        branches_agree::<PlainTorso>(rows, seed);
    }

    #[test]
    fn fused_policy_equals_stock_dfdx(rows in 1_usize..40, seed in 0_u64..1_000_000) {
        policy_agrees::<LayerNormTorso>(rows, seed);
        policy_agrees::<PlainTorso>(rows, seed);
    }

    #[test]
    fn fused_critic_equals_stock_dfdx(rows in 1_usize..40, seed in 0_u64..1_000_000) {
        critic_agrees::<LayerNormTorso>(rows, seed);
        critic_agrees::<PlainTorso>(rows, seed);
    }

    #[test]
    fn evaluating_actions_in_chunks_equals_the_plain_forward_pass(
        states in 1_usize..30, samples in 1_usize..50, seed in 0_u64..1_000_000, norm in any::<bool>(),
    ) {
        if norm { chunks_agree::<LayerNormTorso>(states, samples, seed) } else { chunks_agree::<PlainTorso>(states, samples, seed) }
    }

    #[test]
    fn gradients_are_finite_differences(seed in 0_u64..1_000_000, norm in any::<bool>()) {
        if norm { differences_agree::<LayerNormTorso>(seed) } else { differences_agree::<PlainTorso>(seed) }
    }
}

/// A critic of one torso and one of two, with the numbers in a state.
fn critics<T: TorsoKind>(seed: u64) -> [(Network, Vec<f32>, usize); 2] {
    let one = Layout::flatten(&noisy::<Value<T>>(&Cpu::default(), seed));
    let two = Layout::flatten(&noisy::<Joined<Value<T>>>(&Cpu::default(), seed));
    [(one, OBS), (two, STATE)].map(|((layout, p), state)| (Network::from_layout(&layout, T::TORSO), p, state))
}

fn chunks_agree<T: TorsoKind>(states: usize, samples: usize, seed: u64) {
    for (network, parameters, size) in critics::<T>(seed) {
        let mut x = vec![0.0; states * size];
        let mut a = vec![0.0; states * samples * ACT];
        Noise::new(seed + 1).fill(&mut x);
        Noise::new(seed + 2).fill(&mut a);
        let repeated: Vec<f32> = x.chunks(size).flat_map(|s| s.repeat(samples)).collect();
        let mut chunked = vec![0.0; states * samples];
        let mut plain = chunked.clone();
        let mut activations = Activations::default();
        network.evaluate_actions(&parameters, &x, &a, samples, &mut activations, &mut chunked);
        network.forward(&parameters, &[&repeated, &a], states * samples, &mut activations, &mut plain);
        close(&chunked, &plain, "value");
    }
}

/// Directional derivatives in f32: a step large enough to see, a tolerance for its curvature.
fn differences_agree<T: TorsoKind>(seed: u64) {
    for (network, parameters, size) in critics::<T>(seed) {
        let rows = 7;
        let draw = |len: usize, stream: u64| {
            let mut values = vec![0.0; len];
            Noise::new(seed + stream).fill(&mut values);
            values
        };
        let (x, a, weights) = (draw(rows * size, 1), draw(rows * ACT, 2), draw(rows, 3));
        let direction = draw(parameters.len(), 4);
        let mut activations = Activations::default();
        let mut loss = |p: &[f32]| {
            let mut out = vec![0.0; rows];
            network.forward(p, &[&x, &a], rows, &mut activations, &mut out);
            out.iter().zip(&weights).map(|(o, w)| f64::from(o * w)).sum::<f64>()
        };
        let step = 2e-3_f32;
        let moved =
            |sign: f32| -> Vec<f32> { parameters.iter().zip(&direction).map(|(p, d)| p + sign * step * d).collect() };
        let numeric = (loss(&moved(1.0)) - loss(&moved(-1.0))) / f64::from(2.0 * step);
        loss(&parameters);
        let mut gradient = vec![f32::NAN; parameters.len()];
        network.backward(&parameters, &[&x, &a], rows, &mut activations, &weights, &mut gradient, &mut []);
        let exact: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
        let size: f64 = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
        assert!((numeric - exact).abs() < 2e-2 * size.max(1.0), "numeric {numeric}, exact {exact}, norm {size}");
    }
}

#[test]
fn one_row_for_acting_equals_the_batch() {
    let one = Layout::flatten(&noisy::<Policy<LayerNormTorso>>(&Cpu::default(), 5));
    let two = Layout::flatten(&noisy::<Joined<Policy<LayerNormTorso>>>(&Cpu::default(), 5));
    for (layout, parameters) in [one, two] {
        let network = Network::from_layout(&layout, Torso::LayerNorm);
        let x = batch::<STATE>(&Cpu::default(), 1, 8).as_vec();
        let (mut row, mut full) = (vec![0.0; 5], vec![0.0; 5]);
        let mut activations = Activations::default();
        network.forward(&parameters, &[&x], 1, &mut activations, &mut full);
        network.forward_row(&parameters, &x, &mut activations, &mut row);
        close(&row, &full, "head");
    }
}
