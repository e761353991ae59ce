//! Threads that stay, and take parts of a pass over the batch.
//!
//! Where sums over the batch are formed, parts are equal, which thread computes which depends on their number alone, and partial
//! sums are added in the order of the threads. Where rows do not meet, whoever is free takes the next part. Either way a result is
//! a function of the inputs and of the number of threads.
#![expect(unsafe_code, reason = "a thread that outlives a call borrows the call's data: the call waits for it")]

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

/// Looks at a counter before a waiting thread lets go of its core: some 0.1 ms, more than lies between two passes of one
/// update. Waking a sleeper takes about half of that.
const SPINS: usize = 6_000;

/// The largest number of threads: what is handed out per thread stands in arrays of this length.
pub(crate) const MOST: usize = 32;

/// A handle to the threads that share a learner's passes; clones share the same threads. The default is the caller alone.
///
/// ```
/// let threads = mpo_nets::Threads::new(2);
/// assert_eq!((threads.count(), mpo_nets::Threads::default().count()), (2, 1));
/// ```
#[derive(Clone, Default)]
pub struct Threads {
    pool: Option<Arc<Pool>>,
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

impl Threads {
    /// `count` threads, the caller's among them; the others are started now and sleep when there is nothing to do.
    ///
    /// # Panics
    /// If `count` is 0 or more than 32, or the system gives no more threads.
    #[must_use]
    pub fn new(count: usize) -> Self {
        assert!((1..=MOST).contains(&count), "{count} threads: between 1 and {MOST} can share a batch");
        Self { pool: (count > 1).then(|| Arc::new(Pool::new(count - 1))) }
    }

    /// Their number.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.pool.as_ref().map_or(0, |pool| pool.workers.len())
    }

    /// Runs `f` on every task, task i on thread i, and returns when all are done.
    ///
    /// # Panics
    /// If there are more tasks than threads, or `f` panics.
    pub(crate) fn each<T: Send>(&self, tasks: &mut [T], f: impl Fn(&mut T) + Sync) {
        assert!(tasks.len() <= self.count(), "{} tasks for {} threads", tasks.len(), self.count());
        match (&self.pool, tasks) {
            (_, []) => {}
            (_, [task]) => f(task),
            (None, _) => unreachable!("one thread takes one task"),
            (Some(pool), tasks) => pool.each(tasks, &f),
        }
    }

    /// Runs `f` on every task, whichever thread is free taking the next, each with its own of `lent`; returns when all are
    /// done. What `f` makes of a task must not depend on what was lent.
    ///
    /// A core that is slower than the others, or is taken away for a moment, so delays the end by a task and not by its
    /// whole share.
    ///
    /// # Panics
    /// If more is lent than there are threads, or `f` panics.
    pub(crate) fn share<L: Send, T: Send>(&self, lent: &mut [L], tasks: &mut [T], f: impl Fn(&mut L, &mut T) + Sync) {
        let queue = Mutex::new(tasks.iter_mut());
        let next = || lock(&queue).next();
        self.each(lent, |lent| {
            while let Some(task) = next() {
                f(lent, task);
            }
        });
    }
}

/// A call's work: a function of the task's index, without its lifetime.
#[derive(Clone, Copy)]
struct Job {
    run: unsafe fn(*const (), usize),
    data: *const (),
    tasks: usize,
}

// SAFETY: `data` points at a `Call`, whose parts are Sync or handed out once; see `Pool::each`.
unsafe impl Send for Job {}

/// What a job's `data` points at.
struct Call<'a, T, F> {
    tasks: *mut T,
    f: &'a F,
}

struct Shared {
    /// Jobs handed out, and the newest of them; `usize::MAX` jobs tell the workers to end.
    generation: AtomicUsize,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    /// Workers that have not finished the newest job.
    running: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// One call at a time, whatever the number of handles.
    busy: Mutex<()>,
}

