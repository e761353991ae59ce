//! Random play as bits, to be compared.

use mpo_envs::Environment;

use crate::actions::SplitMix64;

/// Resets, then makes `steps` random steps, into new episodes where one ends; returns all observations and rewards as bits.
pub(crate) fn trajectory(environment: &mut dyn Environment, steps: usize, action_seed: u64) -> Vec<u64> {
    let spec = environment.spec().clone();
    let mut generator = SplitMix64(action_seed);
    let mut action = vec![0.0; spec.action_len()];
    let mut bits: Vec<u64> = environment.reset().expect("a reset").observation.iter().map(|x| x.to_bits()).collect();
    for _ in 0..steps {
        generator.action(&spec, &mut action);
        let step = environment.step(&action).expect("a step");
        bits.push(step.reward.to_bits());
        bits.extend(step.observation.iter().map(|x| x.to_bits()));
    }
    bits
}
