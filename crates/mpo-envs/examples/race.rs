//! A side of `cargo xtask bench envs` and `bench atari`: answers each number of seconds on standard input with its rate of environment steps.
//!
//! ```text
//! race episodes TASK           the environment, resets included
//! race steps TASK              the environment, time counted between resets only
//! race bare TASK               `mj_step` alone from the same start states with the same actions, counted likewise
//! race vector TASK K THREADS   K environments on so many threads, resets included
//! race atari GAME RESIZE K     K games on one thread, resets included, frames put together to stacks of 4; a step is 4 frames
//! ```
#![allow(clippy::print_stdout, reason = "its lines are read by another program")]

use std::error::Error;
use std::fs;
use std::io::BufRead;
use std::time::Instant;

use mpo_envs::atari::{Atari, AtariOptions, Resize};
use mpo_envs::{Environment, RandomState, Spec, VectorEnvironment, suite};

/// What a side did, and the time that counts.
#[derive(Clone, Copy, Default)]
struct Tally {
    steps: f64,
    wall: f64,
    cpu: f64,
}

impl Tally {
    /// Counts the work as `steps` steps.
    fn count<E>(&mut self, steps: usize, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let (wall, cpu) = (Instant::now(), cpu_seconds());
        work()?;
        self.steps += steps as f64;
        self.wall += wall.elapsed().as_secs_f64();
        self.cpu += cpu_seconds() - cpu;
        Ok(())
    }
}

/// CPU seconds of all threads of this process, from the kernel's accounting.
fn cpu_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Random rows of actions, made beforehand so that only stepping is measured.
struct Actions {
    rows: Vec<Vec<f64>>,
    next: usize,
}

impl Actions {
    fn new(spec: &Spec, environments: usize) -> Self {
        let mut random = RandomState::new(1);
        let bounds: Vec<_> = spec.action_minimum.iter().zip(&spec.action_maximum).collect();
        let mut row = || {
            let row = bounds.iter().cycle().take(environments * bounds.len());
            row.map(|(low, high)| match spec.discrete_actions {
                Some(count) => random.uniform(0.0, count as f64).floor(),
                None => random.uniform(**low, **high),
            })
            .collect()
        };
        Self { rows: (0..997).map(|_| row()).collect(), next: 0 }
    }

    fn take(&mut self) -> &[f64] {
        self.next = (self.next + 1) % self.rows.len();
        &self.rows[self.next]
    }
}

/// A turn's piece of work: an episode, or as much of one as a vector makes between two looks at the clock.
type Piece = Box<dyn FnMut(&mut Tally) -> Result<(), Box<dyn Error>>>;

fn piece(arguments: &[&str]) -> Result<Piece, Box<dyn Error>> {
    match *arguments {
        ["episodes" | "steps", task] => {
            let with_resets = arguments[0] == "episodes";
            let mut environment = suite::load(task, 0)?;
            let steps = environment.spec().episode_steps;
            let mut actions = Actions::new(environment.spec(), 1);
            Ok(Box::new(move |tally| {
                let play = |environment: &mut dyn Environment, actions: &mut Actions| {
                    (0..steps).try_for_each(|_| environment.step(actions.take()).map(|_| ()))
                };
                if with_resets {
                    // The reset is one call of `step` too.
                    return Ok(tally.count(steps, || {
                        environment.reset()?;
                        play(environment.as_mut(), &mut actions)
                    })?);
                }
                environment.reset()?;
                Ok(tally.count(steps, || play(environment.as_mut(), &mut actions))?)
            }))
        }
        ["bare", task] => {
            let mut bare = suite::BareSimulation::load(task, 0)?;
            let spec = suite::load(task, 0)?.spec().clone();
            let steps = spec.episode_steps;
            let mut actions = Actions::new(&spec, 1);
            Ok(Box::new(move |tally| {
                bare.reset()?;
                tally.count(steps, || {
                    (0..steps).for_each(|_| bare.step(actions.take()));
                    Ok(())
                })
            }))
        }
        ["vector", task, environments, threads] => {
            let count: u32 = environments.parse()?;
            let mut vector = VectorEnvironment::load(task, 0..count, threads.parse()?)?;
            let mut actions = Actions::new(vector.spec(), count as usize);
            vector.reset()?;
            Ok(Box::new(move |tally| {
                let rounds = 100;
                Ok(tally.count(rounds * count as usize, || {
                    (0..rounds).try_for_each(|_| vector.step(actions.take()).map(|_| ()))
                })?)
            }))
        }
        ["atari", game, resize, environments] => games(game, resize, environments.parse()?),
        _ => {
            Err("usage: race episodes|steps|bare TASK, race vector TASK K THREADS, or race atari GAME RESIZE K".into())
        }
    }
}

fn games(game: &str, resize: &str, count: u32) -> Result<Piece, Box<dyn Error>> {
    let resize = match resize {
        "bilinear" => Resize::Bilinear,
        "area" => Resize::Area,
        _ => return Err("RESIZE is bilinear or area".into()),
    };
    let options = AtariOptions { resize, ..AtariOptions::default() };
    let load = |seed| Ok(Box::new(Atari::load(game, seed, &options)?) as Box<dyn Environment>);
    let environments = (0..count).map(load).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let mut vector = VectorEnvironment::new(environments, 1)?;
    let (actions, spec) = (vector.spec().discrete_actions.unwrap_or(0) as f64, vector.spec());
    let frame = spec.frame.ok_or("a game without frames")?;
    let mut random = RandomState::new(1);
    let rows: Vec<Vec<f64>> =
        (0..997).map(|_| (0..count).map(|_| random.uniform(0.0, actions).floor()).collect()).collect();
    // Each game's stack, oldest frame first, which is what the peers hand out.
    let mut stacks = vec![vec![0; frame.stack * frame.bytes()]; count as usize];
    let mut next = 0;
    vector.reset()?;
    Ok(Box::new(move |tally| {
        let rounds = 20;
        Ok(tally.count(rounds * count as usize * 4, || {
            for _ in 0..rounds {
                next = (next + 1) % rows.len();
                let steps = vector.step(&rows[next])?;
                for (stack, newest) in stacks.iter_mut().zip(steps.frames.chunks_exact(frame.bytes())) {
                    stack.copy_within(frame.bytes().., 0);
                    let last = stack.len() - frame.bytes();
                    stack[last..].copy_from_slice(newest);
                }
            }
            Ok::<(), mpo_envs::EnvError>(())
        })?)
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut piece = piece(&arguments)?;
    // The first pieces grow buffers.
    for _ in 0..2 {
        piece(&mut Tally::default())?;
    }
    println!("{}", serde_json::json!({ "ready": arguments.join(" ") }));
    for line in std::io::stdin().lock().lines() {
        let (seconds, start, mut tally) = (line?.trim().parse()?, Instant::now(), Tally::default());
        while start.elapsed().as_secs_f64() < seconds {
            piece(&mut tally)?;
        }
        let rates = serde_json::json!({
            "per_second": tally.steps / tally.wall, "per_cpu_second": tally.steps / tally.cpu,
        });
        println!("{rates}");
    }
    Ok(())
}
