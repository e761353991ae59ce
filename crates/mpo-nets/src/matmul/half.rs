//! A layer's product in bfloat16: both factors are rounded to eight bits of mantissa, products and sums stay `f32`. (Or in TF32, for
//! agreement with tensor cores: the `f32` product of rounded numbers.)
//!
//! ```text
//! out[r, c] = bias[c] + sum_k half(a[r, k]) half(weight[c, k])
//! ```
//!
//! What is computed does not depend on the machine, up to the order of sums; how fast does. Three units compute it: Intel's
//! matrix tiles ([`tiles`]), AMD's pairwise products in AVX-512 registers ([`pairs`]), and, everywhere else, the `f32` product of
//! the rounded numbers.
//!
//! The weight is arranged once, in blocks of 16 columns by 32 steps: 16 rows of a pair of steps each, of which a row is one
//! register and a block one tile. Rows of `a` are padded to whole blocks of steps, and their number to [`ROWS`].

#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod tiles;

use std::sync::OnceLock;

use super::{Factor, Packed, Start, View, matmul, pack, packed_len};
use crate::{
    Precision,
    kernels::{round_in_place, round_to_half, round_to_tf32},
};

/// Columns of a block.
const COLS: usize = 16;
/// Steps of the inner dimension of a block.
const STEPS: usize = 32;
/// Numbers of a block.
const BLOCK: usize = COLS * STEPS;
/// Rows come in multiples of this: two tiles.
const ROWS: usize = 32;

/// What computes the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Tiles of 16 rows of 64 bytes (AMX-BF16).
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Tiles,
    /// Registers of 16 pairs (AVX512-BF16).
    #[cfg(target_arch = "x86_64")]
    Pairs,
    /// Rounded numbers in `f32`.
    Single,
}

impl Unit {
    /// The units that this machine has, in the order of their speed.
    fn all() -> &'static [Self] {
        static UNITS: OnceLock<Vec<Unit>> = OnceLock::new();
        UNITS.get_or_init(|| {
            let mut units = vec![Self::Single];
            #[cfg(target_arch = "x86_64")]
            if pairs::available() {
                units.insert(usize::from(!pairs::worthwhile()), Self::Pairs);
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            if tiles::available() {
                units.insert(0, Self::Tiles);
            }
            units
        })
    }
}

/// A product of arranged numbers, as the units take it. All addresses are in bounds: `a` `[rows, blocks * STEPS]`, `b`
/// `[tiles, blocks, BLOCK]`, `bias` `[tiles * COLS]`, `out` `[rows, tiles * COLS]`; `rows` is a multiple of [`ROWS`].
#[derive(Clone, Copy, Debug)]
#[cfg(target_arch = "x86_64")]
struct Product<'a> {
    a: &'a [u16],
    b: &'a [u16],
    bias: &'a [f32],
    rows: usize,
    blocks: usize,
    tiles: usize,
}

/// A weight `[outputs, inputs]` with its bias, rounded and arranged for the machine's fastest unit.
#[derive(Clone, Debug)]
pub(crate) struct HalfLayer {
    unit: Unit,
    /// Of the factors.
    precision: Precision,
    inputs: usize,
    outputs: usize,
    /// Blocks of the weight; empty without a unit for them.
    blocks: Vec<u16>,
    /// The rounded weight and its panels; empty with a unit.
    rounded: Vec<f32>,
    panels: Vec<f32>,
    /// `[width]`, zero behind the last output.
    bias: Vec<f32>,
}

impl HalfLayer {
    /// Arranges a row-major `weight` `[outputs, inputs]` and its `bias`.
    ///
    /// # Panics
    /// If a slice is not of its shape.
    pub(crate) fn new(precision: Precision, weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let unit = if precision == Precision::Bf16 { Unit::all()[0] } else { Unit::Single };
        Self::on(unit, precision, weight, bias, inputs)
    }

    fn on(unit: Unit, precision: Precision, weight: &[f32], bias: &[f32], inputs: usize) -> Self {
        let outputs = bias.len();
        let mut layer =
            Self { unit, precision, inputs, outputs, blocks: vec![], rounded: vec![], panels: vec![], bias: vec![] };
        if unit == Unit::Single {
            layer.rounded.resize(outputs * inputs, 0.0);
            layer.panels.resize(packed_len(outputs, inputs), 0.0);
        } else {
            layer.blocks.resize(outputs.div_ceil(COLS) * inputs.div_ceil(STEPS) * BLOCK, 0);
        }
        layer.bias.resize(layer.width(), 0.0);
        layer.set(weight, bias);
        layer
    }

    /// Replaces the numbers, without allocating.
    ///
    /// # Panics
    /// If a slice is not of its shape.
    pub(crate) fn set(&mut self, weight: &[f32], bias: &[f32]) {
        assert_eq!(weight.len(), self.outputs * self.inputs, "a weight of {} by {}", self.outputs, self.inputs);
        self.bias[..self.outputs].copy_from_slice(bias);
        if self.unit == Unit::Single {
            self.rounded.copy_from_slice(weight);
            round(self.precision, &mut self.rounded);
            pack(&self.rounded, self.outputs, self.inputs, &mut self.panels);
        } else {
            arrange(weight, self.inputs, &mut self.blocks);
        }
    }

    /// Numbers in a row of the output: the outputs, and zeros up to whole blocks where a unit has them.
    pub(crate) fn width(&self) -> usize {
        if self.unit == Unit::Single { self.outputs } else { self.outputs.next_multiple_of(COLS) }
    }

