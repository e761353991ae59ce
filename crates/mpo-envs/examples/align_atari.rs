//! Replays recordings of `ale_py` and prints how much of them the environments repeat, one JSON line per recording.
//!
//! `cargo xtask align atari` makes the recordings and reads the lines. By hand:
//! `python crates/mpo-envs/tests/atari/record.py --out DIR --every 1 --game pong`, then
//! `cargo run --release -p mpo-envs --example align_atari DIR/*.json`.
#![allow(clippy::print_stdout, reason = "its lines are read by another program")]

use std::error::Error;

#[allow(dead_code, reason = "half of it is for continuous actions")]
#[path = "../tests/common/actions.rs"]
mod actions;
#[path = "../tests/common/atari_recording.rs"]
mod atari_recording;

fn main() -> Result<(), Box<dyn Error>> {
    for file in std::env::args().skip(1) {
        let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let quantities: serde_json::Map<String, serde_json::Value> = atari_recording::replay(&record, usize::MAX)
            .into_iter()
            .map(|(name, comparison)| {
                let value = serde_json::json!({
                    "compared": comparison.compared, "equal": comparison.equal,
                    "first_unequal": comparison.first_unequal,
                });
                (name.to_owned(), value)
            })
            .collect();
        let line = serde_json::json!({
            "game": record["game"], "sticky": record["sticky"], "seed": record["seed"], "totals": record["totals"],
            "quantities": quantities,
        });
        println!("{line}");
    }
    Ok(())
}
