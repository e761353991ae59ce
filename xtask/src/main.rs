//! `cargo xtask`: what this repository does besides compiling, in Rust, so that it needs no shell script.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "xtask is a program for people at a terminal")]

mod align;
mod bench;
mod ci;
mod gpu_check;
mod process;
mod reproduce;
mod setup;
mod test;
mod tidy;

use clap::Parser;
use std::process::ExitCode;

/// Set-up, reproduction, tests and checks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Fetch MuJoCo and the control suite's models into the cache, by pip, with their hashes checked.
    Setup(setup::Options),
    /// Set up, then run every test and doctest, those on real MuJoCo included.
    Test(test::Options),
    /// Set up, build, then train and tabulate an experiment of the paper.
    #[command(subcommand)]
    Reproduce(reproduce::Experiment),
    /// Race this workspace's parts against their peers, in turns and in one run.
    Bench(bench::Options),
    /// Play this workspace's environments beside the originals and compare every number.
    #[command(subcommand)]
    Align(align::Suite),
    /// Pack what checks the CUDA learner on a machine with a card, and run the check here.
    GpuCheck(gpu_check::Options),
    /// All that continuous integration checks, in its order.
    Ci,
    /// Check the architecture's absences: what must not be where.
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Setup(options) => setup::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Reproduce(experiment) => reproduce::run(&experiment),
        Command::Bench(options) => bench::run(&options),
        Command::Align(suite) => align::run(&suite),
        Command::GpuCheck(options) => gpu_check::run(&options),
        Command::Ci => ci::run(),
        Command::Tidy => tidy::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
