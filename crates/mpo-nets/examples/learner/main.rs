//! Where an update's time goes, what this machine could do, and how both scale.
//!
//! ```text
//! cargo run --release -p mpo-nets --example learner -- phases [humanoid] [layer_norm] [bf16] [threads N]
//! cargo run --release -p mpo-nets --example learner -- ceiling | acting | scaling
//! ```
//! Every answer is a line of JSON, or with `scaling` a table of comma-separated values: `cargo xtask bench learner` reads them.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

mod ceiling;
mod update;

use std::{error::Error, time::Instant};

use mpo_nets::{ActingPolicy, NetworkConfig, Precision, Torso};
use update::{PHASES, Shape, Update};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let torso = if has("layer_norm") { Torso::LayerNorm } else { Torso::Plain };
    let precision = if has("bf16") { Precision::Bf16 } else { Precision::F32 };
    let threads = match arguments.iter().position(|a| a == "threads") {
        Some(at) => arguments.get(at + 1).ok_or("threads needs a number")?.parse()?,
        None => 1,
    };
    match arguments.first().map(String::as_str) {
        Some("phases") => {
            let shape = if has("humanoid") { Shape::humanoid } else { Shape::walker };
            phases(shape(torso, precision), threads);
        }
        Some("ceiling") => {
            for threads in [1, 2] {
                let [own, gemm] = ceiling::measure(threads);
                println!("{{\"threads\": {threads}, \"own_gflops\": {own:.1}, \"gemm_gflops\": {gemm:.1}}}");
            }
        }
        Some("acting") => acting()?,
        Some("scaling") => scaling(),
        _ => return Err("one of: phases, ceiling, acting, scaling".into()),
    }
    Ok(())
}

/// Seconds of the fastest of `count` updates, and of each of its phases by itself: whatever else the machine does can only add.
fn fastest(update: &mut Update, count: usize) -> (f64, [f64; PHASES.len()]) {
    let (mut total, mut phases) = (f64::INFINITY, [f64::INFINITY; PHASES.len()]);
    for round in 0..count + 3 {
        let mut seconds = [0.0; PHASES.len()];
        update.run(&mut seconds);
        if round >= 3 {
            total = total.min(seconds.iter().sum());
            for (phase, second) in phases.iter_mut().zip(seconds) {
                *phase = phase.min(second);
            }
        }
    }
    (total, phases)
}

fn phases(shape: Shape, threads: usize) {
    let mut update = Update::new(shape, threads);
    let (total, each) = fastest(&mut update, 300);
    let parts: Vec<String> =
        PHASES.iter().zip(each).map(|(name, seconds)| format!("\"{name}\": {:.1}", seconds * 1e6)).collect();
    println!(
        "{{\"threads\": {threads}, \"mflop\": {:.2}, \"mbyte\": {:.2}, \"microseconds\": {:.1}, \"phases\": {{{}}}}}",
        update.flops() as f64 / 1e6,
        update.bytes() as f64 / 1e6,
        total * 1e6,
        parts.join(", ")
    );
}

/// Time of one action of the control suite's policy, observation to sampled action and its log-probability.
fn acting() -> Result<(), Box<dyn Error>> {
    for (name, observation, action, width) in [("walker", 24, 6, 100), ("humanoid", 67, 21, 200)] {
        for torso in [Torso::Plain, Torso::LayerNorm] {
            let config = NetworkConfig { policy_hidden: [width, width], torso, ..NetworkConfig::default() };
            let mut policy = ActingPolicy::new(observation, action, &config)?;
            let (state, noise, mut chosen) = (vec![0.3; observation], vec![0.1; action], vec![0.0; action]);
            let mut best = f64::INFINITY;
            for _ in 0..200 {
                let start = Instant::now();
                for _ in 0..200 {
                    std::hint::black_box(policy.sample(std::hint::black_box(&state), &noise, &mut chosen));
                }
                best = best.min(start.elapsed().as_secs_f64() / 200.0);
            }
            println!("{{\"acting\": \"{name}\", \"torso\": \"{torso:?}\", \"microseconds\": {:.2}}}", best * 1e6);
        }
    }
    Ok(())
}

/// Updates per second, of the fastest, against batch, samples, width and threads, one varied at a time from the walker's setting.
fn scaling() {
    println!("varied,value,threads,updates_per_second,gflop_per_second");
    let walker = Shape::walker(Torso::LayerNorm, Precision::F32);
    for threads in [1, 2] {
        let row = |varied: &str, value: usize, shape: Shape| {
            let mut update = Update::new(shape, threads);
            // About a third of a second of each, estimated at 50 GFLOP/s.
            let count = (15_000_000_000 / update.flops()).clamp(3, 400);
            let (seconds, _) = fastest(&mut update, count);
            let rate = update.flops() as f64 / seconds / 1e9;
            println!("{varied},{value},{threads},{:.2},{rate:.1}", 1.0 / seconds);
        };
        for windows in [2, 4, 8, 16, 32, 64, 128] {
            row("batch", windows * update::STEPS, Shape { windows, ..walker });
        }
        for samples in [1, 2, 5, 10, 20, 40, 80] {
            row("M", samples, Shape { samples, ..walker });
        }
        for width in [64, 100, 128, 200, 256, 300, 400, 512, 768, 1024] {
            row("width", width, Shape { policy: width, critic: width, ..walker });
        }
    }
}
