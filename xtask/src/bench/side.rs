//! Two or more programs that take turns: each answers a number of seconds on its standard input with its rate.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::process;

/// What a side did in one turn.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Rate {
    #[serde(alias = "updates_per_second")]
    pub(super) per_second: f64,
    #[serde(alias = "updates_per_cpu_second")]
    pub(super) per_cpu_second: f64,
}

impl Rate {
    /// This rate in units of another.
    pub(super) fn over(self, other: Self) -> Self {
        Self {
            per_second: self.per_second / other.per_second,
            per_cpu_second: self.per_cpu_second / other.per_cpu_second,
        }
    }
}

/// A program that answers each number of seconds on its standard input with its rate.
pub(super) struct Side {
    pub(super) name: String,
    /// Floating-point operations of one repetition, in millions, if the program counts them.
    pub(super) mflop: Option<f64>,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(super) turns: Vec<Rate>,
}

impl Side {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        #[derive(Deserialize)]
        struct Ready {
            ready: String,
            mflop: Option<f64>,
        }
        let shown = process::show(command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let (asks, answers) = child.stdin.take().zip(child.stdout.take()).context("both streams are piped")?;
        let mut side =
            Self { name: shown, mflop: None, child, asks, answers: BufReader::new(answers), turns: Vec::new() };
        let ready: Ready = side.answer()?;
        (side.name, side.mflop) = (ready.ready, ready.mflop);
        Ok(side)
    }

    pub(super) fn turn(&mut self, seconds: f64) -> Result<()> {
        writeln!(self.asks, "{seconds}").with_context(|| format!("{} has stopped", self.name))?;
        let rate = self.answer()?;
        self.turns.push(rate);
        Ok(())
    }

    fn answer<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("{} stopped without an answer", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("{} answered `{}`", self.name, line.trim_end()))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // It only ever waits for a line; nothing of it is worth keeping.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The middle of each rate by itself.
pub(super) fn median(turns: &[Rate]) -> Rate {
    let middle = |value: fn(&Rate) -> f64| {
        let mut values: Vec<f64> = turns.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Rate { per_second: middle(|rate| rate.per_second), per_cpu_second: middle(|rate| rate.per_cpu_second) }
}
