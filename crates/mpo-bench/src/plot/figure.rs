//! What a figure shows, apart from how it is drawn.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    anchors, atari, catalogue,
    courses::{self, Axis, Mark},
    output, random,
    records::Record,
    series::{self, Series},
    summary::{self, Spread},
    table,
};

/// How far above a game's curves, in their own heights, a published score may lie and still have its line.
const FAR: f64 = 4.0;

/// A figure of learning curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Title above the panels.
    pub title: Option<String>,
    /// The learners, whose curves have the same colour in all panels.
    pub learners: Vec<Learner>,
    /// One panel per task, in the catalogue's order.
    pub panels: Vec<Panel>,
    /// What the curves are drawn over.
    pub axis: Axis,
}

/// A learner's entry in the legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Learner {
    /// An algorithm's title or a variant's name.
    pub name: String,
    /// Place in the palette. An algorithm has the same in every figure that has one curve per algorithm.
    pub style: usize,
}

/// The curves of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Short name of the task.
    pub task: String,
    /// The learners' curves, in the order of [`Figure::learners`].
    pub curves: Vec<Curve>,
    /// The random policy's mean return.
    pub random: Option<f64>,
    /// Published MPO at every number of steps that it was published for; empty beside several learners.
    pub published: Vec<Reference>,
    /// Index into `published` of the figure that is held against the end of the curve.
    pub level: Option<usize>,
    /// The published human score in a game.
    pub human: Option<f64>,
    /// How long learners of the paper took on a course. The axis reaches them, and so is logarithmic.
    pub marks: Vec<Mark>,
}

/// One learner's runs of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Index into [`Figure::learners`].
    pub learner: usize,
    /// Our runs over rising steps.
    pub points: Vec<Point>,
    /// How many runs the curve summarises.
    pub seeds: usize,
    /// The final level of runs that went on beyond the figure's last step.
    pub star: Option<Star>,
}

/// The level that longer runs came to: the median over finished runs of their last evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Star {
    /// Environment steps of those runs.
    pub step: u64,
    /// Median return.
    pub level: f64,
}

