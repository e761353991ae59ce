//! Policies and values over stacks of frames: the deep Q-network's convolutions as kernels on one flat parameter buffer.
//!
//! ```text
//! maps_0 = frames / 255                                        [height, width, stack]
//! maps_l = relu(convolution_l(maps_{l-1}) + b_l),  l = 1, 2, 3   [height_l, width_l, channels_l]
//! dense  = relu(maps_3 W + c)                                  [units]
//! out    = dense U^T + d                                       [out]
//! ```
//! Maps stand with the channels last, so that what a kernel's row covers is contiguous: the patches under a row of outputs are
//! a matrix whose rows overlap, one segment per row of the kernel, and the product reads them where they are. No patch is ever
//! copied ([`convolution`]).

mod acting;
mod backward;
mod convolution;
mod forward;
mod modules;

use std::ops::Range;

pub use acting::PixelActingPolicy;
pub use modules::{Convolution, Convolutional, ConvolutionalTorso, Dense, DqnNetwork};

use crate::{
    layout::Layout,
    threads::{MOST, Threads},
};
use convolution::Stage;

/// Side and stride of each convolution's kernel.
const KERNELS: [(usize, usize); 3] = [(8, 4), (4, 2), (3, 1)];

/// Frames that are worth waking a thread for.
const ROWS_PER_THREAD: usize = 2;

/// Numbers of unpacked frames that are convolved layer by layer before the next ones are unpacked; they stay in a core's
/// cache. One of Atari's stacks fills it.
const CHUNK_NUMBERS: usize = 28_224;

/// Side of the maps that each convolution leaves of a side of `side` pixels.
///
/// # Panics
/// If nothing is left.
const fn maps(side: usize) -> [usize; 3] {
    let (mut sides, mut layer, mut side) = ([0; 3], 0, side);
    while layer < 3 {
        let (kernel, stride) = KERNELS[layer];
        assert!(side >= kernel, "the frames are too small for three convolutions");
        side = (side - kernel) / stride + 1;
        sides[layer] = side;
        layer += 1;
    }
    sides
}

/// Numbers that three convolutions, the last of `channels`, leave of frames of `height` by `width`.
pub(crate) const fn features(height: usize, width: usize, channels: usize) -> usize {
    maps(height)[2] * maps(width)[2] * channels
}

/// Sizes of a policy over pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelShape {
    /// Frames in a state.
    pub stack: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Columns of a frame.
    pub width: usize,
    /// Number of actions.
    pub actions: usize,
}

impl PixelShape {
    /// Bytes of a state, `stack * height * width`.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        self.stack * self.height * self.width
    }
}

/// The run-time description of a [`Convolutional`] network: its sizes and its parameters' places in the flat buffer.
#[derive(Clone, Debug)]
pub struct PixelNetwork {
    stages: [Stage; 3],
    units: usize,
    output: usize,
    dense: Range<usize>,
    dense_bias: Range<usize>,
    head: Range<usize>,
    head_bias: Range<usize>,
}

/// Activations and scratch of [`PixelNetwork`]'s passes, and the threads that share them.
///
/// Everything is reused, so that a warm pass allocates nothing. Results depend on the number of threads: gradients are summed
/// over each thread's rows first.
#[derive(Clone, Debug, Default)]
pub struct PixelActivations {
    threads: Threads,
    maps: [Vec<f32>; 3],
    dense: Vec<f32>,
    packed: Vec<f32>,
    scratch: Vec<Scratch>,
}

/// What a thread needs for itself.
#[derive(Clone, Debug, Default)]
struct Scratch {
    /// Unpacked frames of a chunk.
    frames: Vec<f32>,
    /// The loss's gradient by the first two maps of a chunk, and by the last of all rows.
    d_maps: [Vec<f32>; 3],
    d_dense: Vec<f32>,
    /// `d_dense` arranged for a product, and a block of that product.
    packed: Vec<f32>,
    block: Vec<f32>,
    /// A part's sums of the parameters' gradient.
    gradient: Vec<f32>,
}

