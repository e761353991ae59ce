//! Holding an environment against a recording of `dm_control` made by `tests/alignment/record.py`.

use mpo_envs::{StepType, suite};
use serde_json::Value;

use crate::actions::SplitMix64;

/// What a number may be off.
pub(crate) const TOLERANCE: f64 = 1e-9;

/// How far numbers were from the recorded ones.
#[derive(Debug, Default)]
pub(crate) struct Distance {
    pub(crate) compared: usize,
    pub(crate) equal: usize,
    pub(crate) largest: f64,
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

    pub(crate) fn report(&self) -> String {
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

/// Plays the recorded actions; returns how far observations and rewards were from the recorded ones.
///
/// # Panics
///
/// If anything but these numbers differs: names, bounds, lengths of episodes, the return.
pub(crate) fn replay(record: &Value) -> (Distance, Distance) {
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
