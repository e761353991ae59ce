//! One convolution, forward and backward, as products that read the maps where they are.
//!
//! With maps `[height, width, channels]`, the numbers under one row of a kernel are contiguous, and the next output of the
//! same row sees them `stride * channels` further on. A row of outputs is therefore a sum over the kernel's rows of products
//! of a matrix with overlapping rows ([`View::strided`]) and a part of the weight; the gradient of the weight is the same with
//! the matrix transposed, summed over the rows of outputs. The way back to the inputs gathers, for every row of inputs, the
//! rows of outputs that saw it; `stride` neighbouring columns of the kernel fall on neighbouring inputs, and never on those of
//! another output, so that they are one product into a contiguous destination.

use std::ops::Range;

use super::KERNELS;
use crate::{
    kernels::relu,
    matmul::{Factor, Packed, Start, View, matmul, pack, packed_len},
    network::take,
};

/// A convolution without padding: its sizes, and its parameters' places.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Height, width and channels of what comes in.
    pub(super) from: [usize; 3],
    /// The same of what goes out.
    pub(super) to: [usize; 3],
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// `[kernel, kernel, channels in, channels out]`
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
}

impl Stage {
    pub(super) fn input_len(&self) -> usize {
        self.from.iter().product()
    }

    pub(super) fn output_len(&self) -> usize {
        self.to.iter().product()
    }

    /// Multiply-adds for one state.
    pub(super) fn multiply_adds(&self) -> usize {
        self.weight.len() * self.to[0] * self.to[1]
    }

    /// Whether the kernel covers all of a map: a dense layer then, whose rows are the states.
    fn covers_all(&self) -> bool {
        self.from[..2] == [self.kernel; 2]
    }

    /// Numbers under the whole kernel.
    pub(super) fn patch(&self) -> usize {
        self.kernel * self.kernel * self.from[2]
    }

    /// Bias, convolution and `relu` of `input` `[rows, from]` into `out` `[rows, to]`.
    pub(super) fn forward(&self, p: &[f32], input: &[f32], rows: usize, out: &mut [f32]) {
        let ([_, width, channels], [_, columns, filters]) = (self.from, self.to);
        let weight = Factor::Rows(View::new(&p[self.weight.clone()], self.patch(), filters));
        let bias = Start::Row(&p[self.bias.clone()]);
        if self.covers_all() {
            matmul(out, View::new(input, rows, self.patch()), weight, bias);
        } else {
            let states = input.chunks_exact(self.input_len()).zip(out.chunks_exact_mut(self.output_len()));
            for (map, out) in states {
                for (y, out) in out.chunks_exact_mut(columns * filters).enumerate() {
                    let below = &map[y * self.stride * width * channels..];
                    let patches = View::strided(below, columns, self.kernel * channels, self.stride * channels)
                        .segments(self.kernel, width * channels);
                    matmul(out, patches, weight, bias);
                }
            }
        }
        relu(out);
    }

    /// Adds the weight's gradient, of `gradient`, from that of the outputs before the `relu`, `d_out` `[rows, to]`.
    pub(super) fn backward_weight(&self, input: &[f32], rows: usize, d_out: &[f32], gradient: &mut [f32]) {
        let ([_, width, channels], [lines, columns, filters]) = (self.from, self.to);
        if self.covers_all() {
            let d_out = Factor::Rows(View::new(d_out, rows, filters));
            matmul(gradient, View::new(input, rows, self.patch()).t(), d_out, Start::Destination);
            return;
        }
        let row = self.kernel * channels;
        for (map, d_out) in input.chunks_exact(self.input_len()).zip(d_out.chunks_exact(self.output_len())) {
            let d_out = Factor::Rows(View::new(d_out, lines * columns, filters));
            for (ky, gradient) in gradient.chunks_exact_mut(row * filters).enumerate() {
                let patches = View::strided(&map[ky * width * channels..], columns, row, self.stride * channels)
                    .t()
                    .segments(lines, self.stride * width * channels);
                matmul(gradient, patches, d_out, Start::Destination);
            }
        }
    }

