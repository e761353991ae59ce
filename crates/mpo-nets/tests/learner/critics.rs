//! Two critics, of which the lesser value counts, and targets of several steps.

use std::collections::HashMap;

use mpo_nets::{Algorithm, LearnerConfig, LearnerStep, UpdateStats};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Data, learner, settings, small};

type Arrays = Vec<(String, Vec<usize>, Vec<u8>)>;

/// A checkpoint's arrays, each value changed, and its numbers.
fn arrays(bytes: &[u8], change: impl Fn(&str, f32) -> f32) -> (Arrays, String) {
    let arrays = SafeTensors::deserialize(bytes).expect("a checkpoint");
    let (_, metadata) = SafeTensors::read_metadata(bytes).expect("a checkpoint");
    let data = arrays.tensors().into_iter().map(|(name, view)| {
        let values = view.data().as_chunks::<4>().0.iter().map(|bytes| change(&name, f32::from_le_bytes(*bytes)));
        let bytes = values.flat_map(f32::to_le_bytes).collect();
        (name, view.shape().to_vec(), bytes)
    });
    (data.collect(), metadata.metadata().as_ref().expect("numbers")["numbers"].clone())
}

/// The checkpoint of these, under other names.
fn checkpoint(data: &Arrays, numbers: &str, rename: impl Fn(&str) -> String) -> Vec<u8> {
    let views = data.iter().map(|(name, shape, bytes)| {
        (rename(name), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many numbers"))
    });
    let metadata = HashMap::from([("numbers".to_owned(), rename(numbers))]);
    safetensors::serialize(views, Some(metadata)).expect("arrays serialise")
}

/// A checkpoint of two critics with `change` added to the second's target values, and the same with the critics' places
/// exchanged: a learner of one critic reads the second's there.
fn with_second_critic(bytes: &[u8], change: f32) -> [Vec<u8>; 2] {
    let (data, numbers) =
        arrays(bytes, |name, value| if name == "critic_2.target.head.bias" { value + change } else { value });
    let exchanged = |name: &str| {
        let [first, second, between] = ["critic.", "critic_2.", "?."];
        name.replace(first, between).replace(second, first).replace(between, second)
    };
    [checkpoint(&data, &numbers, str::to_owned), checkpoint(&data, &numbers, exchanged)]
}

/// Where one of two critics' target values lie far below the other's, all that follows is that of this critic alone.
#[test]
fn of_two_critics_the_lesser_value_counts() {
    for algorithm in [Algorithm::Mpo, Algorithm::Epg, Algorithm::Ddpg] {
        let (network, mut config) = settings(algorithm);
        config.discount = 0.9;
        let mut one = learner(&network, &config, 3);
        let mut pair = learner(&network, &LearnerConfig { critics: 2, ..config }, 3);
        assert!(pair.flops(100, 10) > one.flops(100, 10), "a second critic takes products");
        let data = Data::new(0);
        for _ in 0..25 {
            pair.update(&data.view()).expect("finite");
        }
        let bytes = pair.save();
        for (change, least) in [(-20.0, 1), (20.0, 0)] {
            let checkpoints = with_second_critic(&bytes, change);
            pair.load(&checkpoints[0]).expect("its own arrays");
            one.load(&checkpoints[least]).expect("a critic of its shape");
            let (both, alone) =
                [&mut pair, &mut one].map(|learner| learner.update(&data.view()).expect("finite")).into();
            let found = |stats: UpdateStats| (stats.target_mean, stats.kl_q, stats.temperature);
            assert_eq!(found(both), found(alone), "{algorithm:?}, the second critic changed by {change}");
        }
    }
}

/// With target values of zero a target is the sum of its own rewards, discounted.
#[test]
fn n_steps_take_the_place_of_retrace() {
    let data = Data::new(2);
    let discounted = |steps: usize| {
        let (mut sum, mut start) = (0.0, 0);
        for length in data.lengths.iter().map(|&length| length as usize) {
            for t in start..start + length {
                let mut factor = 1.0;
                for k in t..(t + steps).min(start + length) {
                    sum += factor * data.rewards[k];
                    factor *= 0.9 * data.discounts[k];
                }
            }
            start += length;
        }
        sum / start as f32
    };
    for algorithm in [Algorithm::Mpo, Algorithm::Ddpg] {
        let (network, mut config) = settings(algorithm);
        config.discount = 0.9;
        for steps in [1, 3, 100] {
            config.n_step = Some(steps);
            let mut learner = learner(&network, &config, 3);
            let (data_without, numbers) =
                arrays(&learner.save(), |name, value| if name.starts_with("critic.target.head") { 0.0 } else { value });
            learner.load(&checkpoint(&data_without, &numbers, str::to_owned)).expect("its own arrays");
            let found = learner.update(&data.view()).expect("finite").target_mean;
            assert!((found - discounted(steps)).abs() < 1e-5, "{algorithm:?}, {steps} steps: {found}");
        }
        // One step is what DDPG has without, and Retrace with every trace cut.
        let trained = |n_step, retrace_lambda| {
            let mut learner = learner(&network, &LearnerConfig { n_step, retrace_lambda, ..config.clone() }, 3);
            for _ in 0..5 {
                learner.update(&data.view()).expect("finite");
            }
            learner.save()
        };
        assert!(trained(Some(1), 1.0) == trained(None, 0.0), "{algorithm:?}");
        assert_eq!(trained(Some(1), 1.0) == trained(None, 1.0), algorithm == Algorithm::Ddpg, "{algorithm:?}");
    }
}

#[test]
fn two_critics_begin_apart_and_both_learn() {
    let config = LearnerConfig { critics: 2, target_period: 2, ..LearnerConfig::default() };
    let mut pair = learner(&small(), &config, 3);
    let weights = |learner: &dyn LearnerStep, name: &str| {
        let bytes = learner.save();
        let arrays = safetensors::SafeTensors::deserialize(&bytes).expect("a checkpoint");
        arrays.tensor(&format!("{name}.hidden.weight")).expect("a critic").data().to_vec()
    };
    let before = ["critic", "critic_2"].map(|name| weights(&*pair, &format!("{name}.online")));
    assert!(before[0] != before[1], "drawn apart");
    let alone = learner(&small(), &LearnerConfig::default(), 3);
    assert!(before[0] == weights(&*alone, "critic.online"), "the first begins as if it were alone");
    pair.update(&Data::new(0).view()).expect("finite");
    let of = |pair: &dyn LearnerStep, part: &str| {
        ["critic", "critic_2"].map(|name| weights(pair, &format!("{name}.{part}")))
    };
    for (before, (online, target)) in before.iter().zip(of(&*pair, "online").iter().zip(of(&*pair, "target"))) {
        assert!(before != online && *before == target, "both learn, and their targets wait");
    }
    pair.update(&Data::new(1).view()).expect("finite");
    assert!(of(&*pair, "online") == of(&*pair, "target"), "both targets follow");
}
