//! The environments give the same episodes as `dm_control`, recorded by `alignment/record.py`.

use std::path::{Path, PathBuf};

use mpo_envs::{StepType, suite};
use serde_json::Value;

#[path = "common/actions.rs"]
mod actions;
mod common;
use actions::SplitMix64;

const TOLERANCE: f64 = 1e-9;

/// How far numbers were from the recorded ones.
#[derive(Default)]
struct Distance {
    compared: usize,
    equal: usize,
    largest: f64,
}

impl Distance {
    fn compare(&mut self, ours: f64, recorded: f64) {
        self.compared += 1;
        self.equal += usize::from(ours.to_bits() == recorded.to_bits());
        let difference = (ours - recorded).abs();
        if difference > self.largest || difference.is_nan() {
            self.largest = difference;
        }
    }

    fn report(&self) -> String {
        let share = 100.0 * self.equal as f64 / self.compared.max(1) as f64;
        format!("{} numbers, {share:.2}% bit-equal, largest difference {:.1e}", self.compared, self.largest)
    }
}

fn numbers(text: &Value) -> Vec<f64> {
    let text = text.as_str().expect("hexadecimal text");
    let word = |start: usize| u64::from_str_radix(&text[start..start + 16], 16).expect("16 hexadecimal digits");
    (0..text.len()).step_by(16).map(|start| f64::from_bits(word(start))).collect()
}

fn count(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

fn replay(record: &Value) -> (Distance, Distance) {
    let seed = u32::try_from(count(&record["seed"])).expect("a seed");
    let mut environment = suite::load(record["task"].as_str().expect("a task"), seed).expect("the task loads");
    let spec = environment.spec().clone();
    let parts: Vec<_> = spec.observation.iter().map(|part| serde_json::json!([part.name, part.len])).collect();
    assert_eq!(Value::from(parts), record["parts"], "names and lengths of the observation's parts");
    assert_eq!(spec.action_minimum, numbers(&record["action_minimum"]));
    assert_eq!(spec.action_maximum, numbers(&record["action_maximum"]));
    assert_eq!(vec![spec.control_timestep], numbers(&record["control_timestep"]));

    let mut generator = SplitMix64(record["action_seed"].as_u64().expect("a seed"));
    let mut action = vec![0.0; spec.action_len()];
    let (mut observations, mut rewards) = (Distance::default(), Distance::default());
    for episode in record["episodes"].as_array().expect("episodes") {
        let mut recorded = numbers(&episode["observations"]).into_iter();
        let mut compare = |observation: &[f64]| {
            for value in observation {
                observations.compare(*value, recorded.next().expect("as many observations as recorded"));
            }
        };
        let mut recorded_rewards = numbers(&episode["rewards"]).into_iter();
        let first = environment.reset().expect("a reset");
        assert_eq!((first.step_type, first.reward, first.discount), (StepType::First, 0.0, 1.0));
        compare(first.observation);
        let (mut steps, mut total) = (0, 0.0);
        loop {
            generator.action(&spec, &mut action);
            let step = environment.step(&action).expect("a step");
            steps += 1;
            total += step.reward;
            if steps % count(&record["reward_every"]) == 0 {
                rewards.compare(step.reward, recorded_rewards.next().expect("as many rewards as recorded"));
            }
            if steps % count(&record["observation_every"]) == 0 {
                compare(step.observation);
            }
            if step.step_type == StepType::Last {
                assert_eq!(Some(step.discount), episode["discount"].as_f64(), "discount at the end");
                break;
            }
        }
        assert_eq!(steps, count(&episode["steps"]), "length of the episode");
        assert!(recorded.next().is_none() && recorded_rewards.next().is_none(), "nothing recorded is left");
        let recorded_return = numbers(&episode["return"])[0];
        assert!((total - recorded_return).abs() <= TOLERANCE, "return {total} is not {recorded_return}");
    }
    (observations, rewards)
}

/// The recorded files: those committed, or all in the folder that `MPO_ALIGNMENT` names.
fn records() -> Vec<PathBuf> {
    let committed = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/alignment");
    let folder = std::env::var_os("MPO_ALIGNMENT").map_or_else(committed, PathBuf::from);
    let entries = std::fs::read_dir(&folder).expect("the folder of recorded trajectories");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
#[allow(clippy::print_stdout, reason = "the report is read with --nocapture")]
fn every_task_replays_dm_control() {
    if !common::mujoco_is_here() {
        return;
    }
    let files = records();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a recorded trajectory");
        let (observations, rewards) = replay(&serde_json::from_str(&text).expect("JSON"));
        let name = file.file_stem().expect("a name").to_string_lossy();
        println!("{name}: observations {}; rewards {}", observations.report(), rewards.report());
        assert!(observations.largest <= TOLERANCE, "{name}: observations: {}", observations.report());
        assert!(rewards.largest <= TOLERANCE, "{name}: rewards: {}", rewards.report());
    }
    if std::env::var_os("MPO_ALIGNMENT").is_none() {
        let names: Vec<_> = files.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
        let tasks: Vec<_> = suite::tasks().iter().map(|task| task.name).collect();
        assert_eq!(names, tasks, "one recorded file for every task");
    }
}
