//! The penalty for actions outside the bounds (MO-MPO, Abdolmaleki et al. 2020), an option of the default algorithm.

use crate::Real;

/// The second objective's value of every sampled action: minus the Euclidean distance to the box of valid actions.
///
/// ```text
/// cost_sj = -| a_sj - clip(a_sj, minimum, maximum) |_2
/// ```
///
/// An [`e_step`](crate::e_step) on the cost, with its own temperature and epsilon, gives a second set of weights; their sum with the
/// first goes into the M-step.
///
/// - `actions`: `[B, M, n]`; `minimum`, `maximum`: `[n]`; `cost`: `[B, M]`, written, in units of the action.
///
/// ```
/// let mut cost = [0.0_f64; 2];
/// mpo_core::out_of_bounds_cost(&[4.0, -5.0, 0.5, 0.5], &[-1.0, -1.0], &[1.0, 1.0], &mut cost);
/// assert_eq!(cost, [-5.0, 0.0]);
/// ```
///
/// # Panics
/// If the bounds are empty or of different lengths, or `actions` does not hold one action per cost.
pub fn out_of_bounds_cost<T: Real>(actions: &[T], minimum: &[T], maximum: &[T], cost: &mut [T]) {
    let n = minimum.len();
    assert!(n > 0 && n == maximum.len(), "the bounds must have one length, the action's");
    assert_eq!(actions.len(), cost.len() * n, "one cost per action");
    for (action, cost) in actions.chunks_exact(n).zip(cost) {
        let mut square = T::zero();
        for ((&a, &low), &high) in action.iter().zip(minimum).zip(maximum) {
            let inside = if a < low {
                low
            } else if a > high {
                high
            } else {
                a
            };
            let beyond = a - inside;
            square += beyond * beyond;
        }
        *cost = -square.sqrt();
    }
}
