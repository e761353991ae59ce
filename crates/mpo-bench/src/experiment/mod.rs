//! `mpo experiment`: trains every learner, task and seed of an experiment file, then tabulates, draws and reports.

mod estimate;
mod file;

use std::{collections::BTreeSet, path::Path, thread};

use anyhow::bail;
use mpo_agent::Parts;

pub use self::{
    estimate::seconds,
    file::{Experiment, Variant},
};
use crate::{
    cli::ExperimentOptions,
    crew::Crew,
    interrupt::{self, Ending},
    output,
    plot::{self, Figure},
    pool::{self, Ended, Job, MakeParts, State},
    progress::Progress,
    records::{self, Record},
    report, table,
};

/// An experiment with more environment steps to go says first how long it will take.
const LONG: u64 = 500_000;

/// Runs `mpo experiment`. Finished runs below the runs folder are kept, interrupted ones resumed.
///
/// # Errors
/// If the file or its settings are wrong, `MuJoCo` or ALE is missing, or a run fails; what the others have reached is
/// tabulated all the same.
pub fn command(options: &ExperimentOptions) -> anyhow::Result<Ending> {
    Crew::with(options.distributed, |crew| train(options, crew))
}

fn train(options: &ExperimentOptions, crew: &Crew) -> anyhow::Result<Ending> {
    let experiment = Experiment::read(&options.file)?;
    let mut jobs = experiment.jobs(&options.runs, options.seeds, options.tasks.as_deref())?;
    let mut workers = options.jobs.unwrap_or_else(processors).min(jobs.len());
    if options.distributed {
        for job in &mut jobs {
            job.config.training.workers = crew.workers();
        }
        workers = 1;
    }
    if crew.is_first() {
        output::note(&plan(&experiment.description, &jobs, workers));
    }
    let left: u64 = jobs.iter().map(pool::steps_left).sum();
    let configs: Vec<_> = jobs.iter().map(|job| &job.config).collect();
    let chosen = crew.choose(options.device, &configs, workers)?;
    let parts = || Parts { learners: chosen.learners(), ..Parts::default() };
    if options.dry_run {
        output::note(
            &estimate(&jobs, workers, &parts)
                .unwrap_or_else(|error| format!("estimated time: unknown ({})", output::causes(&error))),
        );
        for job in &jobs {
            output::print(&format!("{}\t{}\n", job.dir.display(), describe(job)))?;
        }
        return Ok(Ending::Complete);
    }
    if left > 0 {
        // Whatever is missing on this machine is said once, before the first run begins.
        let mut suites = BTreeSet::new();
        for job in &jobs {
            let task = &job.config.task;
            if suites.insert(task.split('/').next()) {
                mpo_envs::load(task, 0)?;
            }
        }
    }
    // A trial is of one process: it would say nothing of many.
    if left > LONG && !options.distributed {
        output::note(&estimate(&jobs, workers, &parts)?);
    }
    let stop = interrupt::install()?;
    let progress = Progress::new(jobs.iter().map(|job| job.name.as_str()), left);
    let ended = pool::train(&jobs, workers, &progress, stop, &parts, crew);
    drop(progress);
    if !crew.is_first() {
        let interrupted = ended.iter().any(|end| matches!(end, Ended::Stopped(_) | Ended::NotBegun));
        return Ok(if interrupted { Ending::Interrupted } else { Ending::Complete });
    }
    conclude(&experiment, &options.runs, &jobs, &ended)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, Into::into)
}

fn plan(description: &str, jobs: &[Job], workers: usize) -> String {
    let done = jobs.iter().filter(|job| pool::state(&job.dir) == State::Done).count();
    let left: u64 = jobs.iter().map(pool::steps_left).sum();
    let kept = if done > 0 { format!(" ({done} are finished and kept)") } else { String::new() };
    format!(
        "{description}\n{} runs{kept}, {workers} at a time, {} environment steps to go",
        jobs.len(),
        output::steps(left)
    )
}

