//! The experiment file: which tasks and seeds to train, for how long and with which settings.
//!
//! ```toml
//! description = "MPO on two tasks of the control suite"
//! profile = "default"                        # where the settings start from; "default" if absent
//! tasks = ["cartpole-swingup", "walker-*"]   # names or patterns, as `mpo tasks` lists them
//! seeds = 3                                  # seeds 0, 1 and 2 of each task
//! steps = 250_000                            # environment steps per run
//!
//! [set]                                      # any setting, with the keys of `mpo train --set`
//! training.evaluation_period = 5_000
//! ```

use std::{fs, path::Path};

use anyhow::{Context as _, bail};
use mpo_agent::{Config, Profile};
use mpo_envs::suite::{self, TaskInfo};
use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    pool::{Existing, Job},
    train,
};

/// A parsed experiment file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// One line that says what it is; the figure's title.
    pub description: String,
    /// Named settings that it starts from.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// Task names, or patterns in which `*` stands for any letters.
    pub tasks: Vec<String>,
    /// Seeds per task, counted from 0.
    pub seeds: u64,
    /// Environment steps per run.
    pub steps: u64,
    /// Settings over the profile.
    #[serde(default)]
    pub set: Table,
}

fn default_profile() -> String {
    Profile::Default.to_string()
}

impl Experiment {
    /// Reads an experiment file.
    ///
    /// # Errors
    /// If the file cannot be read, is no TOML, lacks a key or has an unknown one, or has no seeds.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the experiment file {}", path.display()))?;
        let experiment: Self =
            toml::from_str(&text).with_context(|| format!("{} is no experiment file", path.display()))?;
        if experiment.seeds == 0 {
            bail!("{}: seeds = 0 trains nothing; give the number of seeds per task", path.display());
        }
        Ok(experiment)
    }

    /// The tasks of the file, in its order and without repeats, narrowed to those that match `only`.
    ///
    /// # Errors
    /// If a name is unknown, or nothing matches a pattern or `only`.
    pub fn tasks(&self, only: Option<&str>) -> anyhow::Result<Vec<&'static TaskInfo>> {
        let mut chosen: Vec<&TaskInfo> = Vec::new();
        for name in &self.tasks {
            let found = if name.contains('*') {
                suite::tasks().iter().filter(|task| matches(name, task.name)).collect()
            } else {
                vec![suite::find(name)?]
            };
            if found.is_empty() {
                bail!("no task matches {name}; `mpo tasks` lists them");
            }
            for task in found {
                if !chosen.iter().any(|known| known.name == task.name) {
                    chosen.push(task);
                }
            }
        }
        if let Some(pattern) = only {
            let names: Vec<&str> = chosen.iter().map(|task| task.name).collect();
            chosen.retain(|task| matches(pattern, task.name));
            if chosen.is_empty() {
                bail!("no task of the experiment matches {pattern}; it has {}", names.join(", "));
            }
        }
        Ok(chosen)
    }

    /// The runs: every task with seed 0 first, then every task with seed 1 and so on, so that an interrupted
    /// experiment has something to show for every task. A run's directory is `TASK/seed-N` below `runs`.
    ///
    /// # Errors
    /// If a task or a setting is unknown or wrong.
    pub fn jobs(&self, runs: &Path, seeds: Option<u64>, only: Option<&str>) -> anyhow::Result<Vec<Job>> {
        let profile: Profile = self.profile.parse()?;
        let mut settings = Vec::new();
        flatten("", &self.set, &mut settings);
        let tasks = self.tasks(only)?;
        let mut jobs = Vec::new();
        for seed in 0..seeds.unwrap_or(self.seeds) {
            for task in &tasks {
                let mut sets = settings.clone();
                sets.push(("task".to_owned(), format!("control/{}", task.name)));
                sets.push(("steps".to_owned(), self.steps.to_string()));
                sets.push(("seed".to_owned(), seed.to_string()));
                jobs.push(Job {
                    name: train::name(task.name, seed),
                    dir: runs.join(task.name).join(format!("seed-{seed}")),
                    config: Config::resolve(profile, None, &sets)
                        .context("the experiment file's settings are wrong")?,
                    existing: Existing::Continue,
                });
            }
        }
        Ok(jobs)
    }
}

/// The dotted keys of nested tables, with their values as TOML.
fn flatten(prefix: &str, table: &Table, settings: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, settings),
            _ => settings.push((key, value.to_string())),
        }
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any letters. Both may begin with `control/`.
fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_prefix("control/").unwrap_or(pattern);
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(first) else { return false };
    // The star takes every possible length in turn; names are short.
    tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name) in [
            ("walker-*", "walker-run"),
            ("*", "cheetah-run"),
            ("*-swingup*", "cartpole-swingup_sparse"),
            ("control/walker-*", "walker-walk"),
            ("cheetah-run", "cheetah-run"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("walker-*", "cheetah-run"), ("*-swingup", "cartpole-swingup_sparse"), ("", "x")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn settings_are_flattened_to_the_keys_of_set() {
        let table: Table = "a.b.c = 1\na.d = \"exact\"\n".parse().expect("the test's TOML parses");
        let mut settings = Vec::new();
        flatten("", &table, &mut settings);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(settings, [pair("a.b.c", "1"), pair("a.d", "\"exact\"")]);
    }
}
