//! Training in an environment of your own, from a program of your own.
//!
//! The two environments are in `crates/mpo-envs/src/examples/`, written as anyone would write theirs: `arm.rs` is a MuJoCo
//! model with a reward, `pendulum.rs` implements [`Environment`] with no MuJoCo at all.
//!
//! `cargo run --release -p mpo-agent --example own_environment -- arm /tmp/arm` trains the arm for 40,000 steps; run it again
//! and it resumes, or, if it is done, shows the policy. Their sizes, 6 x 2 and 3 x 1, are among those compiled in; another
//! size is one line in `crates/mpo-agent/src/shapes.rs`.

use std::path::Path;

use mpo_agent::{Config, EpisodeRow, EvaluationSummary, Observer, Parts, Profile, Run, evaluate_with};
use mpo_envs::{EnvError, Environment, examples};

struct Printer;

#[expect(clippy::print_stdout, reason = "an example shows what happens")]
impl Observer for Printer {
    fn on_episode(&mut self, row: &EpisodeRow) {
        println!("step {:>6}  return {:>6.1}", row.step, row.episode_return);
    }

    fn on_evaluation(&mut self, summary: &EvaluationSummary) {
        println!("step {:>6}  return of the mean policy {:.1} of 200", summary.step, summary.mean());
    }
}

/// Any function from a task's name and a seed to an environment will do.
fn make(task: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    if task == "own/arm" { examples::arm(seed) } else { Ok(examples::pendulum(seed)) }
}

#[expect(clippy::print_stdout, reason = "an example shows what happens")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_else(|| "pendulum".to_owned());
    let directory = arguments.next().unwrap_or_else(|| format!("runs/own-{name}"));
    let directory = Path::new(&directory);

    let parts = Parts::with_environments(make);
    let mut run = if directory.join("config.toml").exists() {
        Run::resume_with(directory, &parts)?
    } else {
        let task = format!("own/{name}");
        let sets = [("task", task.as_str()), ("steps", "40_000"), ("training.checkpoint_period", "5_000")];
        let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Run::create_with(directory, Config::resolve(Profile::Default, None, &sets)?, &parts)?
    };
    run.train(&mut Printer)?;
    let evaluation = evaluate_with(directory, 10, 1, &parts)?;
    println!("ten episodes of the mean policy: {:.1} of 200", evaluation.summary.mean());
    Ok(())
}
