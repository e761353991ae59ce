//! Keeps sampling and inserting in a fixed proportion.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Holds back actors or learners so that each inserted transition is sampled a given number of times on average.
///
/// With I transitions inserted and S sampled, the limiter keeps
///
/// ```text
/// samples_per_insert * minimum - tolerance  <=  samples_per_insert * I - S  <=  samples_per_insert * minimum + tolerance
/// ```
///
/// and lets nobody sample before `minimum` transitions are there: the `SampleToInsertRatio` of Reverb. It counts and
/// never looks at a buffer, so it serves any number of buffers, and a buffer without one is not slowed down. Waiting takes
/// a lock; pushing and sampling themselves still take none.
///
/// ```
/// use mpo_replay::RateLimiter;
///
/// // Each transition is to be sampled 4 times, give or take 40 samples, once 100 transitions are there.
/// let limiter = RateLimiter::new(4.0, 100, 40.0);
/// assert!(!limiter.try_sample(1), "not before the minimum");
/// assert!((0..110).all(|_| limiter.try_insert(1)));
/// assert!(!limiter.try_insert(1), "110 insertions: 40 samples ahead of the minimum");
/// assert!(limiter.try_sample(80) && !limiter.try_sample(1), "now it is the actors' turn");
/// assert!(limiter.try_insert(1));
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    samples_per_insert: f64,
    minimum: u64,
    tolerance: f64,
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    inserted: u64,
    sampled: u64,
    closed: bool,
}

impl RateLimiter {
    /// A limiter that has counted nothing yet.
    ///
    /// - `samples_per_insert`: times that a transition is sampled on average;
    /// - `minimum`: transitions to be inserted before the first one is sampled;
    /// - `tolerance`: samples by which the proportion may be off, both ways. It should exceed the samples of a batch, else
    ///   no batch is ever let through.
    ///
    /// # Panics
    /// Unless `samples_per_insert` is positive and finite, and `tolerance` at least 1 and at least `samples_per_insert`.
    #[must_use]
    pub fn new(samples_per_insert: f64, minimum: u64, tolerance: f64) -> Self {
        assert!(
            samples_per_insert > 0.0 && samples_per_insert.is_finite(),
            "{samples_per_insert} samples per insert: must be positive and finite"
        );
        assert!(
            tolerance >= 1.0 && tolerance >= samples_per_insert,
            "a tolerance of {tolerance} samples stops everything: must be at least 1 and at least {samples_per_insert}"
        );
        let counts = Mutex::default();
        Self { samples_per_insert, minimum, tolerance, counts, changed: Condvar::new() }
    }

    /// The limiter as [`counts`](Self::counts) saw it, for a resumed run.
    #[must_use]
    pub fn with_counts(self, inserted: u64, sampled: u64) -> Self {
        *self.lock() = Counts { inserted, sampled, closed: false };
        self
    }

    /// Transitions inserted and sampled so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let Counts { inserted, sampled, .. } = *self.lock();
        (inserted, sampled)
    }

    /// Counts `count` insertions if they are due now, and says whether.
    #[must_use]
    pub fn try_insert(&self, count: u64) -> bool {
        self.attempt(|counts| self.admit_insert(counts, count))
    }

    /// Counts `count` samples if they are due now, and says whether.
    #[must_use]
    pub fn try_sample(&self, count: u64) -> bool {
        self.attempt(|counts| self.admit_sample(counts, count))
    }

    /// Waits until `count` insertions are due, and counts them. False if the limiter was closed instead.
    #[must_use]
    pub fn insert(&self, count: u64) -> bool {
        self.wait(|counts| self.admit_insert(counts, count))
    }

    /// Waits until `count` samples are due, and counts them. False if the limiter was closed instead.
    #[must_use]
    pub fn sample(&self, count: u64) -> bool {
        self.wait(|counts| self.admit_sample(counts, count))
    }

    /// Sends everybody home: all present and later waits return false at once.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn middle(&self) -> f64 {
        self.samples_per_insert * self.minimum as f64
    }

    fn admit_insert(&self, counts: &mut Counts, count: u64) -> bool {
        let inserted = counts.inserted + count;
        let ahead = self.samples_per_insert * inserted as f64 - counts.sampled as f64;
        // Up to the minimum nobody can sample, so holding actors back would stop everything.
        let due = inserted <= self.minimum || ahead <= self.middle() + self.tolerance;
        if due {
            counts.inserted = inserted;
        }
        due
    }

    fn admit_sample(&self, counts: &mut Counts, count: u64) -> bool {
        let sampled = counts.sampled + count;
        let ahead = self.samples_per_insert * counts.inserted as f64 - sampled as f64;
        let due = counts.inserted >= self.minimum && ahead >= self.middle() - self.tolerance;
        if due {
            counts.sampled = sampled;
        }
        due
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // No code that can panic runs under the lock, so the counts are whole even if it is poisoned.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self, admit: impl FnOnce(&mut Counts) -> bool) -> bool {
        let mut counts = self.lock();
        let due = !counts.closed && admit(&mut counts);
        if due {
            self.changed.notify_all();
        }
        due
    }

    fn wait(&self, admit: impl Fn(&mut Counts) -> bool) -> bool {
        let mut counts = self.lock();
        while !counts.closed {
            if admit(&mut counts) {
                self.changed.notify_all();
                return true;
            }
            counts = self.changed.wait(counts).unwrap_or_else(PoisonError::into_inner);
        }
        false
    }
}
