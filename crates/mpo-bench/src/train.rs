//! `mpo train`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use mpo_agent::{Algorithm, Config, DeviceChoice, Outcome, Parts, Reason};

use crate::{
    catalogue,
    cli::TrainOptions,
    crew::Crew,
    interrupt::{self, Ending},
    output,
    pool::{self, Ended, Existing, Job},
    progress::Progress,
};

/// Runs `mpo train`.
///
/// # Errors
/// If the settings are wrong, a run is already there (or, with `--resume`, is not), `MuJoCo` or ALE is missing, or training
/// fails.
pub fn command(options: &TrainOptions) -> anyhow::Result<Ending> {
    Crew::with(options.distributed, |crew| match &options.resume {
        Some(dir) => resume(dir, options.device, crew),
        None => start(options, crew),
    })
}

fn resume(dir: &Path, device: DeviceChoice, crew: &Crew) -> anyhow::Result<Ending> {
    let chosen = match device {
        DeviceChoice::Cpu => device.resolve(&[], 1)?,
        _ => crew.choose(device, &[&Config::read(&dir.join("config.toml"))?], 1)?,
    };
    let parts = Parts { learners: chosen.learners(), ..Parts::default() };
    let mut run = pool::resume(dir, &parts, crew)?;
    if run.is_done() {
        if crew.is_first() {
            output::note(&format!("{} has already reached its end", dir.display()));
        }
        return Ok(Ending::Complete);
    }
    let (at, steps) = (run.step(), run.config().steps);
    let name = name(&run.config().task, run.config().seed);
    let stop = interrupt::install()?;
    let progress = Progress::new([name.as_str()], steps.saturating_sub(at));
    let outcome = run.train(&mut progress.run(&name, at, steps, stop))?;
    if crew.is_first() {
        output::print(&report(&name, &dir.display().to_string(), &outcome))?;
    }
    Ok(if outcome.reason == Reason::Stopped { Ending::Interrupted } else { Ending::Complete })
}

fn start(options: &TrainOptions, crew: &Crew) -> anyhow::Result<Ending> {
    let jobs = jobs(options, crew.workers())?;
    let configs: Vec<_> = jobs.iter().map(|job| &job.config).collect();
    let chosen = crew.choose(options.device, &configs, options.jobs.unwrap_or(jobs.len()))?;
    // On a device runs that wait for each other's batches make one launch of their updates.
    let at_a_time = options.jobs.unwrap_or(if chosen.on_device() { jobs.len() } else { 1 });
    let parts = || Parts { learners: chosen.learners(), ..Parts::default() };
    let stop = interrupt::install()?;
    let steps = jobs.iter().map(|job| job.config.steps).sum();
    let progress = Progress::new(jobs.iter().map(|job| job.name.as_str()), steps);
    let ended = pool::train(&jobs, at_a_time, &progress, stop, &parts, crew);
    conclude(&jobs, ended, &progress, crew)
}

/// The runs that the options ask for, of so many processes each.
fn jobs(options: &TrainOptions, workers: usize) -> anyhow::Result<Vec<Job>> {
    let full_name = mpo_envs::full_name(options.task.as_deref().unwrap_or_default())?;
    let task = catalogue::short(&full_name);
    // Without either option the seed is the settings' own.
    let seeds: Vec<Option<u64>> = match &options.seeds {
        Some(seeds) => seeds.clone().map(Some).collect(),
        None => vec![options.seed],
    };
    let mut jobs = Vec::new();
    for seed in seeds {
        let mut sets = options.set.clone();
        sets.push(("task".to_owned(), full_name.clone()));
        sets.extend(options.algorithm.map(|algorithm| ("learner.algorithm".to_owned(), algorithm.name().to_owned())));
        sets.extend(options.steps.map(|steps| ("steps".to_owned(), steps.to_string())));
        sets.extend(seed.map(|seed| ("seed".to_owned(), seed.to_string())));
        if options.distributed {
            sets.push(("training.workers".to_owned(), workers.to_string()));
        }
        sets.extend(
            options.reduction.map(|reduction| ("training.reduction".to_owned(), reduction.setting().to_owned())),
        );
        let config = Config::resolve(options.profile, options.config.as_deref(), &sets)?;
        let folder = format!("seed-{}", config.seed);
        let dir = match (&options.run, config.learner.algorithm) {
            (Some(dir), _) if options.seeds.is_some() => dir.join(folder),
            (Some(dir), _) => dir.clone(),
            (None, Algorithm::Mpo) => PathBuf::from("runs").join(task).join(folder),
            (None, other) => PathBuf::from("runs").join(other.name()).join(task).join(folder),
        };
        jobs.push(Job { name: name(task, config.seed), dir, variant: None, config, existing: Existing::Refuse });
    }
    Ok(jobs)
}

