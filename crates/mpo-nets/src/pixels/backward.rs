//! The way back: gradients of the parameters.

use super::{
    PixelActivations, PixelNetwork, Scratch,
    convolution::{Stage, panels},
    forward::FEATURE_BLOCK,
};
use crate::{
    kernels::{add, add_column_sums, relu_backward},
    matmul::{Factor, Packed, Start, View, matmul, pack, packed_len},
    network::lend,
    threads::{MOST, part_start},
};

/// What [`PixelNetwork::forward`] left behind.
struct Kept<'a> {
    states: &'a [u8],
    maps: [&'a [f32]; 3],
    dense: &'a [f32],
    d_out: &'a [f32],
}

/// A thread's rows, its scratch and its sums of the parameters' gradient.
struct Part<'a> {
    rows: usize,
    kept: Kept<'a>,
    frames: &'a mut [f32],
    d_maps: [&'a mut [f32]; 3],
    d_dense: &'a mut [f32],
    packed: &'a mut [f32],
    block: &'a mut [f32],
    gradient: &'a mut [f32],
}

impl PixelNetwork {
    /// The gradient of a loss, after [`forward`](Self::forward) with the same arguments: `d_out` is d loss / d out
    /// `[rows, output]`, `gradient` `[parameters]` is overwritten. Frames get none.
    ///
    /// # Panics
    /// If a slice is shorter than its shape.
    pub fn backward(
        &self,
        p: &[f32],
        states: &[u8],
        rows: usize,
        activations: &mut PixelActivations,
        d_out: &[f32],
        gradient: &mut [f32],
    ) {
        let PixelActivations { threads, maps, dense, packed, scratch } = activations;
        let parts = PixelActivations::parts(threads, scratch, rows);
        let later = &self.stages[1..];
        let row_len = later.iter().map(|stage| stage.weight.len() / stage.kernel).max().unwrap_or(0);
        let panels_len: usize = later.iter().map(Stage::packed_len).sum();
        let (panels_free, row) = lend(packed, panels_len + row_len).split_at_mut(panels_len);
        for (stage, panels) in later.iter().zip(panels(later, panels_free)) {
            stage.pack_backward(p, panels, row);
        }
        let packed: &[f32] = panels_free;
        let lens = [0, 1, 2].map(|layer: usize| self.stages[layer].output_len());
        let maps: [&[f32]; 3] = std::array::from_fn(|layer| &maps[layer][..rows * lens[layer]]);

        // The first thread sums where the result belongs, the others beside it.
        let mut whole = Some(&mut gradient[..self.parameters()]);
        let mut tasks = [const { None }; MOST];
        for (part, (task, scratch)) in tasks.iter_mut().zip(scratch.iter_mut()).enumerate().take(parts) {
            let (from, to) = (part_start(rows, part, parts), part_start(rows, part + 1, parts));
            let rows = to - from;
            let chunk = rows.min(self.chunk_rows());
            let Scratch { frames, d_maps: [d_map1, d_map2, d_map3], d_dense, packed, block, gradient } = scratch;
            *task = Some(Part {
                rows,
                kept: Kept {
                    states: &states[from * self.state_len()..to * self.state_len()],
                    maps: std::array::from_fn(|layer| &maps[layer][from * lens[layer]..to * lens[layer]]),
                    dense: &dense[from * self.units..to * self.units],
                    d_out: &d_out[from * self.output..to * self.output],
                },
                frames: lend(frames, chunk * self.state_len()),
                d_maps: [lend(d_map1, chunk * lens[0]), lend(d_map2, chunk * lens[1]), lend(d_map3, rows * lens[2])],
                d_dense: lend(d_dense, rows * self.units),
                packed: lend(packed, packed_len(rows, self.units)),
                block: lend(block, FEATURE_BLOCK * rows),
                gradient: whole.take().unwrap_or_else(|| lend(gradient, self.parameters())),
            });
        }
        threads.each(&mut tasks[..parts], |task| {
            let Some(part) = task else { return };
            self.backward_part(p, packed, part);
        });
        let mut sums = tasks.iter_mut().flatten();
        if let Some(total) = sums.next() {
            for part in sums {
                add(total.gradient, part.gradient);
            }
        }
    }

