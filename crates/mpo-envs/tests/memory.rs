//! Ten thousand resets do not make the process larger. A file of its own, so that nothing else grows meanwhile.

use mpo_envs::suite;

mod common;

const RESETS: usize = 10_000;
/// A leak of 100 bytes in a reset would be 1 MB by the end; what the system counts wavers by some pages.
const MOST_GROWTH: usize = 512 << 10;

/// Bytes of this process that are in memory, by the kernel's accounting.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(4096 * text.split_whitespace().nth(1)?.parse::<usize>().ok()?)
}

#[test]
#[allow(clippy::print_stdout, reason = "the report is read with --nocapture")]
fn ten_thousand_resets_leak_nothing() {
    if !common::mujoco_is_here() || resident().is_none() {
        return;
    }
    for task in ["finger-turn_hard", "manipulator-bring_ball", "swimmer-swimmer15"] {
        let mut environment = suite::load(task, 0).expect("a task");
        let action = vec![0.1; environment.spec().action_len()];
        let mut reset = |times| {
            for _ in 0..times {
                environment.reset().expect("a reset");
                environment.step(&action).expect("a step");
            }
        };
        // By then every buffer has had its largest size.
        reset(RESETS / 10);
        let before = resident().expect("as above");
        reset(RESETS);
        let growth = resident().expect("as above").saturating_sub(before);
        println!("{task}: {growth} bytes more after {RESETS} resets, {before} before");
        assert!(growth <= MOST_GROWTH, "{task} grew by {growth} bytes in {RESETS} resets");
    }
}
