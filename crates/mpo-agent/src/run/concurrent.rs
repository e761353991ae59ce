//! Acting and learning at the same time: every actor plays an episode in a thread of its own while the learner updates.
//!
//! A *round* is one episode of every actor. Checkpoints, evaluations and stops come between rounds, where the state is as small
//! and whole as between the episodes of a single actor. Within a round a [`RateLimiter`] keeps updates and steps in the
//! proportion that the settings ask for: whoever is ahead waits for the other. An evaluation runs beside the round that follows it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use mpo_replay::RateLimiter;

use super::training::ONE_UPDATE;
use super::{Collector, Run};
use crate::AgentError;
use crate::actor::Actor;
use crate::config::updates_in_millionths;
use crate::environment_loop::Episode;
use crate::records::{EvaluationSummary, Observer, StatisticsSum};

/// Environment steps, per actor, by which acting may run ahead of learning, or learning of acting.
const STEPS_APART: f64 = 50.0;

/// The newest policy, from the learner to the actors.
struct Published {
    version: AtomicU64,
    parameters: Mutex<Vec<f32>>,
}

impl Published {
    fn new(parameters: &[f32]) -> Self {
        Self { version: AtomicU64::new(0), parameters: Mutex::new(parameters.to_vec()) }
    }

    fn publish(&self, parameters: &[f32]) {
        self.parameters.lock().unwrap_or_else(PoisonError::into_inner).copy_from_slice(parameters);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Loads what is newer than `seen`.
    fn load(&self, seen: &mut u64, actor: &mut Actor) {
        let version = self.version.load(Ordering::Acquire);
        if version != *seen {
            *seen = version;
            actor.load(&self.parameters.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Tells everybody when the last actor is done, or the first one failed, also by a panic.
struct Leaving<'a> {
    limiter: &'a RateLimiter,
    acting: &'a AtomicUsize,
    failed: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.acting.fetch_sub(1, Ordering::AcqRel) == 1 || self.failed {
            self.limiter.close();
        }
    }
}

/// Sends the actors home when the learner is through, also by a panic, which else would wait for them for ever.
struct Closing<'a>(&'a RateLimiter);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Run {
    /// One round: an episode of every actor, the updates due meanwhile, and a row for each episode.
    pub(super) fn train_round(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        let Self { collectors, learner, replay, counters, config, .. } = self;
        let training = &config.training;
        let rate = updates_in_millionths(training.updates_per_step);
        // Without updates nobody is to wait for any; the proportion is then of no account.
        let (proportion, tolerance) = if rate == 0 {
            (1.0, f64::MAX)
        } else {
            let proportion = rate as f64 / ONE_UPDATE as f64;
            (proportion, (STEPS_APART * proportion * collectors.len() as f64).max(proportion).max(1.0))
        };
        // Not even without a warm-up can a learner sample before something is there.
        let limiter = RateLimiter::new(proportion, training.warmup_steps.max(1), tolerance)
            .with_counts(counters.step, learner.updates());
        let published = Published::new(learner.policy_parameters());
        let acting = AtomicUsize::new(collectors.len());
        let refresh = training.policy_refresh_steps;

        let mut statistics = StatisticsSum::default();
        let deferred = self.deferred.take();
        let (evaluator, evaluation_episodes) = (&mut self.evaluator, training.evaluation_episodes);
        let (episodes, evaluation) = thread::scope(|scope| {
            let evaluating = deferred.map(|(step, parameters)| {
                scope.spawn(move || {
                    let episodes = evaluator.evaluate(&parameters, evaluation_episodes)?;
                    Ok::<_, AgentError>(EvaluationSummary::new(step, &episodes))
                })
            });
            let threads: Vec<_> = collectors
                .iter_mut()
                .map(|Collector { environment_loop, writer }| {
                    let (limiter, published, acting) = (&limiter, &published, &acting);
                    environment_loop.actor.load(learner.policy_parameters());
                    scope.spawn(move || {
                        let mut leaving = Leaving { limiter, acting, failed: true };
                        let (mut steps, mut seen) = (0, 0);
                        let episode = environment_loop.run_episode(writer, |actor| {
                            if !limiter.insert(1) {
                                return Err(AgentError::Abandoned);
                            }
                            steps += 1;
                            if refresh > 0 && steps % refresh == 0 {
                                published.load(&mut seen, actor);
                            }
                            Ok(())
                        });
                        leaving.failed = episode.is_err();
                        episode
                    })
                })
                .collect();
            let _closing = Closing(&limiter);
            let mut learning = Ok(());
            // The limiter is closed when the last actor leaves; what is due then is made in the next round.
            while rate > 0 && learning.is_ok() && limiter.sample(1) {
                learning = learner.update(replay).map(|stats| statistics.add(&stats));
                if refresh > 0 {
                    published.publish(learner.policy_parameters());
                }
            }
            if learning.is_err() {
                limiter.close();
            }
            let episodes: Vec<Result<Episode, AgentError>> = threads.into_iter().map(join).collect();
            let evaluation = evaluating.map(join).transpose();
            learning.map(|()| (episodes, evaluation))
        })?;
        let (episodes, evaluation) = (all(episodes)?, evaluation?);
        if let Some(summary) = evaluation {
            self.record(summary, observer)?;
        }
        self.record_episodes(&episodes, &statistics, observer)
    }
}

/// A thread's result, its panic going on here.
fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// All episodes, or the error of the one that failed and not that of those who were sent home for it.
fn all(episodes: Vec<Result<Episode, AgentError>>) -> Result<Vec<Episode>, AgentError> {
    let mut done = Vec::new();
    let mut failure = None;
    for episode in episodes {
        match episode {
            Ok(episode) => done.push(episode),
            Err(AgentError::Abandoned) if failure.is_some() => {}
            Err(error) => {
                if failure.is_none() || !matches!(error, AgentError::Abandoned) {
                    failure = Some(error);
                }
            }
        }
    }
    failure.map_or(Ok(done), Err)
}
