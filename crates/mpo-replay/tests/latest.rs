//! The newest transitions, in order: what an on-policy learner trains on.

use mpo_replay::{Batch, Layout, ReplayBuffer, ReplayError, TrajectoryWriter};

const LAYOUT: Layout = Layout { observation: 2, action: 1 };

/// Pushes the transitions `numbers`, each of which tells its number; an episode ends after every `episode` of them.
fn push(writer: &mut TrajectoryWriter, numbers: std::ops::Range<u16>, episode: u16) {
    for number in numbers {
        let value = f32::from(number);
        if !writer.in_episode() {
            writer.begin(&[value, 0.0]);
        }
        let last = (number + 1).is_multiple_of(episode);
        writer.push(&[value], -value, value, if last { 0.0 } else { 1.0 }, &[value + 1.0, 0.0], last);
    }
}

#[allow(clippy::float_cmp, reason = "small integers are exact")]
fn check(batch: &Batch, expected: impl Iterator<Item = u16>, steps: usize, episode: u16) {
    let numbers: Vec<f32> = expected.map(f32::from).collect();
    assert_eq!(batch.rewards, numbers);
    assert_eq!(batch.actions, numbers);
    assert_eq!(batch.log_probs, numbers.iter().map(|number| -number).collect::<Vec<_>>());
    assert_eq!(batch.lengths.len(), batch.windows);
    for (window, next) in batch.iter().zip(batch.iter().skip(1).map(Some).chain([None])) {
        let len = window.rewards.len();
        assert!(len >= 1 && len <= steps);
        for (step, reward) in window.rewards.iter().enumerate() {
            assert_eq!(window.observations[2 * step], *reward);
            assert_eq!(window.observations[2 * step + 2], *reward + 1.0);
            let ends = (*reward as u16 + 1).is_multiple_of(episode);
            assert_eq!(window.discounts[step], if ends { 0.0 } else { 1.0 });
            assert!(!ends || step + 1 == len, "a window ends with its episode");
        }
        let cut = window.rewards[len - 1] as u16 + 1;
        let goes_on = next.is_some_and(|next| next.rewards[0] == f32::from(cut));
        assert!(len == steps || cut.is_multiple_of(episode) || !goes_on, "a window is as long as it may be");
    }
}

#[test]
fn every_transition_is_there_once_and_in_order() {
    for (capacity, episode) in [(200, 7), (40, 7), (40, 1), (60, 1_000)] {
        let buffer = ReplayBuffer::new(LAYOUT, capacity, 1);
        let mut writer = buffer.writer(0).expect("the lane is free");
        let mut batch = Batch::new();
        for round in 1..=12_u16 {
            push(&mut writer, 16 * (round - 1)..16 * round, episode);
            for (wanted, steps) in [(1, 1), (5, 3), (16, 8), (16, 100)] {
                buffer.latest(usize::from(wanted), steps, &mut batch).expect("enough is stored");
                check(&batch, 16 * round - wanted..16 * round, steps, episode);
                assert_eq!(batch.redrawn, 0, "nobody writes meanwhile");
            }
        }
    }
}

#[test]
fn lanes_come_one_after_the_other() {
    let buffer = ReplayBuffer::new(LAYOUT, 50, 3);
    let mut batch = Batch::new();
    for lane in 0..3_u16 {
        let mut writer = buffer.writer(usize::from(lane)).expect("the lane is free");
        push(&mut writer, 1_000 * lane..1_000 * lane + 30, 11);
        // An episode without a transition, and one that has just begun.
        writer.begin(&[0.0; 2]);
        writer.begin(&[0.0; 2]);
    }
    buffer.latest(20, 6, &mut batch).expect("enough is stored");
    let numbers = (0..3).flat_map(|lane| 1_000 * lane + 10..1_000 * lane + 30);
    check(&batch, numbers, 6, 11);
    let lanes: Vec<usize> = batch.keys.iter().map(mpo_replay::Key::lane).collect();
    assert!(lanes.is_sorted() && lanes.contains(&2));
}

#[test]
fn too_few_are_an_error_that_names_the_lane() {
    let buffer = ReplayBuffer::new(LAYOUT, 9, 2);
    let mut batch = Batch::new();
    push(&mut buffer.writer(0).expect("the lane is free"), 0..9, 100);
    let error = buffer.latest(4, 2, &mut batch).expect_err("lane 1 is empty");
    assert!(matches!(error, ReplayError::TooFew { lane: 1, stored: 0, wanted: 4 }), "{error}");
    assert!(batch.lengths.is_empty() && batch.rewards.is_empty());
    // Ten states, of which episodes of two steps take three: six transitions and a first state after the oldest.
    push(&mut buffer.writer(1).expect("the lane is free"), 0..40, 2);
    let stored = buffer.statistics().lanes[1].stored;
    assert!(buffer.latest(stored as usize, 2, &mut batch).is_ok());
    let error = buffer.latest(stored as usize + 1, 2, &mut batch).expect_err("one more than is stored");
    assert!(error.to_string().starts_with(&format!("lane 1 stores {stored} transitions, {} were", stored + 1)));
}
