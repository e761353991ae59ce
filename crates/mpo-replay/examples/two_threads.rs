//! An actor and a learner at once, kept in step by a limiter.
//!
//! ```text
//! cargo run --release -p mpo-replay --example two_threads
//! ```
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::thread;

use mpo_replay::{Batch, Layout, RateLimiter, ReplayBuffer, ReplayError};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const STEPS: u64 = 50_000;
const WINDOWS: u64 = 32;

fn main() -> Result<(), ReplayError> {
    let buffer = ReplayBuffer::new(Layout { observation: 2, action: 1 }, 10_000, 1);
    // One batch for every 8 steps, give or take two batches.
    let limiter = RateLimiter::new(4.0, 1_000, 64.0);

    let mut writer = buffer.writer(0)?;
    let updates = thread::scope(|scope| {
        let actor = scope.spawn(|| {
            for step in 0..STEPS {
                if !writer.in_episode() {
                    writer.begin(&[0.0, 0.0]);
                }
                let last = step % 100 == 99;
                // Every other episode terminates, the others run into the time limit.
                let discount = if last && step % 200 > 100 { 0.0 } else { 1.0 };
                if !limiter.insert(1) {
                    break;
                }
                writer.push(&[0.1], -0.9, 1.0, discount, &[step as f32, 1.0], last);
            }
            limiter.close();
        });
        let learner = scope.spawn(|| {
            let (mut batch, mut rng) = (Batch::new(), Xoshiro256PlusPlus::seed_from_u64(1));
            let mut updates = 0_u64;
            while limiter.sample(WINDOWS) {
                buffer.sample(&mut rng, WINDOWS as usize, 8, &mut batch)?;
                updates += 1;
            }
            Ok::<_, ReplayError>(updates)
        });
        let _ = actor.join();
        learner.join().unwrap_or(Ok(0))
    })?;
    let (inserted, sampled) = limiter.counts();
    println!("{inserted} transitions, {updates} updates: {:.2} samples per insert", sampled as f64 / inserted as f64);
    println!("{:?}", buffer.statistics());
    Ok(())
}
