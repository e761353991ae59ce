//! The suite's reward shapes, and sums that round as NumPy's do.

use pulp::{Arch, NullaryFnOnce};

/// How [`Tolerance`] falls off outside its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sigmoid {
    /// exp(-(d s)^2 / 2)
    Gaussian,
    /// 1 / ((d s)^2 + 1)
    LongTail,
    /// 1 - d s, at least 0
    Linear,
    /// 1 - (d s)^2, at least 0
    Quadratic,
}

/// `dm_control.utils.rewards.tolerance` (Tassa et al. 2018, section 2.3): 1 for values within the bounds, falling
/// off outside them with the distance d in units of the margin. The scale s is such that the value at one margin's
/// distance is the given one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    lower: f64,
    upper: f64,
    margin: f64,
    sigmoid: Sigmoid,
    value_at_margin: f64,
}

impl Tolerance {
    /// 1 within `lower..=upper` and 0 outside, until a margin is given.
    pub(crate) const fn within(lower: f64, upper: f64) -> Self {
        Self { lower, upper, margin: 0.0, sigmoid: Sigmoid::Gaussian, value_at_margin: 0.1 }
    }

    /// Falls off as a Gaussian to 0.1 at the distance `margin`.
    pub(crate) const fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// Falls off as `sigmoid` to `value_at_margin` instead.
    pub(crate) const fn sigmoid(self, sigmoid: Sigmoid, value_at_margin: f64) -> Self {
        Self { sigmoid, value_at_margin, ..self }
    }

    /// The value at `x`, in 0..=1.
    #[inline]
    pub(crate) fn of(&self, x: f64) -> f64 {
        if self.lower <= x && x <= self.upper {
            return 1.0;
        }
        if self.margin <= 0.0 {
            return 0.0;
        }
        let distance = if x < self.lower { self.lower - x } else { x - self.upper } / self.margin;
        match self.sigmoid {
            Sigmoid::Gaussian => {
                let scaled = distance * gaussian_scale(self.value_at_margin);
                (-0.5 * (scaled * scaled)).exp()
            }
            Sigmoid::LongTail => {
                let scaled = distance * (1.0 / self.value_at_margin - 1.0).sqrt();
                1.0 / (scaled * scaled + 1.0)
            }
            Sigmoid::Linear => {
                let scaled = distance * (1.0 - self.value_at_margin);
                if scaled.abs() < 1.0 { 1.0 - scaled } else { 0.0 }
            }
            Sigmoid::Quadratic => {
                let scaled = distance * (1.0 - self.value_at_margin).sqrt();
                if scaled.abs() < 1.0 { 1.0 - scaled * scaled } else { 0.0 }
            }
        }
    }
}

/// `sqrt(-2 ln value)`, known beforehand for the usual 0.1: a logarithm is 2 % of the lightest task's step.
fn gaussian_scale(value_at_margin: f64) -> f64 {
    const USUAL: (f64, f64) = (0.1, 2.145_966_026_289_347);
    if value_at_margin.to_bits() == USUAL.0.to_bits() { USUAL.1 } else { (-2.0 * value_at_margin.ln()).sqrt() }
}

/// The suite's reward for using the actuators little: quadratic in each control, 1 at 0 and 0 at 1 or beyond.
pub(crate) const SMALL_CONTROL: Tolerance = Tolerance::within(0.0, 0.0).margin(1.0).sigmoid(Sigmoid::Quadratic, 0.0);

