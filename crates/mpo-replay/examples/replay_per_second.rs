//! Windows sampled or transitions inserted per second, by this crate or by a plain copy of the same bytes.
//!
//! ```text
//! echo 2 | cargo run --release -p mpo-replay --features mmap --example replay_per_second -- WORK SIDE [CAPACITY]
//! ```
//! `WORK` is `windows` (batches of 256 windows of 8 steps) or `inserts` (one transition at a time). `SIDE` is `ours`; or
//! `memcpy`: one call of it for the row or the window, in one plain array of rows with as many numbers, to which nothing is
//! owed; or for inserts `inlined`, where the compiler knows the sizes and makes the copy a handful of vector instructions.
//! Observations of 24 numbers, actions of 6, episodes of 960 steps, 10^6 transitions unless `CAPACITY` says otherwise.
//!
//! Answers each line on standard input, a number of seconds, with the rate of the next seconds as a line of JSON, so that
//! several programs can take turns (`cargo xtask bench replay`). For huge pages under the plain array set
//! `GLIBC_TUNABLES=glibc.malloc.hugetlb=1`; the buffer takes them by itself with the feature `mmap`.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use mpo_replay::{Batch, Layout, Memory, ReplayBuffer, TrajectoryWriter};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const OBSERVATION: usize = 24;
const ACTION: usize = 6;
const LAYOUT: Layout = Layout { observation: OBSERVATION, action: ACTION };
/// Observation, action, reward, discount, log-probability.
const ROW: usize = OBSERVATION + ACTION + 3;
const STEPS: usize = 8;
const WINDOWS: usize = 256;
const EPISODE: usize = 15 * INPUTS;
/// Blocks of inserts between two looks at the clock.
const BLOCKS: usize = 64;
/// Different transitions to be inserted, one after the other: they stay in the cache.
const INPUTS: usize = 64;

/// A transition to be inserted: observation, action, log-probability, reward, discount.
type Input = [f32; ROW];

/// Rows in one array: the fastest that this machine can do.
struct Plain {
    rows: Vec<f32>,
    next: usize,
    capacity: usize,
}

impl Plain {
    /// Inserts `inputs` one by one.
    fn push(&mut self, inputs: &[Input], row: usize) {
        for input in inputs {
            self.rows[self.next * row..(self.next + 1) * row].copy_from_slice(&input[..row]);
            self.advance();
        }
    }

    /// As `push` does, with a length that the compiler knows.
    fn push_inlined(&mut self, inputs: &[Input]) {
        for input in inputs {
            self.rows[self.next * ROW..(self.next + 1) * ROW].copy_from_slice(input);
            self.advance();
        }
    }

    fn advance(&mut self) {
        // One after the other, as they would come: not several rows at once.
        self.next = black_box(if self.next + 1 == self.capacity { 0 } else { self.next + 1 });
    }

    fn sample(&self, rng: &mut Xoshiro256PlusPlus, batch: &mut [f32]) {
        for window in batch.chunks_exact_mut((STEPS + 1) * ROW) {
            let start = rng.random_range(0..self.capacity - STEPS) * ROW;
            window.copy_from_slice(&self.rows[start..start + window.len()]);
        }
    }
}

/// Inserts `inputs` one by one, in episodes of 15 times as many transitions.
fn push(writer: &mut TrajectoryWriter, inputs: &[Input], block: usize) {
    if block.is_multiple_of(EPISODE / INPUTS) {
        writer.begin(&inputs[0][..OBSERVATION]);
    }
    for input in inputs {
        let (observation, rest) = input.split_at(OBSERVATION);
        let (action, scalars) = rest.split_at(ACTION);
        writer.push(action, scalars[0], scalars[1], scalars[2], observation, false);
    }
}

#[cfg(feature = "mmap")]
const MEMORY: Memory = Memory::HugePages;
#[cfg(not(feature = "mmap"))]
const MEMORY: Memory = Memory::Heap;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [work, side, rest @ ..] = arguments.as_slice() else {
        return Err("two words: windows or inserts, and ours, memcpy or inlined".into());
    };
    let capacity: usize = rest.first().map_or(Ok(1_000_000), |text| text.parse())?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let inputs: Vec<Input> = (0..INPUTS).map(|_| rng.random()).collect();
    // Opaque, so that nothing is known of them when they are copied.
    let inputs = black_box(inputs.as_slice());

    if side == "ours" {
        let buffer = ReplayBuffer::new_in(LAYOUT, capacity, 1, &MEMORY)?;
        let mut writer = buffer.writer(0)?;
        let mut blocks = 0..;
        let mut insert = || blocks.by_ref().take(BLOCKS).for_each(|block| push(&mut writer, inputs, block));
        (0..capacity / (BLOCKS * INPUTS) + 2).for_each(|_| insert());
        let mut batch = Batch::new();
        return match work.as_str() {
            "windows" => answer(side, WINDOWS, || {
                buffer.sample(&mut rng, WINDOWS, STEPS, &mut batch)?;
                black_box(&batch);
                Ok(())
            }),
            _ => answer(side, BLOCKS * INPUTS, || {
                insert();
                Ok(())
            }),
        };
    }
    let mut plain = Plain { rows: vec![0.0; capacity * ROW], next: 0, capacity };
    let row = black_box(ROW);
    (0..=capacity / INPUTS).for_each(|_| plain.push(inputs, row));
    let mut batch = vec![0.0; WINDOWS * (STEPS + 1) * ROW];
    match work.as_str() {
        "windows" => answer(side, WINDOWS, || {
            plain.sample(&mut rng, &mut batch);
            black_box(&batch);
            Ok(())
        }),
        _ if side == "inlined" => answer(side, BLOCKS * INPUTS, || {
            (0..BLOCKS).for_each(|_| plain.push_inlined(inputs));
            Ok(())
        }),
        _ => answer(side, BLOCKS * INPUTS, || {
            (0..BLOCKS).for_each(|_| plain.push(inputs, row));
            Ok(())
        }),
    }
}

/// Answers every line of standard input: does `work`, `size` things at a time, for that many seconds.
fn answer(name: &str, size: usize, mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    println!("{{\"ready\": \"{name}\"}}");
    for line in std::io::stdin().lines() {
        let seconds: f64 = line?.trim().parse()?;
        let (start, cpu, mut turns) = (Instant::now(), cpu_seconds()?, 0);
        while start.elapsed().as_secs_f64() < seconds {
            work()?;
            turns += 1;
        }
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let done = (turns * size) as f64;
        println!("{{\"per_second\": {:.0}, \"per_cpu_second\": {:.0}}}", done / wall, done / cpu);
    }
    Ok(())
}

/// Time that this process's one thread spent on a processor, in seconds, from Linux's own account in nanoseconds.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let account = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(account.split_whitespace().next().ok_or("an empty account")?.parse::<f64>()? / 1e9)
}
