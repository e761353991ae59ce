//! Elementwise kernels of the networks, compiled for the widest vectors of the processor at hand.
//!
//! Each is a plain loop that LLVM vectorises; [`vectorised!`] compiles it once for every instruction
//! set that `pulp` knows and picks one at run time. Sums run over independent accumulators,
//! so that their order is fixed by the code and not by the processor.

/// Numbers in an AVX-512 register.
const BLOCK: usize = 16;

/// Added to a variance before its root (the constant of every published LayerNorm).
const VARIANCE_FLOOR: f32 = 1e-5;

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

/// `exp(x)` for `x <= 0`, to 2 ulp; 0 below about -87. Branch-free, so that loops over it vectorise.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
pub(crate) fn exp_nonpositive(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits of the mantissa, from where it
    // is shifted into the exponent; a float-to-integer conversion would saturate, which costs more.
    const SHIFTER: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, SHIFTER);
    let n = shifted - SHIFTER;
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_2e-4_f32;
    p = p.mul_add(r, 1.398_199_9e-3);
    p = p.mul_add(r, 8.333_452e-3);
    p = p.mul_add(r, 4.166_579_6e-2);
    p = p.mul_add(r, 1.666_666_6e-1);
    p = p.mul_add(r, 0.5);
    let p = (r * r).mul_add(p, r) + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn elu(x: f32) -> f32 {
    let negative = exp_nonpositive(x.min(0.0)) - 1.0;
    if x > 0.0 { x } else { negative }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn tanh(x: f32) -> f32 {
    let e = exp_nonpositive(-2.0 * x.abs());
    ((1.0 - e) / (1.0 + e)).copysign(x)
}

/// `x_i <- f(x_i, a_i, b_i)`, in blocks of 16, then one of 8, one of 4 and the rest: rows are a few hundred numbers long, and
/// the scalar remainder that LLVM leaves of a plain loop over 200 of them costs as much as the loop.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn map3(x: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(f32, f32, f32) -> f32 + Copy) {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "part of vectorised loops")]
    fn block<const N: usize>(x: &mut [f32; N], a: &[f32; N], b: &[f32; N], f: impl Fn(f32, f32, f32) -> f32) {
        for l in 0..N {
            x[l] = f(x[l], a[l], b[l]);
        }
    }
    // At most one block: were this a loop, LLVM would vectorise it across blocks, with gathers.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "part of vectorised loops")]
    fn once<'x, 'c, const N: usize>(
        x: &'x mut [f32],
        a: &'c [f32],
        b: &'c [f32],
        f: impl Fn(f32, f32, f32) -> f32,
    ) -> (&'x mut [f32], &'c [f32], &'c [f32]) {
        if x.len() < N {
            return (x, a, b);
        }
        let (Some((x, x_tail)), Some((a, a_tail)), Some((b, b_tail))) =
            (x.split_first_chunk_mut::<N>(), a.split_first_chunk::<N>(), b.split_first_chunk::<N>())
        else {
            unreachable!("the rows are of one length")
        };
        block(x, a, b, f);
        (x_tail, a_tail, b_tail)
    }
    assert!(x.len() == a.len() && x.len() == b.len(), "the rows are of one length");
    let ((x, x_tail), (a, a_tail), (b, b_tail)) =
        (x.as_chunks_mut::<BLOCK>(), a.as_chunks::<BLOCK>(), b.as_chunks::<BLOCK>());
    for ((x, a), b) in x.iter_mut().zip(a).zip(b) {
        block(x, a, b, f);
    }
    let (x, a, b) = once::<8>(x_tail, a_tail, b_tail, f);
    let (x, a, b) = once::<4>(x, a, b, f);
    let (x, a, b) = once::<2>(x, a, b, f);
    once::<1>(x, a, b, f);
}

