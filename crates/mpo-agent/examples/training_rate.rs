//! A side of `cargo xtask bench training`: answers each number of seconds on standard input with its rate of environment steps.
//!
//! ```text
//! training_rate whole TASK ACTORS   a run of the default profile, so many actors beside the learner (0: in turns with it)
//! training_rate learner TASK        the updates due to as many steps, sampling included, and nothing else
//! training_rate acting TASK         actor, environment and replay, and nothing else
//! ```
#![allow(clippy::print_stdout, reason = "its lines are read by another program")]

use std::error::Error;
use std::io::{Lines, StdinLock, stdin};
use std::time::Instant;

use mpo_agent::{
    Actor, Config, ControlSuite, CpuLearners, EnvironmentFactory, EnvironmentLoop, EpisodeRow, Learner, LearnerFactory,
    Observer, Profile, Run, Seeds, Shape,
};
use mpo_replay::ReplayBuffer;

/// A turn under way.
struct Turns {
    asks: Lines<StdinLock<'static>>,
    seconds: f64,
    start: Instant,
    cpu: f64,
    steps: f64,
}

impl Turns {
    fn ready(name: &str) -> Self {
        println!("{}", serde_json::json!({ "ready": name }));
        let mut turns = Self { asks: stdin().lines(), seconds: 0.0, start: Instant::now(), cpu: 0.0, steps: 0.0 };
        turns.next();
        turns
    }

    /// Waits for the next turn; no more of them is a turn without end.
    fn next(&mut self) {
        let asked = self.asks.next().and_then(Result::ok).and_then(|line| line.trim().parse().ok());
        self.seconds = asked.unwrap_or(f64::INFINITY);
        (self.start, self.cpu, self.steps) = (Instant::now(), cpu_seconds(), 0.0);
    }

    fn is_over(&self) -> bool {
        self.seconds.is_infinite()
    }

    /// Counts steps; answers and waits when the turn's time is up.
    fn count(&mut self, steps: f64) {
        self.steps += steps;
        let wall = self.start.elapsed().as_secs_f64();
        if wall >= self.seconds {
            let cpu = cpu_seconds() - self.cpu;
            let rate = serde_json::json!({ "per_second": self.steps / wall, "per_cpu_second": self.steps / cpu });
            println!("{rate}");
            self.next();
        }
    }
}

/// Time that this process's threads spent on a processor, from Linux's own account, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Counts a run's steps, once updates are due.
struct Watch {
    turns: Option<Turns>,
    last: u64,
}

impl Observer for Watch {
    fn on_episode(&mut self, row: &EpisodeRow) {
        let steps = (row.step - self.last) as f64;
        self.last = row.step;
        match &mut self.turns {
            Some(turns) => turns.count(steps),
            // The first updates grow buffers.
            None if row.updates > 0 => self.turns = Some(Turns::ready("a whole run")),
            None => {}
        }
    }

    fn should_stop(&self) -> bool {
        self.turns.as_ref().is_some_and(Turns::is_over)
    }
}

fn config(task: &str, actors: &str) -> Result<Config, Box<dyn Error>> {
    let settings = [
        ("task", task),
        ("steps", "100000000"),
        ("training.actors", actors),
        ("training.evaluation_period", "100000000"),
        ("training.checkpoint_period", "100000000"),
    ];
    let sets: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Ok(Config::resolve(Profile::Default, None, &sets)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["whole", task, actors] => {
            let directory = tempfile::tempdir()?;
            let mut run = Run::create(directory.path(), config(task, actors)?)?;
            run.train(&mut Watch { turns: None, last: 0 })?;
        }
        ["learner" | "acting", task] => {
            let config = config(task, "0")?;
            let seeds = Seeds::new(0);
            let environment = ControlSuite.make(task, 0)?;
            let spec = environment.spec().clone();
            let shape = Shape::of(&spec)?;
            let step = CpuLearners.make(shape, &config.network, &config.learner, 0)?;
            let replay = ReplayBuffer::new(shape.layout(), config.replay.capacity, 1);
            let mut writer = replay.writer(0)?;
            let mut learner = Learner::new(step, &config.replay, seeds.stream("replay"));
            let mut actor = Actor::new(&spec, &config.network, seeds.stream("actor"))?;
            actor.load(learner.policy_parameters());
            let mut acting = EnvironmentLoop::new(environment, actor);
            for _ in 0..10 {
                acting.run_episode(&mut writer, |_| Ok(()))?;
            }
            for _ in 0..5 {
                learner.update(&replay)?;
            }
            let mut turns = Turns::ready(arguments[0]);
            while !turns.is_over() {
                if arguments[0] == "learner" {
                    learner.update(&replay)?;
                    turns.count(1.0 / config.training.updates_per_step);
                } else {
                    turns.count(acting.run_episode(&mut writer, |_| Ok(()))?.length as f64);
                }
            }
        }
        _ => return Err("usage: training_rate whole TASK ACTORS | learner TASK | acting TASK".into()),
    }
    Ok(())
}
