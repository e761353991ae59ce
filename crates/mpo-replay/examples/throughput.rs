//! Windows and insertions per second, beside a plain copy of the same bytes, measured in turns in the same rounds.
//!
//! ```text
//! cargo run --release -p mpo-replay --example throughput [transitions]
//! ```
//!
//! Observations of 24 numbers, actions of 6, windows of 8 steps, batches of 256. With glibc, huge pages (a good part of
//! the cost of sampling are TLB misses) are had by `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`.
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use mpo_replay::{Batch, Layout, ReplayBuffer, TrajectoryWriter};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 24, action: 6 };
/// Observation, action, reward, discount, log-probability.
const ROW: usize = 24 + 6 + 3;
const STEPS: usize = 8;
const WINDOWS: usize = 256;
const EPISODE: usize = 1_000;
const ROUNDS: usize = 9;
const BATCHES: usize = 200;
const PUSHES: usize = 1_000_000;

/// A plain array of rows, to which nothing is owed: the speed of light of this machine.
struct Plain {
    rows: Vec<f32>,
    next: usize,
    capacity: usize,
}

impl Plain {
    fn push(&mut self, action: &[f32], numbers: [f32; 3], observation: &[f32]) {
        let row = &mut self.rows[self.next * ROW..(self.next + 1) * ROW];
        row[..24].copy_from_slice(observation);
        row[24..30].copy_from_slice(action);
        row[30..].copy_from_slice(&numbers);
        self.next = (self.next + 1) % self.capacity;
    }

    fn sample(&self, rng: &mut Xoshiro256PlusPlus, batch: &mut [f32]) {
        for window in batch.chunks_exact_mut((STEPS + 1) * ROW) {
            let start = rng.random_range(0..self.capacity - STEPS) * ROW;
            window.copy_from_slice(&self.rows[start..start + window.len()]);
        }
    }
}

fn push(writer: &mut TrajectoryWriter, count: usize, observation: &mut [f32; 24]) {
    for step in 1..=count {
        observation[0] = step as f32;
        if !writer.in_episode() {
            writer.begin(observation);
        }
        writer.push(&[0.5; 6], -1.0, 1.0, 1.0, observation, step.is_multiple_of(EPISODE));
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let capacity: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let buffer = ReplayBuffer::new(LAYOUT, capacity, 1);
    let mut writer = buffer.writer(0)?;
    let mut plain = Plain { rows: vec![0.0; capacity * ROW], next: 0, capacity };
    let mut observation = [0.25; 24];
    push(&mut writer, capacity + EPISODE, &mut observation);
    plain.rows.fill(0.5);

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut batch = Batch::new();
    let mut plain_batch = vec![0.0; WINDOWS * (STEPS + 1) * ROW];
    buffer.sample(&mut rng, WINDOWS, STEPS, &mut batch)?;

    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(seconds(|| {
            for _ in 0..BATCHES {
                plain.sample(&mut rng, &mut plain_batch);
                black_box(&plain_batch);
            }
        }));
        let mut result = Ok(());
        times[1].push(seconds(|| {
            for _ in 0..BATCHES {
                result = buffer.sample(&mut rng, WINDOWS, STEPS, &mut batch);
                black_box(&batch);
            }
        }));
        result?;
        times[2].push(seconds(|| {
            for step in 0..PUSHES {
                observation[0] = step as f32;
                plain.push(&[0.5; 6], [1.0, 1.0, -1.0], black_box(&observation));
            }
        }));
        times[3].push(seconds(|| push(&mut writer, PUSHES, black_box(&mut observation))));
    }
    let [plain_sample, sample, plain_push, push] = times.map(median);
    let windows = (BATCHES * WINDOWS) as f64 / 1e6;
    let pushes = PUSHES as f64 / 1e6;
    println!("{capacity} transitions, {:.0} MB; median of {ROUNDS} rounds", buffer.memory() as f64 / 1e6);
    println!("{:<12} {:>14} {:>14} {:>10}", "", "replay", "plain copy", "share");
    for (name, count, ours, theirs) in
        [("windows/s", windows, sample, plain_sample), ("inserts/s", pushes, push, plain_push)]
    {
        println!("{name:<12} {:>13.2}M {:>13.2}M {:>10.2}", count / ours, count / theirs, theirs / ours);
    }
    Ok(())
}
