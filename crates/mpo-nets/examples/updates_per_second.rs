//! Updates per second of the CPU learner on random batches.
//!
//! ```text
//! echo 5 | cargo run --release -p mpo-nets --example updates_per_second -- walker|humanoid [layer_norm] [full] [bf16] [threads N]
//! ```
//! Answers each line on standard input, a number of seconds, with the rate of the next seconds as a line of JSON, so that two
//! programs can take turns (`cargo xtask bench learner`). One update: 32 windows of 8 transitions, M = 20, target copy every
//! 100 updates. `walker` has 24 observations, 6 actions and networks of 100-100 and 200-200; `humanoid` 67, 21, 200-200 and
//! 300-300. Without words after the setting: ELU everywhere, a diagonal covariance
//! and single precision; `bf16` is `learner.target_precision`.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::{error::Error, time::Instant};

use mpo_nets::{
    BatchView, Covariance, LearnerConfig, LearnerStep, NetworkConfig, Precision, Torso, learner_for, noise::Noise,
};

const WINDOWS: usize = 32;
const STEPS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let humanoid = has("humanoid");
    let network = NetworkConfig {
        policy_hidden: if humanoid { [200, 200] } else { [100, 100] },
        critic_hidden: if humanoid { [300, 300] } else { [200, 200] },
        torso: if has("layer_norm") { Torso::LayerNorm } else { Torso::Plain },
        covariance: if has("full") { Covariance::Full } else { Covariance::Diagonal },
        clip_critic_actions: false,
        ..NetworkConfig::default()
    };
    let threads = match arguments.iter().position(|a| a == "threads") {
        Some(at) => arguments.get(at + 1).ok_or("threads needs a number")?.parse()?,
        None => 1,
    };
    let target_precision = if has("bf16") { Precision::Bf16 } else { Precision::F32 };
    let mpo = LearnerConfig { threads, target_precision, ..LearnerConfig::default() };
    let (observation, action) = if humanoid { (67, 21) } else { (24, 6) };
    let mut learner: Box<dyn LearnerStep> =
        if humanoid { learner_for!(67, 21, &network, &mpo, 0)? } else { learner_for!(24, 6, &network, &mpo, 0)? };

    let draw = |stream: u64, len: usize| {
        let mut values = vec![0.0; len];
        Noise::new(stream).fill(&mut values);
        values
    };
    let transitions = WINDOWS * STEPS;
    let lengths = [STEPS as u32; WINDOWS];
    let observations = draw(1, (transitions + WINDOWS) * observation);
    let actions = draw(2, transitions * action);
    let rewards = draw(3, transitions);
    let discounts = vec![1.0; transitions];
    let log_probs: Vec<f32> = draw(4, transitions).iter().map(|x| x - 5.0).collect();
    let batch = BatchView {
        lengths: &lengths,
        observations: &observations,
        actions: &actions,
        rewards: &rewards,
        discounts: &discounts,
        log_probs: &log_probs,
        ..BatchView::default()
    };
    for _ in 0..5 {
        learner.update(&batch)?;
    }
    println!(
        "{{\"ready\": \"mpo-nets {}\", \"mflop_per_update\": {:.1}}}",
        env!("CARGO_PKG_VERSION"),
        learner.flops(transitions, WINDOWS) as f64 / 1e6
    );
    for line in std::io::stdin().lines() {
        let seconds: f64 = line?.trim().parse()?;
        let (start, cpu, mut updates) = (Instant::now(), cpu_seconds()?, 0);
        while start.elapsed().as_secs_f64() < seconds {
            learner.update(&batch)?;
            updates += 1;
        }
        let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let updates = f64::from(updates);
        println!("{{\"updates_per_second\": {:.2}, \"updates_per_cpu_second\": {:.2}}}", updates / wall, updates / cpu);
    }
    Ok(())
}

/// Time that this process's threads spent on a processor, from Linux's own account, in ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}
