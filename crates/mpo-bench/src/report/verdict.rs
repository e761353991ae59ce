//! Decides claims: mechanically, and for nobody when the spreads overlap.

use mpo_agent::Algorithm;

use super::{
    claims::{Claim, Comparison},
    evidence::{Estimate, Measure, Panel},
};
use crate::{output, summary::Spread};

/// What a panel or a figure says to a claim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It agrees.
    BorneOut,
    /// It disagrees.
    Contradicted,
    /// The runs cannot tell: spreads overlap, there were too few steps, or runs are missing.
    Undecided,
}

impl Verdict {
    /// For a report.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BorneOut => "borne out",
            Self::Contradicted => "contradicted",
            Self::Undecided => "undecided",
        }
    }
}

/// A verdict with the numbers that it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// The numbers, in words.
    pub numbers: String,
}

/// How one spread lies to another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Relation {
    /// The medians differ by more than the tolerance, and the interquartile ranges do not overlap.
    Higher,
    /// The same the other way round.
    Lower,
    /// The medians agree within the tolerance, and the ranges together span no more than three of it.
    Level,
    /// None of these.
    Unclear,
}

/// With fewer runs than this on one side, quartiles say little: a tolerance is added to each of their sides.
const SEEDS: usize = 3;

/// How `a` lies to `b`, both of one measure.
#[must_use]
pub fn relation(a: Estimate, b: Estimate, tolerance: f64) -> Relation {
    let widen = if a.seeds.min(b.seeds) < SEEDS { tolerance } else { 0.0 };
    let wide = |spread: Spread| (spread.lower - widen, spread.upper + widen);
    let ((a_lower, a_upper), (b_lower, b_upper)) = (wide(a.spread), wide(b.spread));
    let gap = a.spread.median - b.spread.median;
    if gap > tolerance && a_lower >= b_upper {
        Relation::Higher
    } else if gap < -tolerance && a_upper <= b_lower {
        Relation::Lower
    } else if gap.abs() <= tolerance && a_upper.max(b_upper) - a_lower.min(b_lower) <= 3.0 * tolerance {
        Relation::Level
    } else {
        Relation::Unclear
    }
}

/// What `panel` says to `claim`.
///
/// # Errors
/// If a run's files do not parse.
pub fn judge(claim: &Claim, panel: &Panel<'_>) -> anyhow::Result<Finding> {
    if !panel.learned() {
        let numbers =
            format!("too few steps: no learner is clearly above the random policy by {}", output::steps(panel.limit));
        return Ok(Finding { verdict: Verdict::Undecided, numbers });
    }
    let pair = |subject, other, measure, decide: fn(Relation) -> Verdict| {
        against(panel, subject, &[other], measure, |relations| decide(relations[0]))
    };
    match claim.comparison {
        Comparison::NotBelow { subject, others, measure } => against(panel, subject, others, measure, |relations| {
            if relations.contains(&Relation::Lower) {
                Verdict::Contradicted
            } else if relations.contains(&Relation::Unclear) {
                Verdict::Undecided
            } else {
                Verdict::BorneOut
            }
        }),
        Comparison::Below { subject, other, measure } => pair(subject, other, measure, |relation| match relation {
            Relation::Lower => Verdict::BorneOut,
            Relation::Unclear => Verdict::Undecided,
            Relation::Higher | Relation::Level => Verdict::Contradicted,
        }),
        Comparison::Above { subject, other, measure } => pair(subject, other, measure, |relation| match relation {
            Relation::Higher => Verdict::BorneOut,
            Relation::Unclear => Verdict::Undecided,
            Relation::Lower | Relation::Level => Verdict::Contradicted,
        }),
        Comparison::Level { subject, other, measure } => pair(subject, other, measure, |relation| match relation {
            Relation::Level => Verdict::BorneOut,
            Relation::Unclear => Verdict::Undecided,
            Relation::Higher | Relation::Lower => Verdict::Contradicted,
        }),
        Comparison::Slower { subject, other, factor } => slower(panel, subject, other, factor),
        Comparison::Fails { subject, other, share } => fails(panel, subject, other, share),
    }
}

/// The estimates of all, or what is missing.
fn estimates(
    panel: &Panel<'_>,
    algorithms: &[Algorithm],
    measure: Measure,
) -> anyhow::Result<Result<Vec<Estimate>, Finding>> {
    let mut found = Vec::new();
    for &algorithm in algorithms {
        let Some(estimate) = panel.estimate(algorithm, measure)? else {
            let numbers = format!("no {} of {} yet", measure.words(), algorithm.title());
            return Ok(Err(Finding { verdict: Verdict::Undecided, numbers }));
        };
        found.push(estimate);
    }
    Ok(Ok(found))
}

