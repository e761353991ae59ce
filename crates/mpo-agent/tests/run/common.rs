//! A point mass on a line, and runs of it that take a fraction of a second.

use std::fs;
use std::path::Path;

use mpo_agent::{
    AgentError, Config, EnvironmentFactory, Observer, Outcome, Parts, Profile, Run, Seeds, Silent, Stream,
};
use mpo_envs::{EnvError, Environment, ObservationPart, Spec, StepType, TimeStep};
use rand::Rng;

/// What goes wrong in an environment, and after how many steps of its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    Error(u64),
    NanObservation(u64),
    NanReward(u64),
}

/// A mass pushed along a line towards a target that is drawn anew in every episode. Every third
/// episode or so ends early with a true termination.
pub(crate) struct PointMass {
    spec: Spec,
    stream: Stream,
    fault: Option<Fault>,
    steps_of_life: u64,
    step: usize,
    terminates_at: usize,
    observation: [f64; 3],
}

impl PointMass {
    pub(crate) const EPISODE: usize = 40;

    pub(crate) fn new(seed: u32, fault: Option<Fault>) -> Self {
        let part = |name: &str| ObservationPart { name: name.to_owned(), len: 1 };
        Self {
            spec: Spec {
                observation: ["position", "velocity", "target"].map(part).to_vec(),
                frame: None,
                discrete_actions: None,
                action_minimum: vec![-1.0],
                action_maximum: vec![1.0],
                control_timestep: 0.1,
                episode_steps: Self::EPISODE,
            },
            stream: Seeds::new(seed.into()).stream("point mass"),
            fault,
            steps_of_life: 0,
            step: 0,
            terminates_at: 0,
            observation: [0.0; 3],
        }
    }

    fn uniform(&mut self) -> f64 {
        f64::from(self.stream.next_u32()) / f64::from(u32::MAX)
    }
}

impl Environment for PointMass {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.observation = [2.0 * self.uniform() - 1.0, 0.0, 2.0 * self.uniform() - 1.0];
        self.terminates_at = (self.uniform() * 3.0 * Self::EPISODE as f64) as usize;
        self.step = 0;
        let observation = &self.observation;
        Ok(TimeStep { step_type: StepType::First, reward: 0.0, discount: 1.0, observation, frame: &[] })
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert!(action[0].abs() <= 1.0, "the actor clips what it applies");
        self.step += 1;
        self.steps_of_life += 1;
        if self.fault == Some(Fault::Error(self.steps_of_life)) {
            return Err(EnvError::Diverged { task: "point-mass", time: 0.0, warning: "a test".to_owned() });
        }
        let [position, velocity, target] = &mut self.observation;
        *velocity = 0.9 * *velocity + 0.2 * action[0];
        *position += 0.1 * *velocity;
        let mut reward = 1.0 - (*position - *target).abs();
        if self.fault == Some(Fault::NanObservation(self.steps_of_life)) {
            *velocity = f64::NAN;
        }
        if self.fault == Some(Fault::NanReward(self.steps_of_life)) {
            reward = f64::NAN;
        }
        let terminated = self.step == self.terminates_at;
        let last = terminated || self.step == Self::EPISODE;
        Ok(TimeStep {
            step_type: if last { StepType::Last } else { StepType::Mid },
            reward,
            discount: if terminated { 0.0 } else { 1.0 },
            observation: &self.observation,
            frame: &[],
        })
    }

    fn save_state(&self) -> Vec<u8> {
        serde_json::to_vec(&self.stream).expect("a stream is four integers")
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.stream = serde_json::from_slice(state)
            .map_err(|error| EnvError::InvalidState { task: "point-mass", reason: error.to_string() })?;
        Ok(())
    }
}

/// Point masses without faults.
pub(crate) fn parts() -> Parts {
    Parts::with_environments(PointMasses(None))
}

/// Point masses whose training environment has a fault; the evaluator's is sound.
pub(crate) fn faulty(fault: Fault) -> Parts {
    Parts::with_environments(PointMasses(Some(fault)))
}

struct PointMasses(Option<Fault>);

impl EnvironmentFactory for PointMasses {
    fn make(&self, _: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
        let evaluator = (0..10).any(|root| Seeds::new(root).seed_u32("evaluator") == seed);
        Ok(Box::new(PointMass::new(seed, self.0.filter(|_| !evaluator))))
    }
}

