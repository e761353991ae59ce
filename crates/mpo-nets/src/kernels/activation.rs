//! ELU, and the exponential that it shares with the hyperbolic tangent.

use pulp::Simd;

use super::lanewise;

/// `exp(x)` for `x <= 0`, within `2e-7 max(1, |x|)` of its value, relatively: absolutely that is below `2e-7` everywhere,
/// which is what ELU and tanh, whose values are near 1 where it is not small, need of it. Below -87 it stays near 1e-38.
///
/// `2^(x log2 e)` with the exponent split into a whole part, which adding `1.5 * 2^23` rounds into the low bits of the
/// mantissa, and a rest, whose power is a minimax polynomial that is 1 at 0.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
#[allow(clippy::approx_constant, reason = "the best polynomial's coefficient, not its limit ln 2, halves the error")]
pub(super) fn exp_nonpositive<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let constant = |c: f32| simd.splat_f32s(c);
    let (shifter, log2_e) = (constant(12_582_912.0), constant(std::f32::consts::LOG2_E));
    let x = simd.max_f32s(x, constant(-87.0));
    let shifted = simd.mul_add_e_f32s(x, log2_e, shifter);
    let whole = simd.sub_f32s(shifted, shifter);
    let rest = simd.mul_add_e_f32s(x, log2_e, simd.neg_f32s(whole));
    let mut p = constant(1.326_472_7e-3);
    for c in [9.671_513e-3, 5.550_733_6e-2, 2.402_224_2e-1, 6.931_47e-1, 1.0] {
        p = simd.mul_add_e_f32s(p, rest, constant(c));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), exponent))
}

/// `max(x, 0) + (exp(min(x, 0)) - 1)`: one of the two terms is always 0, which costs less than choosing.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn elu_of<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    let negative = simd.sub_f32s(exp_nonpositive(simd, simd.min_f32s(x, zero)), simd.splat_f32s(1.0));
    simd.add_f32s(simd.max_f32s(x, zero), negative)
}

/// `d elu'(x)` from `y = elu(x)`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn elu_slope<S: Simd>(simd: S, d: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_f32s(d, simd.add_f32s(simd.min_f32s(y, simd.splat_f32s(0.0)), simd.splat_f32s(1.0)))
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
pub(super) fn tanh_of<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let e = exp_nonpositive(simd, simd.mul_f32s(simd.abs_f32s(x), simd.splat_f32s(-2.0)));
    let size = simd.div_f32s(simd.sub_f32s(one, e), simd.add_f32s(one, e));
    simd.or_f32s(size, simd.and_f32s(x, simd.splat_f32s(-0.0)))
}

