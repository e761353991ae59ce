//! Reading cases and judging results.

use mpo_core::Real;
use serde_json::Value;

/// One case of a golden file; `rounded` replaces every input by the nearest `f32`.
#[derive(Clone)]
pub(crate) struct Case<'a> {
    pub(crate) name: String,
    json: &'a Value,
    rounded: bool,
}

impl<'a> Case<'a> {
    pub(crate) fn new(name: String, json: &'a Value) -> Self {
        Self { name, json, rounded: false }
    }

    /// The value at a path such as `duals/log_alpha`.
    pub(crate) fn at(&self, path: &str) -> &'a Value {
        self.json.pointer(&format!("/{path}")).unwrap_or_else(|| panic!("{} has no {path}", self.name))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.json.pointer(&format!("/{path}")).is_some_and(|v| !v.is_null())
    }

    /// An expected result, row-major.
    pub(crate) fn want(&self, path: &str) -> Vec<f64> {
        let mut out = Vec::new();
        flatten(self.at(path), &mut out);
        out
    }

    /// An input, row-major.
    pub(crate) fn array<T: Real>(&self, path: &str) -> Vec<T> {
        let round = |x: f64| if self.rounded { f64::from(x as f32) } else { x };
        self.want(path).into_iter().map(|x| T::of(round(x))).collect()
    }

    /// An input that is one number.
    pub(crate) fn number<T: Real>(&self, path: &str) -> T {
        let all = self.array(path);
        assert_eq!(all.len(), 1, "{}: {path} is not one number", self.name);
        all[0]
    }

    pub(crate) fn size(&self, path: &str) -> usize {
        self.at(path).as_u64().unwrap_or_else(|| panic!("{}: {path} is no size", self.name)) as usize
    }
}

fn flatten(value: &Value, out: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, out)),
        Value::Bool(flag) => out.push(f64::from(u8::from(*flag))),
        other => out.push(other.as_f64().unwrap_or_else(|| panic!("{other} is not a number"))),
    }
}

/// One result beside what it should be.
pub(crate) struct Check {
    what: String,
    got: Vec<f64>,
    want: Vec<f64>,
    scale: f64,
}

/// Collects the checks of one case.
#[derive(Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Compares element by element, relatively to each element; elements below `1e-3` of the array's largest are compared
    /// relatively to that.
    pub(crate) fn add<T: Real>(&mut self, what: impl Into<String>, got: &[T], want: Vec<f64>) {
        self.add_scaled(what, got, want, 0.0);
    }

    /// As [`add`](Self::add), with the size that differences are naturally measured against, such as the bound on a divergence.
    pub(crate) fn add_scaled<T: Real>(&mut self, what: impl Into<String>, got: &[T], want: Vec<f64>, scale: f64) {
        let got = got.iter().map(|x| x.wide()).collect();
        self.0.push(Check { what: what.into(), got, want, scale });
    }
}

/// One kind of golden case.
pub(crate) trait Family {
    fn checks<T: Real>(case: &Case<'_>, checks: &mut Checks);
}

/// Counts what was compared and keeps what failed.
#[derive(Default)]
pub(crate) struct Tally {
    cases: usize,
    numbers: usize,
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn report(self) {
        assert!(self.cases >= 77 && self.numbers > 5000, "{} cases, {} numbers", self.cases, self.numbers);
        assert!(
            self.failures.is_empty(),
            "{} of {} numbers in {} cases disagree:\n{}",
            self.failures.len(),
            self.numbers,
            self.cases,
            self.failures.iter().take(60).cloned().collect::<Vec<_>>().join("\n")
        );
    }

    fn compare(&mut self, name: &str, check: &Check, tolerance: f64, slack: &[f64], precision: &str) {
        let Check { what, got, want, scale } = check;
        if got.len() != want.len() {
            self.failures.push(format!("{name}: {what} has {} numbers, not {}", got.len(), want.len()));
            return;
        }
        let largest = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        // In f32 the small elements of an array are differences of the large ones.
        let floor = if precision == "f32" { largest } else { 1e-3 * largest };
        for (i, ((got, want), slack)) in got.iter().zip(want).zip(slack).enumerate() {
            self.numbers += 1;
            let allowed = tolerance * want.abs().max(floor).max(*scale) + slack;
            let difference = (got - want).abs();
            if difference.is_nan() || difference > allowed {
                self.failures.push(format!(
                    "{name}: {what}[{i}] in {precision} is {got:e}, not {want:e} (off by {difference:e}, allowed {allowed:e})"
                ));
            }
        }
    }
}

/// Runs a case in `f64` (1e-9) and in `f32` (1e-4). To the second is allowed what rounding the inputs to `f32` alone moves the `f64`
/// result by: a Q-value of a million plus a half is not an `f32`.
pub(crate) fn verify<F: Family>(case: &Case<'_>, tally: &mut Tally) {
    tally.cases += 1;
    let rounded = Case { rounded: true, ..case.clone() };
    let (mut wide, mut narrow, mut wide_rounded) = (Checks::default(), Checks::default(), Checks::default());
    F::checks::<f64>(case, &mut wide);
    F::checks::<f32>(&rounded, &mut narrow);
    F::checks::<f64>(&rounded, &mut wide_rounded);
    assert!(!wide.0.is_empty(), "{} compared nothing", case.name);
    for (check, (narrow, rounded)) in wide.0.iter().zip(narrow.0.iter().zip(&wide_rounded.0)) {
        tally.compare(&case.name, check, 1e-9, &vec![0.0; check.want.len()], "f64");
        let moved: Vec<f64> = rounded.got.iter().zip(&rounded.want).map(|(a, b)| (a - b).abs()).collect();
        tally.compare(&case.name, narrow, 1e-4, &moved, "f32");
    }
}
