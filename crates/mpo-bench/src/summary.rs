//! Order statistics over seeds.

/// Linearly interpolated quantile of a sorted, non-empty slice (`NumPy`'s default rule).
///
/// # Panics
/// If `sorted` is empty or `fraction` lies outside `[0, 1]`.
#[must_use]
pub fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    assert!(!sorted.is_empty(), "a quantile needs at least one value");
    assert!((0.0..=1.0).contains(&fraction), "fraction {fraction} is outside [0, 1]");
    let position = fraction * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Median and quartiles of a set of returns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// 25 % quantile.
    pub lower: f64,
    /// 50 % quantile.
    pub median: f64,
    /// 75 % quantile.
    pub upper: f64,
}

/// Median and quartiles of `values`, in any order; `None` for none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| Spread {
        lower: quantile(&sorted, 0.25),
        median: quantile(&sorted, 0.5),
        upper: quantile(&sorted, 0.75),
    })
}

/// Arithmetic mean of a non-empty slice; NaN for an empty one.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Population standard deviation of a non-empty slice; NaN for an empty one.
#[must_use]
pub fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_agree_with_numpy() {
        // numpy.percentile([1, 2, 4, 8], [25, 50, 75])
        let four = spread(&[8.0, 1.0, 4.0, 2.0]);
        assert_eq!(four, Some(Spread { lower: 1.75, median: 3.0, upper: 5.0 }));
        let three = spread(&[30.0, 10.0, 20.0]);
        assert_eq!(three, Some(Spread { lower: 15.0, median: 20.0, upper: 25.0 }));
    }

    #[test]
    fn one_value_has_no_width_and_none_has_no_spread() {
        assert_eq!(spread(&[5.0]), Some(Spread { lower: 5.0, median: 5.0, upper: 5.0 }));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn deviation_is_that_of_the_population() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!((mean(&values) - 5.0).abs() < 1e-12);
        assert!((std(&values) - 2.0).abs() < 1e-12);
    }
}
