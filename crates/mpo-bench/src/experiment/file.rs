//! The experiment file: which learners, tasks and seeds to train, for how long and with which settings.
//!
//! ```toml
//! description = "Two learners on two tasks of the control suite"
//! profile = "default"                        # where the settings start from; "default" if absent
//! algorithms = ["mpo", "epg"]                # learners to compare; the settings' own if absent
//! tasks = ["cartpole-swingup", "walker-*"]   # names or patterns, as `mpo tasks` lists them: also "atari/pong", "atari/*"
//! seeds = 3                                  # seeds 0, 1 and 2 of each task
//! steps = 250_000                            # environment steps per run
//! asymptotes = { epg = 1_000_000 }           # longer runs of some algorithms, whose end is drawn as a star
//! figure = 2                                 # write report.md, held against that figure of the paper
//!
//! [set]                                      # any setting, with the keys of `mpo train --set`
//! training.evaluation_period = 5_000
//! ```
//!
//! In place of `algorithms`, `variants` name settings to compare, each over those of the whole experiment:
//!
//! ```toml
//! [[variants]]
//! name = "target-200"
//! set.learner.target_period = 200
//! ```

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use mpo_agent::{Algorithm, Config, Profile};
use serde::Deserialize;
use toml::{Table, Value};

use crate::{
    catalogue,
    pool::{Existing, Job},
    report, train,
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
    /// Learners to compare; none for the one that the settings name.
    #[serde(default)]
    pub algorithms: Vec<Algorithm>,
    /// Settings to compare.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// Task names, or patterns in which `*` stands for any letters but `/`.
    pub tasks: Vec<String>,
    /// Seeds per task, counted from 0.
    pub seeds: u64,
    /// Environment steps per run.
    pub steps: u64,
    /// Environment steps of the runs of some algorithms, in place of `steps`. Tables and curves take no notice of what lies
    /// beyond `steps`; the runs' last score is a star.
    #[serde(default)]
    pub asymptotes: HashMap<Algorithm, u64>,
    /// Figure of the paper that `report.md` holds the outcome against.
    pub figure: Option<u8>,
    /// Settings over the profile.
    #[serde(default)]
    pub set: Table,
}

/// Named settings of an experiment.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name in tables and figures, and of its runs' folder.
    pub name: String,
    /// Settings over the experiment's; none for a variant that is the experiment's settings themselves.
    #[serde(default)]
    pub set: Table,
}

fn default_profile() -> String {
    Profile::Default.to_string()
}

/// What an experiment compares: one of its algorithms, one of its variants, or nothing but itself.
struct Contender<'a> {
    name: Option<&'a str>,
    variant: Option<&'a str>,
    sets: Vec<(String, String)>,
}

