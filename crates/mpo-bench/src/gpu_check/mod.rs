//! `mpo gpu-check`: everything that needs a card, in one run and one report.
//!
//! Agreement of every kernel and of whole updates with the CPU's learner, rates, the time of each kernel against its floor, memory
//! over many updates, JAX on the same card, training to the CPU's returns, NVIDIA's sanitizer where it is installed. A part for
//! which time runs out, or which this machine cannot do, is in the report as such. Without a card the emulation stands in for it,
//! which shows that the kernels compute what they should and nothing about their speed.

mod parts;
mod report;
mod training;

use std::time::{Duration, Instant};

use anyhow::bail;
use mpo_agent::{
    Config, Profile,
    cuda::{self, Cuda, Device, Emulator, Model, Population, check},
};
pub use report::{Finding, Report, Section, Verdict};

use crate::{cli::GpuCheckOptions, output};

/// What runs the kernels.
#[derive(Clone, Debug)]
pub enum Bench {
    /// A card.
    Card(cuda::Card),
    /// The emulation, and why.
    Emulation(String),
}

impl Bench {
    /// The card, or the emulation where there is none.
    #[must_use]
    pub fn find() -> Self {
        match cuda::card() {
            Ok(card) => Self::Card(card),
            Err(error) => Self::Emulation(error.to_string()),
        }
    }

    /// Whether this is a card.
    #[must_use]
    pub fn is_card(&self) -> bool {
        matches!(self, Self::Card(_))
    }

    /// A device with the kernels of `model`.
    ///
    /// # Errors
    /// Of the driver, or where there is no C++ compiler for the emulation.
    pub fn device(&self, model: &Model) -> anyhow::Result<Box<dyn Device>> {
        Ok(match self {
            Self::Card(_) => Box::new(Cuda::new(model)?),
            Self::Emulation(_) => Box::new(Emulator::new(model)?),
        })
    }
}

/// What is left of the time that the whole may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    begun: Instant,
    seconds: u64,
}

impl Budget {
    fn new(seconds: u64) -> Self {
        Self { begun: Instant::now(), seconds }
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// What is left, less `reserve` seconds for what comes after.
    #[must_use]
    pub fn left(&self, reserve: u64) -> Duration {
        Duration::from_secs(self.seconds.saturating_sub(reserve)).saturating_sub(self.begun.elapsed())
    }
}

/// Runs `mpo gpu-check`.
///
/// # Errors
/// If the report cannot be written, a part found the device wrong, or nothing at all can be run here.
pub fn command(options: &GpuCheckOptions) -> anyhow::Result<()> {
    if let Some(architecture) = &options.compile {
        return compile(architecture);
    }
    if options.dry_run {
        return dry_run(options.runs);
    }
    let budget = Budget::new(options.seconds);
    let bench = Bench::find();
    let mut report = Report::new(&bench);
    // What tells most comes first; the report is written after every part, so that what cuts the run short leaves the rest.
    let mut add = |section: Section| {
        output::note(&format!("{:6.1} s  {}: {}", budget.spent(), section.title, section.verdict().word()));
        report.sections.push(section);
        report.seconds = budget.spent();
        if let Err(error) = report.write(&options.out) {
            output::note(&output::causes(&error));
        }
    };
    let agreement = parts::agreement(&bench, options.quick);
    let broken = agreement.verdict() == Verdict::Fail;
    add(agreement);
    if options.agreement_only {
        // Another check runs this one under a tool.
    } else if let (Bench::Card(_), false) = (&bench, broken) {
        let ceilings = parts::ceilings(&bench);
        add(parts::rates(&bench));
        add(parts::kernels(&bench, ceilings));
        add(parts::populations(&bench));
        add(parts::memory(&bench, &budget));
        add(parts::jax(&budget));
        add(training::compare(&budget));
        add(parts::sanitizer(&budget));
        add(parts::atari(&bench, ceilings));
    } else {
        let why = if broken { "the device disagrees with the CPU" } else { "there is no card" };
        for title in parts::ON_A_CARD {
            add(Section::skipped(title, why));
        }
    }
    report.seconds = budget.spent();
    report.write(&options.out)?;
    output::print(&report.markdown())?;
    output::note(&format!("wrote {} and gpu-check.json", options.out.join("gpu-check.md").display()));
    if report.sections.iter().any(|section| section.verdict() == Verdict::Fail) {
        bail!("a part of the check failed: see {}", options.out.join("gpu-check.md").display());
    }
    Ok(())
}

/// The models whose kernels the check runs: the cases, and those of the tasks that it trains.
fn models() -> anyhow::Result<Vec<(String, Model)>> {
    let mut models = Vec::new();
    for case in check::Case::all().into_iter().chain([check::Case::atari()]) {
        models.push((case.name.to_owned(), case.model(0)?));
    }
    for task in training::TASKS {
        let sets = [("task".to_owned(), format!("control/{task}"))];
        let config = Config::resolve(Profile::Default, None, &sets)?;
        models.push((task.to_owned(), mpo_agent::device_model(&config)?));
    }
    Ok(models)
}

/// Puts the kernels into the cache, for a machine that has no compiler.
fn compile(architecture: &str) -> anyhow::Result<()> {
    for (name, model) in models()? {
        let begun = Instant::now();
        let image = cuda::cubin(&model.source(), architecture)?;
        let seconds = begun.elapsed().as_secs_f64();
        output::note(&format!("{name}: {} KiB for {architecture} in {seconds:.1} s", image.len() / 1024));
    }
    Ok(())
}

/// Prints the launches of one update of the walker's networks.
fn dry_run(runs: usize) -> anyhow::Result<()> {
    let case = check::Case::walker();
    let capacity = check::Batch::new(&case, 0).capacity();
    output::print(&Population::launch_list(&case.model(0)?, capacity, runs).to_string())
}
