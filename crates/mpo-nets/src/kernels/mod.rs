//! Elementwise kernels of the networks, compiled for the widest vectors of the processor at hand.
//!
//! What runs over a handful of numbers per row is a plain loop that LLVM vectorises: [`vectorised!`] compiles it once for
//! every instruction set that `pulp` knows and picks one at run time. What runs over every hidden unit of every sampled
//! action is written in `pulp`'s vectors, by [`lanewise!`]. Sums run over independent accumulators, so that their order is
//! fixed by the code and the width of the vectors.

mod activation;
mod half;
mod norm;
mod unpack;

pub(crate) use activation::{elu, elu_backward, elu_dot, relu, relu_backward};
pub(crate) use half::{half_bits, round_in_place, round_to_half, round_to_tf32};
pub(crate) use norm::{Normalised, norm_tanh, norm_tanh_backward, norm_tanh_keep};
pub(crate) use unpack::unpack;

/// Numbers in an AVX-512 register.
const BLOCK: usize = 16;

/// Wraps a function's body so that it is compiled for, and dispatched to, the processor's vectors.
///
/// The body becomes a method that is always inlined into the function in which `pulp` enables the instructions; of a
/// closure the compiler would make a function of its own, without them, in which a fused multiply-add is a library call.
macro_rules! vectorised {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes each of its arrays by name")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            struct Kernel<Arguments>(Arguments);
            impl pulp::NullaryFnOnce for Kernel<($($ty,)*)> {
                type Output = $crate::kernels::vectorised!(@output $($ret)?);
                #[allow(clippy::inline_always, reason = "see the macro")]
                #[inline(always)]
                fn call(self) -> Self::Output {
                    let ($($arg,)*) = self.0;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel(($($arg,)*)))
        }
    )*};
    (@output) => { () };
    (@output $ret:ty) => { $ret };
}
pub(crate) use vectorised;

/// As [`vectorised!`], for a body that names the vectors: `simd` is the instruction set, of type `S`.
macro_rules! lanewise {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident<$simd_type:ident>($simd:ident; $($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes each of its arrays by name")]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            struct Kernel<Arguments>(Arguments);
            impl pulp::WithSimd for Kernel<($($ty,)*)> {
                type Output = $crate::kernels::vectorised!(@output $($ret)?);
                #[allow(clippy::inline_always, reason = "as in `vectorised`")]
                #[inline(always)]
                fn with_simd<$simd_type: pulp::Simd>(self, $simd: $simd_type) -> Self::Output {
                    let ($($arg,)*) = self.0;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Kernel(($($arg,)*)))
        }
    )*};
}
pub(crate) use lanewise;

/// `sum_i f(a_i, b_i)` in a fixed order, for an `f` with `f(0, 0) = 0`: what does not fill the last block is padded with zeros.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn sum2(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let (mut even, mut odd) = ([0.0_f32; BLOCK], [0.0_f32; BLOCK]);
    let ((a_pairs, a_rest), (b_pairs, b_rest)) = (a.as_chunks::<{ 2 * BLOCK }>(), b.as_chunks::<{ 2 * BLOCK }>());
    for (x, y) in a_pairs.iter().zip(b_pairs) {
        for l in 0..BLOCK {
            even[l] += f(x[l], y[l]);
            odd[l] += f(x[BLOCK + l], y[BLOCK + l]);
        }
    }
    let (mut x, mut y) = ([0.0_f32; 2 * BLOCK], [0.0_f32; 2 * BLOCK]);
    x[..a_rest.len()].copy_from_slice(a_rest);
    y[..b_rest.len()].copy_from_slice(b_rest);
    for l in 0..BLOCK {
        even[l] += f(x[l], y[l]);
        odd[l] += f(x[BLOCK + l], y[BLOCK + l]);
    }
    let mut eight = [0.0_f32; 8];
    for l in 0..8 {
        eight[l] = (even[l] + odd[l]) + (even[8 + l] + odd[8 + l]);
    }
    let mut four = [0.0_f32; 4];
    for l in 0..4 {
        four[l] = eight[l] + eight[4 + l];
    }
    (four[0] + four[2]) + (four[1] + four[3])
}

