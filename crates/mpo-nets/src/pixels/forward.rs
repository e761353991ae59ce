//! The forward pass.

use super::{PixelActivations, PixelNetwork};
use crate::{
    kernels::{add_scaled_rows, relu, rows_dot, unpack},
    matmul::{Factor, Packed, Start, View, matmul, pack, packed_len},
    network::{lend, take},
    threads::{MOST, part_start},
};

/// Features whose weights are read for all rows before the next ones': 128 KB of the deep Q-network's, so that a weight is
/// read once from where it does not fit a core's cache.
pub(super) const FEATURE_BLOCK: usize = 64;

/// A thread's rows and where their activations go.
struct Part<'a> {
    states: &'a [u8],
    rows: usize,
    frames: &'a mut [f32],
    maps: [&'a mut [f32]; 3],
    dense: &'a mut [f32],
    out: &'a mut [f32],
}

impl PixelNetwork {
    /// `out` `[rows, output]` from `states` `[rows, stack, height, width]`; the activations are kept for
    /// [`backward`](Self::backward).
    ///
    /// # Panics
    /// If there is no row, or a slice is shorter than its shape.
    pub fn forward(&self, p: &[f32], states: &[u8], rows: usize, activations: &mut PixelActivations, out: &mut [f32]) {
        let mut packed = std::mem::take(&mut activations.packed);
        let head_len = packed_len(self.output, self.units);
        let head = lend(&mut packed, head_len);
        pack(&p[self.head.clone()], self.output, self.units, head);
        let head = Packed::new(head, self.output, self.units);

        let PixelActivations { threads, maps, dense, scratch, .. } = activations;
        let parts = PixelActivations::parts(threads, scratch, rows);
        let lens = [0, 1, 2].map(|layer: usize| self.stages[layer].output_len());
        let [map1, map2, map3] = maps;
        let mut free_maps = (lend(map1, rows * lens[0]), lend(map2, rows * lens[1]), lend(map3, rows * lens[2]));
        let mut free_dense = lend(dense, rows * self.units);
        let mut free_out = &mut out[..rows * self.output];
        let mut tasks = [const { None }; MOST];
        for (part, (task, scratch)) in tasks.iter_mut().zip(scratch.iter_mut()).enumerate().take(parts) {
            let (from, to) = (part_start(rows, part, parts), part_start(rows, part + 1, parts));
            let rows = to - from;
            *task = Some(Part {
                states: &states[from * self.state_len()..to * self.state_len()],
                rows,
                frames: lend(&mut scratch.frames, rows.min(self.chunk_rows()) * self.state_len()),
                maps: [
                    take(&mut free_maps.0, rows * lens[0]),
                    take(&mut free_maps.1, rows * lens[1]),
                    take(&mut free_maps.2, rows * lens[2]),
                ],
                dense: take(&mut free_dense, rows * self.units),
                out: take(&mut free_out, rows * self.output),
            });
        }
        threads.each(&mut tasks[..parts], |task| {
            let Some(part) = task else { return };
            self.forward_part(p, head, part);
        });
        activations.packed = packed;
    }

    fn forward_part(&self, p: &[f32], head: Packed<'_>, part: &mut Part<'_>) {
        let (state_len, chunk) = (self.state_len(), self.chunk_rows());
        let [len1, len2, len3] = [0, 1, 2].map(|layer: usize| self.stages[layer].output_len());
        let [map1, map2, map3] = &mut part.maps;
        let maps = map1.chunks_mut(chunk * len1).zip(map2.chunks_mut(chunk * len2)).zip(map3.chunks_mut(chunk * len3));
        for (states, ((map1, map2), map3)) in part.states.chunks(chunk * state_len).zip(maps) {
            let rows = states.len() / state_len;
            let frames = &mut part.frames[..states.len()];
            self.unpack(states, frames);
            self.stages[0].forward(p, frames, rows, map1);
            self.stages[1].forward(p, map1, rows, map2);
            self.stages[2].forward(p, map2, rows, map3);
        }
        self.dense(p, part.maps[2], part.rows, part.dense);
        let bias = &p[self.head_bias.clone()];
        if self.output == 1 {
            rows_dot(part.dense, &p[self.head.clone()], bias[0], part.out);
        } else {
            matmul(part.out, View::new(part.dense, part.rows, self.units), Factor::Packed(head), Start::Row(bias));
        }
    }

    /// `frames` `[rows, height, width, stack]` from bytes `[rows, stack, height, width]`.
    pub(super) fn unpack(&self, states: &[u8], frames: &mut [f32]) {
        let stack = self.stages[0].from[2];
        let len = self.state_len();
        for (bytes, frames) in states.chunks_exact(len).zip(frames.chunks_exact_mut(len)) {
            unpack(bytes, stack, frames);
        }
    }

    /// The dense layer, a block of features after another.
    fn dense(&self, p: &[f32], features: &[f32], rows: usize, out: &mut [f32]) {
        let (count, units) = (self.features(), self.units);
        let weight = &p[self.dense.clone()];
        if rows == 1 {
            // A single state's pass takes as long as reading the weight.
            let out = &mut out[..units];
            out.copy_from_slice(&p[self.dense_bias.clone()]);
            add_scaled_rows(&features[..count], weight, out);
            relu(out);
            return;
        }
        for first in (0..count).step_by(FEATURE_BLOCK) {
            let size = FEATURE_BLOCK.min(count - first);
            let x = View::strided(&features[first..], rows, size, count);
            let weight = View::new(&weight[first * units..], size, units);
            let start = if first == 0 { Start::Row(&p[self.dense_bias.clone()]) } else { Start::Destination };
            matmul(out, x, Factor::Rows(weight), start);
        }
        relu(&mut out[..rows * units]);
    }
}
