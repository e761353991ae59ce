//! Replays recordings of `dm_control` and prints how far the environments are from them, one JSON line per recording.
//!
//! `cargo xtask align control-suite` makes the recordings and reads the lines. By hand:
//! `python crates/mpo-envs/tests/alignment/record.py --out DIR --every 1 --seeds 0 -- cheetah-run`, then
//! `cargo run --release -p mpo-envs --example align DIR/*.json`.
#![allow(clippy::print_stdout, reason = "its lines are read by another program")]

use std::error::Error;

#[path = "../tests/common/actions.rs"]
mod actions;
#[path = "../tests/common/recording.rs"]
mod recording;
use recording::Distance;

fn main() -> Result<(), Box<dyn Error>> {
    for file in std::env::args().skip(1) {
        let record = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let (observations, rewards) = recording::replay(&record);
        let json = |distance: &Distance| {
            serde_json::json!({
                "compared": distance.compared, "equal": distance.equal, "largest": distance.largest,
                "report": distance.report(), "tolerance": recording::TOLERANCE,
            })
        };
        let line = serde_json::json!({
            "task": record["task"], "seed": record["seed"],
            "observations": json(&observations), "rewards": json(&rewards),
        });
        println!("{line}");
    }
    Ok(())
}