lanewise! {
    /// `x <- elu(x)`.
    pub(crate) fn elu<S>(simd; x: &mut [f32]) {
        let (vectors, rest) = S::as_mut_simd_f32s(x);
        for x in vectors {
            *x = elu_of(simd, *x);
        }
        let last = elu_of(simd, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, last);
    }

    /// `x <- max(x, 0)`.
    pub(crate) fn relu<S>(simd; x: &mut [f32]) {
        let (vectors, rest) = S::as_mut_simd_f32s(x);
        let zero = simd.splat_f32s(0.0);
        for x in vectors {
            *x = simd.max_f32s(*x, zero);
        }
        for x in rest {
            *x = x.max(0.0);
        }
    }

    /// `d <- d * relu'(x)` for each row, from the output `y = relu(x)`; adds the rows to `sum`, the gradient of the bias.
    pub(crate) fn relu_backward<S>(simd; d: &mut [f32], y: &[f32], sum: &mut [f32]) {
        let width = sum.len();
        let zero = simd.splat_f32s(0.0);
        let (sums, sum_rest) = S::as_mut_simd_f32s(sum);
        for (d, y) in d.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
            let ((ds, d_rest), (ys, y_rest)) = (S::as_mut_simd_f32s(d), S::as_simd_f32s(y));
            for ((d, &y), sum) in ds.iter_mut().zip(ys).zip(&mut *sums) {
                *d = simd.select_f32s(simd.greater_than_f32s(y, zero), *d, zero);
                *sum = simd.add_f32s(*sum, *d);
            }
            for ((d, &y), sum) in d_rest.iter_mut().zip(y_rest).zip(&mut *sum_rest) {
                *d = if y > 0.0 { *d } else { 0.0 };
                *sum += *d;
            }
        }
    }

    /// `out_i = w . elu(row_i) + offset`: the last hidden layer's activation and a scalar head in one pass that stores nothing.
    pub(crate) fn elu_dot<S>(simd; rows: &[f32], w: &[f32], offset: f32, out: &mut [f32]) {
        let (w_vectors, w_rest) = S::as_simd_f32s(w);
        // Beyond the row's end both are 0, and elu(0) = 0.
        let w_last = simd.partial_load_f32s(w_rest);
        for (row, out) in rows.chunks_exact(w.len()).zip(out) {
            let (vectors, rest) = S::as_simd_f32s(row);
            let mut sum = simd.mul_f32s(elu_of(simd, simd.partial_load_f32s(rest)), w_last);
            for (&x, &w) in vectors.iter().zip(w_vectors) {
                sum = simd.mul_add_e_f32s(elu_of(simd, x), w, sum);
            }
            *out = simd.reduce_sum_f32s(sum) + offset;
        }
    }

    /// `d <- d * elu'(x)` for each row, from the output `y = elu(x)`; adds the rows to `sum`, the gradient of the bias.
    pub(crate) fn elu_backward<S>(simd; d: &mut [f32], y: &[f32], sum: &mut [f32]) {
        let width = sum.len();
        let (sums, sum_rest) = S::as_mut_simd_f32s(sum);
        for (d, y) in d.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
            let ((ds, d_rest), (ys, y_rest)) = (S::as_mut_simd_f32s(d), S::as_simd_f32s(y));
            for ((d, &y), sum) in ds.iter_mut().zip(ys).zip(&mut *sums) {
                *d = elu_slope(simd, *d, y);
                *sum = simd.add_f32s(*sum, *d);
            }
            let last = elu_slope(simd, simd.partial_load_f32s(d_rest), simd.partial_load_f32s(y_rest));
            simd.partial_store_f32s(d_rest, last);
            simd.partial_store_f32s(sum_rest, simd.add_f32s(simd.partial_load_f32s(sum_rest), last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    lanewise! {
        fn exp<S>(simd; x: &mut [f32]) {
            for x in S::as_mut_simd_f32s(x).0 {
                *x = exp_nonpositive(simd, *x);
            }
        }

        fn tanh<S>(simd; x: &mut [f32]) {
            for x in S::as_mut_simd_f32s(x).0 {
                *x = tanh_of(simd, *x);
            }
        }
    }

    #[test]
    fn exp_keeps_its_promise_and_vanishes() {
        let x: Vec<f32> = (0..200_000).map(|i| -0.000_43 * i as f32).collect();
        let mut y = x.clone();
        exp(&mut y);
        for (&x, &y) in x.iter().zip(&y) {
            let want = f64::from(x).exp();
            // Where the exponent reaches its clamp at -87, a float's own smallest normal number is left.
            let tolerance = 2e-7 * f64::from(x.abs().max(1.0)) * want + 2e-38;
            assert!((f64::from(y) - want).abs() <= tolerance, "exp({x}) = {y}, want {want}");
        }
        let mut ends = vec![-1e30; 16];
        ends[0] = 0.0;
        exp(&mut ends);
        assert!((ends[0] - 1.0).abs() < f32::EPSILON && ends[1] < 2e-38);
    }

    #[test]
    fn tanh_and_elu_match_the_standard_library() {
        let x: Vec<f32> = (-2000..2007).map(|i| 0.01 * i as f32).collect();
        let (mut t, mut e) = (x.clone(), x.clone());
        t.resize(4016, 0.0);
        tanh(&mut t);
        elu(&mut e);
        for ((&x, t), e) in x.iter().zip(t).zip(e) {
            assert!((t - x.tanh()).abs() < 2e-7, "tanh({x}) = {t}");
            assert!((e - if x > 0.0 { x } else { x.exp_m1() }).abs() < 2e-7, "elu({x}) = {e}");
        }
    }

    #[test]
    fn fused_forms_are_compositions_of_their_parts() {
        for width in [1, 7, 8, 16, 37] {
            let rows: Vec<f32> = (0..3 * width).map(|i| (i * 7 % 11) as f32 * 0.3 - 1.5).collect();
            let w: Vec<f32> = (0..width).map(|i| (i % 5) as f32 - 2.0).collect();
            let mut y = rows.clone();
            elu(&mut y);
            let mut values = [f32::NAN; 3];
            elu_dot(&rows, &w, 0.5, &mut values);
            let (mut d, mut sum) = (vec![2.0; 3 * width], vec![1.0; width]);
            elu_backward(&mut d, &y, &mut sum);
            for (r, y) in y.chunks_exact(width).enumerate() {
                let want: f32 = y.iter().zip(&w).map(|(y, w)| y * w).sum::<f32>() + 0.5;
                assert!((values[r] - want).abs() < 1e-5 * (1.0 + width as f32), "row {r} of width {width}");
                for (i, &y) in y.iter().enumerate() {
                    let slope = if y > 0.0 { 1.0 } else { y + 1.0 };
                    assert!((d[r * width + i] - 2.0 * slope).abs() < 1e-6);
                }
            }
            for (i, sum) in sum.iter().enumerate() {
                let want: f32 = 1.0 + (0..3).map(|r| d[r * width + i]).sum::<f32>();
                assert!((sum - want).abs() < 1e-5);
            }
        }
    }
}
