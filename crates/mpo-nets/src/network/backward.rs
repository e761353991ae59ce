//! The way back: gradients of parameters and, where somebody needs them, of inputs.

use super::{Activations, CHUNK_ROWS, MOST_INPUTS, Network, Scratch, lend, take};
use crate::{
    Torso,
    kernels::{Normalised, add, add_column_sums, elu_backward, norm_tanh_backward},
    matmul::{Factor, Start, View, matmul},
    threads::{MOST, part_start},
};

/// What [`Network::forward`] left behind.
struct Kept<'a> {
    first: &'a [f32],
    second: &'a [f32],
}

/// A thread's rows, its sums of the parameters' gradient and where its inputs' gradients go.
struct Part<'a> {
    from: usize,
    rows: usize,
    normalised: Normalised<'a>,
    d_first: &'a mut [f32],
    d_second: &'a mut [f32],
    gradient: &'a mut [f32],
    d_inputs: [Option<&'a mut [f32]>; MOST_INPUTS],
}

impl Network {
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
        self.way_back(p, inputs, rows, activations, d_out, Some(gradient), d_inputs);
    }

    /// The gradients of inputs alone, as of [`backward`](Self::backward), which spends two thirds of its time on parameters'.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn backward_inputs(
        &self,
        p: &[f32],
        rows: usize,
        activations: &mut Activations,
        d_out: &[f32],
        d_inputs: &mut [(usize, &mut [f32])],
    ) {
        self.way_back(p, &[], rows, activations, d_out, None, d_inputs);
    }

    #[allow(clippy::too_many_arguments, reason = "the forward pass's arguments and the gradients'")]
    fn way_back(
        &self,
        p: &[f32],
        inputs: &[&[f32]],
        rows: usize,
        activations: &mut Activations,
        d_out: &[f32],
        gradient: Option<&mut [f32]>,
        d_inputs: &mut [(usize, &mut [f32])],
    ) {
        let [h1, h2] = self.hidden;
        let wanted = gradient.is_some();
        let kept_rows = if self.torso == Torso::LayerNorm { rows } else { 0 };
        let Activations { threads, first, normalised, inverse, second, scratch, .. } = activations;
        let parts = Activations::parts(threads, scratch, rows);
        let kept = Kept { first: &first[..rows * h1], second: &second[..rows * h2] };
        let mut free = (&mut normalised[..kept_rows * h1], &mut inverse[..kept_rows]);
        let mut free_inputs = [const { None }; MOST_INPUTS];
        for (k, buffer) in d_inputs.iter_mut() {
            free_inputs[*k] = Some(&mut buffer[..rows * self.inputs[*k].0]);
        }
        // The first thread sums where the result belongs, the others beside it.
        let mut whole = gradient.map(|g| &mut g[..self.parameters()]);
        let mut tasks = [const { None }; MOST];
        for (part, (task, scratch)) in tasks.iter_mut().zip(scratch.iter_mut()).enumerate().take(parts) {
            let (from, to) = (part_start(rows, part, parts), part_start(rows, part + 1, parts));
            let rows = to - from;
            let kept_rows = if self.torso == Torso::LayerNorm { rows } else { 0 };
            let chunk = rows.min(CHUNK_ROWS);
            let Scratch { first, second, gradient, .. } = scratch;
            let own = match whole.take() {
                Some(whole) if part == 0 => whole,
                _ => lend(gradient, self.parameters()),
            };
            own.fill(0.0);
            let mut d_inputs = [const { None }; MOST_INPUTS];
            for (k, (d_input, free)) in d_inputs.iter_mut().zip(&mut free_inputs).enumerate() {
                *d_input = free.as_mut().map(|free| take(free, rows * self.inputs[k].0));
            }
            *task = Some(Part {
                from,
                rows,
                normalised: Normalised {
                    rows: take(&mut free.0, kept_rows * h1),
                    inverse: take(&mut free.1, kept_rows),
                },
                d_first: lend(first, chunk * h1),
                d_second: lend(second, chunk * h2),
                gradient: own,
                d_inputs,
            });
        }
        threads.each(&mut tasks[..parts], |task| {
            let Some(part) = task else { return };
            self.backward_part(p, inputs, d_out, &kept, wanted, part);
        });
        if wanted {
            let mut sums = tasks.iter_mut().flatten();
            if let Some(total) = sums.next() {
                for part in sums {
                    add(total.gradient, part.gradient);
                }
            }
        }
    }

    fn backward_part(
        &self,
        p: &[f32],
        inputs: &[&[f32]],
        d_out: &[f32],
        kept: &Kept<'_>,
        wanted: bool,
        part: &mut Part<'_>,
    ) {
        let [h1, h2] = self.hidden;
        // What follows the inputs' weights lies in one run: first bias, scale, shift, second weight and bias, head and bias.
        for start in (0..part.rows).step_by(CHUNK_ROWS) {
            let end = part.rows.min(start + CHUNK_ROWS);
            let (rows, row) = (end - start, part.from + start);
            let first = &kept.first[row * h1..(row + rows) * h1];
            let second = &kept.second[row * h2..(row + rows) * h2];
            let d_out = &d_out[row * self.output..(row + rows) * self.output];
            let gradient = &mut *part.gradient;
            let add_product = |gradient: &mut [f32], d: View<'_>, x: &[f32], size: usize| {
                matmul(gradient, d.t(), Factor::Rows(View::new(x, rows, size)), Start::Destination);
            };

            let d_out_view = View::new(d_out, rows, self.output);
            if wanted {
                add_product(&mut gradient[self.head.clone()], d_out_view, second, h2);
                add_column_sums(d_out, &mut gradient[self.head_bias.clone()]);
            }
            let d_second = &mut part.d_second[..rows * h2];
            let head = View::new(&p[self.head.clone()], self.output, h2);
            matmul(d_second, d_out_view, Factor::Rows(head), Start::Zero);
            elu_backward(d_second, second, &mut gradient[self.second_bias.clone()]);

            let d_second_view = View::new(d_second, rows, h2);
            if wanted {
                add_product(&mut gradient[self.second.clone()], d_second_view, first, h1);
            }
            let d_first = &mut part.d_first[..rows * h1];
            let weight = View::new(&p[self.second.clone()], h2, h1);
            matmul(d_first, d_second_view, Factor::Rows(weight), Start::Zero);
            let (d_bias, rest) = gradient[self.bias.start..self.shift.end].split_at_mut(h1);
            match self.torso {
                Torso::Plain => elu_backward(d_first, first, d_bias),
                Torso::LayerNorm => {
                    let (d_scale, d_shift) = rest.split_at_mut(h1);
                    let normalised = Normalised {
                        rows: &mut part.normalised.rows[start * h1..end * h1],
                        inverse: &mut part.normalised.inverse[start..end],
                    };
                    let scale = &p[self.scale.clone()];
                    norm_tanh_backward(d_first, first, &normalised, scale, d_scale, d_shift, d_bias);
                }
            }

            let d_first_view = View::new(d_first, rows, h1);
            if wanted {
                for (x, (size, place)) in inputs.iter().zip(&self.inputs) {
                    let x = &x[row * size..(row + rows) * size];
                    add_product(&mut gradient[place.clone()], d_first_view, x, *size);
                }
            }
            for (d_input, (size, place)) in part.d_inputs.iter_mut().zip(&self.inputs) {
                if let Some(d_input) = d_input {
                    let weight = View::new(&p[place.clone()], h1, *size);
                    matmul(&mut d_input[start * size..end * size], d_first_view, Factor::Rows(weight), Start::Zero);
                }
            }
        }
    }
}
