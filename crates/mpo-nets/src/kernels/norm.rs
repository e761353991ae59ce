//! The first layer's normalisation and tanh, forward and backward.

use pulp::Simd;

use super::{activation::tanh_of, lanewise};

/// Added to a variance before its root (the constant of every published LayerNorm).
const VARIANCE_FLOOR: f32 = 1e-5;

/// Rows whose statistics are taken before the first of them is normalised: a row's statistics are two chains of sums, a root
/// and a division, during which the processor would wait; those of several rows overlap.
const TOGETHER: usize = 4;

/// What the way back needs of normalised rows.
#[derive(Debug)]
pub(crate) struct Normalised<'a> {
    /// The rows `(z - mean) / deviation`, `[rows, width]`.
    pub(crate) rows: &'a mut [f32],
    /// Their `1 / deviation`, `[rows]`.
    pub(crate) inverse: &'a mut [f32],
}

/// `sum_i (row_i - centre)^2`, or `sum_i row_i` if there is no centre, in a fixed order.
///
/// Not a sum over any function: a closure would be compiled without the vectors' instructions.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn moment<S: Simd, const SQUARE: bool>(simd: S, row: &[f32], centre: f32) -> f32 {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "part of vectorised loops")]
    fn term<S: Simd, const SQUARE: bool>(simd: S, x: S::f32s, centre: S::f32s) -> S::f32s {
        if SQUARE {
            let d = simd.sub_f32s(x, centre);
            simd.mul_f32s(d, d)
        } else {
            x
        }
    }
    let centre = simd.splat_f32s(centre);
    let (vectors, rest) = S::as_simd_f32s(row);
    // Beyond the row's end stand zeros, of which the centre would make something.
    let inside = simd.mask_between_m32s(0, rest.len() as u32).mask();
    let last = term::<S, SQUARE>(simd, simd.partial_load_f32s(rest), centre);
    let mut even = simd.select_f32s(inside, last, simd.splat_f32s(0.0));
    let mut odd = simd.splat_f32s(0.0);
    let (pairs, single) = vectors.as_chunks::<2>();
    for pair in pairs {
        even = simd.add_f32s(even, term::<S, SQUARE>(simd, pair[0], centre));
        odd = simd.add_f32s(odd, term::<S, SQUARE>(simd, pair[1], centre));
    }
    for &x in single {
        odd = simd.add_f32s(odd, term::<S, SQUARE>(simd, x, centre));
    }
    simd.reduce_sum_f32s(simd.add_f32s(even, odd))
}

/// A row's mean and `1 / sqrt(variance + floor)`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn statistics<S: Simd>(simd: S, row: &[f32]) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = moment::<S, false>(simd, row, 0.0) / n;
    let variance = moment::<S, true>(simd, row, mean) / n;
    (mean, 1.0 / (variance + VARIANCE_FLOOR).sqrt())
}

/// The numbers of one vector of a row, before and after scale, shift and tanh.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
fn normalise<S: Simd>(
    simd: S,
    x: S::f32s,
    (inverse, offset): (S::f32s, S::f32s),
    g: S::f32s,
    s: S::f32s,
) -> (S::f32s, S::f32s) {
    let normal = simd.mul_add_e_f32s(x, inverse, offset);
    (normal, tanh_of(simd, simd.mul_add_e_f32s(normal, g, s)))
}

lanewise! {
    /// `z <- tanh(scale * normalise(z) + shift)` for each row, keeping nothing.
    pub(crate) fn norm_tanh<S>(simd; rows: &mut [f32], scale: &[f32], shift: &[f32]) {
        let width = scale.len();
        let ((scales, scale_rest), (shifts, shift_rest)) = (S::as_simd_f32s(scale), S::as_simd_f32s(shift));
        for block in rows.chunks_mut(TOGETHER * width) {
            let mut known = [(0.0, 0.0); TOGETHER];
            for (row, known) in block.chunks_exact(width).zip(&mut known) {
                *known = statistics(simd, row);
            }
            for (row, (mean, inverse)) in block.chunks_exact_mut(width).zip(known) {
                let line = (simd.splat_f32s(inverse), simd.splat_f32s(-mean * inverse));
                let (vectors, rest) = S::as_mut_simd_f32s(row);
                for ((x, &g), &s) in vectors.iter_mut().zip(scales).zip(shifts) {
                    *x = normalise(simd, *x, line, g, s).1;
                }
                let (g, s) = (simd.partial_load_f32s(scale_rest), simd.partial_load_f32s(shift_rest));
                let last = normalise(simd, simd.partial_load_f32s(rest), line, g, s).1;
                simd.partial_store_f32s(rest, last);
            }
        }
    }

    /// As [`norm_tanh`], keeping the normalised rows and their inverse deviations for the way back.
    pub(crate) fn norm_tanh_keep<S>(simd; rows: &mut [f32], scale: &[f32], shift: &[f32], kept: Normalised<'_>) {
        let width = scale.len();
        let ((scales, scale_rest), (shifts, shift_rest)) = (S::as_simd_f32s(scale), S::as_simd_f32s(shift));
        let rows = rows.chunks_exact_mut(width).zip(kept.rows.chunks_exact_mut(width)).zip(kept.inverse);
        for ((row, kept), kept_inverse) in rows {
            let (mean, inverse) = statistics(simd, row);
            *kept_inverse = inverse;
            let line = (simd.splat_f32s(inverse), simd.splat_f32s(-mean * inverse));
            let ((vectors, rest), (normals, normal_rest)) = (S::as_mut_simd_f32s(row), S::as_mut_simd_f32s(kept));
            for (((x, normal), &g), &s) in vectors.iter_mut().zip(normals).zip(scales).zip(shifts) {
                (*normal, *x) = normalise(simd, *x, line, g, s);
            }
            let (g, s) = (simd.partial_load_f32s(scale_rest), simd.partial_load_f32s(shift_rest));
            let (normal, last) = normalise(simd, simd.partial_load_f32s(rest), line, g, s);
            simd.partial_store_f32s(normal_rest, normal);
            simd.partial_store_f32s(rest, last);
        }
    }
}

