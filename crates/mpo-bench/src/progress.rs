//! What a person sees while runs train: a bar per run on a terminal, else one line per evaluation.
//!
//! Clocks are read here for rates and remaining times, and decide nothing.

use std::{
    io::{IsTerminal as _, stderr},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use mpo_agent::{EpisodeRow, EvaluationSummary, Observer, Warning};

use crate::output;

/// The progress of a set of runs.
#[derive(Debug)]
pub struct Progress {
    /// `None` when standard error is no terminal.
    bars: Option<MultiProgress>,
    total: ProgressBar,
    width: usize,
}

impl Progress {
    /// Progress of runs with these names and `steps` environment steps left in all. Several runs get a line for
    /// their sum.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, steps: u64) -> Self {
        let lengths: Vec<usize> = names.into_iter().map(str::len).collect();
        let bars = stderr().is_terminal().then(MultiProgress::new);
        let total = match &bars {
            Some(bars) if lengths.len() > 1 => {
                let total = bars.add(ProgressBar::new(steps));
                total.enable_steady_tick(Duration::from_secs(1));
                total
            }
            _ => ProgressBar::hidden(),
        };
        let width = lengths.into_iter().max().unwrap_or(0).max("all runs".len());
        let progress = Self { bars, total, width };
        progress.total.set_style(progress.style());
        progress.total.set_prefix("all runs");
        progress
    }

    /// Begins to watch one run that stands at step `at` of `steps` and is to stop once `stop` is set.
    pub fn run<'a>(&'a self, name: &str, at: u64, steps: u64, stop: &'a AtomicBool) -> RunProgress<'a> {
        let bar = match &self.bars {
            Some(bars) => bars.insert_from_back(usize::from(!self.total.is_hidden()), ProgressBar::new(steps)),
            None => ProgressBar::hidden(),
        };
        bar.set_style(self.style());
        bar.set_prefix(name.to_owned());
        bar.set_position(at);
        bar.reset_eta();
        RunProgress { progress: self, name: name.to_owned(), bar, at, steps, stop }
    }

    /// A line above the bars.
    pub fn note(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    fn style(&self) -> ProgressStyle {
        let template = format!(
            "{{prefix:{}}} {{bar:28.blue/dim}} {{position:>6}} of {{length:>5}} {{rate:>8}} {{remaining:>11}}  {{msg}}",
            self.width
        );
        ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━━─")
            .with_key("position", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&output::steps(state.pos()));
            })
            .with_key("length", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&output::steps(state.len().unwrap_or(0)));
            })
            .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.0}/s", state.per_sec());
            })
            .with_key("remaining", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = out.write_str(&output::duration(state.eta().as_secs_f64()));
            })
    }
}

/// Watches one run.
#[derive(Debug)]
pub struct RunProgress<'a> {
    progress: &'a Progress,
    name: String,
    bar: ProgressBar,
    at: u64,
    steps: u64,
    stop: &'a AtomicBool,
}

impl Observer for RunProgress<'_> {
    fn on_episode(&mut self, row: &EpisodeRow) {
        self.progress.total.inc(row.step.saturating_sub(self.at));
        self.at = row.step;
        self.bar.set_position(row.step);
    }

    fn on_evaluation(&mut self, summary: &EvaluationSummary) {
        self.bar.set_message(format!("return {:.1}", summary.mean()));
        if self.progress.bars.is_none() {
            self.progress.note(&format!(
                "{}: step {} of {}, return {:.1}",
                self.name,
                output::steps(summary.step),
                output::steps(self.steps),
                summary.mean()
            ));
        }
    }

    fn on_warning(&mut self, warning: &Warning) {
        self.progress.note(&format!("{}: warning: {warning}", self.name));
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Drop for RunProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
