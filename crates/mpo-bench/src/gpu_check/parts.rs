//! The parts of the check but for training.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use mpo_agent::{
    LearnerStep as _, NetsError,
    cuda::{self, DeviceLearner, Model, Pace, Population, check},
};

use super::{
    Bench, Budget,
    report::{Finding, Section, Verdict},
};

/// The titles of what only a card can show, in their order.
pub(super) const ON_A_CARD: [&str; 8] = [
    "Rates of one run",
    "Kernels against their floors",
    "Rates of populations",
    "Memory over many updates",
    "JAX on the same card",
    "Training to the CPU's returns",
    "compute-sanitizer",
    "Atari",
];

/// Relative distance that one update may have in single precision.
const ONE_UPDATE: f64 = 1e-4;

/// How many times two CPU learners' drift a device's may be: its sums run in another order everywhere.
const DRIFT: f64 = 20.0;

/// Every kernel and whole updates against the CPU's learner.
pub(super) fn agreement(bench: &Bench, quick: bool) -> Section {
    // The emulation takes seconds for an update of such networks, and so does a card under the sanitizer.
    let many = match (bench.is_card(), quick) {
        (true, false) => 100,
        (false, false) => 5,
        (_, true) => 0,
    };
    let cases = if quick { &check::Case::all()[..1] } else { &check::Case::all()[..] };
    let mut findings = Vec::new();
    for case in cases {
        for updates in [1, many].into_iter().filter(|&updates| updates > 0) {
            let name = |what: &str| format!("{}, {updates} updates: {what}", case.name);
            let found = case
                .model(5)
                .map_err(anyhow::Error::from)
                .and_then(|model| bench.device(&model))
                .and_then(|device| Ok(check::agreement(case, device, updates)?));
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    let why = crate::output::causes(&error).replace('\n', " ");
                    findings.push(Finding::without(name("all"), why, Verdict::Fail));
                    continue;
                }
            };
            if updates == 1 {
                let (distance, array) = &found.moments;
                findings.push(Finding::at_most(name("gradients"), *distance, ONE_UPDATE, array));
                let (distance, array) = &found.parameters;
                findings.push(Finding::at_most(name("parameters"), *distance, ONE_UPDATE, array));
                findings.push(Finding::at_most(name("statistics"), found.statistics, ONE_UPDATE, ""));
            } else {
                let (distance, array) = &found.parameters;
                let reference = found.reordered.0.max(1e-6);
                let remark = format!("{array}; two CPU learners are {reference:.1e} apart");
                findings.push(Finding::at_most(name("parameters"), *distance, DRIFT * reference, &remark));
            }
        }
    }
    Section { title: "Agreement with the CPU's learner".to_owned(), findings }
}

/// Bytes and operations per second at best.
pub(super) fn ceilings(bench: &Bench) -> Option<(f64, f64)> {
    let model = check::Case::walker().model(0).ok()?;
    let mut device = bench.device(&model).ok()?;
    check::ceilings(&mut *device).ok()?
}

fn learner(bench: &Bench, case: &check::Case) -> anyhow::Result<DeviceLearner> {
    let model = case.model(0)?;
    let device = bench.device(&model)?;
    Ok(DeviceLearner::alone(model, device, Pace::default(), 0)?)
}

/// Updates per second over `seconds`, batches differing and their upload included.
fn rate(learner: &mut DeviceLearner, batches: &[check::Batch], seconds: f64) -> anyhow::Result<f64> {
    for batch in batches {
        learner.update(&batch.view())?;
    }
    // Parameters are on the host only when all before has ended.
    let _ = learner.policy_parameters();
    let (begun, mut updates) = (Instant::now(), 0);
    while begun.elapsed().as_secs_f64() < seconds {
        for batch in batches.iter().cycle().take(200) {
            learner.update(&batch.view())?;
        }
        updates += 200;
    }
    let _ = learner.policy_parameters();
    Ok(f64::from(updates) / begun.elapsed().as_secs_f64())
}

fn batches(case: &check::Case) -> Vec<check::Batch> {
    (0..16).map(|seed| check::Batch::new(case, seed)).collect()
}

/// One run's updates.
pub(super) fn rates(bench: &Bench) -> Section {
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for case in check::Case::all() {
            let rate = rate(&mut learner(bench, &case)?, &batches(&case), 4.0)?;
            findings.push(match case.name {
                "walker" => Finding::at_least("walker", rate, 10_000.0, "updates/s"),
                name => Finding::measured(name, rate, "updates/s", ""),
            });
        }
        Ok(findings)
    };
    Section::of(ON_A_CARD[0], measure())
}

