//! Many environments of one task, stepped together by several threads.

mod shard;
mod worker;

use std::thread;

use crate::{EnvError, Environment, FrameSpec, Spec, StepType, registry};
use shard::{Job, Shard};
use worker::Worker;

/// K environments of equal shape that make their steps together, on threads that live as long as this value.
///
/// Every environment keeps its own random stream, so results do not depend on the number of threads, bit for bit. An
/// environment whose episode has ended starts the next one at the next step, ignoring that action, as in `dm_env`:
/// its row then says [`StepType::First`]. Buffers are allocated once; after the first episode a step allocates nothing
/// unless an environment does.
///
/// The calling thread does its share of the work, so `threads` is how many processors are used in all. Threads wait for
/// each other at every step: ask for no more than there are processors with nothing else to do.
///
/// ```no_run
/// use mpo_envs::VectorEnvironment;
///
/// // Eight cheetahs with the seeds 0 to 7, on two threads.
/// let mut cheetahs = VectorEnvironment::load("cheetah-run", 0..8, 2)?;
/// let actions = vec![0.1; 8 * cheetahs.spec().action_len()]; // [8, 6], row by row
/// cheetahs.reset()?;
/// for _ in 0..1000 {
///     let steps = cheetahs.step(&actions)?;
///     assert_eq!((steps.rewards.len(), steps.observations.len()), (8, 8 * 17));
/// }
/// # Ok::<(), mpo_envs::EnvError>(())
/// ```
#[derive(Debug)]
pub struct VectorEnvironment {
    spec: Spec,
    /// What the calling thread steps itself: the first environments.
    own: Shard,
    /// What the others step: the environments after those, in order.
    workers: Vec<Worker>,
    step_types: Vec<StepType>,
    rewards: Vec<f64>,
    discounts: Vec<f64>,
    observations: Vec<f64>,
    frames: Vec<u8>,
}

/// What K environments answered, one row each. The fields are those of [`TimeStep`](crate::TimeStep).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TimeSteps<'a> {
    /// Where in its episode each environment stands, `[K]`.
    pub step_types: &'a [StepType],
    /// Rewards, `[K]`; 0 on [`StepType::First`].
    pub rewards: &'a [f64],
    /// Discounts, `[K]`: 0 after a true termination, otherwise 1.
    pub discounts: &'a [f64],
    /// Flat observations row by row, `[K, n]` with n = [`Spec::observation_len`].
    pub observations: &'a [f64],
    /// Newest frames row by row, `[K, b]` with b = [`FrameSpec::bytes`]; empty for environments without pictures.
    pub frames: &'a [u8],
}

impl VectorEnvironment {
    /// Environments of your own, stepped by `threads` threads; more threads than environments are not started.
    ///
    /// # Errors
    ///
    /// [`EnvError::Thread`] when the system gives no more threads.
    ///
    /// # Panics
    ///
    /// If there is no environment or no thread, and if the environments' [`Spec`]s differ.
    pub fn new(environments: Vec<Box<dyn Environment>>, threads: usize) -> Result<Self, EnvError> {
        assert!(threads > 0, "no thread to step the environments");
        let count = environments.len();
        let Some(spec) = environments.first().map(|environment| environment.spec().clone()) else {
            panic!("a vector of no environments has no shape");
        };
        for (index, environment) in environments.iter().enumerate() {
            assert_eq!(environment.spec(), &spec, "environment {index} is unlike environment 0");
        }
        let threads = threads.min(count);
        // Waiting threads turn for a while before they sleep, if that takes no processor from one that works.
        let patient = thread::available_parallelism().is_ok_and(|processors| processors.get() >= threads);
        let mut environments = environments.into_iter();
        let mut shard = |thread: usize| {
            let first = count * thread / threads;
            let size = count * (thread + 1) / threads - first;
            Shard::new(first, environments.by_ref().take(size).collect(), &spec)
        };
        let own = shard(0);
        let workers = (1..threads).map(|thread| Worker::start(shard(thread), patient)).collect::<Result<_, _>>()?;
        Ok(Self {
            own,
            workers,
            step_types: vec![StepType::Last; count],
            rewards: vec![0.0; count],
            discounts: vec![1.0; count],
            observations: vec![0.0; count * spec.observation_len()],
            frames: vec![0; count * frame_bytes(&spec)],
            spec,
        })
    }

