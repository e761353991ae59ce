//! The forward passes: of a batch, whose hidden activations the way back needs, and of one row.

use super::{Activations, CHUNK_ROWS, FixedParameters, MOST_BRANCHES, Network, TorsoRows, Weights, lend, take};
use crate::{
    Torso,
    kernels::{Normalised, affine, elu, norm_tanh_keep, rows_dot},
    matmul::{Factor, Start, View, matmul},
    threads::{MOST, part_start},
};

/// A thread's rows of the pass, and where their activations go.
struct Part<'a> {
    from: usize,
    rows: usize,
    torsos: [TorsoRows<'a>; MOST_BRANCHES],
    second: &'a mut [f32],
    out: &'a mut [f32],
}

impl Network {
    /// The outputs of all rows; hidden activations stay in `activations` for [`backward`](Self::backward).
    ///
    /// `inputs[k]` is `[rows, input_k]`, `out` `[rows, output]`.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn forward(&self, p: &[f32], inputs: &[&[f32]], rows: usize, activations: &mut Activations, out: &mut [f32]) {
        let mut packed = std::mem::take(&mut activations.packed);
        let weights = self.pack(p, &mut packed);
        self.forward_weights(p, &weights, inputs, rows, activations, out);
        activations.packed = packed;
    }

    /// [`forward`](Self::forward) with parameters whose weights are arranged already.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn forward_fixed(
        &self,
        fixed: &FixedParameters,
        inputs: &[&[f32]],
        rows: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        self.forward_weights(&fixed.parameters, &self.weights(&fixed.packed), inputs, rows, activations, out);
    }

    fn forward_weights(
        &self,
        p: &[f32],
        weights: &Weights<'_>,
        inputs: &[&[f32]],
        rows: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        let [h1, h2] = self.hidden;
        assert_eq!(inputs.len(), self.rows.len(), "inputs of the network");
        let kept = usize::from(self.torso == Torso::LayerNorm);
        let Activations { threads, torsos, second, scratch, .. } = activations;
        let parts = Activations::parts(threads, scratch, rows);
        let mut free_torsos: [TorsoRows<'_>; MOST_BRANCHES] = Default::default();
        for (free, torso) in free_torsos.iter_mut().zip(torsos).take(self.branches.len()) {
            *free = TorsoRows {
                first: lend(&mut torso.first, rows * h1),
                normalised: lend(&mut torso.normalised, kept * rows * h1),
                inverse: lend(&mut torso.inverse, kept * rows),
            };
        }
        let mut free = (lend(second, rows * h2), &mut out[..rows * self.output]);
        let mut tasks = [const { None }; MOST];
        for (part, task) in tasks.iter_mut().enumerate().take(parts) {
            let (from, to) = (part_start(rows, part, parts), part_start(rows, part + 1, parts));
            let rows = to - from;
            let mut torsos: [TorsoRows<'_>; MOST_BRANCHES] = Default::default();
            for (torso, free) in torsos.iter_mut().zip(&mut free_torsos).take(self.branches.len()) {
                *torso = free.take(rows, h1, kept);
            }
            *task = Some(Part {
                from,
                rows,
                torsos,
                second: take(&mut free.0, rows * h2),
                out: take(&mut free.1, rows * self.output),
            });
        }
        threads.each(&mut tasks[..parts], |task| {
            let Some(part) = task else { return };
            self.forward_part(p, inputs, weights, part);
        });
    }

    fn forward_part(&self, p: &[f32], inputs: &[&[f32]], weights: &Weights<'_>, part: &mut Part<'_>) {
        let [h1, h2] = self.hidden;
        for start in (0..part.rows).step_by(CHUNK_ROWS) {
            let end = part.rows.min(start + CHUNK_ROWS);
            let rows = end - start;
            let second = &mut part.second[start * h2..end * h2];
            for (b, (branch, torso)) in self.branches.iter().zip(&mut part.torsos).enumerate() {
                let first = &mut torso.first[start * h1..end * h1];
                for (k, weight) in branch.weights.iter().enumerate() {
                    let x = weight.part(inputs[weight.input], self.rows[weight.input], part.from + start, rows);
                    let from = if k == 0 { Start::Row(&p[branch.bias.clone()]) } else { Start::Destination };
                    matmul(first, x, Factor::Packed(weights.first[b][k]), from);
                }
                match self.torso {
                    Torso::Plain => elu(first),
                    Torso::LayerNorm => {
                        let kept = Normalised {
                            rows: &mut torso.normalised[start * h1..end * h1],
                            inverse: &mut torso.inverse[start..end],
                        };
                        norm_tanh_keep(first, &p[branch.scale.clone()], &p[branch.shift.clone()], kept);
                    }
                }
                let from = if b == 0 { Start::Row(&p[self.second_bias.clone()]) } else { Start::Destination };
                matmul(second, View::new(first, rows, h1), Factor::Packed(weights.second[b]), from);
            }
            elu(second);
            let out = &mut part.out[start * self.output..end * self.output];
            let bias = &p[self.head_bias.clone()];
            if self.output == 1 {
                rows_dot(second, &p[self.head.clone()], bias[0], out);
            } else {
                matmul(out, View::new(second, rows, h2), Factor::Packed(weights.head), Start::Row(bias));
            }
        }
    }

    /// The output of one row of a network with one input. For acting, where arranging the weights for a matrix product
    /// would cost more than the arithmetic.
    ///
    /// # Panics
    /// If the network has more than one input or a slice is shorter than its shape.
    pub fn forward_row(&self, p: &[f32], x: &[f32], activations: &mut Activations, out: &mut [f32]) {
        let [h1, h2] = self.hidden;
        let [len] = self.rows.as_slice() else { panic!("forward_row needs one input") };
        let x = &x[..*len];
        let (mut second, mut next) = lend(&mut activations.second, 2 * h2).split_at_mut(h2);
        second.copy_from_slice(&p[self.second_bias.clone()]);
        for (branch, torso) in self.branches.iter().zip(&mut activations.torsos) {
            let first = lend(&mut torso.first, h1);
            let weight = &branch.weights[0];
            let part = &x[weight.offset..weight.offset + weight.size];
            affine(&p[weight.place.clone()], part, &p[branch.bias.clone()], first);
            self.activate(p, branch, first);
            affine(&p[branch.second.clone()], first, second, next);
            (second, next) = (next, second);
        }
        elu(second);
        affine(&p[self.head.clone()], second, &p[self.head_bias.clone()], &mut out[..self.output]);
    }
}
