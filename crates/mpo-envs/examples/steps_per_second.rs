//! Environment steps per CPU-second, and the share of them that bare physics steps would reach.
//!
//! `cargo run --release -p mpo-envs --example steps_per_second [TASK...]`
#![allow(clippy::print_stdout, reason = "a table is what this program is for")]

use std::fs;

use mpo_envs::{EnvError, suite};

const STEPS: usize = 4_000;

/// CPU seconds of this process, from the kernel's accounting, so that other processes do not count.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// The median of five measurements of `work`'s rate per CPU-second.
fn rate(mut work: impl FnMut() -> Result<(), EnvError>) -> Result<f64, EnvError> {
    let mut rates = [0.0; 5];
    for rate in &mut rates {
        let start = cpu_seconds();
        work()?;
        *rate = STEPS as f64 / (cpu_seconds() - start);
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[2])
}

fn main() -> Result<(), EnvError> {
    let mut tasks: Vec<String> = std::env::args().skip(1).collect();
    if tasks.is_empty() {
        tasks = suite::tasks().iter().map(|task| task.name.to_owned()).collect();
    }
    println!("{:26} {:>12} {:>12} {:>7}", "task", "bare MuJoCo", "environment", "share");
    for name in tasks {
        let mut environment = suite::load(&name, 0)?;
        let actions = actions(environment.spec());
        let mut index = 0;
        let environment_rate = rate(|| {
            for _ in 0..STEPS {
                index = (index + 1) % actions.len();
                environment.step(&actions[index])?;
            }
            Ok(())
        })?;
        let mut bare = suite::BareSimulation::load(&name, 0)?;
        let bare_rate = rate(|| {
            for _ in 0..STEPS {
                index = (index + 1) % actions.len();
                bare.step(&actions[index]);
            }
            Ok(())
        })?;
        let share = 100.0 * environment_rate / bare_rate;
        println!("{name:26} {bare_rate:12.0} {environment_rate:12.0} {share:6.1}%");
    }
    Ok(())
}

/// Random actions, made beforehand so that only stepping is measured.
fn actions(spec: &mpo_envs::Spec) -> Vec<Vec<f64>> {
    let mut random = mpo_envs::RandomState::new(1);
    let bounds = || spec.action_minimum.iter().zip(&spec.action_maximum);
    (0..997).map(|_| bounds().map(|(low, high)| random.uniform(*low, *high)).collect()).collect()
}
