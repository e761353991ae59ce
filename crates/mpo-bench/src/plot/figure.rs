//! What a figure shows, apart from how it is drawn.

use std::collections::BTreeMap;

use crate::{
    anchors, output, random,
    records::Record,
    summary::{self, Spread},
    table,
};

/// A figure of learning curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Title above the panels.
    pub title: Option<String>,
    /// One panel per task, in the suite's order.
    pub panels: Vec<Panel>,
}

/// The curves of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Suite name of the task.
    pub task: String,
    /// Our runs over rising steps.
    pub curve: Vec<Point>,
    /// How many runs the curve summarises.
    pub seeds: usize,
    /// The random policy's mean return.
    pub random: Option<f64>,
    /// Published MPO at every number of steps that it was published for.
    pub published: Vec<Reference>,
    /// Index into `published` of the figure that is held against the end of the curve.
    pub level: Option<usize>,
}

/// Our runs at one number of steps: median and quartiles, over runs, of the evaluation's mean return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Environment steps.
    pub step: u64,
    /// Median and quartiles over the runs that have an evaluation at this step.
    pub spread: Spread,
}

/// A published return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// Environment steps.
    pub step: u64,
    /// Mean over its seeds.
    pub mean: f64,
    /// Standard deviation over its seeds.
    pub std: f64,
}

impl Figure {
    /// Gathers the runs of each task into a panel. Tasks without an evaluation are left out.
    #[must_use]
    pub fn new(title: Option<String>, records: &[Record]) -> Self {
        let panels = table::by_task(records).into_iter().filter_map(|(task, group)| panel(task, &group)).collect();
        Self { title, panels }
    }

    /// The legend's words for our curve.
    pub(super) fn ours(&self) -> String {
        let most = self.panels.iter().map(|panel| panel.seeds).max().unwrap_or(0);
        if most > 1 {
            format!("MPO, this work: median and interquartile range of {most} seeds")
        } else {
            "MPO, this work (one seed)".to_owned()
        }
    }

    /// The legend's words for the published level; `None` where no panel has one.
    pub(super) fn published(&self) -> Option<String> {
        let mut steps: Vec<u64> =
            self.panels.iter().filter_map(|panel| Some(panel.published[panel.level?].step)).collect();
        steps.sort_unstable();
        steps.dedup();
        match steps[..] {
            [] => None,
            [one] => Some(format!("published MPO at {} steps", output::steps(one))),
            _ => Some("published MPO at the nearest steps".to_owned()),
        }
    }

    /// Whether any panel shows the random policy's return.
    pub(super) fn random(&self) -> bool {
        self.panels.iter().any(|panel| panel.random.is_some())
    }
}

impl Panel {
    /// The last step of the curve.
    pub(super) fn last_step(&self) -> u64 {
        self.curve.last().map_or(0, |point| point.step)
    }

    /// The upper end of the return axis: 1000, the suite's scale, unless a curve goes beyond it.
    pub(super) fn highest(&self) -> f64 {
        self.curve.iter().map(|point| point.spread.upper).fold(1000.0, f64::max)
    }

    /// The lower end of the return axis: 0 unless a curve goes below it.
    pub(super) fn lowest(&self) -> f64 {
        self.curve.iter().map(|point| point.spread.lower).fold(0.0, f64::min)
    }
}

fn panel(task: &str, group: &[&Record]) -> Option<Panel> {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for evaluation in group.iter().flat_map(|record| &record.evaluations) {
        steps.entry(evaluation.step).or_default().push(evaluation.mean());
    }
    let curve: Vec<Point> =
        steps.iter().filter_map(|(&step, means)| Some(Point { step, spread: summary::spread(means)? })).collect();
    let last = curve.last()?.step;
    let published: Vec<Reference> = anchors::series(task, "mpo")
        .into_iter()
        .map(|anchor| Reference { step: anchor.steps, mean: anchor.mean, std: anchor.std })
        .collect();
    let level = anchors::nearest(task, "mpo", last)
        .and_then(|anchor| published.iter().position(|reference| reference.step == anchor.steps));
    Some(Panel {
        task: task.to_owned(),
        curve,
        seeds: group.iter().filter(|record| !record.evaluations.is_empty()).count(),
        random: random::mean_return(task),
        published,
        level,
    })
}
