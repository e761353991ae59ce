//! Run directories as training would leave them, made without training.

use std::{fmt::Write as _, fs, path::Path};

/// A finished (or unfinished) run of `task` below `root`, whose evaluations of two episodes rise along `curve`.
pub(crate) fn write_run(root: &Path, task: &str, seed: u64, finished: bool, curve: &[(u64, f64)]) {
    write_run_of(root, "mpo", task, seed, finished, curve);
}

/// The same under any algorithm.
pub(crate) fn write_run_of(root: &Path, algorithm: &str, task: &str, seed: u64, finished: bool, curve: &[(u64, f64)]) {
    let dir = root.join(task).join(format!("seed-{seed}"));
    fs::create_dir_all(&dir).expect("the temporary folder can be written");
    let save = |name: &str, text: &str| {
        fs::write(dir.join(name), text).expect("the temporary folder can be written");
    };
    let steps = curve.last().map_or(0, |&(step, _)| step).max(1_000);
    save(
        "config.toml",
        &format!(
            "task = \"{}\"\nseed = {seed}\nsteps = {steps}\n[learner]\nalgorithm = \"{algorithm}\"\n",
            if task.contains('/') { task.to_owned() } else { format!("control/{task}") }
        ),
    );
    let mut eval = String::from("step,episode,return,length\n");
    for &(step, mean) in curve {
        let _ = write!(eval, "{step},0,{},1000\n{step},1,{},1000\n", mean - 5.0, mean + 5.0);
    }
    save("eval.csv", &eval);
    if finished {
        save("done.json", &format!("{{\"step\": {steps}, \"reason\": \"steps\"}}"));
    }
}

/// A curve that rises to `end` over `steps` in ten parts.
pub(crate) fn rising(steps: u64, end: f64) -> Vec<(u64, f64)> {
    (0..=10u32).map(|part| (steps / 10 * u64::from(part), end * (1.0 - (-0.4 * f64::from(part)).exp()))).collect()
}