/// Our runs at one number of steps: median and quartiles, over runs, of the evaluation's mean return.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Environment steps; in a figure over trajectories the median over the runs of their training episodes.
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
    /// Gathers the runs of each task into a panel with a curve per learner. Tasks without an evaluation are left out.
    ///
    /// Curves end at step `horizon`, if one is given; the final level of finished runs that went beyond it is a star.
    #[must_use]
    pub fn new(title: Option<String>, records: &[Record], horizon: Option<u64>) -> Self {
        let all = series::gather(records);
        let algorithms: BTreeSet<usize> = all.iter().map(|one| series::rank(one.algorithm)).collect();
        let apart = algorithms.len() == all.len();
        let learners = all
            .iter()
            .enumerate()
            .map(|(index, one)| Learner {
                name: one.name.clone(),
                style: if apart { series::rank(one.algorithm) } else { index },
            })
            .collect();
        let horizon = horizon.unwrap_or(u64::MAX);
        let panels = table::by_task(records).into_iter().filter_map(|(task, _)| panel(task, &all, horizon)).collect();
        Self { title, learners, panels, axis: Axis::Steps }
    }

    /// The same of courses alone, over training episodes. Where nothing is known of them, there are no panels.
    #[must_use]
    pub fn over_trajectories(title: Option<String>, records: &[Record], horizon: Option<u64>) -> Self {
        let mut figure = Self { axis: Axis::Trajectories, ..Self::new(title, &counted(records, horizon), None) };
        for panel in &mut figure.panels {
            panel.marks = courses::marks(&panel.task, Axis::Trajectories);
        }
        figure
    }

    /// The learner, if there is only one.
    pub(super) fn single(&self) -> Option<&Learner> {
        if let [only] = &self.learners[..] { Some(only) } else { None }
    }

    /// The legend's words for a single learner.
    pub(super) fn ours(&self, name: &str) -> String {
        match self.seeds() {
            0 | 1 => format!("{name}, this work (one seed)"),
            most => format!("{name}, this work: median and interquartile range of {most} seeds"),
        }
    }

    /// The line under the panels: what the curves and the axes are.
    pub(super) fn footer(&self) -> String {
        let games = self.panels.iter().filter(|panel| atari::is_game(&panel.task)).count();
        let axes = match games {
            0 if self.axis == Axis::Trajectories => "return of an episode against training episodes (trajectories)",
            0 => "return of an episode against environment steps",
            _ if games == self.panels.len() => "score against environment steps of 4 frames",
            _ => "return of an episode against environment steps, in games 4 frames each",
        };
        match (self.single(), self.seeds()) {
            (Some(_), _) => axes.to_owned(),
            (None, 0 | 1) => format!("one seed; {axes}"),
            (None, most) => format!("medians and interquartile ranges of {most} seeds; {axes}"),
        }
    }

    /// The legend's words for the stars; `None` where there is none.
    pub(super) fn stars(&self) -> Option<String> {
        let found: BTreeSet<(usize, u64)> =
            self.curves().filter_map(|curve| Some((curve.learner, curve.star?.step))).collect();
        let words: Vec<String> = found
            .iter()
            .map(|&(learner, step)| format!("{} {}", self.learners[learner].name, output::steps(step)))
            .collect();
        (!words.is_empty()).then(|| format!("final level of longer runs: {} steps", words.join(", ")))
    }

    /// The legend's words for the published level; `None` where no panel has one.
    pub(super) fn published(&self) -> Option<String> {
        let mut steps: Vec<u64> =
            self.panels.iter().filter_map(|panel| Some(panel.published[panel.level?].step)).collect();
        steps.sort_unstable();
        steps.dedup();
        match steps[..] {
            [] => None,
            [atari::PUBLISHED_STEPS] => Some("published MPO at 200M frames".to_owned()),
            [one] => Some(format!("published MPO at {} steps", output::steps(one))),
            _ if steps.contains(&atari::PUBLISHED_STEPS) => Some("published MPO".to_owned()),
            _ => Some("published MPO at the nearest steps".to_owned()),
        }
    }

    /// The legend's words for what the paper's learners took; `None` where no panel says it.
    pub(super) fn marked(&self) -> Option<String> {
        let marks = self.panels.iter().map(|panel| &panel.marks).find(|marks| !marks.is_empty())?;
        let words: Vec<String> =
            marks.iter().map(|mark| format!("{} {}", mark.algorithm.title(), output::steps(mark.at))).collect();
        let unit = if self.axis == Axis::Trajectories { "trajectories" } else { "steps" };
        Some(format!("the paper's walker: {} {unit}", words.join(", ")))
    }

    /// Whether any panel shows the random policy's return.
    pub(super) fn random(&self) -> bool {
        self.panels.iter().any(|panel| panel.random.is_some())
    }

    /// Whether any panel shows a person's score.
    pub(super) fn human(&self) -> bool {
        self.panels.iter().any(|panel| panel.human.is_some())
    }

    /// Whether all panels have the same return axis, so that labels on the left are enough.
    pub(super) fn one_scale(&self) -> bool {
        let axes = |panel: &Panel| (panel.lowest(), panel.highest());
        self.panels.windows(2).all(|pair| axes(&pair[0]) == axes(&pair[1]))
            || self.panels.iter().all(|panel| catalogue::range(&panel.task) == Some((0.0, 1000.0)))
    }

    /// The largest number of runs that a curve summarises.
    pub(super) fn seeds(&self) -> usize {
        self.curves().map(|curve| curve.seeds).max().unwrap_or(0)
    }

    fn curves(&self) -> impl Iterator<Item = &Curve> {
        self.panels.iter().flat_map(|panel| &panel.curves)
    }
}

impl Panel {
    /// The last step of any curve.
    pub(super) fn last_step(&self) -> u64 {
        self.points().map(|point| point.step).max().unwrap_or(0)
    }

    /// The first step of a logarithmic axis, and its last; `None` of one that is not.
    pub(super) fn decades(&self) -> Option<(f64, f64)> {
        let furthest = self.marks.iter().map(|mark| mark.at).max()?;
        let first = self.points().map(|point| point.step).filter(|&step| step > 0).min().unwrap_or(1);
        // Room for the last mark's name.
        Some((10f64.powf((first as f64).log10().floor()), 2.0 * furthest.max(self.last_step()) as f64))
    }

    /// The upper end of the return axis: that of the task's scale unless a curve goes beyond it, or what is shown of a game.
    pub(super) fn highest(&self) -> f64 {
        self.axis().1
    }

    /// The lower end of the return axis: that of the task's scale unless a curve goes below it, or what is shown of a game.
    pub(super) fn lowest(&self) -> f64 {
        self.axis().0
    }

    fn axis(&self) -> (f64, f64) {
        let lower = |start| self.points().map(|point| point.spread.lower).fold(start, f64::min);
        let upper = |start| self.points().map(|point| point.spread.upper).fold(start, f64::max);
        if let Some((lowest, highest)) = catalogue::range(&self.task) {
            return (lower(lowest), upper(highest));
        }
        let random = self.random.unwrap_or(f64::NAN);
        // The minimum with what is no number is the other.
        let (mut lowest, mut highest) = (lower(f64::INFINITY).min(random), upper(f64::NEG_INFINITY).max(random));
        // A score far above would make a line of the curve.
        let reach = highest + FAR * (highest - lowest);
        let mut headroom = 0.05;
        for (_, score) in self.scores() {
            if score <= reach {
                (lowest, highest) = (lowest.min(score), highest.max(score));
            } else {
                // Its figure is written above the curves.
                headroom = 0.2;
            }
        }
        let span = (highest - lowest).max(1.0);
        (lowest - 0.05 * span, highest + headroom * span)
    }

