//! A whole multi-layer perceptron, forward and backward, on slices of one flat parameter buffer.
//!
//! ```text
//! first  = torso(x_1 W_1^T + ... + x_k W_k^T + b)     [rows, hidden_0]
//! second = elu(first V^T + c)                         [rows, hidden_1]
//! out    = second U^T + d                             [rows, output]
//! ```
//! with `torso(z) = tanh(scale * normalise(z) + shift)` or `elu(z)`. A weight is stored as dfdx stores it,
//! `[outputs, inputs]`. The first layer keeps one weight per input, so that a critic computes the state's
//! part once however many actions it judges ([`Network::evaluate_actions`]).
//!
//! A network may have two branches ([`Branched`](crate::Branched)): a state's numbers are then of two kinds, each kind has a torso
//! of its own, and `second` is the sum over both of `first V^T`. A critic's actions enter by the first branch, so that of the
//! other everything is computed once per state.
//!
//! Every pass takes its rows in chunks that stay in a core's cache from the first product to the last, and divides them
//! among the [`Threads`] of its [`Activations`].

mod backward;
mod evaluate;
mod forward;

use std::ops::Range;

use crate::{
    Precision, Torso,
    kernels::{elu, norm_tanh},
    layout::{Entry, Layout},
    matmul::{HalfLayer, Packed, View, pack, packed_len},
    threads::{MOST, Threads},
};

/// Rows of a chunk: a multiple of the matrix product's tiles, of which two layers and a weight stay in a core's L2 cache.
const CHUNK_ROWS: usize = 112;

/// Rows that are worth waking a thread for.
const ROWS_PER_THREAD: usize = 16;

/// The most first weights of a network.
const MOST_INPUTS: usize = 4;

/// The most torsos side by side.
const MOST_BRANCHES: usize = 2;

/// The run-time description of a network: its sizes and its parameters' places in the flat buffer.
#[derive(Clone, Debug)]
pub struct Network {
    /// Numbers in a row of each input.
    rows: Vec<usize>,
    branches: Vec<Branch>,
    hidden: [usize; 2],
    output: usize,
    torso: Torso,
    second_bias: Range<usize>,
    head: Range<usize>,
    head_bias: Range<usize>,
    parameters: usize,
}

/// A torso, and its weight in the second layer. Bias, scale and shift stand side by side.
#[derive(Clone, Debug)]
struct Branch {
    weights: Vec<FirstWeight>,
    bias: Range<usize>,
    scale: Range<usize>,
    shift: Range<usize>,
    second: Range<usize>,
}

/// A first weight, and the part of an input that it multiplies.
#[derive(Clone, Debug)]
struct FirstWeight {
    input: usize,
    /// Numbers of the input's rows before the part.
    offset: usize,
    size: usize,
    place: Range<usize>,
}

/// Hidden activations and scratch of [`Network`]'s passes, and the threads that share them.
///
/// Everything is reused, so that a warm pass allocates nothing. Results depend on the number of threads: gradients are summed
/// over each thread's rows first.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    threads: Threads,
    torsos: [TorsoActivations; MOST_BRANCHES],
    second: Vec<f32>,
    packed: Vec<f32>,
    scratch: Vec<Scratch>,
}

/// Of one torso: its outputs, and what the way back through its normalisation needs.
#[derive(Clone, Debug, Default)]
struct TorsoActivations {
    first: Vec<f32>,
    normalised: Vec<f32>,
    inverse: Vec<f32>,
}

/// The rows of [`TorsoActivations`] that somebody works on.
#[derive(Debug, Default)]
struct TorsoRows<'a> {
    first: &'a mut [f32],
    normalised: &'a mut [f32],
    inverse: &'a mut [f32],
}

impl TorsoRows<'_> {
    /// Cuts off the first `rows` rows of `width` units, `kept` (0 or 1) times where the way back needs more.
    fn take(&mut self, rows: usize, width: usize, kept: usize) -> Self {
        Self {
            first: take(&mut self.first, rows * width),
            normalised: take(&mut self.normalised, kept * rows * width),
            inverse: take(&mut self.inverse, kept * rows),
        }
    }
}

/// What a thread needs for itself: chunks of activations or their gradients, and its part of the parameters' gradient.
#[derive(Clone, Debug, Default)]
struct Scratch {
    first: Vec<f32>,
    second: Vec<f32>,
    shared: Vec<f32>,
    joined: Vec<f32>,
    gradient: Vec<f32>,
    half: Vec<u16>,
}

impl Activations {
    /// Activations whose passes run on `threads`.
    #[must_use]
    pub fn new(threads: &Threads) -> Self {
        Self { threads: threads.clone(), ..Self::default() }
    }

    /// The number of parts into which `rows` rows are cut, and a scratch for each.
    fn parts(threads: &Threads, scratch: &mut Vec<Scratch>, rows: usize) -> usize {
        let parts = threads.count().min(rows / ROWS_PER_THREAD).clamp(1, MOST);
        if scratch.len() < parts {
            scratch.resize_with(parts, Scratch::default);
        }
        parts
    }
}