fn against(
    panel: &Panel<'_>,
    subject: Algorithm,
    others: &[Algorithm],
    measure: Measure,
    decide: impl Fn(&[Relation]) -> Verdict,
) -> anyhow::Result<Finding> {
    let algorithms: Vec<Algorithm> = [&[subject], others].concat();
    let found = match estimates(panel, &algorithms, measure)? {
        Ok(found) => found,
        Err(finding) => return Ok(finding),
    };
    let relations: Vec<Relation> =
        found[1..].iter().map(|&other| relation(found[0], other, measure.tolerance())).collect();
    let numbers: Vec<String> =
        algorithms.iter().zip(&found).map(|(algorithm, &estimate)| shown(*algorithm, estimate, measure)).collect();
    Ok(Finding { verdict: decide(&relations), numbers: format!("{}: {}", measure.words(), numbers.join(", ")) })
}

/// An estimate for people: `MPO 812 (790–850)`.
fn shown(algorithm: Algorithm, estimate: Estimate, measure: Measure) -> String {
    let Spread { lower, median, upper } = estimate.spread;
    let quartiles = match estimate.seeds {
        1 => String::new(),
        _ => format!(" ({}–{})", measure.show(lower), measure.show(upper)),
    };
    format!("{} {}{quartiles}", algorithm.title(), measure.show(median))
}

fn slower(panel: &Panel<'_>, subject: Algorithm, other: Algorithm, factor: f64) -> anyhow::Result<Finding> {
    let found = match estimates(panel, &[other, subject], Measure::Final)? {
        Ok(found) => found,
        Err(finding) => return Ok(finding),
    };
    let random = panel.random();
    let last = found[0].spread.median;
    let undecided = |numbers| Ok(Finding { verdict: Verdict::Undecided, numbers });
    if last <= random + 100.0 {
        return undecided(format!("{} is not clearly above the random policy", shown(other, found[0], Measure::Final)));
    }
    let level = random + 0.9 * (last - random);
    let Ok(base) = panel.reaches(other, level) else {
        return undecided(format!("{} has not held a return of {level:.0}", other.title()));
    };
    let base = base.max(1);
    let (verdict, words) = match panel.reaches(subject, level) {
        Ok(step) => {
            let slow = step as f64 >= factor * base as f64;
            let verdict = if slow { Verdict::BorneOut } else { Verdict::Contradicted };
            (verdict, format!("{} after {}", subject.title(), output::steps(step)))
        }
        Err(step) => {
            let slow = step as f64 >= factor * base as f64;
            let verdict = if slow { Verdict::BorneOut } else { Verdict::Undecided };
            (verdict, format!("{} not within {}", subject.title(), output::steps(step)))
        }
    };
    let numbers = format!(
        "a return of {level:.0} is reached by {} after {} steps, by {words}",
        other.title(),
        output::steps(base)
    );
    Ok(Finding { verdict, numbers })
}

fn fails(panel: &Panel<'_>, subject: Algorithm, other: Algorithm, share: f64) -> anyhow::Result<Finding> {
    let found = match estimates(panel, &[subject, other], Measure::Final)? {
        Ok(found) => found,
        Err(finding) => return Ok(finding),
    };
    let random = panel.random();
    let gain = found[1].spread.median - random;
    let few = found[0].seeds.min(found[1].seeds) < SEEDS;
    let widen = if few { Measure::Final.tolerance() } else { 0.0 };
    let bar = random + share * gain;
    let Spread { lower, upper, .. } = found[0].spread;
    let verdict = if gain <= 100.0 {
        // Where nobody learns, nobody fails in particular.
        Verdict::Contradicted
    } else if upper + widen < bar {
        Verdict::BorneOut
    } else if lower - widen >= bar {
        Verdict::Contradicted
    } else {
        Verdict::Undecided
    };
    let numbers = format!(
        "{}: {}, {}, random {random:.0}",
        Measure::Final.words(),
        shown(subject, found[0], Measure::Final),
        shown(other, found[1], Measure::Final)
    );
    Ok(Finding { verdict, numbers })
}

/// What a figure's panels together say: `share` of them must bear a claim out, one at the least.
#[must_use]
pub fn overall(share: f64, panels: &[Verdict]) -> Verdict {
    let count = |verdict| panels.iter().filter(|&&one| one == verdict).count();
    let needed = ((share * panels.len() as f64).ceil() as usize).max(1);
    let (agree, open) = (count(Verdict::BorneOut), count(Verdict::Undecided));
    if agree >= needed {
        Verdict::BorneOut
    } else if agree + open < needed {
        Verdict::Contradicted
    } else {
        Verdict::Undecided
    }
}