/// Arithmetic mean of what `value` makes of each item, added up in the order of NumPy's `mean` (eight running sums
/// from eight items on; exact for fewer than 128).
#[inline]
pub(crate) fn mean(items: &[f64], value: impl Fn(f64) -> f64) -> f64 {
    let (blocks, rest) = items.as_chunks::<8>();
    let mut sum = 0.0;
    if let Some((first, others)) = blocks.split_first() {
        let mut sums = first.map(&value);
        for block in others {
            for (sum, item) in sums.iter_mut().zip(block) {
                *sum += value(*item);
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
    for item in rest {
        sum += value(*item);
    }
    sum / items.len() as f64
}

/// Euclidean length, rounded as NumPy's `norm`: its dot product contracts to fused multiply-adds.
#[inline]
pub(crate) fn norm<const N: usize>(vector: [f64; N]) -> f64 {
    struct Norm<const N: usize>([f64; N]);
    impl<const N: usize> NullaryFnOnce for Norm<N> {
        type Output = f64;

        #[allow(clippy::inline_always, reason = "else it would be compiled without the instruction")]
        #[inline(always)]
        fn call(self) -> f64 {
            self.0.iter().fold(0.0, |sum: f64, x| x.mul_add(*x, sum)).sqrt()
        }
    }
    // Without the processor's own instruction each fused operation is a call: 2 % of the lightest task's step.
    Arch::new().dispatch(Norm(vector))
}

/// The difference of two vectors.
pub(crate) fn difference<const N: usize>(a: [f64; N], b: [f64; N]) -> [f64; N] {
    std::array::from_fn(|i| a[i] - b[i])
}

/// The row vector times the 3x3 matrix (row by row): a global vector seen in the frame whose axes are its columns.
pub(crate) fn into_frame(vector: [f64; 3], matrix: &[f64; 9]) -> [f64; 3] {
    std::array::from_fn(|column| {
        vector.iter().enumerate().fold(0.0, |sum: f64, (row, x)| x.mul_add(matrix[3 * row + column], sum))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_scale_is_the_formulas_to_the_last_bit() {
        assert_eq!(gaussian_scale(0.1).to_bits(), (-2.0 * 0.1_f64.ln()).sqrt().to_bits());
    }

    /// Values of `dm_control.utils.rewards.tolerance`.
    #[test]
    fn tolerance_has_the_values_of_dm_control() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-15, "{a} is not {b}");
        let bounds = Tolerance::within(-1.0, 2.0).margin(4.0);
        close(bounds.of(-1.0), 1.0);
        close(bounds.of(2.5), 0.964_661_619_911_199_4);
        close(bounds.of(-5.0), 0.1);
        close(bounds.sigmoid(Sigmoid::LongTail, 0.1).of(3.0), 0.64);
        close(bounds.sigmoid(Sigmoid::Linear, 0.5).of(4.0), 0.75);
        close(bounds.sigmoid(Sigmoid::Linear, 0.0).of(7.0), 0.0);
        close(bounds.sigmoid(Sigmoid::Quadratic, 0.0).of(4.0), 0.75);
        close(bounds.sigmoid(Sigmoid::Quadratic, 0.0).of(-6.0), 0.0);
        close(Tolerance::within(0.0, f64::INFINITY).of(-1e-300), 0.0);
        close(Tolerance::within(0.0, f64::INFINITY).of(1e300), 1.0);
    }

    proptest! {
        /// In 0..=1 everywhere, 1 within the bounds, never rising with the distance from them, the same on both
        /// sides, and the given value at one margin's distance.
        #[test]
        fn tolerance_falls_off_evenly(
            lower in -10.0..10.0_f64, width in 0.0..5.0_f64, margin in 0.01..10.0_f64, value in 0.01..0.99_f64,
            inside in 0.0..=1.0_f64, near in 0.0..5.0_f64, further in 0.0..5.0_f64,
        ) {
            let upper = lower + width;
            for sigmoid in [Sigmoid::Gaussian, Sigmoid::LongTail, Sigmoid::Linear, Sigmoid::Quadratic] {
                let tolerance = Tolerance::within(lower, upper).margin(margin).sigmoid(sigmoid, value);
                prop_assert!(tolerance.of((lower + inside * width).min(upper)) >= 1.0);
                let (closer, farther) = (tolerance.of(upper + near), tolerance.of(upper + near + further));
                prop_assert!((0.0..=1.0).contains(&closer) && (0.0..=1.0).contains(&farther) && farther <= closer);
                prop_assert!((tolerance.of(lower - near) - closer).abs() < 1e-9);
                prop_assert!((tolerance.of(upper + margin) - value).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_nan_stays_one() {
        assert!(Tolerance::within(0.0, 1.0).margin(1.0).of(f64::NAN).is_nan());
    }

    #[test]
    fn mean_adds_everything_once() {
        for count in [1, 7, 8, 9, 21, 24] {
            let items: Vec<f64> = (0..count).map(f64::from).collect();
            let expected = f64::from(count - 1);
            assert!((mean(&items, |x| 2.0 * x) - expected).abs() < 1e-12, "{count} items");
        }
    }
}
