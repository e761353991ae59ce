//! The program `mpo`: train, evaluate, tabulate and draw.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use mpo_bench::{
    cli::{Cli, Command},
    eval, experiment, gpu_check,
    interrupt::Ending,
    output, play, plot, random, supervise, table, tasks, train,
};

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(130),
        Err(error) => {
            output::note(&format!("error: {}", output::causes(&error)));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        Command::Train(options) => return train::command(&options),
        Command::Supervise(options) => return supervise::command(&options),
        Command::Experiment(options) => return experiment::command(&options),
        Command::Eval(options) => eval::command(&options)?,
        Command::Play(options) => play::command(&options)?,
        Command::Tasks(options) => tasks::command(&options)?,
        Command::Plot(options) => plot::command(&options)?,
        Command::Table(options) => table::command(&options)?,
        Command::Random(options) => random::command(&options)?,
        Command::GpuCheck(options) => gpu_check::command(&options)?,
    }
    Ok(Ending::Complete)
}
