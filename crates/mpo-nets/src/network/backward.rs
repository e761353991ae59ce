//! The way back: gradients of parameters and, where somebody needs them, of inputs.

use super::{Activations, CHUNK_ROWS, MOST_BRANCHES, MOST_INPUTS, Network, Scratch, TorsoRows, lend, take};
use crate::{
    Torso,
    kernels::{Normalised, add, add_column_sums, elu_backward, norm_tanh_backward},
    matmul::{Factor, Start, View, matmul},
    threads::{MOST, part_start},
};

/// A thread's rows, its sums of the parameters' gradient and where its inputs' gradients go.
struct Part<'a> {
    from: usize,
    rows: usize,
    torsos: [TorsoRows<'a>; MOST_BRANCHES],
    d_first: &'a mut [f32],
    d_second: &'a mut [f32],
    /// Scratch for the gradient of a part of an input.
    d_slice: &'a mut [f32],
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
        let kept = usize::from(self.torso == Torso::LayerNorm);
        let Activations { threads, torsos, second, scratch, .. } = activations;
        let parts = Activations::parts(threads, scratch, rows);
        let second = &second[..rows * h2];
        let mut free: [TorsoRows<'_>; MOST_BRANCHES] = Default::default();
        for (free, torso) in free.iter_mut().zip(torsos).take(self.branches.len()) {
            *free = TorsoRows {
                first: &mut torso.first[..rows * h1],
                normalised: &mut torso.normalised[..kept * rows * h1],
                inverse: &mut torso.inverse[..kept * rows],
            };
        }
        let mut free_inputs = [const { None }; MOST_INPUTS];
        for (k, buffer) in d_inputs.iter_mut() {
            free_inputs[*k] = Some(&mut buffer[..rows * self.rows[*k]]);
        }
        // The first thread sums where the result belongs, the others beside it.
        let mut whole = gradient.map(|g| &mut g[..self.parameters()]);
        let mut tasks = [const { None }; MOST];
        for (part, (task, scratch)) in tasks.iter_mut().zip(scratch.iter_mut()).enumerate().take(parts) {
            let (from, to) = (part_start(rows, part, parts), part_start(rows, part + 1, parts));
            let rows = to - from;
            let chunk = rows.min(CHUNK_ROWS);
            let Scratch { first, second, shared, gradient, .. } = scratch;
            let own = match whole.take() {
                Some(whole) if part == 0 => whole,
                _ => lend(gradient, self.parameters()),
            };
            own.fill(0.0);
            let mut d_inputs = [const { None }; MOST_INPUTS];
            for (k, (d_input, free)) in d_inputs.iter_mut().zip(&mut free_inputs).enumerate() {
                *d_input = free.as_mut().map(|free| take(free, rows * self.rows[k]));
            }
            let mut torsos: [TorsoRows<'_>; MOST_BRANCHES] = Default::default();
            for (torso, free) in torsos.iter_mut().zip(&mut free).take(self.branches.len()) {
                *torso = free.take(rows, h1, kept);
            }
            *task = Some(Part {
                from,
                rows,
                torsos,
                d_first: lend(first, chunk * h1),
                d_second: lend(second, chunk * h2),
                d_slice: lend(shared, chunk * self.longest_part()),
                gradient: own,
                d_inputs,
            });
        }
        threads.each(&mut tasks[..parts], |task| {
            let Some(part) = task else { return };
            self.backward_part(p, inputs, d_out, second, wanted, part);
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
        second: &[f32],
        wanted: bool,
        part: &mut Part<'_>,
    ) {
        let [h1, h2] = self.hidden;
        for start in (0..part.rows).step_by(CHUNK_ROWS) {
            let end = part.rows.min(start + CHUNK_ROWS);
            let (rows, row) = (end - start, part.from + start);
            let second = &second[row * h2..(row + rows) * h2];
            let d_out = &d_out[row * self.output..(row + rows) * self.output];
            let gradient = &mut *part.gradient;
            let add_product = |gradient: &mut [f32], d: View<'_>, x: View<'_>| {
                matmul(gradient, d.t(), Factor::Rows(x), Start::Destination);
            };

            let d_out_view = View::new(d_out, rows, self.output);
            if wanted {
                add_product(&mut gradient[self.head.clone()], d_out_view, View::new(second, rows, h2));
                add_column_sums(d_out, &mut gradient[self.head_bias.clone()]);
            }
            let d_second = &mut part.d_second[..rows * h2];
            let head = View::new(&p[self.head.clone()], self.output, h2);
            matmul(d_second, d_out_view, Factor::Rows(head), Start::Zero);
            elu_backward(d_second, second, &mut gradient[self.second_bias.clone()]);

            let d_second = View::new(d_second, rows, h2);
            for (branch, torso) in self.branches.iter().zip(&mut part.torsos) {
                if !wanted && branch.weights.iter().all(|weight| part.d_inputs[weight.input].is_none()) {
                    continue;
                }
                let first = &torso.first[start * h1..end * h1];
                if wanted {
                    add_product(&mut gradient[branch.second.clone()], d_second, View::new(first, rows, h1));
                }
                let d_first = &mut part.d_first[..rows * h1];
                let weight = View::new(&p[branch.second.clone()], h2, h1);
                matmul(d_first, d_second, Factor::Rows(weight), Start::Zero);
                // Bias, scale and shift lie in one run.
                let (d_bias, rest) = gradient[branch.bias.start..branch.shift.end].split_at_mut(h1);
                match self.torso {
                    Torso::Plain => elu_backward(d_first, first, d_bias),
                    Torso::LayerNorm => {
                        let (d_scale, d_shift) = rest.split_at_mut(h1);
                        let normalised = Normalised {
                            rows: &mut torso.normalised[start * h1..end * h1],
                            inverse: &mut torso.inverse[start..end],
                        };
                        let scale = &p[branch.scale.clone()];
                        norm_tanh_backward(d_first, first, &normalised, scale, d_scale, d_shift, d_bias);
                    }
                }

                let d_first = View::new(d_first, rows, h1);
                for weight in &branch.weights {
                    let len = self.rows[weight.input];
                    if wanted {
                        let x = weight.part(inputs[weight.input], len, row, rows);
                        add_product(&mut gradient[weight.place.clone()], d_first, x);
                    }
                    let Some(d_input) = &mut part.d_inputs[weight.input] else { continue };
                    let d_slice = &mut part.d_slice[..rows * weight.size];
                    let place = View::new(&p[weight.place.clone()], h1, weight.size);
                    matmul(d_slice, d_first, Factor::Rows(place), Start::Zero);
                    let d_rows = d_input[start * len..end * len].chunks_exact_mut(len);
                    for (d_row, d_slice) in d_rows.zip(d_slice.chunks_exact(weight.size)) {
                        d_row[weight.offset..weight.offset + weight.size].copy_from_slice(d_slice);
                    }
                }
            }
        }
    }

    /// Most numbers of an input's row that one first weight multiplies.
    fn longest_part(&self) -> usize {
        self.branches.iter().flat_map(|branch| &branch.weights).map(|weight| weight.size).max().unwrap_or(0)
    }
}