/// Parameters that change rarely, a target network's, with their weights arranged for the matrix product once per change
/// instead of once per pass.
#[derive(Clone, Debug)]
pub struct FixedParameters {
    parameters: Vec<f32>,
    packed: Vec<f32>,
    half: Option<HalfHead>,
}

/// The second layer in half precision, and a scalar head as wide as that layer's rows.
#[derive(Clone, Debug)]
struct HalfHead {
    second: HalfLayer,
    head: Vec<f32>,
}

impl FixedParameters {
    /// Takes a copy of the flat buffer `[network.parameters()]`, for passes in `f32`.
    ///
    /// # Panics
    /// If it is of another length.
    #[must_use]
    pub fn new(network: &Network, parameters: &[f32]) -> Self {
        Self::with_precision(network, parameters, Precision::F32)
    }

    /// The same, for [`Network::evaluate_actions_fixed`] with a second layer of this precision: the one whose product takes
    /// most of its time. The other passes, the other layers and networks of two branches are in `f32` whatever it is.
    ///
    /// # Panics
    /// If the buffer is of another length.
    #[must_use]
    pub fn with_precision(network: &Network, parameters: &[f32], precision: Precision) -> Self {
        assert_eq!(parameters.len(), network.parameters(), "parameters of the network");
        let half = (precision != Precision::F32 && network.output == 1 && network.branches.len() == 1).then(|| {
            let bias = &parameters[network.second_bias.clone()];
            let second =
                HalfLayer::new(precision, &parameters[network.branches[0].second.clone()], bias, network.hidden[0]);
            HalfHead { head: vec![0.0; second.width()], second }
        });
        let mut fixed = Self { parameters: parameters.to_vec(), packed: Vec::new(), half };
        fixed.set(network, parameters);
        fixed
    }

    /// Replaces the numbers, without allocating.
    ///
    /// # Panics
    /// If their number is another, or the network is another.
    pub fn set(&mut self, network: &Network, parameters: &[f32]) {
        self.parameters.copy_from_slice(parameters);
        network.pack(parameters, &mut self.packed);
        if let Some(half) = &mut self.half {
            half.second.set(&parameters[network.branches[0].second.clone()], &parameters[network.second_bias.clone()]);
            half.head[..network.hidden[1]].copy_from_slice(&parameters[network.head.clone()]);
        }
    }

    /// The flat buffer.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }
}

/// The weights of a forward pass, arranged for the matrix product.
#[derive(Clone, Copy, Debug, Default)]
struct Weights<'a> {
    /// Of each branch, one per first weight and one in the second layer.
    first: [[Packed<'a>; MOST_INPUTS]; MOST_BRANCHES],
    second: [Packed<'a>; MOST_BRANCHES],
    /// Unused by a scalar head, whose product is one sum per row.
    head: Packed<'a>,
}

/// The first `len` numbers of a buffer that grows when it must.
pub(crate) fn lend(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Cuts the first `len` numbers off a slice.
///
/// # Panics
/// If there are fewer.
#[allow(clippy::mut_mut, reason = "the slice is shortened in place")]
pub(crate) fn take<'a>(slice: &mut &'a mut [f32], len: usize) -> &'a mut [f32] {
    slice.split_off_mut(..len).expect("the caller has lent enough numbers")
}

impl FirstWeight {
    /// The part of `rows` rows of an input of `len` numbers each, from `row` on.
    ///
    /// # Panics
    /// If there are fewer rows, or none.
    fn part<'a>(&self, input: &'a [f32], len: usize, row: usize, rows: usize) -> View<'a> {
        View::strided(&input[row * len + self.offset..], rows, self.size, len)
    }
}

impl Network {
    /// Reads sizes and places from a layout: one to four input weights, `torso.bias`, `torso.scale`, `torso.shift`,
    /// `hidden.weight`, `hidden.bias`, `head.weight`, `head.bias`, in this order. With two branches these names begin with `main.`,
    /// and `branch.observation`, `branch.torso.bias`, `branch.torso.scale`, `branch.torso.shift`, `branch.hidden` follow.
    ///
    /// # Panics
    /// If the layout is not of that form.
    #[must_use]
    pub fn from_layout(layout: &Layout, torso: Torso) -> Self {
        let name = |e: &Entry| e.name.strip_prefix("main.").unwrap_or(&e.name).to_owned();
        let entries = layout.entries();
        let split = entries.iter().position(|e| name(e) == "torso.bias").expect("a network has a first bias");
        let (inputs, rest) = entries.split_at(split);
        assert!((1..=MOST_INPUTS).contains(&inputs.len()), "a network of {} inputs", inputs.len());
        let names: Vec<String> = rest.iter().map(name).collect();
        let (main, branch) = names.split_at(names.len().min(7));
        assert_eq!(
            main,
            ["torso.bias", "torso.scale", "torso.shift", "hidden.weight", "hidden.bias", "head.weight", "head.bias"],
            "tensors of a network"
        );
        let place = |i: usize| rest[i].range.clone();
        let mut rows: Vec<usize> = inputs.iter().map(|e| e.shape[1]).collect();
        let weights = inputs.iter().enumerate().map(|(input, e)| {
            let (size, place) = (e.shape[1], e.range.clone());
            FirstWeight { input, offset: 0, size, place }
        });
        let weights = weights.collect();
        let mut branches = vec![Branch { weights, bias: place(0), scale: place(1), shift: place(2), second: place(3) }];
        let hidden = [rest[0].shape[0], rest[4].shape[0]];
        if !branch.is_empty() {
            assert_eq!(
                branch,
                ["observation", "torso.bias", "torso.scale", "torso.shift", "hidden"]
                    .map(|name| format!("branch.{name}")),
                "tensors of a second branch"
            );
            assert_eq!([rest[11].shape[1], rest[11].shape[0]], hidden, "widths of a second branch");
            let (offset, size) = (rows[0], rest[7].shape[1]);
            rows[0] += size;
            let weights = vec![FirstWeight { input: 0, offset, size, place: place(7) }];
            branches.push(Branch { weights, bias: place(8), scale: place(9), shift: place(10), second: place(11) });
        }
        Self {
            rows,
            branches,
            hidden,
            output: rest[6].shape[0],
            torso,
            second_bias: place(4),
            head: place(5),
            head_bias: place(6),
            parameters: layout.len(),
        }
    }

