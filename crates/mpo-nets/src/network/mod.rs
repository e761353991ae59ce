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
//! Every pass takes its rows in chunks that stay in a core's cache from the first product to the last, and divides them
//! among the [`Threads`] of its [`Activations`].

mod backward;
mod evaluate;
mod forward;

use std::ops::Range;

use crate::{
    Precision, Torso,
    layout::Layout,
    matmul::{HalfLayer, Packed, pack, packed_len},
    threads::{MOST, Threads},
};

/// Rows of a chunk: a multiple of the matrix product's tiles, of which two layers and a weight stay in a core's L2 cache.
const CHUNK_ROWS: usize = 112;

/// Rows that are worth waking a thread for.
const ROWS_PER_THREAD: usize = 16;

/// The most first weights of a network.
const MOST_INPUTS: usize = 4;

/// The run-time description of a network: its sizes and its parameters' places in the flat buffer.
#[derive(Clone, Debug)]
pub struct Network {
    inputs: Vec<(usize, Range<usize>)>,
    hidden: [usize; 2],
    output: usize,
    torso: Torso,
    bias: Range<usize>,
    scale: Range<usize>,
    shift: Range<usize>,
    second: Range<usize>,
    second_bias: Range<usize>,
    head: Range<usize>,
    head_bias: Range<usize>,
}

/// Hidden activations and scratch of [`Network`]'s passes, and the threads that share them.
///
/// Everything is reused, so that a warm pass allocates nothing. Results depend on the number of threads: gradients are summed
/// over each thread's rows first.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    threads: Threads,
    first: Vec<f32>,
    normalised: Vec<f32>,
    inverse: Vec<f32>,
    second: Vec<f32>,
    packed: Vec<f32>,
    scratch: Vec<Scratch>,
}

/// What a thread needs for itself: chunks of activations or their gradients, and its part of the parameters' gradient.
#[derive(Clone, Debug, Default)]
struct Scratch {
    first: Vec<f32>,
    second: Vec<f32>,
    shared: Vec<f32>,
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
    /// most of its time. The other passes, and the other layers, are in `f32` whatever it is.
    ///
    /// # Panics
    /// If the buffer is of another length.
    #[must_use]
    pub fn with_precision(network: &Network, parameters: &[f32], precision: Precision) -> Self {
        assert_eq!(parameters.len(), network.parameters(), "parameters of the network");
        let half = (precision == Precision::Bf16 && network.output == 1).then(|| {
            let bias = &parameters[network.second_bias.clone()];
            let second = HalfLayer::new(&parameters[network.second.clone()], bias, network.hidden[0]);
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
            half.second.set(&parameters[network.second.clone()], &parameters[network.second_bias.clone()]);
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
#[derive(Clone, Copy, Debug)]
struct Weights<'a> {
    inputs: [Packed<'a>; MOST_INPUTS],
    second: Packed<'a>,
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

impl Network {
    /// Reads sizes and places from a layout: one to four input weights, `torso.bias`, `torso.scale`, `torso.shift`,
    /// `hidden.weight`, `hidden.bias`, `head.weight`, `head.bias`, in this order.
    ///
    /// # Panics
    /// If the layout is not of that form.
    #[must_use]
    pub fn from_layout(layout: &Layout, torso: Torso) -> Self {
        let entries = layout.entries();
        let split = entries.iter().position(|e| e.name == "torso.bias").expect("a network has a first bias");
        let (inputs, rest) = entries.split_at(split);
        assert!((1..=MOST_INPUTS).contains(&inputs.len()), "a network of {} inputs", inputs.len());
        let names: Vec<&str> = rest.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(
            names,
            ["torso.bias", "torso.scale", "torso.shift", "hidden.weight", "hidden.bias", "head.weight", "head.bias"],
            "tensors of a network"
        );
        let place = |i: usize| rest[i].range.clone();
        Self {
            inputs: inputs.iter().map(|e| (e.shape[1], e.range.clone())).collect(),
            hidden: [rest[0].shape[0], rest[4].shape[0]],
            output: rest[6].shape[0],
            torso,
            bias: place(0),
            scale: place(1),
            shift: place(2),
            second: place(3),
            second_bias: place(4),
            head: place(5),
            head_bias: place(6),
        }
    }

    /// Length of the flat parameter buffer.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.head_bias.end
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
        let [state, action] = [self.inputs[0].0, self.inputs[1].0];
        2 * states * (state * self.hidden[0] + samples * (action * self.hidden[0] + self.later_weights()))
    }

    fn first_weights(&self) -> usize {
        self.inputs.iter().map(|(n, _)| n * self.hidden[0]).sum()
    }

    fn later_weights(&self) -> usize {
        self.hidden[0] * self.hidden[1] + self.hidden[1] * self.output
    }

    /// Arranges the weights of a forward pass in `buffer`.
    fn pack<'a>(&self, p: &[f32], buffer: &'a mut Vec<f32>) -> Weights<'a> {
        let [h1, h2] = self.hidden;
        let mut free = &mut *lend(buffer, self.packed_len());
        let mut next = |weight: &Range<usize>, outputs, inputs| {
            pack(&p[weight.clone()], outputs, inputs, take(&mut free, packed_len(outputs, inputs)));
        };
        for (size, place) in &self.inputs {
            next(place, h1, *size);
        }
        next(&self.second, h2, h1);
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
        let mut inputs = [Packed::default(); MOST_INPUTS];
        for (packed, (size, _)) in inputs.iter_mut().zip(&self.inputs) {
            *packed = next(h1, *size);
        }
        let second = next(h2, h1);
        let head = if self.output > 1 { next(self.output, h2) } else { Packed::default() };
        Weights { inputs, second, head }
    }

    fn packed_len(&self) -> usize {
        let [h1, h2] = self.hidden;
        let head = if self.output > 1 { packed_len(self.output, h2) } else { 0 };
        self.inputs.iter().map(|(n, _)| packed_len(h1, *n)).sum::<usize>() + packed_len(h2, h1) + head
    }
}