vectorised! {
    /// `sum_i a_i b_i`.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum2(a, b, |x, y| x * y)
    }

    /// `out += ` the sum of all rows.
    pub(crate) fn add_column_sums(rows: &[f32], out: &mut [f32]) {
        for row in rows.chunks_exact(out.len()) {
            for (o, &x) in out.iter_mut().zip(row) {
                *o += x;
            }
        }
    }

    /// `x <- x + y`.
    pub(crate) fn add(x: &mut [f32], y: &[f32]) {
        for (x, &y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }

    /// `out += sum_i x_i row_i`, without reading the rows of which nothing is added: after a `relu`, about half of them.
    pub(crate) fn add_scaled_rows(x: &[f32], rows: &[f32], out: &mut [f32]) {
        for (&x, row) in x.iter().zip(rows.chunks_exact(out.len())) {
            // What is not a number must not be passed over.
            if x.abs() > 0.0 || x.is_nan() {
                for (o, &w) in out.iter_mut().zip(row) {
                    *o = x.mul_add(w, *o);
                }
            }
        }
    }

    /// `out = clip(x, -1, 1)`.
    pub(crate) fn clip_unit(x: &[f32], out: &mut [f32]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = x.clamp(-1.0, 1.0);
        }
    }
}

lanewise! {
    /// `out_i = weight_i . x + bias_i`, with `weight` `[out, x]` row-major.
    pub(crate) fn affine<S>(simd; weight: &[f32], x: &[f32], bias: &[f32], out: &mut [f32]) {
        /// Rows whose sums run side by side.
        const TOGETHER: usize = 4;
        let blocks = weight.chunks(TOGETHER * x.len()).zip(bias.chunks(TOGETHER)).zip(out.chunks_mut(TOGETHER));
        for ((weight, bias), out) in blocks {
            let mut sums = [0.0; TOGETHER];
            for (sum, row) in sums.iter_mut().zip(weight.chunks_exact(x.len())) {
                *sum = lane_dot(simd, row, x);
            }
            for ((out, sum), bias) in out.iter_mut().zip(sums).zip(bias) {
                *out = sum + bias;
            }
        }
    }

    /// `out_i = row_i . w + offset`.
    pub(crate) fn rows_dot<S>(simd; rows: &[f32], w: &[f32], offset: f32, out: &mut [f32]) {
        for (row, out) in rows.chunks_exact(w.len()).zip(out) {
            *out = lane_dot(simd, row, w) + offset;
        }
    }
}

/// `sum_i a_i b_i`, for bodies of [`lanewise!`].
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn lane_dot<S: pulp::Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.mul_f32s(simd.partial_load_f32s(x_rest), simd.partial_load_f32s(y_rest));
    for (&x, &y) in xs.iter().zip(ys) {
        sum = simd.mul_add_e_f32s(x, y, sum);
    }
    simd.reduce_sum_f32s(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_added_but_for_those_of_no_weight() {
        let rows: Vec<f32> = (0..3 * 37).map(|i| (i % 11) as f32).chain([f32::NAN; 37]).collect();
        let mut out = vec![1.0; 37];
        add_scaled_rows(&[2.0, 0.0, -1.0, 0.0], &rows, &mut out);
        for (i, out) in out.iter().enumerate() {
            let want = 1.0 + 2.0 * rows[i] - rows[74 + i];
            assert!((out - want).abs() < 1e-6, "{i}: {out}, not {want}");
        }
        add_scaled_rows(&[f32::NAN], &rows, &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
    }

    #[test]
    fn affine_maps_and_dots_are_their_definition() {
        for inputs in [1, 3, 16, 17, 45] {
            for outputs in 1..7 {
                let weight: Vec<f32> = (0..inputs * outputs).map(|i| (i % 7) as f32 - 3.0).collect();
                let x: Vec<f32> = (0..inputs).map(|i| (i % 5) as f32 - 2.0).collect();
                let bias: Vec<f32> = (0..outputs).map(|i| i as f32).collect();
                let (mut y, mut z) = (vec![f32::NAN; outputs], vec![f32::NAN; outputs]);
                affine(&weight, &x, &bias, &mut y);
                rows_dot(&weight, &x, 0.5, &mut z);
                for (o, row) in weight.chunks_exact(inputs).enumerate() {
                    let product: f32 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
                    assert!((y[o] - product - bias[o]).abs() < 1e-5 && (z[o] - product - 0.5).abs() < 1e-5);
                }
            }
        }
    }
}