    /// Length of the flat parameter buffer.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Numbers in a row of the output.
    #[must_use]
    pub fn output(&self) -> usize {
        self.output
    }

    /// Floating-point operations of the matrix products of a forward pass over `rows` rows (a multiply-add counts as two).
    #[must_use]
    pub fn forward_flops(&self, rows: usize) -> usize {
        2 * rows * (self.first_weights() + self.later_weights())
    }

    /// The same for a forward pass and a [`backward`](Self::backward) without inputs' gradients: a product for the weights'
    /// gradients of every layer, one for the activations' of every layer but the first.
    #[must_use]
    pub fn training_flops(&self, rows: usize) -> usize {
        2 * rows * (2 * self.first_weights() + 3 * self.later_weights())
    }

    /// The same for [`evaluate_actions`](Self::evaluate_actions), whose state's part is computed once per state.
    #[must_use]
    pub fn evaluate_actions_flops(&self, states: usize, samples: usize) -> usize {
        let [h1, h2] = self.hidden;
        let per_state = self.rows[0] * h1 + (self.branches.len() - 1) * h1 * h2;
        2 * states * (per_state + samples * (self.rows[1] * h1 + h1 * h2 + h2 * self.output))
    }

    fn first_weights(&self) -> usize {
        self.rows.iter().map(|n| n * self.hidden[0]).sum()
    }

    fn later_weights(&self) -> usize {
        let [h1, h2] = self.hidden;
        self.branches.len() * h1 * h2 + h2 * self.output
    }

    /// Arranges the weights of a forward pass in `buffer`.
    fn pack<'a>(&self, p: &[f32], buffer: &'a mut Vec<f32>) -> Weights<'a> {
        let [h1, h2] = self.hidden;
        let mut free = &mut *lend(buffer, self.packed_len());
        let mut next = |weight: &Range<usize>, outputs, inputs| {
            pack(&p[weight.clone()], outputs, inputs, take(&mut free, packed_len(outputs, inputs)));
        };
        for branch in &self.branches {
            for weight in &branch.weights {
                next(&weight.place, h1, weight.size);
            }
            next(&branch.second, h2, h1);
        }
        if self.output > 1 {
            next(&self.head, self.output, h2);
        }
        self.weights(buffer)
    }

    /// The weights that [`pack`](Self::pack) has arranged.
    fn weights<'a>(&self, packed: &'a [f32]) -> Weights<'a> {
        let [h1, h2] = self.hidden;
        let mut rest = packed;
        let mut next = |outputs, inputs| {
            let (panels, tail) = rest.split_at(packed_len(outputs, inputs));
            rest = tail;
            Packed::new(panels, outputs, inputs)
        };
        let mut weights = Weights::default();
        for ((first, second), branch) in weights.first.iter_mut().zip(&mut weights.second).zip(&self.branches) {
            for (packed, weight) in first.iter_mut().zip(&branch.weights) {
                *packed = next(h1, weight.size);
            }
            *second = next(h2, h1);
        }
        if self.output > 1 {
            weights.head = next(self.output, h2);
        }
        weights
    }

    fn packed_len(&self) -> usize {
        let [h1, h2] = self.hidden;
        let head = if self.output > 1 { packed_len(self.output, h2) } else { 0 };
        let first = |branch: &Branch| branch.weights.iter().map(|weight| packed_len(h1, weight.size)).sum::<usize>();
        self.branches.iter().map(|branch| first(branch) + packed_len(h2, h1)).sum::<usize>() + head
    }

    /// What follows a branch's first layer.
    fn activate(&self, p: &[f32], branch: &Branch, first: &mut [f32]) {
        match self.torso {
            Torso::Plain => elu(first),
            Torso::LayerNorm => norm_tanh(first, &p[branch.scale.clone()], &p[branch.shift.clone()]),
        }
    }
}
