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

use std::ops::Range;

use crate::{
    Torso,
    kernels::{
        add_action_part, add_bias, add_column_sums, bias_elu, bias_elu_dot, bias_norm_tanh, bias_norm_tanh_keep, dot,
        elu_backward, norm_tanh_backward,
    },
    layout::Layout,
    matmul::{View, matmul},
};

/// Rows that one pass over hidden activations takes: with 200 to 300 units, two layers of it stay in a core's L2 cache.
const CHUNK_ROWS: usize = 256;

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

/// Hidden activations and scratch of [`Network`]'s passes; reused, so that a warm pass allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Activations {
    first: Vec<f32>,
    normalised: Vec<f32>,
    inverse: Vec<f32>,
    second: Vec<f32>,
    d_first: Vec<f32>,
    d_second: Vec<f32>,
    action_weight: Vec<f32>,
}

/// The first `len` numbers of a buffer that grows when it must.
fn lend(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

impl Network {
    /// Reads sizes and places from a layout: one or more input weights, `torso.bias`, `torso.scale`, `torso.shift`,
    /// `hidden.weight`, `hidden.bias`, `head.weight`, `head.bias`, in this order.
    ///
    /// # Panics
    /// If the layout is not of that form.
    #[must_use]
    pub fn from_layout(layout: &Layout, torso: Torso) -> Self {
        let entries = layout.entries();
        let split = entries.iter().position(|e| e.name == "torso.bias").expect("a network has a first bias");
        let (inputs, rest) = entries.split_at(split);
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
        2 * rows * (self.inputs.iter().map(|(n, _)| n * self.hidden[0]).sum::<usize>() + self.later_weights())
    }

    /// The same for [`evaluate_actions`](Self::evaluate_actions), whose state's part is computed once per state.
    #[must_use]
    pub fn evaluate_actions_flops(&self, states: usize, samples: usize) -> usize {
        let [state, action] = [self.inputs[0].0, self.inputs[1].0];
        2 * states * (state * self.hidden[0] + samples * (action * self.hidden[0] + self.later_weights()))
    }

    fn later_weights(&self) -> usize {
        self.hidden[0] * self.hidden[1] + self.hidden[1] * self.output
    }

    /// The outputs of all rows; hidden activations stay in `activations` for [`backward`](Self::backward).
    ///
    /// `inputs[k]` is `[rows, input_k]`, `out` `[rows, output]`.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn forward(&self, p: &[f32], inputs: &[&[f32]], rows: usize, activations: &mut Activations, out: &mut [f32]) {
        let [h1, h2] = self.hidden;
        assert_eq!(inputs.len(), self.inputs.len(), "inputs of the network");
        let first = lend(&mut activations.first, rows * h1);
        for (k, (x, (size, place))) in inputs.iter().zip(&self.inputs).enumerate() {
            matmul(first, View::new(x, rows, *size), View::new(&p[place.clone()], h1, *size).t(), k > 0);
        }
        let (bias, scale, shift) = (&p[self.bias.clone()], &p[self.scale.clone()], &p[self.shift.clone()]);
        match self.torso {
            Torso::Plain => bias_elu(first, bias),
            Torso::LayerNorm => {
                let normalised = lend(&mut activations.normalised, rows * h1);
                let inverse = lend(&mut activations.inverse, rows);
                bias_norm_tanh_keep(first, bias, scale, shift, normalised, inverse);
            }
        }
        let second = lend(&mut activations.second, rows * h2);
        matmul(second, View::new(first, rows, h1), View::new(&p[self.second.clone()], h2, h1).t(), false);
        bias_elu(second, &p[self.second_bias.clone()]);
        let out = &mut out[..rows * self.output];
        matmul(out, View::new(second, rows, h2), View::new(&p[self.head.clone()], self.output, h2).t(), false);
        add_bias(out, &p[self.head_bias.clone()]);
    }

    /// The gradient of a loss, after [`forward`](Self::forward) with the same arguments.
    ///
    /// `d_out` is d loss / d out `[rows, output]`; `gradient` `[parameters]` is overwritten; each
    /// `(k, buffer)` of `d_inputs`, buffer `[rows, input_k]`, receives d loss / d input k (a deterministic
    /// policy gradient needs the action's); no other input gradient is computed.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    #[allow(clippy::too_many_arguments, reason = "the forward pass's arguments and the gradients'")]
    pub fn backward(
        &self,
        p: &[f32],
        inputs: &[&[f32]],
        rows: usize,
        activations: &mut Activations,
        d_out: &[f32],
        gradient: &mut [f32],
        d_inputs: &mut [(usize, &mut [f32])],
    ) {
        let [h1, h2] = self.hidden;
        let d_out = &d_out[..rows * self.output];
        let (first, second) = (&activations.first[..rows * h1], &activations.second[..rows * h2]);
        gradient[self.bias.start..self.parameters()].fill(0.0);

        let d_out_view = View::new(d_out, rows, self.output);
        matmul(&mut gradient[self.head.clone()], d_out_view.t(), View::new(second, rows, h2), false);
        add_column_sums(d_out, &mut gradient[self.head_bias.clone()]);
        let d_second = lend(&mut activations.d_second, rows * h2);
        matmul(d_second, d_out_view, View::new(&p[self.head.clone()], self.output, h2), false);
        elu_backward(d_second, second);

        let d_second_view = View::new(d_second, rows, h2);
        matmul(&mut gradient[self.second.clone()], d_second_view.t(), View::new(first, rows, h1), false);
        add_column_sums(d_second, &mut gradient[self.second_bias.clone()]);
        let d_first = lend(&mut activations.d_first, rows * h1);
        matmul(d_first, d_second_view, View::new(&p[self.second.clone()], h2, h1), false);
        match self.torso {
            Torso::Plain => elu_backward(d_first, first),
            Torso::LayerNorm => {
                let (normalised, inverse) = (&activations.normalised[..rows * h1], &activations.inverse[..rows]);
                let (d_scale, d_shift) = gradient[self.scale.start..self.shift.end].split_at_mut(h1);
                norm_tanh_backward(d_first, first, normalised, inverse, &p[self.scale.clone()], d_scale, d_shift);
            }
        }

        let d_first_view = View::new(d_first, rows, h1);
        for (x, (size, place)) in inputs.iter().zip(&self.inputs) {
            matmul(&mut gradient[place.clone()], d_first_view.t(), View::new(x, rows, *size), false);
        }
        add_column_sums(d_first, &mut gradient[self.bias.clone()]);
        for (k, d_input) in d_inputs {
            let (size, place) = &self.inputs[*k];
            matmul(d_input, d_first_view, View::new(&p[place.clone()], h1, *size), false);
        }
    }

    /// Scalar outputs for `samples` second inputs (actions) per first input (state).
    ///
    /// `states` `[n, input_0]`, `actions` `[n * samples, input_1]`, `out` `[n * samples]`. Runs in chunks of rows that
    /// stay in cache, and adds each action's part to the state's, computed once.
    ///
    /// # Panics
    /// If the network has not two inputs and one output, or a slice is shorter than its shape.
    pub fn evaluate_actions(
        &self,
        p: &[f32],
        states: &[f32],
        actions: &[f32],
        samples: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        let [h1, h2] = self.hidden;
        let [(n_state, w_state), (n_action, w_action)] = self.inputs.as_slice() else {
            panic!("evaluate_actions needs two inputs, not {}", self.inputs.len());
        };
        assert_eq!(self.output, 1, "evaluate_actions needs a scalar output");
        let count = states.len() / n_state;

        let shared = lend(&mut activations.normalised, count * h1);
        matmul(shared, View::new(states, count, *n_state), View::new(&p[w_state.clone()], h1, *n_state).t(), false);
        let w_transposed = lend(&mut activations.action_weight, n_action * h1);
        for (i, row) in p[w_action.clone()].chunks_exact(*n_action).enumerate() {
            for (k, &w) in row.iter().enumerate() {
                w_transposed[k * h1 + i] = w;
            }
        }
        let states_per_chunk = (CHUNK_ROWS / samples).max(1);
        let rows = states_per_chunk * samples;
        let first = lend(&mut activations.first, rows * h1);
        let second = lend(&mut activations.second, rows * h2);
        let (bias, scale, shift) = (&p[self.bias.clone()], &p[self.scale.clone()], &p[self.shift.clone()]);
        let chunks = shared
            .chunks(states_per_chunk * h1)
            .zip(actions.chunks(rows * n_action))
            .zip(out[..count * samples].chunks_mut(rows));
        for ((shared, actions), out) in chunks {
            let rows = out.len();
            let (first, second) = (&mut first[..rows * h1], &mut second[..rows * h2]);
            add_action_part(shared, actions, w_transposed, h1, samples, first);
            match self.torso {
                Torso::Plain => bias_elu(first, bias),
                Torso::LayerNorm => bias_norm_tanh(first, bias, scale, shift),
            }
            matmul(second, View::new(first, rows, h1), View::new(&p[self.second.clone()], h2, h1).t(), false);
            bias_elu_dot(second, &p[self.second_bias.clone()], &p[self.head.clone()], p[self.head_bias.start], out);
        }
    }

    /// The output of one row of a network with one input; `hidden` is scratch. For acting, where a matrix product's packing
    /// would cost more than the arithmetic.
    ///
    /// # Panics
    /// If the network has more than one input or a slice is shorter than its shape.
    pub fn forward_row(&self, p: &[f32], x: &[f32], activations: &mut Activations, out: &mut [f32]) {
        let [h1, h2] = self.hidden;
        let [(size, place)] = self.inputs.as_slice() else { panic!("forward_row needs one input") };
        let x = &x[..*size];
        let first = lend(&mut activations.first, h1);
        for (y, w) in first.iter_mut().zip(p[place.clone()].chunks_exact(*size)) {
            *y = dot(w, x);
        }
        match self.torso {
            Torso::Plain => bias_elu(first, &p[self.bias.clone()]),
            Torso::LayerNorm => {
                bias_norm_tanh(first, &p[self.bias.clone()], &p[self.scale.clone()], &p[self.shift.clone()]);
            }
        }
        let second = lend(&mut activations.second, h2);
        for (y, w) in second.iter_mut().zip(p[self.second.clone()].chunks_exact(h1)) {
            *y = dot(w, first);
        }
        bias_elu(second, &p[self.second_bias.clone()]);
        for ((y, w), b) in out.iter_mut().zip(p[self.head.clone()].chunks_exact(h2)).zip(&p[self.head_bias.clone()]) {
            *y = dot(w, second) + b;
        }
    }
}
