//! One dimension's part of the covariance divergence.

use crate::Real;

/// `1/2 (r^2 - 1) - log r` with `r = before / now`, one dimension's part of the covariance divergence. Written so that it is
/// never negative and keeps its relative precision where the two are nearly equal: the M-step's bound on it is `1e-4`.
#[inline]
pub(super) fn relative_log_gap<T: Real>(before: T, now: T) -> T {
    let x = (before - now) / now;
    T::of(0.5) * x * x + log_gap(x)
}

/// `x - log(1 + x)`.
#[inline]
fn log_gap<T: Real>(x: T) -> T {
    if x.abs() < T::of(0.015_625) {
        // Taylor: the remainder is below x^9 / 9, a relative 1e-13 at the edge.
        let mut series = T::zero();
        for k in (2..=9).rev() {
            series = T::of(1.0 / f64::from(k)) - x * series;
        }
        x * x * series
    } else {
        x - x.ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_gap_is_smooth_across_its_seam_and_precise_near_zero() {
        for x in [0.015_624_f64, 0.015_626, -0.015_624, -0.015_626] {
            assert!((log_gap(x) / (x - x.ln_1p()) - 1.0).abs() < 1e-12, "at {x}");
        }
        assert!((log_gap(1e-6_f32) / 5e-13 - 1.0).abs() < 1e-5);
        assert!(log_gap(f64::NAN).is_nan());
        for i in -400..400 {
            assert!(log_gap(f64::from(i) * 1e-3) >= 0.0);
        }
    }
}