/// `x_i <- f(x_i, a_i)`; see [`map3`].
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn map2(x: &mut [f32], a: &[f32], f: impl Fn(f32, f32) -> f32 + Copy) {
    map3(x, a, a, |x, a, _| f(x, a));
}

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

/// Subtracts a row's mean and returns `1 / sqrt(variance + floor)`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn centre(row: &mut [f32]) -> f32 {
    let n = row.len() as f32;
    let mean = sum2(row, row, |x, _| x) / n;
    for x in row.iter_mut() {
        *x -= mean;
    }
    let variance = sum2(row, row, |x, y| x * y) / n;
    1.0 / (variance + VARIANCE_FLOOR).sqrt()
}

vectorised! {
    /// `sum_i a_i b_i`.
    pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
        sum2(a, b, |x, y| x * y)
    }

    /// `x <- elu(x + bias)` for each row.
    pub(crate) fn bias_elu(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            map2(row, bias, |x, b| elu(x + b));
        }
    }

    /// `x <- x + bias` for each row.
    pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            map2(row, bias, |x, b| x + b);
        }
    }

    /// `out_i = w . elu(row_i + bias) + offset`: the last hidden layer and a scalar head in one pass.
    pub(crate) fn bias_elu_dot(rows: &mut [f32], bias: &[f32], w: &[f32], offset: f32, out: &mut [f32]) {
        for (row, out) in rows.chunks_exact_mut(bias.len()).zip(out) {
            map2(row, bias, |x, b| elu(x + b));
            *out = sum2(row, w, |x, y| x * y) + offset;
        }
    }

    /// `x <- tanh(scale * normalise(x + bias) + shift)` for each row, keeping nothing.
    pub(crate) fn bias_norm_tanh(rows: &mut [f32], bias: &[f32], scale: &[f32], shift: &[f32]) {
        for row in rows.chunks_exact_mut(bias.len()) {
            map2(row, bias, |x, b| x + b);
            let inverse = centre(row);
            map3(row, scale, shift, |x, g, s| tanh((x * inverse).mul_add(g, s)));
        }
    }

    /// As [`bias_norm_tanh`], keeping the normalised rows and their inverse deviations for the way back.
    pub(crate) fn bias_norm_tanh_keep(
        rows: &mut [f32], bias: &[f32], scale: &[f32], shift: &[f32], normalised: &mut [f32], inverse: &mut [f32],
    ) {
        let width = bias.len();
        for ((row, kept), inverse) in rows.chunks_exact_mut(width).zip(normalised.chunks_exact_mut(width)).zip(inverse) {
            map2(row, bias, |x, b| x + b);
            let inv = centre(row);
            *inverse = inv;
            for (k, &x) in kept.iter_mut().zip(&*row) {
                *k = x * inv;
            }
            map3(row, scale, shift, |x, g, s| tanh((x * inv).mul_add(g, s)));
        }
    }

    /// `d <- d * elu'(x)`, from the output `y = elu(x)`.
    pub(crate) fn elu_backward(d: &mut [f32], y: &[f32]) {
        for (d, &y) in d.iter_mut().zip(y) {
            *d *= y.min(0.0) + 1.0;
        }
    }

    /// `d <- d loss / d (x + bias)` of [`bias_norm_tanh_keep`], from `d = d loss / d y`; adds to the gradients of scale and shift.
    pub(crate) fn norm_tanh_backward(
        d: &mut [f32], y: &[f32], normalised: &[f32], inverse: &[f32], scale: &[f32], d_scale: &mut [f32], d_shift: &mut [f32],
    ) {
        let width = scale.len();
        let rows = d.chunks_exact_mut(width).zip(y.chunks_exact(width)).zip(normalised.chunks_exact(width)).zip(inverse);
        for (((d, y), x), &inverse) in rows {
            for i in 0..width {
                let before_tanh = d[i] * y[i].mul_add(-y[i], 1.0);
                d_scale[i] = before_tanh.mul_add(x[i], d_scale[i]);
                d_shift[i] += before_tanh;
                d[i] = before_tanh * scale[i];
            }
            let n = width as f32;
            let mean = sum2(d, d, |g, _| g) / n;
            let along = sum2(d, x, |g, x| g * x) / n;
            for (d, &x) in d.iter_mut().zip(x) {
                *d = inverse * (*d - mean - x * along);
            }
        }
    }

    /// `out += ` the sum of all rows.
    pub(crate) fn add_column_sums(rows: &[f32], out: &mut [f32]) {
        for row in rows.chunks_exact(out.len()) {
            for (o, &x) in out.iter_mut().zip(row) {
                *o += x;
            }
        }
    }

    /// `out[s, j] = shared[s] + actions[s, j] w`, with `shared` `[states, width]`, `actions` `[states * samples, n]`, `w` `[n, width]`.
    pub(crate) fn add_action_part(shared: &[f32], actions: &[f32], w: &[f32], width: usize, samples: usize, out: &mut [f32]) {
        let n = w.len() / width;
        let states = shared.chunks_exact(width).zip(actions.chunks_exact(n * samples)).zip(out.chunks_exact_mut(width * samples));
        for ((shared, actions), out) in states {
            for (action, out) in actions.chunks_exact(n).zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(shared);
                // Four rows of w a pass: a quarter of the loads and stores of `out`.
                let mut a4 = action.chunks_exact(4);
                let mut w4 = w.chunks_exact(4 * width);
                for (a, w) in a4.by_ref().zip(w4.by_ref()) {
                    let (w01, w23) = w.split_at(2 * width);
                    let (w0, w1) = w01.split_at(width);
                    let (w2, w3) = w23.split_at(width);
                    for i in 0..width {
                        out[i] = a[3].mul_add(w3[i], a[2].mul_add(w2[i], a[1].mul_add(w1[i], a[0].mul_add(w0[i], out[i]))));
                    }
                }
                for (&a, w) in a4.remainder().iter().zip(w4.remainder().chunks_exact(width)) {
                    for (o, &w) in out.iter_mut().zip(w) {
                        *o = a.mul_add(w, *o);
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate_to_two_ulp_and_vanishes() {
        for i in 0..200_000 {
            let x = -0.000_43 * i as f32;
            let (got, want) = (exp_nonpositive(x), f64::from(x).exp());
            assert!((f64::from(got) - want).abs() <= 2.5e-7 * want + 1e-37, "exp({x}) = {got}, want {want}");
        }
        assert!(exp_nonpositive(-1e30) < 2e-38);
    }

    #[test]
    fn tanh_and_elu_match_the_standard_library() {
        for i in -2000..2000 {
            let x = 0.01 * i as f32;
            assert!((tanh(x) - x.tanh()).abs() < 3e-7);
            assert!((elu(x) - if x > 0.0 { x } else { x.exp_m1() }).abs() < 3e-7);
        }
    }

    #[test]
    fn the_action_part_is_a_matrix_product_for_every_remainder() {
        for n in 1..10 {
            let (width, samples) = (37, 3);
            let shared: Vec<f32> = (0..2 * width).map(|i| i as f32).collect();
            let actions: Vec<f32> = (0..2 * samples * n).map(|i| (i % 7) as f32 - 3.0).collect();
            let w: Vec<f32> = (0..n * width).map(|i| (i % 5) as f32 - 2.0).collect();
            let mut out = vec![f32::NAN; 2 * samples * width];
            add_action_part(&shared, &actions, &w, width, samples, &mut out);
            for (r, row) in out.chunks_exact(width).enumerate() {
                for (i, &o) in row.iter().enumerate() {
                    let want: f32 = (0..n).map(|k| actions[r * n + k] * w[k * width + i]).sum();
                    assert!((o - want - shared[r / samples * width + i]).abs() < 1e-4);
                }
            }
        }
    }
}
