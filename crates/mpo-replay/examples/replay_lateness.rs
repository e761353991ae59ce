//! How late insertions are that come at a fixed rate, beside a thread that samples as fast as it can.
//!
//! ```text
//! cargo run --release -p mpo-replay --features mmap --example replay_lateness -- SIDE SECONDS
//! ```
//! `SIDE` is `ours`; `memcpy`, rows copied into an array that nobody else touches, beside a sampler of an array of its own;
//! or `mutex`, one array for both behind a lock. Transitions of 24 + 6 numbers are due every 10 microseconds; each is late by
//! the time from then until it is in, and its call takes a part of that. Where other programs run, lateness is mostly the
//! scheduler's; the call's median is not. Prints quantiles in microseconds as a line of JSON, with what the sampler did
//! meanwhile (`cargo xtask bench replay`).
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mpo_replay::{Batch, Layout, Memory, ReplayBuffer};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const OBSERVATION: usize = 24;
const ACTION: usize = 6;
const ROW: usize = OBSERVATION + ACTION + 3;
const CAPACITY: usize = 1_000_000;
const STEPS: usize = 8;
const WINDOWS: usize = 256;
const PERIOD: Duration = Duration::from_micros(10);

#[cfg(feature = "mmap")]
const MEMORY: Memory = Memory::HugePages;
#[cfg(not(feature = "mmap"))]
const MEMORY: Memory = Memory::Heap;

/// Rows in one array.
struct Plain {
    rows: Vec<f32>,
    next: usize,
}

impl Plain {
    fn new() -> Self {
        // Written once, so that every page is there.
        Self { rows: vec![0.5; CAPACITY * ROW], next: 0 }
    }

    fn push(&mut self, row: &[f32; ROW]) {
        self.rows[self.next * ROW..(self.next + 1) * ROW].copy_from_slice(row);
        self.next = (self.next + 1) % CAPACITY;
    }

    fn sample(&self, rng: &mut Xoshiro256PlusPlus, batch: &mut [f32]) {
        for window in batch.chunks_exact_mut((STEPS + 1) * ROW) {
            let start = rng.random_range(0..CAPACITY - STEPS) * ROW;
            window.copy_from_slice(&self.rows[start..start + window.len()]);
        }
        black_box(batch);
    }
}

/// How late each insertion was, how long its call took, and the windows sampled meanwhile.
type Times = (Vec<Duration>, Vec<Duration>, u64);

/// Inserts on time for `duration` while another thread samples.
fn race(duration: Duration, mut insert: impl FnMut(usize), mut sample: impl FnMut() + Send) -> Times {
    let (done, windows) = (AtomicBool::new(false), AtomicU64::new(0));
    let count = (duration.as_nanos() / PERIOD.as_nanos()) as usize;
    let (mut late, mut calls) = (Vec::with_capacity(count), Vec::with_capacity(count));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                sample();
                windows.fetch_add(WINDOWS as u64, Ordering::Relaxed);
            }
        });
        while windows.load(Ordering::Relaxed) < 10 * WINDOWS as u64 {
            thread::yield_now();
        }
        let start = Instant::now();
        for step in 0..count {
            let due = start + PERIOD * step as u32;
            // Spinning: to be woken takes longer than all that is to be measured.
            let begun = loop {
                let now = Instant::now();
                if now >= due {
                    break now;
                }
                std::hint::spin_loop();
            };
            insert(step);
            let done = Instant::now();
            late.push(done - due);
            calls.push(done - begun);
        }
        done.store(true, Ordering::Relaxed);
    });
    (late, calls, windows.into_inner())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [side, seconds] = arguments.as_slice() else {
        return Err("two words: ours, memcpy or mutex, and a number of seconds".into());
    };
    let duration = Duration::from_secs_f64(seconds.parse()?);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let row: [f32; ROW] = rng.random();
    let mut plain_batch = vec![0.0; WINDOWS * (STEPS + 1) * ROW];
    let (mut late, mut calls, windows) = match side.as_str() {
        "ours" => {
            let layout = Layout { observation: OBSERVATION, action: ACTION };
            let buffer = ReplayBuffer::new_in(layout, CAPACITY, 1, &MEMORY)?;
            let mut writer = buffer.writer(0)?;
            let mut insert = |step: usize| {
                if step.is_multiple_of(1_000) {
                    writer.begin(&row[..OBSERVATION]);
                }
                let action = &row[OBSERVATION..OBSERVATION + ACTION];
                writer.push(action, row[30], row[31], row[32], &row[..OBSERVATION], step % 1_000 == 999);
            };
            (0..CAPACITY + 10_000).for_each(&mut insert);
            let mut batch = Batch::new();
            let mut failures = 0;
            let result = race(duration, insert, || {
                failures += u64::from(buffer.sample(&mut rng, WINDOWS, STEPS, &mut batch).is_err());
                black_box(&batch);
            });
            if failures > 0 {
                return Err(format!("{failures} batches could not be sampled").into());
            }
            result
        }
        "memcpy" => {
            let (mut mine, theirs) = (Plain::new(), Plain::new());
            race(duration, |_| mine.push(black_box(&row)), || theirs.sample(&mut rng, &mut plain_batch))
        }
        "mutex" => {
            let shared = Mutex::new(Plain::new());
            let lock = || shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            race(duration, |_| lock().push(black_box(&row)), || lock().sample(&mut rng, &mut plain_batch))
        }
        other => return Err(format!("no side {other}: ours, memcpy or mutex").into()),
    };
    late.sort_unstable();
    calls.sort_unstable();
    let of = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    let quantile = |share| of(&late, share);
    println!(
        "{{\"side\": \"{side}\", \"inserts\": {}, \"p50_us\": {:.3}, \"p90_us\": {:.3}, \"p99_us\": {:.3}, \
         \"p999_us\": {:.3}, \"greatest_us\": {:.1}, \"call_p50_us\": {:.3}, \"call_p99_us\": {:.3}, \
         \"windows_per_second\": {:.0}}}",
        late.len(),
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0),
        of(&calls, 0.5),
        of(&calls, 0.99),
        windows as f64 / duration.as_secs_f64()
    );
    Ok(())
}
