//! What the check found, as data, as Markdown and as JSON.

use std::{fmt::Write as _, path::Path};

use serde::Serialize;

use super::Bench;
use crate::output;

/// What is to be thought of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Measured, with nothing to hold it against.
    Measured,
    /// As it should be.
    Pass,
    /// Not run here, and why.
    Skipped,
    /// Correct, but slower or larger than aimed at.
    Short,
    /// Wrong.
    Fail,
}

impl Verdict {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Pass => "passed",
            Self::Skipped => "skipped",
            Self::Short => "short of its aim",
            Self::Fail => "FAILED",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// The number, if it is one.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be, or what explains it.
    pub remark: String,
    /// What is to be thought of it.
    pub verdict: Verdict,
}

impl Finding {
    /// A number with nothing to hold it against.
    #[must_use]
    pub fn measured(name: impl Into<String>, value: f64, unit: &'static str, remark: impl Into<String>) -> Self {
        Self { name: name.into(), value: Some(value), unit, remark: remark.into(), verdict: Verdict::Measured }
    }

    /// A number that must not exceed `most`: the device is wrong otherwise.
    #[must_use]
    pub fn at_most(name: impl Into<String>, value: f64, most: f64, remark: &str) -> Self {
        let verdict = if value <= most { Verdict::Pass } else { Verdict::Fail };
        let remark = format!("at most {most:.1e}{}{remark}", if remark.is_empty() { "" } else { "; " });
        Self { name: name.into(), value: Some(value), unit: "relative", remark, verdict }
    }

    /// A rate that should reach `least`.
    #[must_use]
    pub fn at_least(name: impl Into<String>, value: f64, least: f64, unit: &'static str) -> Self {
        let verdict = if value >= least { Verdict::Pass } else { Verdict::Short };
        Self { name: name.into(), value: Some(value), unit, remark: format!("aim: {least}"), verdict }
    }

    /// What could not be done, and why.
    #[must_use]
    pub fn without(name: impl Into<String>, why: impl Into<String>, verdict: Verdict) -> Self {
        Self { name: name.into(), value: None, unit: "", remark: why.into(), verdict }
    }
}

/// One part of the check.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// What it found.
    pub findings: Vec<Finding>,
}

impl Section {
    /// A part that was not run.
    #[must_use]
    pub fn skipped(title: &str, why: &str) -> Self {
        Self { title: title.to_owned(), findings: vec![Finding::without("all", why, Verdict::Skipped)] }
    }

    /// A part's findings, or the error that ended it.
    #[must_use]
    pub fn of(title: &str, outcome: anyhow::Result<Vec<Finding>>) -> Self {
        let findings = outcome.unwrap_or_else(|error| {
            vec![Finding::without("all", output::causes(&error).replace('\n', " "), Verdict::Fail)]
        });
        Self { title: title.to_owned(), findings }
    }

    /// The worst of its findings'.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Skipped)
    }
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// What ran the kernels.
    pub device: String,
    /// Whether that was a card.
    pub card: bool,
    /// The parts in their order.
    pub sections: Vec<Section>,
    /// Seconds that all took.
    pub seconds: f64,
}

impl Report {
    /// A report without parts.
    #[must_use]
    pub fn new(bench: &Bench) -> Self {
        let device = match bench {
            Bench::Card(card) => format!(
                "{}, {}, {} multiprocessors, {:.1} GiB free of {:.1}, driver for CUDA {}.{}",
                card.name,
                card.architecture,
                card.multiprocessors,
                card.memory.0 as f64 / f64::from(1 << 30),
                card.memory.1 as f64 / f64::from(1 << 30),
                card.driver / 1000,
                card.driver % 1000 / 10
            ),
            Bench::Emulation(why) => format!("the emulation on the processor, because {why}"),
        };
        let version = env!("CARGO_PKG_VERSION");
        Self { version, device, card: bench.is_card(), sections: Vec::new(), seconds: 0.0 }
    }

    /// For people.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# Check of the CUDA learner\n\nmpo {} on {}.\n", self.version, self.device);
        if !self.card {
            text.push_str("\nNothing of this ran on a card: it shows what the kernels compute, not how fast.\n");
        }
        for section in &self.sections {
            let _ = write!(text, "\n## {}: {}\n\n", section.title, section.verdict().word());
            text.push_str("| | value | | verdict | |\n|---|---:|---|---|---|\n");
            for finding in &section.findings {
                let value = finding.value.map_or(String::new(), number);
                let (unit, word) = (finding.unit, finding.verdict.word());
                let _ = writeln!(text, "| {} | {value} | {unit} | {word} | {} |", finding.name, finding.remark);
            }
        }
        let _ = write!(text, "\nAll took {:.0} s.\n", self.seconds);
        text
    }

    /// Writes both files into `folder`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        output::save(&folder.join("gpu-check.md"), self.markdown().as_bytes())?;
        let json = serde_json::to_string_pretty(self)?;
        output::save(&folder.join("gpu-check.json"), json.as_bytes())
    }
}

/// As many figures as a measurement has.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e7).contains(&size) => format!("{value:.2e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_wrong_what_was_slow_and_what_was_not_run() {
        let mut report = Report::new(&Bench::Emulation("there is none".to_owned()));
        report.sections.push(Section {
            title: "Agreement".to_owned(),
            findings: vec![
                Finding::at_most("close", 1e-6, 1e-4, ""),
                Finding::at_most("far", 2e-4, 1e-4, "of policy.online"),
                Finding::at_most("no number", f64::NAN, 1e-4, ""),
            ],
        });
        let rates = vec![Finding::at_least("walker", 9_000.0, 10_000.0, "updates/s")];
        report.sections.push(Section { title: "Rates".to_owned(), findings: rates });
        report.sections.push(Section::skipped("JAX", "no python3 with jax"));
        report.sections.push(Section::of("Memory", Err(anyhow::anyhow!("the driver failed"))));
        let verdicts: Vec<Verdict> = report.sections.iter().map(Section::verdict).collect();
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Short, Verdict::Skipped, Verdict::Fail]);
        assert_eq!(report.sections[0].findings[0].verdict, Verdict::Pass);
        assert_eq!(report.sections[0].findings[2].verdict, Verdict::Fail);
        let text = report.markdown();
        for part in [
            "because there is none",
            "Nothing of this ran on a card",
            "| far | 2.00e-4 | relative | FAILED | at most 1.0e-4; of policy.online |",
            "| walker | 9000 | updates/s | short of its aim | aim: 10000 |",
            "## JAX: skipped",
            "the driver failed",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        report.write(folder.path()).expect("it can be written");
        let json = std::fs::read_to_string(folder.path().join("gpu-check.json")).expect("it was written");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["sections"][1]["findings"][0]["value"], 9_000.0);
        assert_eq!(json["card"], false);
    }
}
