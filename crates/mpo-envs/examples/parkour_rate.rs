//! What parkour costs: environment steps per CPU-second with random actions, with and without resets, beside a loop of
//! nothing but `mj_step` on the same model, courses, start states and actions; and microseconds of a reset, the drawing of a course
//! included. Medians of turns that all sides take one after the other.
//!
//! ```text
//! cargo run --release -p mpo-envs --example parkour_rate [TASK...]
//! ```
#![allow(clippy::print_stdout, reason = "a program that measures prints")]

use std::fs;

use mpo_envs::parkour::{self, Parkour};
use mpo_envs::{EnvError, Environment, RandomState, StepType};

const TURNS: usize = 9;
/// Control steps of a side in a turn, at least: random actions make short episodes.
const STEPS: usize = 4000;
/// Resets whose time a turn takes.
const RESETS: usize = 4000;

/// CPU seconds of this thread, from the kernel's accounting, which follows in steps of some milliseconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// CPU seconds of `work`.
fn timed(work: impl FnOnce() -> Result<(), EnvError>) -> Result<f64, EnvError> {
    let start = cpu_seconds();
    work()?;
    Ok(cpu_seconds() - start)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(task: &str) -> Result<(), EnvError> {
    let mut environment = Parkour::load(task, 0)?;
    let mut bare = Parkour::load(task, 0)?.into_bare()?;
    let spec = environment.spec().clone();
    let mut random = RandomState::new(1);
    let actions: Vec<Vec<f64>> =
        (0..997).map(|_| (0..spec.action_len()).map(|_| random.uniform(-1.0, 1.0)).collect()).collect();
    // Both have the same episodes; the bare one was reset when it was made.
    environment.reset()?;
    let mut rates: [Vec<f64>; 5] = Default::default();
    let mut lengths = Vec::new();
    for turn in 0..=TURNS {
        lengths.clear();
        let all = timed(|| {
            let mut next = 0;
            while next < STEPS {
                environment.reset()?;
                let first = next;
                while environment.step(&actions[next % actions.len()])?.step_type == StepType::Mid {
                    next += 1;
                }
                next += 1;
                lengths.push(next - first);
            }
            Ok(())
        })?;
        let bare_all = timed(|| {
            let mut next = 0;
            for length in &lengths {
                bare.reset()?;
                (next..next + length).for_each(|step| bare.step(&actions[step % actions.len()]));
                next += length;
            }
            Ok(())
        })?;
        let reset = timed(|| (0..RESETS).try_for_each(|_| environment.reset().map(|_| ())))? / RESETS as f64;
        (0..RESETS).try_for_each(|_| bare.reset())?;
        // The first turn grows buffers.
        if turn > 0 {
            let (count, resets) = (lengths.iter().sum::<usize>() as f64, reset * lengths.len() as f64);
            let (steps, physics) = (all - resets, bare_all - resets);
            let turn = [count / physics, count / steps, physics / steps, count / all, 1e6 * reset];
            rates.iter_mut().zip(turn).for_each(|(values, value)| values.push(value));
        }
    }
    let [physics, steps, share, episodes, reset] = rates.map(median);
    println!("{task:<28} {physics:>9.0} {steps:>9.0} {share:>6.3} {episodes:>9.0} {reset:>8.1}");
    Ok(())
}

fn main() -> Result<(), EnvError> {
    let named: Vec<String> = std::env::args().skip(1).collect();
    println!("{:<28} {:>9} {:>9} {:>6} {:>9} {:>8}", "task", "mj_step", "steps", "share", "episodes", "reset us");
    let all = parkour::tasks().iter().map(|info| info.name.to_owned());
    let tasks: Vec<String> = if named.is_empty() { all.collect() } else { named };
    tasks.iter().try_for_each(|task| measure(task))
}
