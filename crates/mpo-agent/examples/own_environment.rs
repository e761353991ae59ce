//! Training in an environment of your own: a pole that hangs from a motor and must be swung up.
//!
//! `cargo run --release --example own_environment -- /tmp/pendulum` trains it for 30,000 steps; run
//! it again and it resumes, or, if it is done, shows the policy.

use std::f64::consts::PI;
use std::path::Path;

use mpo_agent::{Config, EpisodeRow, EvaluationSummary, Observer, Parts, Profile, Run, Seeds, Stream, evaluate_with};
use mpo_envs::{EnvError, Environment, ObservationPart, Spec, StepType, TimeStep};
use rand::Rng;

/// Observations: cosine and sine of the angle from upright, and angular velocity in rad/s.
struct Pendulum {
    spec: Spec,
    stream: Stream,
    angle: f64,
    velocity: f64,
    step: usize,
    observation: [f64; 3],
}

impl Pendulum {
    const TIMESTEP: f64 = 0.05;

    fn new(seed: u32) -> Self {
        let parts = [("orientation", 2), ("velocity", 1)];
        let observation = parts.map(|(name, len)| ObservationPart { name: name.to_owned(), len }).to_vec();
        let spec = Spec {
            observation,
            action_minimum: vec![-1.0],
            action_maximum: vec![1.0],
            control_timestep: Self::TIMESTEP,
            episode_steps: 200,
        };
        let stream = Seeds::new(seed.into()).stream("pendulum");
        Self { spec, stream, angle: 0.0, velocity: 0.0, step: 0, observation: [0.0; 3] }
    }

    fn time_step(&mut self, step_type: StepType, reward: f64) -> TimeStep<'_> {
        self.observation = [self.angle.cos(), self.angle.sin(), self.velocity];
        // The time limit is no termination: the discount stays 1.
        TimeStep { step_type, reward, discount: 1.0, observation: &self.observation }
    }
}

impl Environment for Pendulum {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.angle = (f64::from(self.stream.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * PI;
        (self.velocity, self.step) = (0.0, 0);
        Ok(self.time_step(StepType::First, 0.0))
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        let acceleration = 15.0 * self.angle.sin() + 6.0 * action[0];
        self.velocity = (self.velocity + acceleration * Self::TIMESTEP).clamp(-8.0, 8.0);
        self.angle += self.velocity * Self::TIMESTEP;
        self.step += 1;
        let last = self.step == self.spec.episode_steps;
        let reward = f64::midpoint(1.0, self.angle.cos());
        Ok(self.time_step(if last { StepType::Last } else { StepType::Mid }, reward))
    }

    /// All that the next reset depends on.
    fn save_state(&self) -> Vec<u8> {
        serde_json::to_vec(&self.stream).unwrap_or_default()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.stream = serde_json::from_slice(state)
            .map_err(|error| EnvError::InvalidState { task: "pendulum", reason: error.to_string() })?;
        Ok(())
    }
}

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

#[expect(clippy::print_stdout, reason = "an example shows what happens")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "runs/own-environment".to_owned());
    let directory = Path::new(&directory);
    let parts =
        Parts::with_environments(|_: &str, seed: u32| Ok(Box::new(Pendulum::new(seed)) as Box<dyn Environment>));
    let mut run = if directory.join("config.toml").exists() {
        Run::resume_with(directory, &parts)?
    } else {
        let sets = [("task", "own/pendulum"), ("steps", "30_000"), ("training.checkpoint_period", "5_000")];
        let sets = sets.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Run::create_with(directory, Config::resolve(Profile::Default, None, &sets)?, &parts)?
    };
    run.train(&mut Printer)?;
    let evaluation = evaluate_with(directory, 10, 1, &parts)?;
    println!("ten episodes of the mean policy: {:.1} of 200", evaluation.summary.mean());
    Ok(())
}
