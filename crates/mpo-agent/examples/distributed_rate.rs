//! What a distributed update costs, for `cargo xtask bench distributed`: every process of an MPI job updates one learner on a
//! replay of random transitions, and the first one prints where the time went, as JSON.
//!
//! ```text
//! mpirun -np 2 distributed_rate all_reduce 500    so many updates of the walker's learner, default settings
//! ```
//!
//! Before each reduction the processes wait for each other, so that waiting for the slowest is not taken for reducing.
#![allow(clippy::print_stdout, reason = "its line is read by another program")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use mpo_agent::{CpuLearners, Learner, LearnerFactory, Mpi, Reduction, ReplayConfig, Seeds, Shape, Workers};
use mpo_nets::{GradientReducer, LearnerConfig, NetsError, NetworkConfig};
use mpo_replay::{Action, Batch, Observation, Outcome, ReplayBuffer};
use rand::Rng;

const SHAPE: Shape = Shape::vector(24, 6);
const TRANSITIONS: usize = 100_000;
const EPISODE: usize = 1_000;
/// Updates before the first that counts.
const WARM: usize = 20;

/// Workers whose every reduction is timed.
struct Timed<W> {
    workers: W,
    numbers: usize,
    waiting: Vec<f64>,
    reducing: Vec<f64>,
}

impl<W: Workers> GradientReducer for Timed<W> {
    fn workers(&self) -> usize {
        self.workers.workers()
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        self.numbers = values.len();
        let begin = Instant::now();
        self.workers.gather(&[], &mut [])?;
        let met = Instant::now();
        self.workers.mean(values)?;
        self.waiting.push(met.duration_since(begin).as_secs_f64());
        self.reducing.push(met.elapsed().as_secs_f64());
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        self.workers.least(count)
    }
}

/// A replay of episodes of noise.
fn replay(stream: &mut impl Rng) -> Result<ReplayBuffer, Box<dyn Error>> {
    let replay = ReplayBuffer::new(SHAPE.layout(), TRANSITIONS, 1);
    let mut writer = replay.writer(0)?;
    let mut draw = |out: &mut [f32]| mpo_agent::standard_normals(stream, out);
    let (mut observation, mut action) = ([0.0; 24], [0.0; 6]);
    for _ in 0..TRANSITIONS / EPISODE {
        draw(&mut observation);
        writer.begin_with(Observation { vector: &observation, frame: &[] });
        for step in 1..=EPISODE {
            draw(&mut observation);
            draw(&mut action);
            let outcome = Outcome { log_prob: -8.0, reward: observation[0], discount: 1.0, last: step == EPISODE };
            writer.push_with(Action::Continuous(&action), outcome, Observation { vector: &observation, frame: &[] });
        }
    }
    Ok(replay)
}

/// The middle of some times, in microseconds.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).map_or(0.0, |seconds| 1e6 * seconds)
}

/// The middle of the times of `repetitions` of `work`, in microseconds.
fn time(repetitions: usize, mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64()
    };
    median(&mut (0..repetitions).map(|_| once()).collect::<Vec<_>>())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reduction, updates] = &arguments[..] else { return Err("usage: distributed_rate REDUCTION UPDATES".into()) };
    let reduction = match reduction.as_str() {
        "all_reduce" => Reduction::AllReduce,
        "rank_order" => Reduction::RankOrder,
        other => return Err(format!("no reduction is called {other}").into()),
    };
    let updates: usize = updates.parse()?;
    let job = Mpi::join()?;
    let seeds = Seeds::new(0).of_worker(job.rank());
    let replay = replay(&mut seeds.stream("transitions"))?;
    let config = ReplayConfig::default();
    let step = CpuLearners.make(SHAPE, &NetworkConfig::default(), &LearnerConfig::default(), 0)?;
    let mut learner = Learner::new(step, &config, seeds.stream("replay"));
    let workers = job.as_workers(reduction);
    let mut workers = Timed { workers, numbers: 0, waiting: Vec::new(), reducing: Vec::new() };
    for _ in 0..WARM {
        learner.update_with(&replay, &mut workers)?;
    }
    (workers.waiting, workers.reducing) = (Vec::new(), Vec::new());
    workers.workers.gather(&[], &mut [])?;
    let mut whole = Vec::with_capacity(updates);
    let begin = Instant::now();
    for _ in 0..updates {
        let begin = Instant::now();
        learner.update_with(&replay, &mut workers)?;
        whole.push(begin.elapsed().as_secs_f64());
    }
    workers.workers.gather(&[], &mut [])?;
    let seconds = begin.elapsed().as_secs_f64();
    let (mut batch, mut stream) = (Batch::default(), seeds.stream("replay"));
    let sampling = time(200, || {
        replay.sample(&mut stream, config.sequences, config.steps, &mut batch).expect("the replay is full");
    });
    let (from, mut to) = (vec![1.0_f32; workers.numbers], vec![0.0_f32; workers.numbers]);
    let copying = time(200, || black_box(&mut to).copy_from_slice(black_box(&from)));
    if job.rank() == 0 {
        let sum = |times: &[f64]| times.iter().fold(0.0, |sum, time| sum + time);
        let count = job.workers();
        let (waited, reduced) = (sum(&workers.waiting) / seconds, sum(&workers.reducing) / seconds);
        let line = serde_json::json!({
            "workers": count,
            "numbers": workers.numbers,
            "updates_per_second": updates as f64 / seconds,
            "samples_per_second": (updates * count * config.sequences * config.steps) as f64 / seconds,
            "update_us": median(&mut whole),
            "waiting_us": median(&mut workers.waiting),
            "reducing_us": median(&mut workers.reducing),
            "waiting_share": waited,
            "reducing_share": reduced,
            "sampling_us": sampling,
            "copying_us": copying,
        });
        println!("{line}");
    }
    Ok(())
}