super::vectorised! {
    /// `d <- d loss / d z` of [`norm_tanh_keep`] for each row, from `d = d loss / d y`; adds to the gradients of scale and
    /// shift, and the rows to `sum`, the gradient of the bias.
    pub(crate) fn norm_tanh_backward(
        d: &mut [f32], y: &[f32], kept: &Normalised<'_>, scale: &[f32], d_scale: &mut [f32], d_shift: &mut [f32], sum: &mut [f32],
    ) {
        let width = scale.len();
        let (d_scale, d_shift, sum) = (&mut d_scale[..width], &mut d_shift[..width], &mut sum[..width]);
        let rows = d.chunks_exact_mut(width).zip(y.chunks_exact(width)).zip(kept.rows.chunks_exact(width)).zip(&*kept.inverse);
        for (((d, y), x), &inverse) in rows {
            for i in 0..width {
                let before_tanh = d[i] * y[i].mul_add(-y[i], 1.0);
                d_scale[i] = before_tanh.mul_add(x[i], d_scale[i]);
                d_shift[i] += before_tanh;
                d[i] = before_tanh * scale[i];
            }
            let n = width as f32;
            let mean = super::sum2(d, d, |g, _| g) / n;
            let along = super::sum2(d, x, |g, x| g * x) / n;
            for i in 0..width {
                d[i] = inverse * (d[i] - mean - x[i] * along);
                sum[i] += d[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_the_definition() {
        for width in [1, 5, 16, 24, 37, 64] {
            let count = 7;
            let rows: Vec<f32> = (0..count * width).map(|i| ((i * 37) % 23) as f32 * 0.2 + 3.0).collect();
            let scale: Vec<f32> = (0..width).map(|i| 1.0 + 0.1 * (i % 4) as f32).collect();
            let shift: Vec<f32> = (0..width).map(|i| 0.2 * (i % 3) as f32 - 0.1).collect();
            let (mut plain, mut kept) = (rows.clone(), rows.clone());
            let (mut normals, mut inverse) = (vec![f32::NAN; count * width], vec![f32::NAN; count]);
            norm_tanh(&mut plain, &scale, &shift);
            norm_tanh_keep(&mut kept, &scale, &shift, Normalised { rows: &mut normals, inverse: &mut inverse });
            for r in 0..count {
                let row: Vec<f64> = rows[r * width..(r + 1) * width].iter().map(|&x| f64::from(x)).collect();
                let mean = row.iter().sum::<f64>() / width as f64;
                let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / width as f64;
                let inv = 1.0 / (variance + 1e-5).sqrt();
                assert!((f64::from(inverse[r]) - inv).abs() < 1e-5 * inv);
                for i in 0..width {
                    let normal = (row[i] - mean) * inv;
                    let want = (f64::from(scale[i]) * normal + f64::from(shift[i])).tanh();
                    // A row of one number has no deviation: there the floor multiplies rounding errors by 316.
                    let tolerance = if width == 1 { 2e-4 } else { 3e-6 };
                    assert!((f64::from(normals[r * width + i]) - normal).abs() < tolerance, "width {width}");
                    assert!((f64::from(plain[r * width + i]) - want).abs() < tolerance, "width {width}");
                    assert!((f64::from(kept[r * width + i]) - want).abs() < tolerance, "width {width}");
                }
            }
        }
    }
}
