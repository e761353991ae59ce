//! The scalar type and the few vector loops that every equation is built from.

use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};

use num_traits::Float;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The scalar of every function of this crate: `f32` or `f64`, and nothing else.
///
/// Networks train in `f32`; `f64` is the oracle that the `f32` results are judged by.
pub trait Real:
    sealed::Sealed
    + Float
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
    + Default
    + Debug
    + Display
    + Send
    + Sync
    + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// The same value as `f64`; exact.
    fn wide(self) -> f64;
}

impl Real for f32 {
    #[inline]
    fn of(value: f64) -> Self {
        value as Self
    }
    #[inline]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline]
    fn of(value: f64) -> Self {
        value
    }
    #[inline]
    fn wide(self) -> f64 {
        self
    }
}

/// Independent partial results of a reduction: without them a float sum is one chain of additions, which no
/// compiler may reorder and no vector unit can share out.
pub(crate) const LANES: usize = 8;

#[inline]
pub(crate) fn reduce<T: Real>(lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let half = [
        combine(lanes[0], lanes[4]),
        combine(lanes[1], lanes[5]),
        combine(lanes[2], lanes[6]),
        combine(lanes[3], lanes[7]),
    ];
    combine(combine(half[0], half[2]), combine(half[1], half[3]))
}

/// `sum_k x_k y_k`; the slices have one length.
#[inline]
pub(crate) fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    debug_assert_eq!(x.len(), y.len());
    let (x_body, x_tail) = x.as_chunks::<LANES>();
    let (y_body, y_tail) = y.as_chunks::<LANES>();
    let mut lanes = [T::zero(); LANES];
    for (a, b) in x_body.iter().zip(y_body) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let mut tail = T::zero();
    for (&a, &b) in x_tail.iter().zip(y_tail) {
        tail += a * b;
    }
    reduce(lanes, |a, b| a + b) + tail
}

/// `sum_k x_k`.
#[inline]
pub(crate) fn sum<T: Real>(x: &[T]) -> T {
    let (body, tail) = x.as_chunks::<LANES>();
    let mut lanes = [T::zero(); LANES];
    for chunk in body {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    let mut rest = T::zero();
    for &value in tail {
        rest += value;
    }
    reduce(lanes, |a, b| a + b) + rest
}

/// `max_k x_k`, and minus infinity of nothing. A NaN is passed over: it shows in what is computed from the row.
#[inline]
pub(crate) fn maximum<T: Real>(x: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let (body, tail) = x.as_chunks::<LANES>();
    let mut lanes = [T::neg_infinity(); LANES];
    for chunk in body {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    tail.iter().fold(reduce(lanes, larger), |a, &b| larger(a, b))
}

/// `y += a x`.
#[inline]
pub(crate) fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    debug_assert_eq!(x.len(), y.len());
    for (y, &x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// `x *= a`.
#[inline]
pub(crate) fn scale<T: Real>(a: T, x: &mut [T]) {
    for x in x {
        *x *= a;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_agree_with_the_plain_loops_at_every_length() {
        for len in 0..40 {
            let x: Vec<f64> = (0..len).map(|i| f64::from((i * 7) % 11) - 5.0).collect();
            let y: Vec<f64> = (0..len).map(|i| f64::from((i * 5) % 13) - 6.0).collect();
            // Small integers: the sums are exact in any order.
            let plain: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert!((dot(&x, &y) - plain).abs() < 1e-12, "dot at {len}");
            let plain: f64 = x.iter().sum();
            assert!((sum(&x) - plain).abs() < 1e-12, "sum at {len}");
            let plain = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(maximum(&x).to_bits(), plain.to_bits(), "maximum at {len}");
        }
    }
}
