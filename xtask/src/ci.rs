//! `cargo xtask ci`: what must hold before a change lands, cheapest first.

use crate::{process, test, tidy};
use anyhow::{Context, Result};
use std::process::Stdio;

/// A name for the log, and what is done under it.
type Step = (&'static str, fn() -> Result<()>);

const STEPS: [Step; 9] = [
    ("format", || process::run(&mut process::cargo(["fmt", "--all", "--check"]))),
    ("tidy", tidy::run),
    ("lints", || process::run(&mut process::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))),
    ("tests", || test::run(&test::Options::default())),
    ("tests of optional features", || {
        process::run(&mut process::cargo(["test", "--package", "mpo-replay", "--features", "mmap"]))
    }),
    ("distributed training", distributed),
    ("documentation", || {
        process::run(process::cargo(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("memory orderings", loom),
    ("dependencies", deny),
];

/// Runs every step, and stops at the first that fails.
///
/// # Errors
/// The step's own, under its name.
pub(crate) fn run() -> Result<()> {
    for (name, step) in STEPS {
        println!("\n== {name} ==");
        step().with_context(|| name)?;
    }
    Ok(())
}

/// The feature `mpi`: lints, and jobs of two processes. What it lacks on a bare Debian, `.ci/run` installs.
fn distributed() -> Result<()> {
    let feature = ["--package", "mpo-agent", "--package", "mpo-bench", "--features", "mpo-bench/mpi,mpo-agent/mpi"];
    let clippy = ["clippy"].iter().chain(&feature).chain(&["--all-targets", "--", "-D", "warnings"]);
    process::run(&mut process::cargo(clippy))?;
    process::run(&mut process::cargo(["test", "--package", "mpo-bench", "--features", "mpi", "--test", "distributed"]))
}

/// Every interleaving of the replay buffer's atomics that loom can find. The flag changes the
/// meaning of the whole dependency graph, hence a target folder of its own.
fn loom() -> Result<()> {
    let mut command = process::cargo(["test", "--package", "mpo-replay", "--test", "loom", "--release"]);
    process::run(command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", "target/loom"))
}

/// Licences, bans and sources; the advisories need a database from elsewhere, and are checked where there is one.
fn deny() -> Result<()> {
    let installed = process::cargo(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !installed {
        println!("cargo-deny is not installed: skipped (`cargo install --locked cargo-deny` brings it)");
        return Ok(());
    }
    process::run(&mut process::cargo(["deny", "--all-features", "check", "licenses", "bans", "sources"]))
}