    fn backward_part(&self, p: &[f32], packed: &[f32], part: &mut Part<'_>) {
        let Part { rows, kept, frames, d_maps: [d_map1, d_map2, d_map3], d_dense, gradient, .. } = part;
        let (rows, gradient) = (*rows, &mut **gradient);
        // The dense weight's gradient is written, not summed; it is most of the parameters.
        gradient[..self.dense.start].fill(0.0);
        gradient[self.dense.end..].fill(0.0);

        let d_out = View::new(kept.d_out, rows, self.output);
        let dense = Factor::Rows(View::new(kept.dense, rows, self.units));
        matmul(&mut gradient[self.head.clone()], d_out.t(), dense, Start::Zero);
        add_column_sums(kept.d_out, &mut gradient[self.head_bias.clone()]);
        let head = View::new(&p[self.head.clone()], self.output, self.units);
        matmul(d_dense, d_out, Factor::Rows(head), Start::Zero);
        relu_backward(d_dense, kept.dense, &mut gradient[self.dense_bias.clone()]);
        self.dense_backward(p, (rows, kept.maps[2]), d_dense, (part.packed, part.block), d_map3, gradient);
        relu_backward(d_map3, kept.maps[2], &mut gradient[self.stages[2].bias.clone()]);

        let [first, second, third] = &self.stages;
        let (packed2, packed3) = packed.split_at(second.packed_len());
        let chunk = self.chunk_rows();
        for start in (0..rows).step_by(chunk) {
            let count = chunk.min(rows - start);
            let of = |map: &'_ [f32], len: usize| start * len..(start * len + count * len).min(map.len());
            let map1 = &kept.maps[0][of(kept.maps[0], first.output_len())];
            let map2 = &kept.maps[1][of(kept.maps[1], second.output_len())];
            let d_map3 = &d_map3[start * third.output_len()..][..count * third.output_len()];
            let d_map2 = &mut d_map2[..count * second.output_len()];
            let d_map1 = &mut d_map1[..count * first.output_len()];
            let frames = &mut frames[..count * self.state_len()];

            third.backward_weight(map2, count, d_map3, &mut gradient[third.weight.clone()]);
            third.backward_input(packed3, count, d_map3, d_map2);
            relu_backward(d_map2, map2, &mut gradient[second.bias.clone()]);
            second.backward_weight(map1, count, d_map2, &mut gradient[second.weight.clone()]);
            second.backward_input(packed2, count, d_map2, d_map1);
            relu_backward(d_map1, map1, &mut gradient[first.bias.clone()]);
            self.unpack(&kept.states[start * self.state_len()..][..frames.len()], frames);
            first.backward_weight(frames, count, d_map1, &mut gradient[first.weight.clone()]);
        }
    }

    /// The dense layer's weight gradient, written, and that of its features, `d_features` `[rows, features]`, a block of
    /// features after another: a block of the weight and of its gradient stay in a core's cache.
    fn dense_backward(
        &self,
        p: &[f32],
        (rows, features): (usize, &[f32]),
        d_dense: &[f32],
        (packed, block): (&mut [f32], &mut [f32]),
        d_features: &mut [f32],
        gradient: &mut [f32],
    ) {
        let (count, units) = (self.features(), self.units);
        let (weight, gradient) = (&p[self.dense.clone()], &mut gradient[self.dense.clone()]);
        pack(d_dense, rows, units, packed);
        let columns = Packed::new(packed, rows, units);
        for first in (0..count).step_by(FEATURE_BLOCK) {
            let size = FEATURE_BLOCK.min(count - first);
            let x = View::strided(&features[first..], rows, size, count).t();
            let d_rows = Factor::Rows(View::new(d_dense, rows, units));
            matmul(&mut gradient[first * units..][..size * units], x, d_rows, Start::Zero);
            // The other way round, so that the weight is read as it lies; a column of the result is a row's gradient.
            let weight = View::new(&weight[first * units..], size, units);
            matmul(block, weight, Factor::Packed(columns), Start::Zero);
            for (row, d_features) in d_features.chunks_exact_mut(count).enumerate().take(rows) {
                for (d, line) in d_features[first..first + size].iter_mut().zip(block.chunks_exact(rows)) {
                    *d = line[row];
                }
            }
        }
    }
}
