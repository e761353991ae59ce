//! Rounding to bfloat16, the upper half of an `f32`, to nearest, ties to even; and to TF32, as tensor cores take their factors.

use super::vectorised;

/// The bits of the nearest bfloat16. Of NaN, that of arithmetic stays NaN.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of vectorised loops")]
pub(crate) fn half_bits(x: f32) -> u16 {
    let bits = x.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

vectorised! {
    /// `x <- half(x)`.
    pub(crate) fn round_in_place(x: &mut [f32]) {
        for x in x {
            *x = f32::from_bits(u32::from(half_bits(*x)) << 16);
        }
    }

    /// `x <- tf32(x)`: 10 bits of mantissa behind the point, to nearest, ties away from zero.
    pub(crate) fn round_to_tf32(x: &mut [f32]) {
        for x in x {
            *x = f32::from_bits(x.to_bits().wrapping_add(0x1000) & 0xffff_e000);
        }
    }

    /// The rows of `x`, of `width` numbers, as bfloat16 in the longer rows of `out`, which end in zeros.
    pub(crate) fn round_to_half(x: &[f32], width: usize, out: &mut [u16]) {
        let rows = x.len() / width;
        let padded = out.len() / rows;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(padded)) {
            let (head, tail) = out.split_at_mut(width);
            for (out, &x) in head.iter_mut().zip(x) {
                *out = half_bits(x);
            }
            tail.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_nearest_and_ties_to_even() {
        for (bits, want) in [
            (0x3f80_0000, 0x3f80_u16), // 1
            (0x3f80_7fff, 0x3f80),     // just below the middle
            (0x3f80_8000, 0x3f80),     // the middle, even below
            (0x3f81_8000, 0x3f82),     // the middle, even above
            (0xbf80_8001, 0xbf81),     // negative, above the middle
            (0x7f7f_ffff, 0x7f80),     // the largest float is nearest to infinity
            (0x7f80_0000, 0x7f80),
            (0x0000_0000, 0x0000),
            (0x8000_0000, 0x8000),
        ] {
            assert_eq!(half_bits(f32::from_bits(bits)), want, "{bits:#x}");
        }
        for round in [round_in_place, round_to_tf32] {
            let mut nan = [f32::NAN, -f32::NAN, f32::INFINITY - f32::INFINITY];
            round(&mut nan);
            assert!(nan.iter().all(|x| x.is_nan()));
        }
    }

    #[test]
    fn tf32_is_the_nearest_and_ties_go_away_from_zero() {
        for (bits, want) in [
            (0x3f80_0000, 0x3f80_0000_u32), // 1
            (0x3f80_0fff, 0x3f80_0000),     // just below the middle
            (0x3f80_1000, 0x3f80_2000),     // the middle
            (0xbf80_1000, 0xbf80_2000),     // the same, negative
            (0x3f80_2fff, 0x3f80_2000),
            (0x7f7f_ffff, 0x7f80_0000), // the largest float is nearest to infinity
            (0x8000_0000, 0x8000_0000),
        ] {
            let mut x = [f32::from_bits(bits)];
            round_to_tf32(&mut x);
            assert_eq!(x[0].to_bits(), want, "{bits:#x}");
        }
    }

    #[test]
    fn rows_are_rounded_one_by_one_and_padded() {
        for width in [1, 15, 31, 32, 33] {
            let padded = 64;
            let x: Vec<f32> = (0..3 * width).map(|i| i as f32 * 0.3 - 4.0).collect();
            let mut out = vec![0xffff; 3 * padded];
            round_to_half(&x, width, &mut out);
            let mut rounded = x.clone();
            round_in_place(&mut rounded);
            for (i, &out) in out.iter().enumerate() {
                let (r, c) = (i / padded, i % padded);
                let want = if c < width { rounded[r * width + c] } else { 0.0 };
                assert_eq!(u32::from(out) << 16, want.to_bits(), "row {r}, column {c} of {width}");
            }
        }
    }
}