/// Each kernel's time beside the least that its bytes and operations need.
pub(super) fn kernels(bench: &Bench, ceilings: Option<(f64, f64)>) -> Section {
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let (bandwidth, operations) = ceilings.ok_or_else(|| anyhow!("the ceilings were not measured"))?;
        let mut findings = vec![
            Finding::measured("copying", bandwidth / 1e9, "GB/s", "the ceiling of bytes"),
            Finding::measured("multiply-adds", operations / 1e12, "Tflop/s", "the ceiling of operations"),
        ];
        findings.extend(times(bench, &check::Case::walker(), (bandwidth, operations))?);
        Ok(findings)
    };
    Section::of(ON_A_CARD[1], measure())
}

/// Times of the kernels of one update beside the least that bytes and operations per second allow.
fn times(bench: &Bench, case: &check::Case, (bandwidth, operations): (f64, f64)) -> anyhow::Result<Vec<Finding>> {
    let (mut learner, batch) = (learner(bench, case)?, check::Batch::new(case, 0));
    learner.update(&batch.view())?;
    learner.time(20)?;
    let times = learner.time(200)?.ok_or_else(|| anyhow!("the device keeps no time"))?;
    let (mut findings, mut total, mut least) = (Vec::new(), 0.0, 0.0);
    for ((kernel, seconds), work) in times.into_iter().zip(check::work(&case.model(0)?, batch.capacity(), 1)) {
        let floor = (work.bytes / bandwidth).max(work.operations / operations);
        (total, least) = (total + seconds, least + floor);
        let remark = format!("floor {:.2}", floor * 1e6);
        findings.push(Finding::measured(kernel, seconds * 1e6, "microseconds", remark));
    }
    let remark = format!("one after another; floors {:.1} together", least * 1e6);
    findings.push(Finding::measured("all", total * 1e6, "microseconds", remark));
    Ok(findings)
}

/// The learner from frames at batch 32: agreement, rate and kernels.
pub(super) fn atari(bench: &Bench, ceilings: Option<(f64, f64)>) -> Section {
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let case = check::Case::atari();
        let found = check::agreement(&case, bench.device(&case.model(5)?)?, 1)?;
        let (distance, array) = &found.moments;
        let mut findings = vec![Finding::at_most("one update: gradients", *distance, ONE_UPDATE, array)];
        let (distance, array) = &found.parameters;
        findings.push(Finding::at_most("one update: parameters", *distance, ONE_UPDATE, array));
        findings.push(Finding::at_most("one update: statistics", found.statistics, ONE_UPDATE, ""));
        let rate = rate(&mut learner(bench, &case)?, &batches(&case), 4.0)?;
        findings.push(Finding::at_least("batch 32", rate, 3_000.0, "updates/s"));
        if let Some(ceilings) = ceilings {
            findings.extend(times(bench, &case, ceilings)?);
        }
        Ok(findings)
    };
    Section::of(ON_A_CARD[7], measure())
}

/// Several runs' updates, launched together.
pub(super) fn populations(bench: &Bench) -> Section {
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let case = check::Case::walker();
        let mut findings = Vec::new();
        for runs in [2, 10, 32] {
            let each = population(bench, &case, runs, 4.0)?;
            let name = format!("walker, {runs} runs in total");
            let total = each * runs as f64;
            findings.push(match runs {
                10 => Finding::at_least(name, total, 60_000.0, "updates/s"),
                _ => Finding::measured(name, total, "updates/s", ""),
            });
        }
        Ok(findings)
    };
    Section::of(ON_A_CARD[2], measure())
}

