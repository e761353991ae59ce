//! What a caller may rely on, one claim per test.

use mpo_replay::{
    Action, ActionLayout, Batch, Frames, Layout, Observation, Outcome, ReplayBuffer, ReplayError, Section, StepType,
    TrajectoryWriter, TransitionLayout,
};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 3, action: 1 };

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// Pushes an episode of `len` transitions whose every number tells the episode and the step.
fn episode(writer: &mut TrajectoryWriter, number: u16, len: u16, discount_at_end: f32) {
    let state = |step: u16| [f32::from(number), f32::from(step), f32::from(number) * 1000.0 + f32::from(step)];
    writer.begin(&state(0));
    for step in 1..=len {
        let last = step == len;
        let discount = if last { discount_at_end } else { 1.0 };
        writer.push(&[f32::from(step)], -f32::from(step), f32::from(number), discount, &state(step), last);
    }
}

fn filled(capacity: usize) -> ReplayBuffer {
    let buffer = ReplayBuffer::new(LAYOUT, capacity, 2);
    for lane in 0..2_u16 {
        let mut writer = buffer.writer(usize::from(lane)).expect("the lane is free");
        for number in 0..7 {
            let discount = f32::from(number % 2);
            episode(&mut writer, 10 * lane + number, 3 + number, discount);
        }
    }
    buffer
}

#[test]
#[allow(clippy::float_cmp, reason = "small integers are exact")]
fn windows_hold_consecutive_steps_of_one_episode() {
    let buffer = filled(100);
    let (mut batch, mut rng) = (Batch::new(), rng(1));
    let mut seen_cut = [false; 2];
    for _ in 0..50 {
        buffer.sample(&mut rng, 64, 4, &mut batch).expect("the buffer is filled");
        assert_eq!(batch.windows, 64);
        assert_eq!(batch.lengths.iter().sum::<u32>() as usize, batch.rewards.len());
        assert_eq!(batch.observations.len(), 3 * (batch.rewards.len() + 64));
        assert_eq!(batch.iter().len(), 64);
        for window in &batch {
            let len = window.rewards.len();
            let states: Vec<&[f32]> = window.observations.chunks(3).collect();
            let (number, start) = (states[0][0], states[0][1]);
            let episode_len = 3.0 + number % 10.0;
            assert_eq!(len as f32, (episode_len - start).min(4.0), "cut only where the episode ends");
            for (step, state) in states.iter().enumerate() {
                assert_eq!(*state, [number, start + step as f32, number * 1000.0 + start + step as f32]);
            }
            for (step, step_type) in window.step_types.iter().enumerate() {
                let time = start + step as f32;
                let ends = if time == episode_len { StepType::Last } else { StepType::Mid };
                assert_eq!(*step_type, if time == 0.0 { StepType::First } else { ends });
            }
            assert_eq!(window.step_types.len(), len + 1);
            for step in 0..len {
                let time = start + 1.0 + step as f32;
                let ends = time == episode_len;
                let discount = if ends { number % 10.0 % 2.0 } else { 1.0 };
                assert_eq!(window.actions[step], time);
                assert_eq!(window.log_probs[step], -time);
                assert_eq!(window.rewards[step], number);
                assert_eq!(window.discounts[step], discount);
                if ends {
                    seen_cut[discount as usize] = true;
                }
            }
        }
    }
    assert_eq!(seen_cut, [true; 2], "both a termination and a time limit were sampled");
}

#[test]
fn the_newest_transitions_are_kept() {
    let buffer = ReplayBuffer::new(LAYOUT, 10, 1);
    let mut writer = buffer.writer(0).expect("the lane is free");
    writer.begin(&[0.0; 3]);
    for pushed in 1..=25_u16 {
        writer.push(&[f32::from(pushed)], 0.0, f32::from(pushed), 1.0, &[0.0; 3], false);
        assert_eq!(buffer.len(), usize::from(pushed.min(10)));
        assert_eq!(buffer.inserted(), u64::from(pushed));
    }
    let mut batch = Batch::new();
    buffer.sample(&mut rng(2), 500, 1, &mut batch).expect("the buffer is filled");
    let mut found: Vec<u16> = batch.rewards.iter().map(|reward| *reward as u16).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, (16..=25).collect::<Vec<_>>());

    // The first state of a second episode takes one place.
    episode(&mut writer, 1, 4, 0.0);
    assert_eq!((buffer.len(), buffer.inserted()), (9, 29));
}