fn describe(job: &Job) -> String {
    match pool::state(&job.dir) {
        State::Done => "finished".to_owned(),
        State::Begun => format!("{} steps to go", output::steps(pool::steps_left(job))),
        State::Absent => format!("{} steps", output::steps(job.config.steps)),
    }
}

fn estimate(jobs: &[Job], workers: usize, parts: MakeParts<'_>) -> anyhow::Result<String> {
    let seconds = seconds(jobs, workers, parts)?;
    Ok(format!("estimated time: about {} at the rate measured here", output::duration(seconds)))
}

/// Reports failures, and writes the tables, figures and report of whatever has been evaluated.
///
/// # Errors
/// If a run failed, or a file cannot be written.
pub fn conclude(experiment: &Experiment, runs: &Path, jobs: &[Job], ended: &[Ended]) -> anyhow::Result<Ending> {
    let mut failed = 0;
    for (job, end) in jobs.iter().zip(ended) {
        if let Ended::Failed(error) = end {
            failed += 1;
            output::note(&format!("{} failed: {}", job.name, output::causes(error)));
        }
    }
    let mut records = Vec::new();
    for job in jobs.iter().filter(|job| pool::state(&job.dir) != State::Absent) {
        records.push(Record { variant: job.variant.clone(), ..records::read(&job.dir)? });
    }
    export(experiment, runs, &records)?;
    if failed > 0 {
        bail!("{failed} of {} runs failed; start again to go on from their last checkpoints", jobs.len());
    }
    let interrupted = ended.iter().any(|end| matches!(end, Ended::Stopped(_) | Ended::NotBegun));
    if interrupted {
        output::note("interrupted: start the same experiment again to go on");
    }
    Ok(if interrupted { Ending::Interrupted } else { Ending::Complete })
}

/// Prints the table of `records`, and writes it and the learning curves into `runs`; several learners are printed beside
/// each other, and written so, too.
fn export(experiment: &Experiment, runs: &Path, records: &[Record]) -> anyhow::Result<()> {
    let horizon = experiment.horizon();
    let cut: Vec<Record> = records.iter().map(|record| record.until(horizon.unwrap_or(u64::MAX))).collect();
    let rows = table::rows(&cut);
    if rows.is_empty() {
        output::note("no run has been evaluated yet: there is no table");
        return Ok(());
    }
    let save = |name: &str, contents: &str| output::save(&runs.join(name), contents.as_bytes());
    let text = table::text(&rows);
    save("table.txt", &text)?;
    save("table.md", &table::markdown(&rows))?;
    for (suffix, table) in table::csv_files(&rows) {
        save(&format!("table{suffix}.csv"), &table)?;
    }
    let mut written = vec!["table.{txt,md,csv}"];
    let beside = table::comparison(&rows);
    if beside.lines.len() > 1 {
        output::print(&beside.text())?;
        save("comparison.txt", &beside.text())?;
        save("comparison.md", &beside.markdown())?;
        save("comparison.csv", &beside.csv())?;
        written.push("comparison.{txt,md,csv}");
    } else {
        output::print(&text)?;
    }
    let figure = Figure::new(Some(experiment.description.clone()), records, horizon);
    for name in ["learning-curves.svg", "learning-curves.png"] {
        plot::export(&figure, &runs.join(name))?;
    }
    written.push("learning-curves.{svg,png}");
    let figure = Figure::over_trajectories(Some(experiment.description.clone()), records, horizon);
    if !figure.panels.is_empty() {
        for name in ["learning-curves-by-trajectories.svg", "learning-curves-by-trajectories.png"] {
            plot::export(&figure, &runs.join(name))?;
        }
        written.push("learning-curves-by-trajectories.{svg,png}");
    }
    if let Some(number) = experiment.figure {
        save("report.md", &report::markdown(number, &experiment.description, records, horizon)?)?;
        written.push("report.md");
    }
    output::note(&format!("wrote {} into {}", written.join(", "), runs.display()));
    Ok(())
}