/// What to call a run.
#[must_use]
pub fn name(task: &str, seed: u64) -> String {
    format!("{} seed {seed}", catalogue::short(task))
}

/// Reports what became of each job.
///
/// # Errors
/// If one failed; the others have been reported by then.
fn conclude(jobs: &[Job], ended: Vec<Ended>, progress: &Progress, crew: &Crew) -> anyhow::Result<Ending> {
    let (mut ending, mut failed) = (Ending::Complete, 0);
    for (job, end) in jobs.iter().zip(ended) {
        let report = |outcome| {
            let text = report(&job.name, &job.dir.display().to_string(), &outcome);
            if crew.is_first() { output::print(&text) } else { Ok(()) }
        };
        match end {
            Ended::Finished(outcome) => report(outcome)?,
            Ended::Stopped(outcome) => {
                ending = Ending::Interrupted;
                report(outcome)?;
            }
            Ended::NotBegun => ending = Ending::Interrupted,
            Ended::Before => {}
            Ended::Failed(error) if jobs.len() == 1 => return Err(error),
            Ended::Failed(error) => {
                failed += 1;
                progress.note(&format!("{} failed: {}", job.name, output::causes(&error)));
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {} runs failed", jobs.len());
    }
    Ok(ending)
}

fn report(name: &str, dir: &str, outcome: &Outcome) -> String {
    let score = outcome.evaluation.as_ref().map_or(String::new(), |evaluation| {
        format!(", return {:.1} at step {}", evaluation.mean(), output::steps(evaluation.step))
    });
    let step = output::steps(outcome.step);
    match outcome.reason {
        Reason::Stopped => {
            format!("{name}: stopped at step {step}{score}\ngo on with: mpo train --resume {dir}\n")
        }
        _ => format!("{name}: finished at step {step}{score}\nrun directory: {dir}\n"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    /// The folder and algorithm of each run that `mpo train` would make.
    fn runs(arguments: &[&str]) -> Vec<(String, Algorithm)> {
        let line = ["mpo", "train", "control/walker-walk"].iter().chain(arguments);
        let Command::Train(options) = Cli::parse_from(line).command else { panic!("it is `mpo train`") };
        let jobs = jobs(&options, 1).expect("the options are right");
        jobs.into_iter().map(|job| (job.dir.display().to_string(), job.config.learner.algorithm)).collect()
    }

    #[test]
    fn another_algorithm_is_a_short_word_and_has_a_folder_of_its_own() {
        let ddpg = |dir: &str| (dir.to_owned(), Algorithm::Ddpg);
        assert_eq!(runs(&[]), [("runs/walker-walk/seed-0".to_owned(), Algorithm::Mpo)]);
        assert_eq!(runs(&["--algorithm", "ddpg"]), [ddpg("runs/ddpg/walker-walk/seed-0")]);
        assert_eq!(runs(&["--set", "learner.algorithm=ddpg"]), [ddpg("runs/ddpg/walker-walk/seed-0")]);
        assert_eq!(runs(&["--algorithm", "ddpg", "--run", "here"]), [ddpg("here")]);
        let two = [ddpg("here/seed-1"), ddpg("here/seed-2")];
        assert_eq!(runs(&["--algorithm", "ddpg", "--run", "here", "--seeds", "1..3"]), two);
        assert_eq!(runs(&["--set", "learner.algorithm=mpo", "--algorithm", "epg"])[0].1, Algorithm::Epg);
    }
}
