//! Updates per second of the CPU learner on random batches, as one JSON line.
//!
//! ```text
//! cargo run --release -p mpo-nets --example updates_per_second -- walker|humanoid [seconds] [plain|layer_norm] [diagonal|full]
//! ```
//! One update: 32 windows of 8 transitions, M = 20, target copy every 100 updates. `walker` has 24 observations, 6 actions and
//! networks of 100-100 and 200-200; `humanoid` 67, 21, 200-200 and 300-300. Medians over windows of 0.3 s.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::time::Instant;

use mpo_nets::{BatchView, Covariance, LearnerStep, MpoConfig, NetworkConfig, NetsError, Torso, learner_for, noise::Noise};

const WINDOWS: usize = 32;
const STEPS: usize = 8;

fn main() -> Result<(), NetsError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|a| a == word);
    let seconds: f64 = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(10.0);
    let humanoid = has("humanoid");
    let network = NetworkConfig {
        policy_hidden: if humanoid { [200, 200] } else { [100, 100] },
        critic_hidden: if humanoid { [300, 300] } else { [200, 200] },
        torso: if has("layer_norm") { Torso::LayerNorm } else { Torso::Plain },
        covariance: if has("full") { Covariance::Full } else { Covariance::Diagonal },
        clip_critic_actions: false,
        ..NetworkConfig::default()
    };
    let mpo = MpoConfig::default();
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
    };
    for _ in 0..5 {
        learner.update(&batch)?;
    }
    let (start, mut rates) = (Instant::now(), Vec::new());
    while start.elapsed().as_secs_f64() < seconds {
        let (window, mut updates) = (Instant::now(), 0);
        while window.elapsed().as_secs_f64() < 0.3 {
            learner.update(&batch)?;
            updates += 1;
        }
        rates.push(f64::from(updates) / window.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let (median, best) = (rates[rates.len() / 2], rates[rates.len() - 1]);
    let setting = if humanoid { "humanoid" } else { "walker" };
    println!(
        "{{\"setting\":\"{setting}\",\"updates_per_second\":{median:.2},\"best\":{best:.2},\"windows\":{},\"mflop_per_update\":{:.1}}}",
        rates.len(),
        learner.flops(transitions, WINDOWS) as f64 / 1e6,
    );
    Ok(())
}
