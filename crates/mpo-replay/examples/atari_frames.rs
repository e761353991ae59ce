//! Atari frames, each stored once and stacked when sampled: how much memory they take, and how fast windows come.
//!
//! ```text
//! cargo run --release -p mpo-replay --example atari_frames [-- TRANSITIONS]
//! cargo run --release -p mpo-replay --features mmap --example atari_frames -- 1000000 DIRECTORY
//! ```
//! The second line keeps the frames in a mapped file in `DIRECTORY`, for machines with less memory than that.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mpo_replay::{Action, ActionLayout, Batch, Frames, Memory, Observation, Outcome, ReplayBuffer, TransitionLayout};
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SIDE: usize = 84;
const FRAMES: Frames = Frames { bytes: SIDE * SIDE, stack: 4 };
const LAYOUT: TransitionLayout =
    TransitionLayout { observation: 0, frames: Some(FRAMES), action: ActionLayout::Discrete(18) };
/// Steps of an episode, about.
const EPISODE: usize = 2_000;
const WINDOWS: usize = 32;
const STEPS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let transitions: usize = arguments.next().map_or(Ok(20_000), |text| text.parse())?;
    let memory = memory(arguments.next().map(PathBuf::from))?;
    let buffer = ReplayBuffer::new_in(LAYOUT, transitions, 1, &memory)?;

    let per_state = buffer.memory() as f64 / (transitions + FRAMES.stack + 1) as f64;
    println!(
        "a state: frame {} bytes, with action, reward, discount and log-probability {per_state} bytes",
        FRAMES.bytes
    );
    println!("{transitions} transitions: {:.3} GB", buffer.memory() as f64 / 1e9);
    let stacks = 2.0 * (FRAMES.bytes * FRAMES.stack * transitions) as f64;
    println!("with the stacks before and after each transition they would be {:.1} GB", stacks / 1e9);

    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut frame = vec![0; FRAMES.bytes];
    let mut writer = buffer.writer(0)?;
    let begun = Instant::now();
    let mut step = 0;
    while buffer.inserted() < transitions as u64 {
        step += 1;
        // A row of the picture changes at each step; the first one tells the step, to be checked below.
        let row = step % SIDE;
        rng.fill_bytes(&mut frame[row * SIDE..(row + 1) * SIDE]);
        frame[..8].copy_from_slice(&(step as u64).to_le_bytes());
        let observation = Observation { vector: &[], frame: &frame };
        if !writer.in_episode() {
            writer.begin_with(observation);
            continue;
        }
        let last = rng.random_range(0..EPISODE) == 0;
        // Every other end is a lost game, the others are the time limit.
        let discount = if last && rng.random() { 0.0 } else { 1.0 };
        let outcome = Outcome { log_prob: -2.9, reward: 0.0, discount, last };
        writer.push_with(Action::Discrete(rng.random_range(0..18)), outcome, observation);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("inserted {:.0} transitions a second", transitions as f64 / seconds);

    let mut batch = Batch::new();
    let (begun, mut windows) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        buffer.sample(&mut rng, WINDOWS, STEPS, &mut batch)?;
        windows += WINDOWS;
    }
    println!(
        "sampled {:.0} windows a second, of {STEPS} transitions with stacks of {} frames",
        windows as f64 / begun.elapsed().as_secs_f64(),
        FRAMES.stack
    );
    let stamp = |frame: &[u8]| frame.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let consecutive = batch.iter().all(|window| {
        let newest = window.frames.chunks(FRAMES.bytes).skip(FRAMES.stack - 1).step_by(FRAMES.stack).map(stamp);
        newest.clone().zip(newest.skip(1)).all(|(one, two)| two == one + 1)
    });
    println!("the frames of each window follow one another: {consecutive}");
    Ok(())
}

#[cfg_attr(feature = "mmap", allow(clippy::unnecessary_wraps, reason = "without the feature it may fail"))]
fn memory(directory: Option<PathBuf>) -> Result<Memory, Box<dyn Error>> {
    match directory {
        None => Ok(Memory::Heap),
        #[cfg(feature = "mmap")]
        Some(directory) => Ok(Memory::FileIn(directory)),
        #[cfg(not(feature = "mmap"))]
        Some(directory) => {
            Err(format!("a mapped file in {} needs the feature: --features mmap", directory.display()).into())
        }
    }
}
