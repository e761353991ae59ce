//! Holding the Atari environments against a recording of `ale_py` made by `tests/atari/record.py`.

use std::collections::BTreeMap;

use mpo_envs::atari::{Atari, AtariOptions, Resize};
use mpo_envs::{Environment, StepType};
use serde_json::Value;

use crate::actions::SplitMix64;

/// Frames of a stack of ALE's vector environment.
const STACK: usize = 4;

/// How many of a quantity's checkpoints were equal, and the step of the first that was not.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) compared: usize,
    pub(crate) equal: usize,
    pub(crate) first_unequal: Option<usize>,
}

/// Checksums that run from the first step on, by quantity.
struct Digests<'a> {
    recorded: &'a Value,
    every: usize,
    running: BTreeMap<&'static str, crc32fast::Hasher>,
    compared: BTreeMap<&'static str, Comparison>,
}

impl Digests<'_> {
    fn add(&mut self, name: &'static str, step: usize, seen: &[u8]) {
        let hasher = self.running.entry(name).or_default();
        hasher.update(seen);
        if !step.is_multiple_of(self.every) {
            return;
        }
        let recorded = &self.recorded[name][step / self.every - 1];
        let equal = recorded.as_u64() == Some(u64::from(hasher.clone().finalize()));
        let comparison = self.compared.entry(name).or_default();
        comparison.compared += 1;
        comparison.equal += usize::from(equal);
        if !equal {
            comparison.first_unequal.get_or_insert(step);
        }
    }
}

/// Plays a recording's actions in environments of the same game, and compares what they see; stacks up to the step `stacked`.
pub(crate) fn replay(record: &Value, stacked: usize) -> BTreeMap<&'static str, Comparison> {
    let number = |key: &str| usize::try_from(record[key].as_u64().expect(key)).expect("it fits");
    let game = record["game"].as_str().expect("a name");
    let (steps, every, seed) = (number("steps"), number("every"), number("seed"));
    let sticky = record["sticky"].as_f64().expect("a number") as f32;
    let options = |resize| AtariOptions { resize, no_ops: 0..=0, sticky, ..AtariOptions::default() };
    let load = |resize| Atari::load(game, seed as u32, &options(resize)).expect("a game");
    let mut digests =
        Digests { recorded: &record["digests"], every, running: BTreeMap::new(), compared: BTreeMap::new() };

    // The single frames of the step, as DQN Zoo makes them.
    let mut environment = load(Resize::Bilinear);
    let actions = actions(seed, steps, environment.actions().len());
    environment.reset().expect("a reset");
    for (step, action) in (1..).zip(&actions) {
        let answer = environment.step(&[*action]).expect("a step");
        let (reward, over) = (answer.reward, answer.step_type == StepType::Last);
        digests.add("rewards", step, &(reward as i32).to_le_bytes());
        digests.add("over", step, &[u8::from(over)]);
        digests.add("frames", step, answer.frame);
        digests.add("lives", step, &[environment.lives() as u8]);
        digests.add("screens", step, environment.screen_values());
        digests.add("memory", step, &environment.ram());
    }

    // Stacks of frames as ALE's vector environment makes them, which begins each with empty ones.
    let mut environment = load(Resize::Area);
    let mut stack = vec![0; STACK * 84 * 84];
    let mut push = |frame: &[u8], first: bool| -> Vec<u8> {
        if first {
            stack.fill(0);
        }
        stack.drain(..frame.len());
        stack.extend_from_slice(frame);
        stack.clone()
    };
    push(environment.reset().expect("a reset").frame, true);
    for (step, action) in (1..).zip(&actions).take(stacked) {
        let answer = environment.step(&[*action]).expect("a step");
        let seen = push(answer.frame, answer.step_type == StepType::First);
        let over = answer.step_type == StepType::Last;
        digests.add("vector_rewards", step, &(answer.reward as i32).to_le_bytes());
        digests.add("stacks", step, if over { &[] } else { &seen });
        digests.add("vector_lives", step, &[environment.lives() as u8]);
    }
    digests.compared
}

/// Indices uniform below `count`.
fn actions(seed: usize, steps: usize, count: usize) -> Vec<f64> {
    let mut generator = SplitMix64(seed as u64);
    (0..steps).map(|_| (generator.uniform() * count as f64).floor()).collect()
}