#[test]
fn a_transition_can_be_sampled_at_once() {
    let buffer = ReplayBuffer::new(LAYOUT, 10, 1);
    let (mut batch, mut rng) = (Batch::new(), rng(3));
    let mut writer = buffer.writer(0).expect("the lane is free");
    let empty = buffer.sample(&mut rng, 1, 1, &mut batch);
    assert!(matches!(empty, Err(ReplayError::Empty { lanes: 1 })), "{empty:?}");
    writer.begin(&[1.0; 3]);
    writer.begin(&[2.0; 3]);
    assert!(buffer.is_empty(), "first states are no transitions");
    let empty = buffer.sample(&mut rng, 1, 1, &mut batch);
    assert!(matches!(empty, Err(ReplayError::Empty { .. })), "{empty:?}");
    assert!(batch.lengths.is_empty() && batch.observations.is_empty());
    writer.push(&[0.0], 0.0, 0.5, 1.0, &[3.0; 3], false);
    buffer.sample(&mut rng, 2, 5, &mut batch).expect("one transition is stored");
    assert_eq!(batch.lengths, [1, 1]);
    assert_eq!(batch.observations, [2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0]);
}

#[test]
fn one_transition_among_first_states_is_found() {
    let buffer = ReplayBuffer::new(LAYOUT, 1_000, 3);
    let mut writer = buffer.writer(1).expect("the lane is free");
    for _ in 0..400 {
        writer.begin(&[0.0; 3]);
    }
    writer.push(&[7.0], 0.0, 0.0, 1.0, &[0.0; 3], true);
    for _ in 0..400 {
        writer.begin(&[0.0; 3]);
    }
    let mut batch = Batch::new();
    buffer.sample(&mut rng(4), 20, 2, &mut batch).expect("one transition is stored");
    assert_eq!(batch.actions, [7.0; 20]);
}

#[test]
fn the_same_generator_gives_the_same_batch() {
    let buffer = filled(20);
    let (mut one, mut two) = (Batch::new(), Batch::new());
    buffer.sample(&mut rng(5), 1, 1, &mut two).expect("the buffer is filled");
    buffer.sample(&mut rng(6), 100, 5, &mut one).expect("the buffer is filled");
    buffer.sample(&mut rng(6), 100, 5, &mut two).expect("the buffer is filled");
    assert!(one.iter().eq(two.iter()));
    buffer.sample(&mut rng(7), 100, 5, &mut two).expect("the buffer is filled");
    assert!(one.iter().ne(two.iter()));
}

#[test]
fn a_warm_batch_keeps_its_memory() {
    let buffer = filled(20);
    let (mut batch, mut rng) = (Batch::new(), rng(8));
    let places = |batch: &Batch| {
        let Batch { lengths, observations, actions, rewards, discounts, log_probs, .. } = batch;
        let floats = [observations, actions, rewards, discounts, log_probs];
        (lengths.as_ptr(), lengths.capacity(), floats.map(|array| (array.as_ptr(), array.capacity())))
    };
    buffer.sample(&mut rng, 100, 5, &mut batch).expect("the buffer is filled");
    let before = places(&batch);
    for windows in 1..=100 {
        buffer.sample(&mut rng, windows, 5, &mut batch).expect("the buffer is filled");
        assert_eq!(places(&batch), before);
    }
}

#[test]
fn a_lane_has_one_writer() {
    let buffer = ReplayBuffer::new(LAYOUT, 10, 2);
    let writer = buffer.writer(1).expect("the lane is free");
    assert!(matches!(buffer.writer(1), Err(ReplayError::LaneTaken { lane: 1 })));
    assert!(matches!(buffer.writer(2), Err(ReplayError::LaneOutOfRange { lane: 2, lanes: 2 })));
    drop(writer);
    let mut writer = buffer.writer(1).expect("the lane was freed");
    assert!(!writer.in_episode());
    writer.begin(&[0.0; 3]);
    drop(writer);
    let mut writer = buffer.writer(1).expect("the lane was freed");
    assert!(writer.in_episode(), "a new writer may go on with the episode");
    writer.push(&[0.0], 0.0, 0.0, 0.0, &[0.0; 3], true);
    drop(writer);
    assert!(!buffer.writer(1).expect("the lane was freed").in_episode());
}

#[test]
#[should_panic(expected = "push without an episode under way in lane 0")]
fn a_push_after_the_last_step_panics() {
    let buffer = ReplayBuffer::new(LAYOUT, 10, 1);
    let mut writer = buffer.writer(0).expect("the lane is free");
    episode(&mut writer, 0, 1, 1.0);
    writer.push(&[0.0], 0.0, 0.0, 1.0, &[0.0; 3], false);
}

#[test]
#[should_panic(expected = "an observation of 2 numbers, the layout has 3")]
fn a_wrong_shape_panics() {
    ReplayBuffer::new(LAYOUT, 10, 1).writer(0).expect("the lane is free").begin(&[0.0; 2]);
}

