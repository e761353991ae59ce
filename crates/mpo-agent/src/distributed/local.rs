//! Workers that are threads of one process: for tests, and for a program that distributes without MPI.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use mpo_nets::{GradientReducer, NetsError};

use super::{Workers, mean_in_rank_order};

/// One of the workers that [`LocalWorkers::new`] makes, to be moved into a thread of its own.
///
/// ```
/// use mpo_agent::LocalWorkers;
/// use mpo_nets::GradientReducer;
///
/// let threads = LocalWorkers::new(3).into_iter().zip([1.0, 2.0, 6.0]).map(|(mut worker, value)| {
///     std::thread::spawn(move || {
///         let mut values = [value];
///         worker.mean(&mut values).map(|()| values[0])
///     })
/// });
/// for thread in threads.collect::<Vec<_>>() {
///     assert_eq!(thread.join().expect("no panic")?, 3.0);
/// }
/// # Ok::<(), mpo_nets::NetsError>(())
/// ```
#[derive(Debug)]
pub struct LocalWorkers {
    shared: Arc<Shared>,
    rank: usize,
    count: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// An exchange: all put their words down, then all read, then the next may begin.
#[derive(Debug, Default)]
struct State {
    numbers: Vec<f32>,
    words: Vec<u64>,
    arrived: usize,
    read: usize,
    gone: bool,
}

impl LocalWorkers {
    /// `count` workers, in the order of their ranks.
    #[must_use]
    pub fn new(count: usize) -> Vec<Self> {
        let shared = Arc::new(Shared::default());
        (0..count).map(|rank| Self { shared: Arc::clone(&shared), rank, count }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, or until another worker is gone.
    fn until<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>, NetsError> {
        while !ready(&state) {
            if state.gone {
                let reason = "another worker's thread has ended; its error says why".to_owned();
                return Err(NetsError::Workers { reason });
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state)
    }

    /// Has everybody `put` their part down, and then `take` from the whole.
    fn exchange(&self, put: impl FnOnce(&mut State), take: impl FnOnce(&State)) -> Result<(), NetsError> {
        // A fast worker may be here again before the slow ones have read.
        let mut state = self.until(self.lock(), |state| state.arrived < self.count)?;
        put(&mut state);
        state.arrived += 1;
        self.shared.changed.notify_all();
        state = self.until(state, |state| state.arrived == self.count)?;
        take(&state);
        state.read += 1;
        if state.read == self.count {
            (state.arrived, state.read) = (0, 0);
            self.shared.changed.notify_all();
        }
        Ok(())
    }
}

impl GradientReducer for LocalWorkers {
    fn workers(&self) -> usize {
        self.count
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        let (len, own) = (values.len(), values.to_vec());
        self.exchange(
            |state| {
                state.numbers.resize(self.count * len, 0.0);
                state.numbers[self.rank * len..][..len].copy_from_slice(&own);
            },
            |state| mean_in_rank_order(&state.numbers, values),
        )
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        let mut all = vec![0; self.count];
        self.gather(&[count as u64], &mut all)?;
        Ok(all.into_iter().min().unwrap_or_default() as usize)
    }
}

impl Workers for LocalWorkers {
    fn rank(&self) -> usize {
        self.rank
    }

    fn gather(&mut self, own: &[u64], all: &mut [u64]) -> Result<(), NetsError> {
        let len = own.len() * self.count;
        assert_eq!(all.len(), len, "words of all workers");
        self.exchange(
            |state| {
                state.words.resize(len, 0);
                state.words[self.rank * own.len()..][..own.len()].copy_from_slice(own);
            },
            |state| all.copy_from_slice(&state.words),
        )
    }
}

impl Drop for LocalWorkers {
    fn drop(&mut self) {
        self.lock().gone = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_in_the_order_of_ranks_round_after_round() {
        std::thread::scope(|scope| {
            for mut worker in LocalWorkers::new(3) {
                scope.spawn(move || {
                    for round in 0..1000 {
                        let rank = worker.rank() as u64;
                        let mut all = [0; 6];
                        worker.gather(&[rank, round], &mut all).expect("nobody leaves");
                        assert_eq!(all, [0, round, 1, round, 2, round]);
                        let mut values = [rank as f32, 3.0];
                        worker.mean(&mut values).expect("nobody leaves");
                        assert_eq!(values.map(f32::to_bits), [1.0, 3.0].map(f32::to_bits));
                    }
                    // The last to leave must not make the others believe that it left too early.
                    worker.gather(&[], &mut []).map_or(1, |()| 0)
                });
            }
        });
    }

    #[test]
    fn a_worker_that_is_gone_is_an_error_and_no_deadlock() {
        let mut workers = LocalWorkers::new(2);
        drop(workers.pop());
        let error = workers[0].mean(&mut [1.0]).expect_err("the other is gone");
        assert!(error.to_string().contains("another worker's thread has ended"), "{error}");
    }
}