/// Updates per second of each of `runs` runs with threads of their own.
fn population(bench: &Bench, case: &check::Case, runs: usize, seconds: f64) -> anyhow::Result<f64> {
    let opening = bench.clone();
    let population = Population::new(runs, Pace::default(), move |model: &Model| {
        opening
            .device(model)
            .map_err(|error| NetsError::Device { device: "the population's device", reason: error.to_string() })
    });
    let batches = batches(case);
    let learners: Vec<DeviceLearner> = (0..runs)
        .map(|seed| Ok(population.join(case.model(seed as u64)?, seed as u64)?))
        .collect::<anyhow::Result<_>>()?;
    let rates: Vec<anyhow::Result<f64>> = thread::scope(|scope| {
        let threads: Vec<_> = learners
            .into_iter()
            .map(|mut learner| {
                scope.spawn({
                    let batches = &batches;
                    move || rate(&mut learner, batches, seconds)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a run panicked"))?).collect()
    });
    let rates = rates.into_iter().collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(rates.iter().sum::<f64>() / runs as f64)
}

/// Memory of card and host over a hundred thousand updates, or as many as time allows.
pub(super) fn memory(bench: &Bench, budget: &Budget) -> Section {
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let case = check::Case::walker();
        let (mut learner, batches) = (learner(bench, &case)?, batches(&case));
        let used = || -> anyhow::Result<(f64, f64)> {
            let (free, all) = cuda::card()?.memory;
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
            let pages: f64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
            Ok(((all - free) as f64 / 1e6, pages * 4096.0 / 1e6))
        };
        rate(&mut learner, &batches, 0.5)?;
        let before = used()?;
        let (begun, mut updates) = (Instant::now(), 0_u32);
        let most = budget.left(240).min(Duration::from_secs(40));
        while updates < 100_000 && begun.elapsed() < most {
            for batch in batches.iter().cycle().take(1000) {
                learner.update(&batch.view())?;
            }
            updates += 1000;
        }
        let _ = learner.policy_parameters();
        let after = used()?;
        let grown = |name: &str, before: f64, after: f64| {
            // The allocators' own coming and going is below a megabyte.
            let verdict = if after - before < 1.0 { Verdict::Pass } else { Verdict::Fail };
            let remark = format!("over {updates} updates, from {before:.1}");
            Finding { name: name.to_owned(), value: Some(after - before), unit: "MB more", remark, verdict }
        };
        Ok(vec![grown("the card's", before.0, after.0), grown("the host's", before.1, after.1)])
    };
    Section::of(ON_A_CARD[3], measure())
}

/// The program that makes the same update in jitted JAX.
const JAX: &str = include_str!("../../../../xtask/peers/jax_update.py");

/// JAX on the same card in the same run, if there is a Python with it.
pub(super) fn jax(budget: &Budget) -> Section {
    let title = ON_A_CARD[4];
    if budget.left(200) < Duration::from_mins(1) {
        return Section::skipped(title, "time ran out");
    }
    let has = Command::new("python3").args(["-c", "import jax, optax; assert jax.devices('gpu')"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return Section::skipped(title, "there is no python3 with jax, optax and a GPU");
    }
    let measure = || -> anyhow::Result<Vec<Finding>> {
        let mut child = Command::new("python3")
            .args(["-c", JAX, "walker", "0"])
            .env("JAX_PLATFORMS", "cuda")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start python3")?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Err(anyhow!("no pipes to python3")) };
        let mut lines = BufReader::new(stdout).lines();
        let mut rate = None;
        let ready = lines.next().context("JAX ended before it was ready")??;
        for _ in 0..3 {
            writeln!(stdin, "3")?;
            let line = lines.next().context("JAX ended")??;
            let answer: serde_json::Value = serde_json::from_str(&line)?;
            let value = answer["updates_per_second"].as_f64().context("JAX told no rate")?;
            rate = Some(value.max(rate.unwrap_or(0.0)));
        }
        drop(stdin);
        child.wait()?;
        let rate = rate.context("JAX told no rate")?;
        let bench = Bench::find();
        let case = check::Case::walker();
        let own = self::rate(&mut learner(&bench, &case)?, &batches(&case), 3.0)?;
        Ok(vec![
            Finding::measured("JAX, walker", rate, "updates/s", ready),
            Finding::at_least("this learner over JAX", own / rate, 3.0, "times"),
        ])
    };
    Section::of(title, measure())
}

/// NVIDIA's checker of memory and races over a short agreement, where it is installed.
pub(super) fn sanitizer(budget: &Budget) -> Section {
    let title = ON_A_CARD[6];
    if budget.left(0) < Duration::from_mins(1) {
        return Section::skipped(title, "time ran out");
    }
    if !Command::new("compute-sanitizer").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Section::skipped(title, "it is not installed");
    }
    let mut findings = Vec::new();
    for tool in ["memcheck", "racecheck"] {
        let ran = || -> anyhow::Result<Finding> {
            let folder = tempfile::tempdir()?;
            let said = folder.path().join("said");
            let mut child = Command::new("compute-sanitizer")
                .args(["--tool", tool, "--error-exitcode", "9"])
                .arg(std::env::current_exe()?)
                .args(["gpu-check", "--quick", "--agreement-only", "--out"])
                .arg(folder.path())
                .stdout(std::fs::File::create(&said)?)
                .stderr(Stdio::null())
                .spawn()?;
            let code = loop {
                if let Some(status) = child.try_wait()? {
                    break status.code();
                }
                if budget.left(10).is_zero() {
                    child.kill()?;
                    child.wait()?;
                    return Ok(Finding::without(tool, "time ran out", Verdict::Skipped));
                }
                thread::sleep(Duration::from_millis(100));
            };
            let said = std::fs::read_to_string(&said)?;
            let summary = said.lines().rfind(|line| line.contains("SUMMARY")).unwrap_or("no summary").to_owned();
            let clean = code != Some(9) && summary.contains(" 0 ");
            Ok(Finding::without(tool, summary, if clean { Verdict::Pass } else { Verdict::Fail }))
        };
        findings.push(ran().unwrap_or_else(|error| Finding::without(tool, error.to_string(), Verdict::Skipped)));
    }
    Section { title: title.to_owned(), findings }
}