    /// The task called `name`, as [`load`](crate::load) knows it, once for every seed, stepped by `threads` threads.
    ///
    /// # Errors
    ///
    /// Those of [`load`](crate::load), and [`EnvError::Thread`].
    ///
    /// # Panics
    ///
    /// If there is no seed or no thread.
    pub fn load(name: &str, seeds: impl IntoIterator<Item = u32>, threads: usize) -> Result<Self, EnvError> {
        let environments = seeds.into_iter().map(|seed| registry::load(name, seed)).collect::<Result<_, _>>()?;
        Self::new(environments, threads)
    }

    /// Shapes, bounds and timing of each environment.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How many environments there are, K.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rewards.len()
    }

    /// How many threads step them, the calling one included.
    #[must_use]
    pub fn threads(&self) -> usize {
        1 + self.workers.len()
    }

    /// Starts a new episode in every environment.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn reset(&mut self) -> Result<TimeSteps<'_>, EnvError> {
        self.advance(Job::Reset, &[])
    }

    /// Applies row i of `actions`, `[K, m]` with m = [`Spec::action_len`], to environment i.
    ///
    /// # Errors
    ///
    /// [`EnvError::InVector`] with the first environment that failed, and its error. The others have made their step, which
    /// [`time_steps`](Self::time_steps) shows; the row of one that failed says [`StepType::Last`] with discount 1,
    /// reward 0 and the observation and frame before. At the next step it starts a new episode.
    ///
    /// # Panics
    ///
    /// If `actions` has another length, and with the panic of an environment.
    pub fn step(&mut self, actions: &[f64]) -> Result<TimeSteps<'_>, EnvError> {
        let (count, width) = (self.count(), self.spec.action_len());
        assert_eq!(actions.len(), count * width, "length of the actions of {count} environments of {width} each");
        self.advance(Job::Step, actions)
    }

    /// What the last [`reset`](Self::reset) or [`step`](Self::step) answered. Before the first one all rows are zero and
    /// say [`StepType::Last`].
    #[must_use]
    pub fn time_steps(&self) -> TimeSteps<'_> {
        TimeSteps {
            step_types: &self.step_types,
            rewards: &self.rewards,
            discounts: &self.discounts,
            observations: &self.observations,
            frames: &self.frames,
        }
    }

    fn advance(&mut self, job: Job, actions: &[f64]) -> Result<TimeSteps<'_>, EnvError> {
        let width = if actions.is_empty() { 0 } else { self.spec.action_len() };
        let rows = |first: usize, count: usize| &actions[first * width..(first + count) * width];
        for worker in &mut self.workers {
            worker.begin(job, rows(worker.first, worker.count));
        }
        self.own.advance(job, rows(0, self.own.count()));
        let mut failed = self.own.error.take();
        self.collect(None);
        for index in 0..self.workers.len() {
            let error = self.workers[index].wait();
            failed = failed.or(error);
            self.collect(Some(index));
        }
        match failed {
            None => Ok(self.time_steps()),
            Some((index, source)) => Err(EnvError::InVector { index, count: self.count(), source: Box::new(source) }),
        }
    }

    /// Copies the results of the calling thread's environments, or of a worker's, to their rows.
    fn collect(&mut self, worker: Option<usize>) {
        let (width, bytes) = (self.spec.observation_len(), frame_bytes(&self.spec));
        let mut copy = |shard: &Shard| {
            let rows = shard.first..shard.first + shard.count();
            self.step_types[rows.clone()].copy_from_slice(&shard.step_types);
            self.rewards[rows.clone()].copy_from_slice(&shard.rewards);
            self.discounts[rows.clone()].copy_from_slice(&shard.discounts);
            self.observations[rows.start * width..rows.end * width].copy_from_slice(&shard.observations);
            self.frames[rows.start * bytes..rows.end * bytes].copy_from_slice(&shard.frames);
        };
        match worker {
            None => copy(&self.own),
            Some(index) => copy(&self.workers[index].shard()),
        }
    }
}

/// Bytes of an environment's newest frame.
fn frame_bytes(spec: &Spec) -> usize {
    spec.frame.as_ref().map_or(0, FrameSpec::bytes)
}
