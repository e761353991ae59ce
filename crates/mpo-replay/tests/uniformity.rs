//! Starts are uniform over the stored transitions: Pearson's chi-squared test, quiet and with writers running.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use mpo_replay::{Batch, Layout, ReplayBuffer, TrajectoryWriter};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 1, action: 1 };

/// Chi-squared of `counts` against equal expectations, as standard deviations from its mean: beyond 6 is a chance of
/// less than one in a million for the degrees of freedom used here.
fn excess(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    assert!(expected > 20.0, "too few draws for the approximation");
    let chi: f64 = counts.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    let freedom = counts.len() as f64 - 1.0;
    (chi - freedom) / (2.0 * freedom).sqrt()
}

/// Pushes the transition number `id`; an episode ends after each `len` of them.
fn push(writer: &mut TrajectoryWriter, id: u64, len: u64) {
    if !writer.in_episode() {
        writer.begin(&[0.0]);
    }
    // Exact in an `f32` up to 2^24.
    writer.push(&[0.0], 0.0, id as f32, 1.0, &[0.0], (id + 1).is_multiple_of(len));
}

#[test]
fn every_transition_of_every_lane_weighs_the_same() {
    // Lanes that are overfull, half full, empty, and almost empty; episodes of 1, 7 and 50 steps.
    let fills = [(500, 7), (100, 50), (0, 1), (3, 1)];
    let buffer = ReplayBuffer::new(LAYOUT, 200, fills.len());
    let mut next = 0;
    for (lane, (count, len)) in fills.into_iter().enumerate() {
        let mut writer = buffer.writer(lane).expect("the lane is free");
        for _ in 0..count {
            push(&mut writer, next, len);
            next += 1;
        }
    }
    let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(1));
    let mut counts = vec![0; next as usize];
    for _ in 0..1_000 {
        buffer.sample(&mut rng, 100, 5, &mut batch).expect("transitions are stored");
        for window in &batch {
            counts[window.rewards[0] as usize] += 1;
        }
    }
    // The transitions that are gone were never drawn, and all others were.
    let stored: Vec<u64> = counts.into_iter().filter(|&count| count > 0).collect();
    assert_eq!(stored.len(), buffer.len());
    let excess = excess(&stored);
    assert!(excess.abs() < 6.0, "chi-squared is {excess} standard deviations off");
}

#[test]
fn selection_by_rank_is_uniform_too() {
    // So many first states that hardly any draw hits a transition.
    let buffer = ReplayBuffer::new(LAYOUT, 50_000, 1);
    let mut writer = buffer.writer(0).expect("the lane is free");
    for id in 0..10 {
        for _ in 0..1_000 * (1 + id % 3) {
            writer.begin(&[0.0]);
        }
        push(&mut writer, id, 1);
    }
    let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(2));
    buffer.sample(&mut rng, 20_000, 1, &mut batch).expect("transitions are stored");
    let mut counts = [0; 10];
    batch.rewards.iter().for_each(|&id| counts[id as usize] += 1);
    let excess = excess(&counts);
    assert!(excess.abs() < 6.0, "chi-squared is {excess} standard deviations off: {counts:?}");
}

#[test]
fn uniform_while_writers_run() {
    const CAPACITY: u64 = 1 << 15;
    const BUCKETS: u64 = 16;
    const CALLS: u64 = 3_000;
    let buffer = ReplayBuffer::new(LAYOUT, CAPACITY as usize, 2);
    let calls = AtomicU64::new(0);
    let mut ages = [0; BUCKETS as usize];
    let mut residues = [0; BUCKETS as usize];
    thread::scope(|scope| {
        for lane in 0..2 {
            let mut writer = buffer.writer(lane).expect("the lane is free");
            let calls = &calls;
            // One long episode: what is stored is the newest CAPACITY transitions, twice over at the start.
            for id in 0..2 * CAPACITY {
                push(&mut writer, id, u64::MAX);
            }
            scope.spawn(move || {
                let mut id = 2 * CAPACITY;
                let mut seen = 0;
                while seen < CALLS {
                    let now = calls.load(Ordering::Acquire);
                    // A few pushes in the midst of each call, so that hardly any window is overtaken: those that are fall on
                    // the oldest transitions, and rightly so.
                    for _ in 0..(now - seen).min(1) * 4 {
                        push(&mut writer, id, u64::MAX);
                        id += 1;
                    }
                    seen = now;
                    thread::yield_now();
                }
            });
        }
        let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(3));
        for call in 1..=CALLS {
            calls.store(call, Ordering::Release);
            buffer.sample(&mut rng, 64, 2, &mut batch).expect("transitions are stored");
            for (window, age) in batch.iter().zip(&batch.ages) {
                let id = window.rewards[0] as u64;
                ages[((age - 1) * BUCKETS / CAPACITY) as usize] += 1;
                residues[(id % BUCKETS) as usize] += 1;
            }
        }
    });
    for (name, counts) in [("age", ages), ("residue", residues)] {
        let excess = excess(&counts);
        assert!(excess < 6.0, "chi-squared by {name} is {excess} standard deviations off: {counts:?}");
    }
}