#[test]
fn a_restored_buffer_continues_as_the_saved_one() {
    for capacity in [1, 5, 20, 1_000] {
        let saved = filled(capacity);
        // Mid-episode, as a checkpoint by the clock would find it.
        let mut writer = saved.writer(1).expect("the lane is free");
        writer.begin(&[1.0, 2.0, 3.0]);
        writer.push(&[4.0], 5.0, 6.0, 1.0, &[7.0, 8.0, 9.0], false);
        let mut bytes = Vec::new();
        saved.save(&mut bytes).expect("a vector takes every byte");
        let loaded = ReplayBuffer::load_matching(&mut &bytes[..], LAYOUT, capacity, 2).expect("just saved");
        let mut other = loaded.writer(1).expect("the lane is free");
        for buffer in [&saved, &loaded] {
            buffer.writer(0).expect("the lane is free").begin(&[0.25; 3]);
        }

        let (mut one, mut two) = (Batch::new(), Batch::new());
        for round in 0..200_u16 {
            assert_eq!(saved.len(), loaded.len());
            assert_eq!(saved.inserted(), loaded.inserted());
            saved.sample(&mut rng(round.into()), 16, 3, &mut one).expect("the buffer is filled");
            loaded.sample(&mut rng(round.into()), 16, 3, &mut two).expect("the buffer is filled");
            assert!(one.iter().eq(two.iter()), "round {round}");
            for writer in [&mut writer, &mut other] {
                if !writer.in_episode() {
                    writer.begin(&[f32::from(round); 3]);
                }
                writer.push(&[0.5], -0.5, f32::from(round), 1.0, &[f32::from(round); 3], round % 17 == 0);
            }
        }
        let mut again = Vec::new();
        saved.save(&mut bytes).expect("a vector takes every byte");
        loaded.save(&mut again).expect("a vector takes every byte");
        assert!(bytes.ends_with(&again), "both save the same bytes");
    }
}

#[test]
fn damage_is_named() {
    let mut bytes = Vec::new();
    filled(20).save(&mut bytes).expect("a vector takes every byte");
    let load = |bytes: &[u8]| ReplayBuffer::load(&mut &bytes[..]).expect_err("damaged");

    // Every proper prefix is an error that says so.
    for len in 0..bytes.len() {
        let error = load(&bytes[..len]);
        assert!(matches!(error, ReplayError::Truncated { .. }), "cut at {len}: {error}");
    }
    // Every flipped byte is noticed.
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = load(&damaged);
        let expected = match at {
            0..8 => matches!(error, ReplayError::NotReplay { .. }),
            8..12 => matches!(error, ReplayError::Version { .. }),
            12..72 => matches!(error, ReplayError::Checksum { section: Section::Header, .. }),
            _ if at < bytes.len() - 8 => matches!(error, ReplayError::Checksum { section: Section::Lane(_), .. }),
            _ => matches!(error, ReplayError::Inconsistent { section: Section::End, .. }),
        };
        assert!(expected, "byte {at}: {error}");
    }
    let error = ReplayBuffer::load_matching(&mut &bytes[..], LAYOUT, 21, 2).expect_err("another capacity");
    assert!(matches!(error, ReplayError::Mismatch { field: "capacity per lane", found: 20, expected: 21 }));
}

#[test]
fn frames_are_stacked_when_sampled() {
    let layout = TransitionLayout {
        observation: 1,
        frames: Some(Frames { bytes: 9, stack: 4 }),
        action: ActionLayout::Discrete(18),
    };
    let frame = |episode: u8, step: u8| [episode, step, 3, 4, 5, 6, 7, 8, episode ^ step];
    for capacity in [6, 40] {
        let buffer = ReplayBuffer::new(layout, capacity, 1);
        let mut writer = buffer.writer(0).expect("the lane is free");
        let (mut batch, mut rng) = (Batch::new(), rng(9));
        for number in 0..6 {
            writer.begin_with(Observation { vector: &[0.0], frame: &frame(number, 0) });
            for step in 1..=9 {
                let outcome = Outcome { log_prob: 0.0, reward: 0.0, discount: 1.0, last: step == 9 };
                let next = Observation { vector: &[f32::from(step)], frame: &frame(number, step) };
                writer.push_with(Action::Discrete(step.into()), outcome, next);
                buffer.sample(&mut rng, 8, 2, &mut batch).expect("a transition is stored");
                for window in &batch {
                    assert!(window.actions.is_empty());
                    for (row, stack) in window.frames.chunks(4 * 9).enumerate() {
                        let time = window.observations[row] as u8;
                        let number = stack[3 * 9];
                        let expected = [3, 2, 1, 0].map(|back| frame(number, time.saturating_sub(back)));
                        assert_eq!(stack, expected.as_flattened());
                        if row > 0 {
                            assert_eq!(window.discrete_actions[row - 1], u32::from(time));
                        }
                    }
                }
            }
        }
        assert_eq!(buffer.len(), if capacity == 6 { 6 } else { 36 });
    }
}