impl Experiment {
    /// Reads an experiment file.
    ///
    /// # Errors
    /// If the file cannot be read, is no TOML, lacks a key or has an unknown one, has no seeds, or contradicts itself.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read the experiment file {}", path.display()))?;
        let experiment: Self =
            toml::from_str(&text).with_context(|| format!("{} is no experiment file", path.display()))?;
        experiment.check().with_context(|| format!("{} is no experiment", path.display()))?;
        Ok(experiment)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.seeds > 0, "seeds = 0 trains nothing; give the number of seeds per task");
        ensure!(
            self.algorithms.is_empty() || self.variants.is_empty(),
            "give algorithms or variants, not both: a variant names its algorithm by `set.learner.algorithm`"
        );
        let names: Vec<&str> = self.contenders().iter().filter_map(|one| one.name).collect();
        for (index, name) in names.iter().enumerate() {
            ensure!(!names[..index].contains(name), "`{name}` stands twice among what is compared");
            let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
            ensure!(
                letters && name.starts_with(|letter: char| letter.is_ascii_alphanumeric()),
                "variant `{name}` cannot be a folder: use letters, digits, `-`, `_` and `.`, a letter or digit first"
            );
        }
        for (algorithm, &steps) in &self.asymptotes {
            ensure!(
                steps > self.steps,
                "asymptotes.{} = {steps} must be more than steps = {}",
                algorithm.name(),
                self.steps
            );
        }
        if let Some(figure) = self.figure {
            ensure!(report::exists(figure), "figure = {figure}: there are reports for figures 2 and 4");
            ensure!(!self.algorithms.is_empty(), "figure = {figure} compares learners: name them in `algorithms`");
        }
        Ok(())
    }

    fn contenders(&self) -> Vec<Contender<'_>> {
        let algorithms = self.algorithms.iter().map(|algorithm| Contender {
            name: Some(algorithm.name()),
            variant: None,
            sets: vec![("learner.algorithm".to_owned(), algorithm.name().to_owned())],
        });
        let variants = self.variants.iter().map(|variant| {
            let mut sets = Vec::new();
            flatten("", &variant.set, &mut sets);
            Contender { name: Some(&variant.name), variant: Some(&variant.name), sets }
        });
        let all: Vec<_> = algorithms.chain(variants).collect();
        if all.is_empty() { vec![Contender { name: None, variant: None, sets: Vec::new() }] } else { all }
    }

    /// The tasks of the file, in its order and without repeats, narrowed to those that match `only`.
    ///
    /// # Errors
    /// If a name is unknown, or nothing matches a pattern or `only`.
    pub fn tasks(&self, only: Option<&str>) -> anyhow::Result<Vec<String>> {
        let mut chosen: Vec<String> = Vec::new();
        for name in &self.tasks {
            let found = if name.contains('*') {
                catalogue::matching(name).into_iter().map(str::to_owned).collect()
            } else {
                vec![catalogue::find(name)?]
            };
            if found.is_empty() {
                bail!("no task matches {name}; `mpo tasks` lists them");
            }
            for task in found {
                if !chosen.contains(&task) {
                    chosen.push(task);
                }
            }
        }
        if let Some(pattern) = only {
            let all = chosen.join(", ");
            chosen.retain(|task| catalogue::matches(pattern, task));
            if chosen.is_empty() {
                bail!("no task of the experiment matches {pattern}; it has {all}");
            }
        }
        Ok(chosen)
    }

    /// The runs: every task under every contender with seed 0 first, then with seed 1 and so on, so that an interrupted
    /// experiment has something to show for every task. A run's directory is `TASK/seed-N` below `runs`, or
    /// `CONTENDER/TASK/seed-N` where there are several algorithms or variants.
    ///
    /// # Errors
    /// If a task or a setting is unknown or wrong.
    pub fn jobs(&self, runs: &Path, seeds: Option<u64>, only: Option<&str>) -> anyhow::Result<Vec<Job>> {
        let profile: Profile = self.profile.parse()?;
        let mut settings = Vec::new();
        flatten("", &self.set, &mut settings);
        let tasks = self.tasks(only)?;
        let contenders = self.contenders();
        let several = contenders.len() > 1;
        let mut jobs = Vec::new();
        for seed in 0..seeds.unwrap_or(self.seeds) {
            for task in &tasks {
                for contender in &contenders {
                    let mut sets = settings.clone();
                    sets.extend(contender.sets.iter().cloned());
                    let config = self.config(profile, sets, task, seed)?;
                    let name = train::name(task, seed);
                    let (name, folder) = match contender.name {
                        Some(contender) if several => (format!("{contender} {name}"), runs.join(contender)),
                        _ => (name, runs.to_owned()),
                    };
                    jobs.push(Job {
                        name,
                        dir: folder.join(task).join(format!("seed-{seed}")),
                        variant: contender.variant.filter(|_| several).map(str::to_owned),
                        config,
                        existing: Existing::Continue,
                    });
                }
            }
        }
        Ok(jobs)
    }

    fn config(
        &self,
        profile: Profile,
        mut sets: Vec<(String, String)>,
        task: &str,
        seed: u64,
    ) -> anyhow::Result<Config> {
        sets.push(("task".to_owned(), mpo_envs::full_name(task)?));
        sets.push(("steps".to_owned(), self.steps.to_string()));
        sets.push(("seed".to_owned(), seed.to_string()));
        let mut config = Config::resolve(profile, None, &sets).context("the experiment file's settings are wrong")?;
        if let Some(&longer) = self.asymptotes.get(&config.learner.algorithm) {
            let period = config.training.evaluation_period;
            ensure!(
                self.steps.is_multiple_of(period),
                "steps = {} must be a multiple of training.evaluation_period = {period} where some runs go on beyond them: \
                 there is no evaluation to compare otherwise",
                self.steps
            );
            config.steps = longer;
        }
        Ok(config)
    }

    /// The step at which curves and tables end, if some runs go on beyond it.
    #[must_use]
    pub fn horizon(&self) -> Option<u64> {
        (!self.asymptotes.is_empty()).then_some(self.steps)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(text: &str) -> Experiment {
        toml::from_str(&format!("description = \"A trial\"\n{text}")).expect("the test's file parses")
    }

    fn folders(jobs: &[Job]) -> Vec<String> {
        jobs.iter().map(|job| job.dir.display().to_string()).collect()
    }

    #[test]
    fn one_learner_has_no_folder_of_its_own() {
        let one = "tasks = [\"cheetah-run\"]\nseeds = 2\nsteps = 1000\n";
        for learner in ["", "algorithms = [\"epg\"]", "[[variants]]\nname = \"plain\""] {
            let jobs = experiment(&format!("{one}{learner}")).jobs(Path::new("r"), None, None).expect("it is right");
            assert_eq!(folders(&jobs), ["r/cheetah-run/seed-0", "r/cheetah-run/seed-1"], "{learner}");
        }
    }

    #[test]
    fn the_first_seed_of_everything_comes_first() {
        let file = experiment(
            "algorithms = [\"mpo\", \"ddpg\"]\ntasks = [\"walker-walk\", \"cheetah-run\"]\nseeds = 2\nsteps = 1000\n\
             asymptotes = { ddpg = 5000 }\n[set]\ntraining.evaluation_period = 500",
        );
        assert!(file.check().is_ok());
        let jobs = file.jobs(Path::new("r"), None, None).expect("it is right");
        let expected: Vec<String> = [0, 1]
            .iter()
            .flat_map(|seed| {
                ["mpo/walker-walk", "ddpg/walker-walk", "mpo/cheetah-run", "ddpg/cheetah-run"]
                    .map(|run| format!("r/{run}/seed-{seed}"))
            })
            .collect();
        assert_eq!(folders(&jobs), expected);
        assert_eq!(jobs[1].config.learner.algorithm, Algorithm::Ddpg);
        let steps: Vec<u64> = jobs.iter().map(|job| job.config.steps).collect();
        assert_eq!(steps, [1000, 5000, 1000, 5000, 1000, 5000, 1000, 5000]);
        assert_eq!((file.horizon(), jobs[1].name.as_str()), (Some(1000), "ddpg walker-walk seed 0"));
    }

    #[test]
    fn a_variant_has_the_last_word() {
        let file = experiment(
            "tasks = [\"cheetah-run\"]\nseeds = 1\nsteps = 1000\n[set]\nlearner.target_period = 50\n\
             [[variants]]\nname = \"as-it-is\"\n\
             [[variants]]\nname = \"slow\"\nset.learner.target_period = 200\nset.replay.steps = 4",
        );
        let jobs = file.jobs(Path::new("r"), None, None).expect("it is right");
        assert_eq!(folders(&jobs), ["r/as-it-is/cheetah-run/seed-0", "r/slow/cheetah-run/seed-0"]);
        let periods: Vec<u64> = jobs.iter().map(|job| job.config.learner.target_period).collect();
        assert_eq!((periods, jobs[1].config.replay.steps), (vec![50, 200], 4));
        assert_eq!(jobs[1].variant.as_deref(), Some("slow"));
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