impl PixelActivations {
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

/// Sizes of a network over frames, and the first places of its parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Height, width and channels of each convolution's maps.
    pub(crate) maps: [[usize; 3]; 3],
    /// Numbers under each convolution's kernel.
    pub(crate) patches: [usize; 3],
    pub(crate) units: usize,
    pub(crate) output: usize,
    pub(crate) weights: [usize; 3],
    pub(crate) biases: [usize; 3],
    pub(crate) dense: usize,
    pub(crate) dense_bias: usize,
    pub(crate) head: usize,
    pub(crate) head_bias: usize,
}

impl PixelNetwork {
    /// Sizes and places, for kernels that are not these.
    pub(crate) fn sizes(&self) -> Sizes {
        let stages = &self.stages;
        Sizes {
            maps: stages.each_ref().map(|stage| stage.to),
            patches: stages.each_ref().map(Stage::patch),
            units: self.units,
            output: self.output,
            weights: stages.each_ref().map(|stage| stage.weight.start),
            biases: stages.each_ref().map(|stage| stage.bias.start),
            dense: self.dense.start,
            dense_bias: self.dense_bias.start,
            head: self.head.start,
            head_bias: self.head_bias.start,
        }
    }

    /// Reads sizes and places from the layout of a [`Convolutional`] network for frames of `height` by `width`.
    ///
    /// # Panics
    /// If the layout is not of that form, or the frames are of another size.
    #[must_use]
    pub fn from_layout(layout: &Layout, height: usize, width: usize) -> Self {
        let entries = layout.entries();
        let names: Vec<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        let parts = ["torso.conv1", "torso.conv2", "torso.conv3", "torso.dense", "head"];
        let expected: Vec<String> =
            parts.iter().flat_map(|part| ["weight", "bias"].map(|kind| format!("{part}.{kind}"))).collect();
        assert_eq!(names, expected, "tensors of a convolutional network");
        let (heights, widths) = (maps(height), maps(width));
        let mut from = [height, width];
        let stages = std::array::from_fn(|layer| {
            let (weight, bias) = (&entries[2 * layer], &entries[2 * layer + 1]);
            let (kernel, stride) = KERNELS[layer];
            let [rows, columns, channels_in, channels_out] = weight.shape[..] else {
                panic!("`{}` has {} dimensions, not four", weight.name, weight.shape.len());
            };
            assert_eq!([rows, columns], [kernel; 2], "`{}`: the kernel's sides", weight.name);
            let stage = Stage {
                from: [from[0], from[1], channels_in],
                to: [heights[layer], widths[layer], channels_out],
                kernel,
                stride,
                weight: weight.range.clone(),
                bias: bias.range.clone(),
            };
            from = [heights[layer], widths[layer]];
            stage
        });
        let network = Self {
            units: entries[7].shape[0],
            output: entries[9].shape[0],
            dense: entries[6].range.clone(),
            dense_bias: entries[7].range.clone(),
            head: entries[8].range.clone(),
            head_bias: entries[9].range.clone(),
            stages,
        };
        assert_eq!(entries[6].shape, [network.features(), network.units], "features of frames of {height} by {width}");
        network
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

    /// Bytes of a state.
    #[must_use]
    pub fn state_len(&self) -> usize {
        self.stages[0].input_len()
    }

    /// Numbers that the last convolution leaves of a state.
    fn features(&self) -> usize {
        self.stages[2].output_len()
    }

    /// States whose convolutions are computed layer by layer.
    fn chunk_rows(&self) -> usize {
        (CHUNK_NUMBERS / self.state_len()).max(1)
    }

    /// Floating-point operations of the products of a forward pass over `rows` rows (a multiply-add counts as two).
    #[must_use]
    pub fn forward_flops(&self, rows: usize) -> usize {
        let convolutions: usize = self.stages.iter().map(Stage::multiply_adds).sum();
        2 * rows * (convolutions + (self.features() + self.output) * self.units)
    }

    /// The same for a forward pass and a [`backward`](Self::backward): a product for the gradients of every layer's weights,
    /// one for the activations' of every layer but the first.
    #[must_use]
    pub fn training_flops(&self, rows: usize) -> usize {
        3 * self.forward_flops(rows) - 2 * rows * self.stages[0].multiply_adds()
    }
}