    /// Numbers that [`product`](Self::product) asks of `out` for `rows` rows.
    pub(crate) fn out_len(&self, rows: usize) -> usize {
        if self.unit == Unit::Single { rows * self.outputs } else { rows.next_multiple_of(ROWS) * self.width() }
    }

    /// Numbers that it asks of its scratch.
    pub(crate) fn scratch_len(&self, rows: usize) -> usize {
        if self.unit == Unit::Single { 0 } else { rows.next_multiple_of(ROWS) * self.inputs.next_multiple_of(STEPS) }
    }

    /// `out = bias + half(a) half(weight)^T`; `a` `[rows, inputs]`, which may be rounded in place, `out` `[rows, width]` with more
    /// space behind it.
    ///
    /// # Panics
    /// If `out` is shorter than [`out_len`](Self::out_len), `scratch` than [`scratch_len`](Self::scratch_len) or `a` not of its shape.
    pub(crate) fn product(&self, a: &mut [f32], rows: usize, scratch: &mut [u16], out: &mut [f32]) {
        assert_eq!(a.len(), rows * self.inputs, "rows of a half-precision product");
        let out = &mut out[..self.out_len(rows)];
        if self.unit == Unit::Single {
            round(self.precision, a);
            let weight = Factor::Packed(Packed::new(&self.panels, self.outputs, self.inputs));
            matmul(out, View::new(a, rows, self.inputs), weight, Start::Row(&self.bias));
            return;
        }
        let scratch = &mut scratch[..self.scratch_len(rows)];
        let blocks = self.inputs.div_ceil(STEPS);
        // Rows behind the last keep what they held: their products are computed and left.
        round_to_half(a, self.inputs, &mut scratch[..rows * blocks * STEPS]);
        #[cfg(target_arch = "x86_64")]
        {
            let product = Product {
                a: scratch,
                b: &self.blocks,
                bias: &self.bias,
                rows: rows.next_multiple_of(ROWS),
                blocks,
                tiles: self.outputs.div_ceil(COLS),
            };
            match self.unit {
                #[cfg(target_os = "linux")]
                Unit::Tiles => tiles::run(product, out),
                Unit::Pairs => pairs::run(product, out),
                Unit::Single => {}
            }
        }
    }
}

/// Rounds factors in place.
fn round(precision: Precision, x: &mut [f32]) {
    match precision {
        Precision::F32 => {}
        Precision::Bf16 => round_in_place(x),
        Precision::Tf32 => round_to_tf32(x),
    }
}

/// Writes `weight` `[outputs, inputs]` as blocks `[outputs / 16, inputs / 32, 16 pairs of steps, 16 columns, 2]`, zero where it ends.
fn arrange(weight: &[f32], inputs: usize, blocks: &mut [u16]) {
    let per_tile = inputs.div_ceil(STEPS);
    for (index, block) in blocks.chunks_exact_mut(BLOCK).enumerate() {
        let (tile, step) = (index / per_tile, index % per_tile * STEPS);
        for (i, x) in block.iter_mut().enumerate() {
            let (pair, col, which) = (i / (2 * COLS), i / 2 % COLS, i % 2);
            let (row, k) = (tile * COLS + col, step + 2 * pair + which);
            let inside = k < inputs && row * inputs < weight.len();
            *x = if inside { crate::kernels::half_bits(weight[row * inputs + k]) } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| (((i * 7919 + seed * 104_729) % 10_007) as f32 / 5003.5 - 1.0) * 1.3).collect()
    }

    fn rounded(x: f32) -> f64 {
        f64::from(f32::from_bits(u32::from(crate::kernels::half_bits(x)) << 16))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Every unit that the machine has computes the definition: the products of rounded numbers are exact in `f32`, so only
        /// the sums differ, by one rounding a step.
        #[test]
        fn every_unit_is_the_definition(rows in 1_usize..70, inputs in 1_usize..100, outputs in 1_usize..70, seed in 0_usize..9) {
            let (a, weight, bias) =
                (numbers(rows * inputs, seed), numbers(outputs * inputs, seed + 1), numbers(outputs, seed + 2));
            for &unit in Unit::all() {
                let mut layer = HalfLayer::on(unit, Precision::Bf16, &numbers(outputs * inputs, seed + 3), &numbers(outputs, 4), inputs);
                layer.set(&weight, &bias);
                let mut out = vec![f32::NAN; layer.out_len(rows)];
                // What earlier products left in the scratch must not matter.
                let mut scratch = vec![0x7fc0; layer.scratch_len(rows)];
                layer.product(&mut a.clone(), rows, &mut scratch, &mut out);
                for r in 0..rows {
                    for c in 0..layer.width() {
                        let got = f64::from(out[r * layer.width() + c]);
                        if c >= outputs {
                            prop_assert!(got.abs() < 1e-30, "{unit:?}: column {c} of {outputs} is {got}");
                            continue;
                        }
                        let terms = || (0..inputs).map(|k| rounded(a[r * inputs + k]) * rounded(weight[c * inputs + k]));
                        let want = f64::from(bias[c]) + terms().sum::<f64>();
                        let size = f64::from(bias[c]).abs() + terms().map(f64::abs).sum::<f64>();
                        let tolerance = f64::from(f32::EPSILON) * (2 + inputs) as f64 * size;
                        prop_assert!((got - want).abs() <= tolerance, "{unit:?}: [{r}, {c}] {got}, not {want}");
                    }
                }
            }
        }
    }
}
