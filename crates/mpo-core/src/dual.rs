//! Dual variables kept positive: `value = softplus(raw) + 1e-8`.
//!
//! The optimiser steps on `raw`; the losses see `value`. [`Temperature`] is the E-step's `eta`, [`Multiplier`] one of
//! the M-step's Lagrange multipliers.

use serde::{Deserialize, Serialize};

use crate::Real;

/// The floor added after softplus: no dual variable is ever zero, so nothing divides by zero.
pub const FLOOR: f64 = 1e-8;

/// `log(1 + exp(x))`, without overflow for large `x` and without loss for very negative `x`.
#[must_use]
pub fn softplus<T: Real>(x: T) -> T {
    // log(1 + e^x) = max(x, 0) + log(1 + e^-|x|): the exponential never exceeds one.
    let tail = (-x.abs()).exp().ln_1p();
    if x > T::zero() { x + tail } else { tail }
}

/// `1 / (1 + exp(-x))`, the derivative of [`softplus`].
#[must_use]
pub fn sigmoid<T: Real>(x: T) -> T {
    let e = (-x.abs()).exp();
    let one = T::one();
    if x >= T::zero() { one / (one + e) } else { e / (one + e) }
}

/// `log(exp(y) - 1)`, the inverse of [`softplus`].
fn inverse_softplus<T: Real>(y: T) -> T {
    y + (-(-y).exp_m1()).ln()
}

fn value_of<T: Real>(raw: T) -> T {
    softplus(raw) + T::of(FLOOR)
}

fn raw_of<T: Real>(value: T) -> T {
    let y = value - T::of(FLOOR);
    assert!(y > T::zero(), "a dual variable must exceed its floor {FLOOR}, got {value}");
    inverse_softplus(y)
}

/// The temperature `eta > 0` of the E-step (paper eqs. 8-9), stored before softplus.
///
/// ```
/// use mpo_core::Temperature;
///
/// let eta = Temperature::<f64>::from_raw(1.0);
/// assert!((eta.value() - (1.0 + 1.0_f64.exp()).ln() - 1e-8).abs() < 1e-12);
/// // However negative the raw number, the temperature stays positive.
/// assert!(Temperature::<f32>::from_raw(-1e30).value() > 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature<T> {
    /// The number that the optimiser steps on.
    pub raw: T,
}

impl<T: Real> Temperature<T> {
    /// The temperature whose number before softplus is `raw`.
    #[must_use]
    pub const fn from_raw(raw: T) -> Self {
        Self { raw }
    }

    /// The temperature of this value.
    ///
    /// # Panics
    /// If `value` does not exceed [`FLOOR`].
    #[must_use]
    pub fn from_value(value: T) -> Self {
        Self { raw: raw_of(value) }
    }

    /// `eta = softplus(raw) + 1e-8`.
    #[must_use]
    pub fn value(self) -> T {
        value_of(self.raw)
    }

    /// `d eta / d raw`.
    #[must_use]
    pub fn derivative(self) -> T {
        sigmoid(self.raw)
    }

    /// `d g / d raw` out of `d g / d eta` ([`EStep::d_eta`](crate::EStep::d_eta)).
    #[must_use]
    pub fn gradient(self, d_eta: T) -> T {
        d_eta * self.derivative()
    }
}

/// A Lagrange multiplier `alpha > 0` of a constraint `C <= epsilon` of the M-step, stored before softplus.
///
/// ```
/// use mpo_core::Multiplier;
///
/// let alpha = Multiplier::<f64>::from_value(2.0);
/// // The constraint is violated (C = 0.3 > 0.1): the gradient is negative, descent raises the multiplier.
/// assert!((alpha.loss(0.1, 0.3) + 0.4).abs() < 1e-12);
/// assert!(alpha.gradient(0.1, 0.3) < 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Multiplier<T> {
    /// The number that the optimiser steps on.
    pub raw: T,
}

impl<T: Real> Multiplier<T> {
    /// The multiplier whose number before softplus is `raw`.
    #[must_use]
    pub const fn from_raw(raw: T) -> Self {
        Self { raw }
    }

    /// The multiplier of this value.
    ///
    /// # Panics
    /// If `value` does not exceed [`FLOOR`].
    #[must_use]
    pub fn from_value(value: T) -> Self {
        Self { raw: raw_of(value) }
    }

    /// `alpha = softplus(raw) + 1e-8`.
    #[must_use]
    pub fn value(self) -> T {
        value_of(self.raw)
    }

    /// `d alpha / d raw`.
    #[must_use]
    pub fn derivative(self) -> T {
        sigmoid(self.raw)
    }

    /// `alpha (epsilon - C)`, minimised over the multiplier with `C` held constant.
    #[must_use]
    pub fn loss(self, epsilon: T, constraint: T) -> T {
        self.value() * (epsilon - constraint)
    }

    /// `d loss / d raw = (epsilon - C) d alpha / d raw`.
    #[must_use]
    pub fn gradient(self, epsilon: T, constraint: T) -> T {
        (epsilon - constraint) * self.derivative()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softplus_and_sigmoid_hold_at_the_ends() {
        assert!((softplus(1e4_f64) - 1e4).abs() < 1e-9);
        assert!((softplus(-40.0_f64) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!((sigmoid(-40.0_f64) / (-40.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!((sigmoid(800.0_f64) - 1.0).abs() < 1e-15);
        assert!(softplus(-1e30_f32).abs() < f32::MIN_POSITIVE);
        assert!(softplus(f64::NAN).is_nan() && sigmoid(f64::NAN).is_nan());
    }

    #[test]
    fn raw_and_value_are_inverse_and_the_derivative_is_the_slope() {
        for raw in [-15.0, -3.0, -0.1, 0.0, 0.7, 5.0, 60.0_f64] {
            let alpha = Multiplier::from_raw(raw);
            let back = Multiplier::from_value(alpha.value()).raw;
            assert!((back - raw).abs() < 1e-8 * raw.abs().max(1.0), "{raw} came back as {back}");
            let h = 1e-5;
            let slope = (Multiplier::from_raw(raw + h).value() - Multiplier::from_raw(raw - h).value()) / (2.0 * h);
            assert!((slope - alpha.derivative()).abs() < 1e-9, "slope at {raw}");
        }
    }

    #[test]
    #[should_panic(expected = "must exceed its floor")]
    fn a_value_at_the_floor_is_refused() {
        let _ = Temperature::from_value(1e-8_f64);
    }
}
