//! `cargo xtask test`: the whole test suite, with real physics behind it.

use crate::{process, setup};
use anyhow::Result;

/// What the command line of `cargo xtask test` takes.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Passed to `cargo test` in place of `--workspace`, such as `-p mpo-core retrace`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Sets up, then runs `cargo test` such that a test which needs MuJoCo, or ALE where there is a compiler for it, or NVIDIA's
/// compiler where there is a build of it, fails without it instead of passing idly.
///
/// # Errors
/// When the set-up or a test fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ensure()?;
    let mut command = process::cargo(["test"]);
    if options.arguments.is_empty() {
        command.arg("--workspace");
    }
    command.args(&options.arguments).env("MPO_REQUIRE_MUJOCO", "1");
    if setup::atari::has_compiler() {
        setup::atari::ensure()?;
        command.env("MPO_REQUIRE_ATARI", "1");
        // The emulation of the CUDA kernels is compiled by the same.
        command.env("MPO_REQUIRE_EMULATION", "1");
    } else {
        println!("there is no C++ compiler: tests on Atari games run if their library is there already");
    }
    if setup::has_cuda_compiler() {
        setup::ensure_cuda()?;
        command.env("MPO_REQUIRE_NVRTC", "1");
    }
    process::run(&mut command)
}
