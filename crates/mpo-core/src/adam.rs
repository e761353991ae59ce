//! Adam and the global-norm clip: the reference for every fused optimiser kernel.

use serde::{Deserialize, Serialize};

use crate::Real;

/// Settings of Adam (Kingma & Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam<T> {
    /// Step size.
    pub learning_rate: T,
    /// Decay of the first moment.
    pub beta1: T,
    /// Decay of the second moment.
    pub beta2: T,
    /// Added to the root of the second moment.
    pub epsilon: T,
}

impl<T: Real> Adam<T> {
    /// The usual settings: decays 0.9 and 0.999, epsilon `1e-8`.
    #[must_use]
    pub fn new(learning_rate: T) -> Self {
        Self { learning_rate, beta1: T::of(0.9), beta2: T::of(0.999), epsilon: T::of(1e-8) }
    }

    /// One descent step, in place.
    ///
    /// ```text
    /// m <- beta1 m + (1 - beta1) g,    v <- beta2 v + (1 - beta2) g^2
    /// p <- p - lr ( m / (1 - beta1^t) ) / ( sqrt(v / (1 - beta2^t)) + epsilon )
    /// ```
    ///
    /// - `step`: t, one for the first step.
    /// - `parameters`, `gradient`, `first` (m), `second` (v): `[P]`; the moments start at zero.
    ///
    /// ```
    /// use mpo_core::Adam;
    ///
    /// let (mut p, mut m, mut v) = ([1.0_f64], [0.0], [0.0]);
    /// Adam::new(0.1).step(1, &mut p, &[1e-3], &mut m, &mut v);
    /// assert!((p[0] - 0.9).abs() < 1e-4); // the first step has the learning rate's length, whatever the gradient's
    /// ```
    ///
    /// # Panics
    /// If `step` is zero or the lengths differ.
    pub fn step(&self, step: u64, parameters: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T]) {
        assert!(step > 0, "Adam counts its steps from one");
        for len in [gradient.len(), first.len(), second.len()] {
            assert_eq!(len, parameters.len(), "one gradient and two moments per parameter");
        }
        let correction = |beta: T| T::of(1.0 / (1.0 - beta.wide().powf(step as f64)));
        let (correct1, correct2) = (correction(self.beta1), correction(self.beta2));
        let (rest1, rest2) = (T::one() - self.beta1, T::one() - self.beta2);
        let moments = first.iter_mut().zip(second);
        for ((p, &g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *m = self.beta1 * *m + rest1 * g;
            *v = self.beta2 * *v + rest2 * g * g;
            *p -= self.learning_rate * (*m * correct1) / ((*v * correct2).sqrt() + self.epsilon);
        }
    }
}

/// Scales `gradient` down to the Euclidean norm `max_norm` if it is longer, and returns the norm it had.
///
/// ```
/// let mut gradient = [3.0_f64, 4.0];
/// assert_eq!(mpo_core::clip_by_global_norm(&mut gradient, 1.0), 5.0);
/// assert!((gradient[0] - 0.6).abs() < 1e-12 && (gradient[1] - 0.8).abs() < 1e-12);
/// assert_eq!(mpo_core::clip_by_global_norm(&mut [0.0_f64; 2], 1.0), 0.0);
/// ```
pub fn clip_by_global_norm<T: Real>(gradient: &mut [T], max_norm: T) -> T {
    let norm = T::of(gradient.iter().map(|g| g.wide() * g.wide()).sum::<f64>().sqrt());
    if norm > max_norm {
        crate::real::scale(max_norm / norm, gradient);
    }
    norm
}