    /// The published scores that a game's panel is drawn with, with their names.
    fn scores(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let paper = self.level.map(|level| ("MPO", self.published[level].mean));
        self.human.map(|score| ("human", score)).into_iter().chain(paper)
    }

    /// The published scores that lie above the axis, as words; `None` where there is none.
    pub(super) fn beyond(&self) -> Option<String> {
        let highest = self.highest();
        let above = |&(_, score): &(&str, f64)| catalogue::range(&self.task).is_none() && score > highest;
        let words: Vec<String> = self.scores().filter(above).map(|(name, score)| format!("{name} {score}")).collect();
        (!words.is_empty()).then(|| format!("above: {}", words.join(", ")))
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.curves.iter().flat_map(|curve| &curve.points)
    }
}

fn panel(task: &str, all: &[Series<'_>], horizon: u64) -> Option<Panel> {
    let curves: Vec<Curve> =
        all.iter().enumerate().filter_map(|(learner, series)| curve(learner, &series.of_task(task), horizon)).collect();
    let last = curves.iter().flat_map(|curve| &curve.points).map(|point| point.step).max()?;
    // Published levels of one algorithm beside seven learners would be taken for theirs.
    let published: Vec<Reference> = if all.len() > 1 { Vec::new() } else { references(task) };
    let level = match published[..] {
        [_] => Some(0),
        _ => anchors::nearest(task, "mpo", last)
            .and_then(|anchor| published.iter().position(|reference| reference.step == anchor.steps)),
    };
    let human = atari::score(task, "human");
    let (random, marks) = (random::mean_return(task), courses::marks(task, Axis::Steps));
    Some(Panel { task: task.to_owned(), curves, random, published, level, human, marks })
}

fn references(task: &str) -> Vec<Reference> {
    if let Some(mean) = atari::score(task, "mpo") {
        return vec![Reference { step: atari::PUBLISHED_STEPS, mean, std: 0.0 }];
    }
    let series = anchors::series(task, "mpo");
    series.into_iter().map(|anchor| Reference { step: anchor.steps, mean: anchor.mean, std: anchor.std }).collect()
}

fn curve(learner: usize, runs: &[&Record], horizon: u64) -> Option<Curve> {
    let points = points(runs, horizon);
    if points.is_empty() {
        return None;
    }
    let longer = |run: &&&Record| run.finished && run.last_step().is_some_and(|last| last > horizon);
    let ends: Vec<(u64, f64)> =
        runs.iter().filter(longer).filter_map(|run| Some((run.last_step()?, run.final_score(u64::MAX)?))).collect();
    let levels: Vec<f64> = ends.iter().map(|&(_, level)| level).collect();
    let star = summary::spread(&levels)
        .and_then(|spread| Some(Star { step: ends.iter().map(|&(step, _)| step).min()?, level: spread.median }));
    let seeds = runs.iter().filter(|record| !record.evaluations.is_empty()).count();
    Some(Curve { learner, points, seeds, star })
}

/// Median and quartiles of `runs` at every step up to `horizon` at which one of them was evaluated.
#[must_use]
pub fn points(runs: &[&Record], horizon: u64) -> Vec<Point> {
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for evaluation in runs.iter().flat_map(|run| &run.evaluations).filter(|evaluation| evaluation.step <= horizon) {
        steps.entry(evaluation.step).or_default().push(evaluation.mean());
    }
    steps.iter().filter_map(|(&step, means)| Some(Point { step, spread: summary::spread(means)? })).collect()
}

/// The runs on courses with training episodes in place of steps: where several runs of a series were evaluated at a step, the
/// median of theirs, so that they stay one point.
fn counted(records: &[Record], horizon: Option<u64>) -> Vec<Record> {
    let mut cut: Vec<Record> = records.iter().filter(|record| courses::is_course(&record.task)).cloned().collect();
    for record in &mut cut {
        *record = record.until(horizon.unwrap_or(u64::MAX));
        record.evaluations.retain(|evaluation| evaluation.trajectories.is_some());
    }
    let mut counted = Vec::new();
    for series in series::gather(&cut) {
        for (_, runs) in table::by_task(series.records) {
            let mut counts: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
            for evaluation in runs.iter().flat_map(|run| &run.evaluations) {
                counts.entry(evaluation.step).or_default().extend(evaluation.trajectories.map(|count| count as f64));
            }
            for run in runs {
                let mut run = run.clone();
                for evaluation in &mut run.evaluations {
                    let count = counts.get(&evaluation.step).and_then(|counts| summary::spread(counts));
                    evaluation.step = count.map_or(0, |spread| spread.median as u64);
                }
                counted.push(run);
            }
        }
    }
    counted
}
