//! A network of convolutions written out as its definition, in double precision, and numbers to try it on.

use mpo_nets::{Layout, PixelNetwork, noise::Noise};

const KERNELS: [(usize, usize); 3] = [(8, 4), (4, 2), (3, 1)];

/// Sizes of a network and of its frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) stack: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: [usize; 3],
    pub(crate) units: usize,
    pub(crate) output: usize,
}

fn side(mut side: usize) -> usize {
    for (kernel, stride) in KERNELS {
        side = (side - kernel) / stride + 1;
    }
    side
}

impl Sizes {
    pub(crate) fn layout(&self) -> Layout {
        let [c1, c2, c3] = self.channels;
        let features = side(self.height) * side(self.width) * c3;
        Layout::from_shapes(&[
            ("torso.conv1.weight", &[8, 8, self.stack, c1]),
            ("torso.conv1.bias", &[c1]),
            ("torso.conv2.weight", &[4, 4, c1, c2]),
            ("torso.conv2.bias", &[c2]),
            ("torso.conv3.weight", &[3, 3, c2, c3]),
            ("torso.conv3.bias", &[c3]),
            ("torso.dense.weight", &[features, self.units]),
            ("torso.dense.bias", &[self.units]),
            ("head.weight", &[self.output, self.units]),
            ("head.bias", &[self.output]),
        ])
    }

    pub(crate) fn network(&self) -> PixelNetwork {
        PixelNetwork::from_layout(&self.layout(), self.height, self.width)
    }

    pub(crate) fn state_len(&self) -> usize {
        self.stack * self.height * self.width
    }
}

pub(crate) fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

/// Weights of a size that keeps the activations near one, and biases away from zero.
pub(crate) fn parameters(layout: &Layout, seed: u64) -> Vec<f32> {
    let mut values = draw(seed, layout.len());
    for entry in layout.entries() {
        let inputs: usize = match entry.name.as_str() {
            "head.weight" => entry.shape[1],
            _ => entry.shape[..entry.shape.len() - 1].iter().product(),
        };
        let scale = if entry.name.ends_with("bias") { 0.1 } else { (2.0 / inputs as f32).sqrt() };
        values[entry.range.clone()].iter_mut().for_each(|x| *x *= scale);
    }
    values
}

pub(crate) fn frames(len: usize, seed: u64) -> Vec<u8> {
    draw(seed, len).iter().map(|x| (128.0 + 60.0 * x).clamp(0.0, 255.0) as u8).collect()
}

/// The outputs in one state.
pub(crate) fn naive(sizes: &Sizes, p: &[f64], frames: &[u8]) -> Vec<f64> {
    naive_with_margin(sizes, p, frames).0
}

/// The outputs in one state in double precision, a convolution as five nested sums; and how near to zero a unit came, where
/// rounding would switch it.
pub(crate) fn naive_with_margin(sizes: &Sizes, p: &[f64], frames: &[u8]) -> (Vec<f64>, f64) {
    let mut margin = f64::INFINITY;
    let mut relu = |sum: f64| {
        margin = margin.min(sum.abs());
        sum.max(0.0)
    };
    let layout = sizes.layout();
    let tensor = |index: usize| &p[layout.entries()[index].range.clone()];
    let [mut height, mut width, mut channels] = [sizes.height, sizes.width, sizes.stack];
    let pixels = height * width;
    let mut map: Vec<f64> =
        (0..pixels * channels).map(|i| f64::from(frames[i % channels * pixels + i / channels]) / 255.0).collect();
    for (layer, (kernel, stride)) in KERNELS.into_iter().enumerate() {
        let (weight, bias) = (tensor(2 * layer), tensor(2 * layer + 1));
        let (lines, columns, filters) = ((height - kernel) / stride + 1, (width - kernel) / stride + 1, bias.len());
        let mut next = Vec::new();
        for (y, x, o) in (0..lines).flat_map(|y| (0..columns).flat_map(move |x| (0..filters).map(move |o| (y, x, o)))) {
            let mut sum = bias[o];
            for ky in 0..kernel {
                for kx in 0..kernel {
                    for c in 0..channels {
                        let input = map[((y * stride + ky) * width + x * stride + kx) * channels + c];
                        sum += input * weight[((ky * kernel + kx) * channels + c) * filters + o];
                    }
                }
            }
            next.push(relu(sum));
        }
        (map, height, width, channels) = (next, lines, columns, filters);
    }
    let units: Vec<f64> = (0..sizes.units)
        .map(|u| {
            let sum: f64 = map.iter().enumerate().map(|(f, x)| x * tensor(6)[f * sizes.units + u]).sum();
            relu(sum + tensor(7)[u])
        })
        .collect();
    let out = (0..sizes.output)
        .map(|o| units.iter().enumerate().map(|(u, x)| x * tensor(8)[o * sizes.units + u]).sum::<f64>() + tensor(9)[o])
        .collect();
    (out, margin)
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}