    /// Numbers that [`pack_backward`](Self::pack_backward) writes.
    pub(super) fn packed_len(&self) -> usize {
        let [_, _, filters] = self.to;
        if self.covers_all() {
            packed_len(self.patch(), filters)
        } else {
            self.kernel * packed_len(self.stride * self.from[2], self.kernel / self.stride * filters)
        }
    }

    /// Arranges the weight for [`backward_input`](Self::backward_input), in `panels` of [`packed_len`](Self::packed_len)
    /// numbers; `scratch` has room for a row of the kernel, `kernel * channels in * channels out`.
    ///
    /// A block for each row of inputs modulo the stride and each group of `stride` columns of the kernel: from the numbers of
    /// the rows of outputs that saw it, the first of which saw it under the kernel's last such row, to the group's inputs.
    pub(super) fn pack_backward(&self, p: &[f32], panels: &mut [f32], scratch: &mut [f32]) {
        let ([_, _, channels], [_, _, filters]) = (self.from, self.to);
        let weight = &p[self.weight.clone()];
        if self.covers_all() {
            pack(weight, self.patch(), filters, panels);
            return;
        }
        let (steps, group) = (self.kernel / self.stride, self.stride * channels);
        let mut blocks = panels.chunks_exact_mut(packed_len(group, steps * filters));
        for phase in 0..self.stride {
            for m in 0..steps {
                for (input, gathered) in scratch.chunks_exact_mut(steps * filters).take(group).enumerate() {
                    for (step, gathered) in gathered.chunks_exact_mut(filters).enumerate() {
                        let ky = phase + (steps - 1 - step) * self.stride;
                        let at = ((ky * self.kernel + m * self.stride) * channels + input) * filters;
                        gathered.copy_from_slice(&weight[at..at + filters]);
                    }
                }
                if let Some(block) = blocks.next() {
                    pack(scratch, group, steps * filters, block);
                }
            }
        }
    }

    /// The gradient by the inputs, `d_input` `[rows, from]`, overwritten, from that by the outputs before the `relu`.
    pub(super) fn backward_input(&self, packed: &[f32], rows: usize, d_out: &[f32], d_input: &mut [f32]) {
        let ([_, width, channels], [lines, columns, filters]) = (self.from, self.to);
        if self.covers_all() {
            let weight = Factor::Packed(Packed::new(packed, self.patch(), filters));
            matmul(d_input, View::new(d_out, rows, filters), weight, Start::Zero);
            return;
        }
        let (steps, group) = (self.kernel / self.stride, self.stride * channels);
        let block_len = packed_len(group, steps * filters);
        let states = d_out.chunks_exact(self.output_len()).zip(d_input.chunks_exact_mut(self.input_len()));
        for (d_out, d_input) in states {
            d_input.fill(0.0);
            for (y, d_line) in d_input.chunks_exact_mut(width * channels).enumerate() {
                let (phase, newest) = (y % self.stride, y / self.stride);
                let oldest = (newest + 1).saturating_sub(steps);
                let end = (newest + 1).min(lines);
                if oldest >= end {
                    continue;
                }
                let from = View::new(&d_out[oldest * columns * filters..], columns, filters)
                    .segments(end - oldest, columns * filters);
                let skipped = steps - 1 - (newest - oldest);
                for m in 0..steps {
                    let block = &packed[(phase * steps + m) * block_len..];
                    let weight = Packed::new(block, group, steps * filters);
                    let weight = weight.rows(skipped * filters, (end - oldest) * filters);
                    let to = &mut d_line[m * group..][..columns * group];
                    matmul(to, from, Factor::Packed(weight), Start::Destination);
                }
            }
        }
    }
}

const _: () = {
    let mut layer = 0;
    while layer < KERNELS.len() {
        assert!(KERNELS[layer].0.is_multiple_of(KERNELS[layer].1), "groups of columns as wide as the stride");
        layer += 1;
    }
};

/// Cuts panels for each of `stages` off `packed`, in their order.
pub(super) fn panels<'a>(stages: &[Stage], mut packed: &'a mut [f32]) -> impl Iterator<Item = &'a mut [f32]> {
    stages.iter().map(move |stage| take(&mut packed, stage.packed_len()))
}
