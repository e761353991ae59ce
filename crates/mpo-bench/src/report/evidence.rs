//! The numbers that a panel has to offer for a claim.

use std::collections::HashMap;

use mpo_agent::Algorithm;

use crate::{
    plot, random,
    records::{self, Record},
    summary::{self, Spread},
};

/// A number per run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Measure {
    /// Mean return of the last evaluation.
    Final,
    /// Mean return over the training so far, the area under the learning curve divided by its length: how fast it rises.
    Area,
    /// How far an evaluation has been below the best before it, at most.
    Fall,
    /// Mean standard deviation of the policy towards the end.
    Deviation,
}

impl Measure {
    /// A difference that does not matter, in the measure's unit: a twentieth of the scale of returns, or a tenth of the policy's
    /// deviation before training.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Self::Final | Self::Area | Self::Fall => 50.0,
            Self::Deviation => 0.05,
        }
    }

    /// What the number is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Final => "final return",
            Self::Area => "mean return while learning",
            Self::Fall => "largest fall of the return",
            Self::Deviation => "deviation of the policy",
        }
    }

    /// A number of this kind for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Deviation => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }

    fn of(self, run: &Record, limit: u64) -> anyhow::Result<Option<f64>> {
        Ok(match self {
            Self::Final => run.final_score(limit),
            Self::Area => area(run),
            Self::Fall => Some(fall(run)),
            Self::Deviation => records::deviation(&run.dir, limit)?,
        })
    }
}

/// Mean of the piecewise linear learning curve.
fn area(run: &Record) -> Option<f64> {
    let points: Vec<(f64, f64)> =
        run.evaluations.iter().map(|evaluation| (evaluation.step as f64, evaluation.mean())).collect();
    let length = points.last()?.0 - points.first()?.0;
    let sum: f64 = points.windows(2).map(|pair| (pair[1].0 - pair[0].0) * 0.5 * (pair[0].1 + pair[1].1)).sum();
    (length > 0.0).then(|| sum / length)
}

fn fall(run: &Record) -> f64 {
    let (mut best, mut deepest) = (f64::NEG_INFINITY, 0.0f64);
    for evaluation in &run.evaluations {
        let mean = evaluation.mean();
        best = best.max(mean);
        deepest = deepest.max(best - mean);
    }
    deepest
}

/// A measure of one algorithm on one task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Median and quartiles over its runs.
    pub spread: Spread,
    /// How many runs they are of.
    pub seeds: usize,
}

/// One panel of a figure: the runs of a task.
#[derive(Debug)]
pub struct Panel<'a> {
    /// Suite name of the task.
    pub task: &'a str,
    /// The step up to which its learners are compared: the last that each has been evaluated at or beyond.
    pub limit: u64,
    runs: HashMap<Algorithm, Vec<&'a Record>>,
}

impl<'a> Panel<'a> {
    /// The panel of `task`; learners are compared at step `horizon` at most.
    #[must_use]
    pub fn new(task: &'a str, group: &[&'a Record], horizon: Option<u64>) -> Self {
        let mut runs: HashMap<Algorithm, Vec<&Record>> = HashMap::new();
        for record in group.iter().filter(|record| !record.evaluations.is_empty()) {
            runs.entry(record.algorithm).or_default().push(record);
        }
        let furthest = |runs: &Vec<&Record>| runs.iter().filter_map(|run| run.last_step()).max();
        let common = runs.values().filter_map(furthest).min().unwrap_or(0);
        Self { task, limit: horizon.map_or(common, |horizon| horizon.min(common)), runs }
    }

    /// `measure` over the runs of `algorithm` that have reached the panel's limit; `None` if there is none.
    ///
    /// # Errors
    /// If a run's files do not parse.
    pub fn estimate(&self, algorithm: Algorithm, measure: Measure) -> anyhow::Result<Option<Estimate>> {
        let mut values = Vec::new();
        for run in self.runs.get(&algorithm).into_iter().flatten() {
            if run.last_step().is_some_and(|last| last >= self.limit) {
                values.extend(measure.of(&run.until(self.limit), self.limit)?);
            }
        }
        Ok(summary::spread(&values).map(|spread| Estimate { spread, seeds: values.len() }))
    }

    /// The random policy's return, or 0 where it has not been measured.
    #[must_use]
    pub fn random(&self) -> f64 {
        random::mean_return(self.task).unwrap_or(0.0)
    }

    /// Whether any learner has risen a tenth of the scale of returns above the random policy.
    #[must_use]
    pub fn learned(&self) -> bool {
        self.runs.values().any(|runs| {
            let points = plot::points(runs, self.limit);
            points.iter().any(|point| point.spread.median > self.random() + 100.0)
        })
    }

    /// The first step at which the median curve of `algorithm` is at `level` or above. Runs count beyond the panel's limit,
    /// too.
    ///
    /// # Errors
    /// The last step of a curve that never is.
    pub fn reaches(&self, algorithm: Algorithm, level: f64) -> Result<u64, u64> {
        let runs = self.runs.get(&algorithm).map_or(&[][..], Vec::as_slice);
        let points = plot::points(runs, u64::MAX);
        let found = points.iter().find(|point| point.spread.median >= level);
        found.map(|point| point.step).ok_or_else(|| points.last().map_or(0, |point| point.step))
    }
}
