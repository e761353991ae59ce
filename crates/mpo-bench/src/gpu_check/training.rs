//! Training on the card beside training on the processor: the same tasks, seeds and steps.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use mpo_agent::{Config, DeviceChoice, Observer, Parts, Profile, Run};

use super::{
    Budget,
    parts::ON_A_CARD,
    report::{Finding, Section, Verdict},
};

/// The tasks, short names of the control suite.
pub(super) const TASKS: [&str; 2] = ["cartpole-swingup", "cheetah-run"];

/// Steps and seeds of each, on each device: as many as the time leaves.
const STEPS: u64 = 30_000;
const SEEDS: u64 = 3;

/// Returns of the card's runs beside the processor's.
pub(super) fn compare(budget: &Budget) -> Section {
    let title = ON_A_CARD[5];
    if let Err(error) = mpo_envs::load(&format!("control/{}", TASKS[0]), 0) {
        return Section::skipped(title, &format!("no MuJoCo here: {error}"));
    }
    if budget.left(90) < Duration::from_mins(1) {
        return Section::skipped(title, "time ran out");
    }
    Section::of(title, train(budget))
}

struct Trained {
    task: &'static str,
    device: DeviceChoice,
    outcome: anyhow::Result<(f64, f64, u64)>,
}

fn train(budget: &Budget) -> anyhow::Result<Vec<Finding>> {
    let folder = tempfile::tempdir()?;
    let deadline = Instant::now() + budget.left(90);
    // All side by side: the runs of one task on the card are one population.
    let card = DeviceChoice::Cuda.resolve(&[], SEEDS as usize)?;
    let trained: Vec<Trained> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for task in TASKS {
            for seed in 0..SEEDS {
                for device in [DeviceChoice::Cuda, DeviceChoice::Cpu] {
                    let path = folder.path().join(format!("{task}-{device}-{seed}"));
                    let learners = match device {
                        DeviceChoice::Cpu => Parts::default().learners,
                        _ => card.learners(),
                    };
                    threads.push(scope.spawn(move || {
                        let parts = Parts { learners, ..Parts::default() };
                        Trained { task, device, outcome: run(task, seed, &path, &parts, deadline) }
                    }));
                }
            }
        }
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a run panicked")))
            .collect::<anyhow::Result<_>>()
    })?;
    let mut findings = Vec::new();
    for task in TASKS {
        let mut means = Vec::new();
        for device in [DeviceChoice::Cuda, DeviceChoice::Cpu] {
            let mut returns = Vec::new();
            for one in trained.iter().filter(|one| one.task == task && one.device == device) {
                match &one.outcome {
                    Ok((value, ..)) => returns.push(*value),
                    Err(error) => {
                        let why = crate::output::causes(error).replace('\n', " ");
                        findings.push(Finding::without(format!("{task} on {device}"), why, Verdict::Fail));
                    }
                }
            }
            let rate = trained.iter().find(|one| one.task == task && one.device == device);
            let (seconds, steps) =
                rate.and_then(|one| one.outcome.as_ref().ok()).map_or((0.0, 0), |(_, s, n)| (*s, *n));
            let mean = returns.iter().sum::<f64>() / returns.len().max(1) as f64;
            let spread = (returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / returns.len().max(1) as f64).sqrt();
            let remark = format!(
                "deviation {spread:.1} over {} seeds; one run's {steps} steps in {seconds:.0} s",
                returns.len()
            );
            findings.push(Finding::measured(format!("{task} on {device}"), mean, "return", remark));
            means.push((mean, spread));
        }
        let [(card, card_spread), (cpu, cpu_spread)] = means[..] else { continue };
        // Few seeds: two standard errors of the difference, and never less than a tenth of the return.
        let margin = (2.0 * ((card_spread.powi(2) + cpu_spread.powi(2)) / SEEDS as f64).sqrt()).max(0.1 * cpu);
        let verdict = if card >= cpu - margin { Verdict::Pass } else { Verdict::Short };
        let remark = format!("card less CPU; within {margin:.1} below");
        findings.push(Finding { name: task.to_owned(), value: Some(card - cpu), unit: "return", remark, verdict });
    }
    Ok(findings)
}

/// Final return, seconds and steps of one run, which ends early at the deadline.
fn run(task: &str, seed: u64, path: &Path, parts: &Parts, deadline: Instant) -> anyhow::Result<(f64, f64, u64)> {
    let sets = [("task", format!("control/{task}")), ("seed", seed.to_string()), ("steps", STEPS.to_string())];
    let sets: Vec<(String, String)> = sets.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let config = Config::resolve(Profile::Default, None, &sets)?;
    let begun = Instant::now();
    let mut observer = Until(deadline);
    let outcome = Run::create_with(path, config, parts)?.train(&mut observer)?;
    let mean = outcome.evaluation.map_or(0.0, |evaluation| evaluation.mean());
    Ok((mean, begun.elapsed().as_secs_f64(), outcome.step))
}

/// Stops a run at a time.
struct Until(Instant);

impl Observer for Until {
    fn should_stop(&self) -> bool {
        Instant::now() > self.0
    }
}
