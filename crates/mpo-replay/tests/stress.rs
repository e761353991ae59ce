//! Writers and samplers at full speed over a buffer so small that windows are overtaken all the time.
//!
//! `MPO_REPLAY_STRESS=100000000 cargo test --release -p mpo-replay --test stress` makes that many pushes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use mpo_replay::{Batch, Layout, ReplayBuffer, ReplayError};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 7, action: 3 };
const LANES: usize = 2;
const SAMPLERS: u64 = 2;
const EPISODE: u64 = 23;

fn pushes() -> u64 {
    std::env::var("MPO_REPLAY_STRESS").map_or(400_000, |count| count.parse().expect("MPO_REPLAY_STRESS is a number"))
}

/// A hash of what a state is: lane, state number, place in the record. Any mixture of two records fails to match.
fn number(lane: u64, state: u64, place: u64) -> f32 {
    let mut hash = (lane << 56 ^ state << 8 ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (hash >> 40) as f32
}

/// The state's own number and its lane, in the clear, and five checks.
fn observation(lane: u64, state: u64) -> [f32; 7] {
    let clear = [(state & 0xff_ffff) as f32, ((state >> 24) << 4 | lane) as f32];
    std::array::from_fn(|place| if place < 2 { clear[place] } else { number(lane, state, place as u64) })
}

fn action(lane: u64, state: u64) -> [f32; 3] {
    std::array::from_fn(|place| number(lane, state, 7 + place as u64))
}

fn discount(state: u64) -> f32 {
    if state.is_multiple_of(EPISODE) && state.is_multiple_of(2) { 0.0 } else { 1.0 }
}

fn write(buffer: &ReplayBuffer, lane: usize, pushes: u64) {
    let mut writer = buffer.writer(lane).expect("the lane is free");
    let number_of_lane = lane as u64;
    for state in 0..pushes {
        let next = observation(number_of_lane, state);
        // State number k * EPISODE begins an episode that ends with state number (k + 1) * EPISODE - 1.
        if state % EPISODE == 0 {
            writer.begin(&next);
        } else {
            let last = (state + 1) % EPISODE == 0;
            let action = action(number_of_lane, state);
            writer.push(&action, number(number_of_lane, state, 10), state as f32, discount(state), &next, last);
        }
    }
}

#[allow(clippy::float_cmp, reason = "numbers are copied, not computed")]
fn check(batch: &Batch, steps: usize) {
    for window in batch {
        let origin = window.observations[1] as u64;
        let lane = origin & 15;
        let start = origin >> 4 << 24 | window.observations[0] as u64;
        let len = window.rewards.len();
        // The head may cut a window as well as the episode's end.
        assert!(len >= 1 && len <= steps && start % EPISODE + (len as u64) < EPISODE);
        for (step, state) in window.observations.chunks(7).enumerate() {
            assert_eq!(state, observation(lane, start + step as u64));
        }
        for step in 0..len {
            let state = start + 1 + step as u64;
            assert_eq!(window.actions[3 * step..3 * step + 3], action(lane, state));
            assert_eq!(window.log_probs[step], number(lane, state, 10));
            assert_eq!(window.rewards[step], state as f32);
            assert_eq!(window.discounts[step], discount(state));
        }
    }
}

#[test]
fn no_mixed_window_is_ever_returned() {
    let pushes = pushes();
    let redrawn = AtomicU64::new(0);
    for capacity in [40, 1_000] {
        let buffer = ReplayBuffer::new(LAYOUT, capacity, LANES);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for seed in 0..SAMPLERS {
                let (buffer, done, redrawn) = (&buffer, &done, &redrawn);
                scope.spawn(move || {
                    let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(seed));
                    let mut last_length = 0;
                    while !done.load(Ordering::Relaxed) {
                        match buffer.sample(&mut rng, 32, 8, &mut batch) {
                            Ok(()) => check(&batch, 8),
                            Err(error) => {
                                assert!(matches!(error, ReplayError::Empty { .. } | ReplayError::Overrun { .. }));
                            }
                        }
                        redrawn.fetch_add(batch.redrawn, Ordering::Relaxed);
                        let inserted = buffer.inserted();
                        assert!(inserted >= last_length, "the count of insertions never falls");
                        last_length = inserted;
                        assert!(buffer.len() <= capacity * LANES);
                    }
                });
            }
            // Checkpoints meanwhile: each holds only whole records, and can be sampled.
            let (saved, done_ref) = (&buffer, &done);
            scope.spawn(move || {
                let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(99));
                let mut bytes = Vec::new();
                while !done_ref.load(Ordering::Relaxed) {
                    bytes.clear();
                    saved.save(&mut bytes).expect("a vector takes every byte");
                    let loaded = ReplayBuffer::load(&mut &bytes[..]).expect("just saved");
                    match loaded.sample(&mut rng, 64, 8, &mut batch) {
                        Ok(()) => check(&batch, 8),
                        Err(error) => assert!(matches!(error, ReplayError::Empty { .. })),
                    }
                }
            });
            let writers: Vec<_> = (0..LANES)
                .map(|lane| {
                    let buffer = &buffer;
                    scope.spawn(move || write(buffer, lane, pushes / (2 * LANES as u64)))
                })
                .collect();
            let results: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            assert!(results.iter().all(Result::is_ok), "a writer panicked");
        });
        let per_lane = pushes / (2 * LANES as u64);
        let expected = per_lane - per_lane.div_ceil(EPISODE);
        assert_eq!(buffer.inserted(), expected * LANES as u64);
    }
    // In a short run the scheduler may keep the samplers out; `tests/overtaken.rs` overtakes without chance.
    if pushes >= 10_000_000 {
        assert!(redrawn.load(Ordering::Relaxed) > 0, "no window was overtaken: the test did not test");
    }
}
