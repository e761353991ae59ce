//! A thread that waits for jobs. Nothing here allocates once it runs: no channel, only two counters and a lock that is
//! never held by both sides at once.

use std::any::Any;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use super::shard::{Job, Shard};
use crate::EnvError;

/// How often a waiting thread looks before it sleeps: some hundreds of microseconds, by which threads differ in a step. Waking
/// a thread costs tens.
const LOOKS: u32 = 20_000;

/// A thread with environments of its own.
pub(super) struct Worker {
    /// Index in the vector of the thread's first environment.
    pub(super) first: usize,
    /// How many environments it has.
    pub(super) count: usize,
    desk: Arc<Desk>,
    /// Jobs begun so far.
    begun: u64,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.first..self.first + self.count;
        formatter.debug_struct("Worker").field("rows", &rows).field("begun", &self.begun).finish_non_exhaustive()
    }
}

/// Where the two sides meet.
struct Desk {
    work: Mutex<Work>,
    /// Number of the job that is to be done. Written by the caller after the work is on the desk.
    asked: AtomicU64,
    /// Number of the job that is done. Written by the worker after the results are on the desk.
    done: AtomicU64,
    closing: AtomicBool,
    /// Whether to look for a while before sleeping.
    patient: bool,
}

struct Work {
    shard: Shard,
    job: Job,
    actions: Vec<f64>,
    /// Whom to wake.
    caller: Thread,
    panic: Option<Box<dyn Any + Send>>,
}

impl Desk {
    fn work(&self) -> MutexGuard<'_, Work> {
        // A panic of an environment is caught before it could poison the lock.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when `counter` has reached `number`, or with `false` when the desk closes.
    fn wait(&self, counter: &AtomicU64, number: u64) -> bool {
        let mut looks = if self.patient { LOOKS } else { 0 };
        // Acquire: what the other side wrote before it raised the counter is seen after.
        while counter.load(Ordering::Acquire) < number {
            if self.closing.load(Ordering::Acquire) {
                return false;
            }
            if looks > 0 {
                looks -= 1;
                std::hint::spin_loop();
            } else {
                // A wake-up that came between the look and here makes this return at once.
                thread::park();
            }
        }
        true
    }
}

impl Worker {
    /// # Errors
    ///
    /// [`EnvError::Thread`] when the system gives no thread.
    pub(super) fn start(shard: Shard, patient: bool) -> Result<Self, EnvError> {
        let (first, count) = (shard.first, shard.count());
        let work = Work { shard, job: Job::Reset, actions: Vec::new(), caller: thread::current(), panic: None };
        let desk = Arc::new(Desk {
            work: Mutex::new(work),
            asked: AtomicU64::new(0),
            done: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            patient,
        });
        let shared = Arc::clone(&desk);
        let thread = thread::Builder::new()
            .name(format!("environments from {first}"))
            .spawn(move || serve(&shared))
            .map_err(|source| EnvError::Thread { source })?;
        Ok(Self { first, count, desk, begun: 0, thread: Some(thread) })
    }

    /// Hands over a job with the actions of this thread's environments.
    pub(super) fn begin(&mut self, job: Job, actions: &[f64]) {
        // A panic elsewhere may have kept the caller from waiting for the last one.
        self.desk.wait(&self.desk.done, self.begun);
        {
            let mut work = self.desk.work();
            work.job = job;
            work.actions.clear();
            work.actions.extend_from_slice(actions);
            work.caller = thread::current();
        }
        self.begun += 1;
        self.desk.asked.store(self.begun, Ordering::Release);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Waits for the job to be done; returns the first of the environments that failed. A panic of an environment goes on
    /// here.
    pub(super) fn wait(&self) -> Option<(usize, EnvError)> {
        self.desk.wait(&self.desk.done, self.begun);
        let mut work = self.desk.work();
        if let Some(panic) = work.panic.take() {
            drop(work);
            panic::resume_unwind(panic);
        }
        work.shard.error.take()
    }

    /// The environments' rows, between jobs.
    pub(super) fn shard(&self) -> impl std::ops::Deref<Target = Shard> {
        Rows(self.desk.work())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.desk.closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Its panics were caught; there is nothing to hear of it.
            let _ = thread.join();
        }
    }
}

struct Rows<'a>(MutexGuard<'a, Work>);

impl std::ops::Deref for Rows<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.0.shard
    }
}

/// The thread's life: job after job, until the desk closes.
fn serve(desk: &Desk) {
    let mut number = 1;
    while desk.wait(&desk.asked, number) {
        let caller = {
            let mut work = desk.work();
            let Work { shard, job, actions, .. } = &mut *work;
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| shard.advance(*job, actions)));
            work.panic = outcome.err();
            work.caller.clone()
        };
        desk.done.store(number, Ordering::Release);
        caller.unpark();
        number += 1;
    }
}