/// A poisoned lock guards nothing that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    fn new(workers: usize) -> Self {
        let shared = Arc::new(Shared {
            generation: AtomicUsize::new(0),
            job: Mutex::new(None),
            wake: Condvar::new(),
            running: AtomicUsize::new(0),
            panic: Mutex::new(None),
        });
        let start = |index: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("mpo-nets-{index}"))
                .spawn(move || work(&shared, index))
                .expect("the system starts a thread")
        };
        Self { workers: (1..=workers).map(start).collect(), busy: Mutex::new(()), shared }
    }

    fn hand_out(&self, generation: usize, job: Option<Job>) {
        let mut slot = lock(&self.shared.job);
        *slot = job;
        self.shared.generation.store(generation, Ordering::Release);
        self.shared.wake.notify_all();
    }

    fn each<T: Send, F: Fn(&mut T) + Sync>(&self, tasks: &mut [T], f: &F) {
        /// # Safety
        /// `data` is a living `Call<T, F>` with more than `index` tasks, and no other thread has this index.
        unsafe fn run<T, F: Fn(&mut T)>(data: *const (), index: usize) {
            // SAFETY: promised by the caller.
            let (call, task) = unsafe {
                let call = &*data.cast::<Call<'_, T, F>>();
                (call, &mut *call.tasks.add(index))
            };
            (call.f)(task);
        }
        let _alone = lock(&self.busy);
        let shared = &self.shared;
        let call = Call { tasks: tasks.as_mut_ptr(), f };
        let data = (&raw const call).cast();
        shared.running.store(self.workers.len(), Ordering::Relaxed);
        let generation = (shared.generation.load(Ordering::Relaxed) + 1) % usize::MAX;
        self.hand_out(generation, Some(Job { run: run::<T, F>, data, tasks: tasks.len() }));
        // SAFETY: `call` lives until the end of this function, which is not reached, by a panic neither, before every worker
        // has finished; each index, and so each `&mut T`, goes to one thread; T is Send and F is Sync.
        let mine = catch_unwind(AssertUnwindSafe(|| unsafe { run::<T, F>(data, 0) }));
        let mut looks = 0;
        while shared.running.load(Ordering::Acquire) > 0 {
            looks += 1;
            if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        if let Some(panic) = mine.err().or_else(|| lock(&shared.panic).take()) {
            resume_unwind(panic);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.hand_out(usize::MAX, None);
        for worker in self.workers.drain(..) {
            // A worker catches the panics of its tasks; it has none of its own.
            let _ = worker.join();
        }
    }
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut looks = 0;
        while shared.generation.load(Ordering::Acquire) == seen && looks < SPINS {
            std::hint::spin_loop();
            looks += 1;
        }
        let mut slot = lock(&shared.job);
        while shared.generation.load(Ordering::Relaxed) == seen {
            slot = shared.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
        seen = shared.generation.load(Ordering::Relaxed);
        let Some(job) = *slot else { return };
        drop(slot);
        if index < job.tasks {
            // SAFETY: `Pool::each` keeps the call alive until `running` is 0, and gives each index to one thread.
            let result = catch_unwind(AssertUnwindSafe(|| unsafe { (job.run)(job.data, index) }));
            if let Err(panic) = result {
                *lock(&shared.panic) = Some(panic);
            }
        }
        shared.running.fetch_sub(1, Ordering::Release);
    }
}

/// Where part `part` of `parts` of `len` things begins: parts differ by at most one.
pub(crate) fn part_start(len: usize, part: usize, parts: usize) -> usize {
    len * part / parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_in_every_call() {
        let threads = Threads::new(3);
        for call in 0..2000 {
            let mut tasks = [(0, 0_usize); 3];
            let count = 1 + call % 3;
            threads.each(&mut tasks[..count], |task| *task = (task.0 + 1, call));
            for (i, task) in tasks.iter().enumerate() {
                assert_eq!(*task, if i < count { (1, call) } else { (0, 0) });
            }
        }
    }

    #[test]
    fn shared_tasks_run_once_on_whoever_is_free() {
        let threads = Threads::new(3);
        for count in 0..40 {
            let (mut lent, mut tasks) = ([0; 3], vec![0; count]);
            threads.share(&mut lent, &mut tasks, |mine, task| {
                (*mine, *task) = (*mine + 1, *task + 1);
                if *mine == 1 {
                    // So that nobody can be done before the others have begun.
                    std::thread::yield_now();
                }
            });
            assert_eq!((lent.iter().sum::<usize>(), tasks), (count, vec![1; count]));
        }
    }

    #[test]
    fn handles_may_be_used_from_several_threads() {
        let threads = Threads::new(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mine = threads.clone();
                    for _ in 0..300 {
                        let mut tasks = [1_u64, 2];
                        mine.each(&mut tasks, |x| *x *= 10);
                        assert_eq!(tasks, [10, 20]);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_after_all_have_finished() {
        let threads = Threads::new(2);
        for bad in 0..2 {
            let mut tasks = [0, 1];
            let caught = catch_unwind(AssertUnwindSafe(|| {
                threads.each(&mut tasks, |task| {
                    assert_ne!(*task, bad, "a broken task");
                    *task = 7;
                });
            }));
            assert!(caught.is_err());
            assert_eq!(tasks[1 - bad], 7, "the other task ran");
        }
        let mut tasks = [3, 4];
        threads.each(&mut tasks, |task| *task += 1);
        assert_eq!(tasks, [4, 5], "the threads still work");
    }

    #[test]
    fn parts_cover_everything_once() {
        for len in 0..50 {
            for parts in 1..6 {
                assert_eq!((part_start(len, 0, parts), part_start(len, parts, parts)), (0, len));
                for part in 0..parts {
                    let size = part_start(len, part + 1, parts) - part_start(len, part, parts);
                    assert!(size == len / parts || size == len / parts + 1);
                }
            }
        }
    }
}
