//! `report.md`: a figure of the paper, made anew, and what its panels say to the paper's claims about it.
//!
//! The claims are rows of data ([`claims`]), the numbers come from run directories ([`evidence`]), and the verdicts follow
//! from them by rule ([`verdict`]).

pub mod claims;
pub mod evidence;
pub mod verdict;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt::Write as _};

use self::{
    claims::{CLAIMS, Claim},
    evidence::Panel,
    verdict::{Finding, Verdict, judge, overall},
};
use crate::{
    output,
    records::Record,
    series,
    table::{self, Grid},
};

/// Whether there are claims about a figure of the paper.
#[must_use]
pub fn exists(figure: u8) -> bool {
    CLAIMS.iter().any(|claim| claim.figure == figure)
}

/// The report on `records` as Markdown. Learners are compared at step `horizon` at most, or where the shortest of them
/// ended; longer runs count as such.
///
/// # Errors
/// If a run's files do not parse.
pub fn markdown(figure: u8, description: &str, records: &[Record], horizon: Option<u64>) -> anyhow::Result<String> {
    let panels: Vec<Panel<'_>> =
        table::by_task(records).iter().map(|(task, group)| Panel::new(task, group, horizon)).collect();
    let mut findings: Vec<(&Claim, Vec<Finding>)> = Vec::new();
    for claim in CLAIMS.iter().filter(|claim| claim.figure == figure) {
        let judged = panels.iter().map(|panel| judge(claim, panel)).collect::<anyhow::Result<_>>()?;
        findings.push((claim, judged));
    }
    let cut: Vec<Record> = records.iter().map(|record| record.until(horizon.unwrap_or(u64::MAX))).collect();
    let rows = table::rows(&cut);
    let mut out = format!(
        "# Figure {figure}: {description}\n\n![Learning curves](learning-curves.svg)\n\n{}\n",
        table::comparison(&rows).markdown()
    );
    if let Some(longer) = longer(records, horizon) {
        let _ = writeln!(out, "## Longer runs\n\n{longer}");
    }
    let _ = writeln!(out, "## The paper's claims\n\n{}\n{RULES}", summary(&findings));
    for (index, panel) in panels.iter().enumerate() {
        let _ = writeln!(out, "### {}\n\nCompared at {} steps.\n", panel.task, output::steps(panel.limit));
        for (claim, judged) in &findings {
            let Finding { verdict, numbers } = &judged[index];
            let _ = writeln!(out, "- {} **{}**: {numbers}.", claim.says, capitalised(verdict.words()));
        }
        out.push('\n');
    }
    let _ = write!(out, "## All scores\n\n{}", table::markdown(&rows));
    Ok(out)
}

/// How the verdicts came about.
const RULES: &str = "\
Verdicts follow by rule from medians and quartiles over seeds. Of two learners one is above the other if their medians differ by
more than 50 (returns) or 0.05 (deviations) and their interquartile ranges do not overlap; they are level if the medians differ
by no more and the ranges together span at most three times that. With fewer than three seeds a range is widened by that much
on either side. Whatever else is undecided, and so is a panel in which no learner is a return of 100 above the random policy.
";

fn summary(findings: &[(&Claim, Vec<Finding>)]) -> String {
    let headings =
        [("Claim", false), ("Verdict", false), ("Borne out", true), ("Contradicted", true), ("Undecided", true)];
    let lines = findings.iter().map(|(claim, judged)| {
        let verdicts: Vec<Verdict> = judged.iter().map(|finding| finding.verdict).collect();
        let count = |verdict| verdicts.iter().filter(|&&one| one == verdict).count();
        vec![
            claim.says.to_owned(),
            format!("{} ({})", overall(claim.share, &verdicts).words(), asked(claim.share, verdicts.len())),
            count(Verdict::BorneOut).to_string(),
            count(Verdict::Contradicted).to_string(),
            count(Verdict::Undecided).to_string(),
        ]
    });
    let headings = headings.map(|(heading, right)| (heading.to_owned(), right)).to_vec();
    Grid { headings, lines: lines.collect() }.markdown()
}

/// How many panels a claim needs, in words.
fn asked(share: f64, panels: usize) -> String {
    let needed = ((share * panels as f64).ceil() as usize).max(1);
    format!("asks for {needed} of {panels}")
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// The final level of runs that went on beyond the horizon; `None` if none did.
fn longer(records: &[Record], horizon: Option<u64>) -> Option<String> {
    let horizon = horizon?;
    let whole: Vec<Record> = records
        .iter()
        .filter(|record| record.finished && record.last_step().is_some_and(|last| last > horizon))
        .cloned()
        .collect();
    let names: BTreeSet<usize> = whole.iter().map(|record| series::rank(record.algorithm)).collect();
    (!names.is_empty()).then(|| table::comparison(&table::rows(&whole)).markdown())
}