/// Settings under which 600 steps take a fraction of a second, with overrides.
pub(crate) fn config(overrides: &[(&str, &str)]) -> Config {
    let small = [
        ("task", "test/point-mass"),
        ("steps", "600"),
        ("network.policy_hidden", "[32, 32]"),
        ("network.critic_hidden", "[32, 32]"),
        ("learner.action_samples", "3"),
        ("learner.target_period", "20"),
        ("replay.capacity", "300"),
        ("replay.sequences", "4"),
        ("replay.steps", "4"),
        ("training.warmup_steps", "100"),
        ("training.updates_per_step", "0.3"),
        ("training.evaluation_period", "150"),
        ("training.evaluation_episodes", "2"),
        ("training.checkpoint_period", "200"),
    ];
    let sets: Vec<_> = small.iter().chain(overrides).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Config::resolve(Profile::Default, None, &sets).expect("the settings are in range")
}

/// Trains a new run to its end.
pub(crate) fn train(directory: &Path, config: Config) -> (Run, Outcome) {
    let mut run = Run::create_with(directory, config, &parts()).expect("a new directory");
    let outcome = run.train(&mut Silent).expect("nothing goes wrong");
    (run, outcome)
}

/// Resumes a run without faults and trains it to its end.
pub(crate) fn resume(directory: &Path) -> (Run, Outcome) {
    let mut run = Run::resume_with(directory, &parts()).expect("the run can be resumed");
    let outcome = run.train(&mut Silent).expect("nothing goes wrong");
    (run, outcome)
}

pub(crate) fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).expect("a run has this file")
}

/// The names of the checkpoints, oldest first.
pub(crate) fn checkpoints(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory.join("checkpoints")).expect("a run has checkpoints");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII")).collect();
    names.sort();
    names
}

/// Asserts that two runs made the same numbers and the same networks.
pub(crate) fn assert_same(a: (&Path, &Run), b: (&Path, &Run)) {
    assert_eq!(a.1.policy_parameters(), b.1.policy_parameters());
    assert_same_files(a.0, b.0);
}

/// Asserts that two runs left the same numbers and the same networks behind.
pub(crate) fn assert_same_files(a: &Path, b: &Path) {
    for name in ["metrics.csv", "eval.csv"] {
        assert_eq!(read(a, name), read(b, name), "{name} differs");
    }
    assert_eq!(checkpoints(a), checkpoints(b));
    for checkpoint in checkpoints(a) {
        let path = |directory: &Path, name: &str| directory.join("checkpoints").join(&checkpoint).join(name);
        let bytes = |directory: &Path| fs::read(path(directory, "replay.bin")).expect("a checkpoint");
        assert!(bytes(a) == bytes(b), "{checkpoint}/replay.bin differs");
        let tensors = |directory: &Path| tensors(&path(directory, "learner.safetensors"));
        assert!(tensors(a) == tensors(b), "{checkpoint}/learner.safetensors differs");
    }
}

/// The header and the data of a safetensors file: the header's order says nothing.
fn tensors(path: &Path) -> (serde_json::Value, Vec<u8>) {
    let bytes = fs::read(path).expect("a checkpoint");
    let (length, rest) = bytes.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let (header, data) = rest.split_at(length);
    (serde_json::from_slice(header).expect("a JSON header"), data.to_vec())
}

/// The error's message followed by those of its causes.
pub(crate) fn chain(error: &AgentError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Collects what it is told, and asks to stop after a number of episodes.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    pub(crate) stop_after: Option<usize>,
    pub(crate) episodes: Vec<mpo_agent::EpisodeRow>,
    pub(crate) evaluations: Vec<mpo_agent::EvaluationSummary>,
    pub(crate) checkpoints: Vec<u64>,
    pub(crate) warnings: Vec<String>,
}

impl Observer for Watcher {
    fn on_episode(&mut self, row: &mpo_agent::EpisodeRow) {
        self.episodes.push(row.clone());
    }

    fn on_evaluation(&mut self, summary: &mpo_agent::EvaluationSummary) {
        self.evaluations.push(summary.clone());
    }

    fn on_checkpoint(&mut self, step: u64, path: &Path) {
        assert!(path.join("MANIFEST.json").is_file());
        self.checkpoints.push(step);
    }

    fn on_warning(&mut self, warning: &mpo_agent::Warning) {
        self.warnings.push(warning.to_string());
    }

    fn should_stop(&self) -> bool {
        self.stop_after.is_some_and(|episodes| self.episodes.len() >= episodes)
    }
}
