//! What the example `learner` of mpo-nets finds out: the machine's ceiling, an update's phases, the time of an action.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::process;

/// GFLOP/s of matrix products that stay in cache, on so many cores at once.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Ceiling {
    pub(super) threads: usize,
    pub(super) own_gflops: f64,
    pub(super) gemm_gflops: f64,
}

impl Ceiling {
    /// The faster of the two products.
    pub(super) fn best(&self) -> f64 {
        self.own_gflops.max(self.gemm_gflops)
    }
}

/// Counted work of an update and the microseconds of its phases, each the fastest of many.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Phases {
    #[serde(default)]
    setting: String,
    threads: usize,
    pub(super) mflop: f64,
    mbyte: f64,
    microseconds: f64,
    #[serde(rename = "phases")]
    parts: BTreeMap<String, f64>,
}

impl Phases {
    pub(super) fn print(&self) {
        println!(
            "{}, {} threads: {:.1} MFLOP, {:.2} MB at least, {:.0} us in the fastest update",
            self.setting, self.threads, self.mflop, self.mbyte, self.microseconds
        );
        let mut phases: Vec<(&String, &f64)> = self.parts.iter().collect();
        phases.sort_by(|a, b| b.1.total_cmp(a.1));
        for (name, microseconds) in phases {
            println!("  {microseconds:>8.1} us  {name}");
        }
    }
}

/// The path of one of mpo-nets' examples, built for release.
pub(in crate::bench) fn example(name: &str) -> PathBuf {
    process::root().join("target/release/examples").join(name)
}

/// What the example prints.
pub(super) fn ask(words: &[&str]) -> Result<String> {
    let mut command = Command::new(example("learner"));
    command.args(words);
    let shown = process::show(&command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something else than text"))
}

fn lines<T: DeserializeOwned>(words: &[&str]) -> Result<Vec<T>> {
    let text = ask(words)?;
    let parsed: Result<Vec<T>, _> = text.lines().map(serde_json::from_str).collect();
    parsed.with_context(|| format!("the example answered `{}`", text.trim_end()))
}

pub(super) fn ceilings() -> Result<Vec<Ceiling>> {
    lines(&["ceiling"])
}

pub(super) fn acting() -> Result<Vec<serde_json::Value>> {
    lines(&["acting"])
}

pub(super) fn phases(setting: &str, words: &[&str], threads: usize) -> Result<Phases> {
    let count = threads.to_string();
    let words = [&["phases", setting], words, &["threads", &count]].concat();
    let mut found: Phases = lines(&words)?.pop().context("the example answered nothing")?;
    found.setting = words[1..words.len() - 2].join(" ");
    Ok(found)
}
