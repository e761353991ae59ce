//! The course of a run: episodes, evaluations and checkpoints in turn.

use std::fs;

use super::lockstep::Round;
use super::{Collector, Run};
use crate::AgentError;
use crate::checkpoint::{RunState, Streams, json};
use crate::environment_loop::Episode;
use crate::error::AtPath;
use crate::files;
use crate::metrics::Logs;
use crate::records::{EvaluationSummary, Observer, Outcome, Reason, StatisticsSum};

/// An update in millionths.
pub(super) const ONE_UPDATE: u64 = 1_000_000;

/// Updates between two comparisons of the workers' networks, at the next round's end; there is one before every checkpoint, too.
const COMPARED_EVERY: u64 = 1_000;

impl Run {
    /// Trains to the run's end, or to the end of the episode in which `observer` asks to stop.
    ///
    /// A finished run returns at once. After an error the run in memory is unusable; the one on disk
    /// can be resumed from its last checkpoint.
    ///
    /// # Errors
    /// [`AgentError::Training`] with the step and the last checkpoint, its source saying what failed:
    /// the environment, a number that is not finite, a file that could not be written.
    /// [`AgentError::RunFailed`] after such an error.
    pub fn train(&mut self, observer: &mut dyn Observer) -> Result<Outcome, AgentError> {
        if self.failed {
            return Err(AgentError::RunFailed { path: self.directory.clone() });
        }
        for warning in &self.warnings[self.warnings_told..] {
            observer.on_warning(warning);
        }
        self.warnings_told = self.warnings.len();
        self.failed = true;
        let outcome = self.train_on(observer).map_err(|source| AgentError::Training {
            task: self.config.task.clone(),
            step: self.counters.step,
            episode: self.counters.episodes + 1,
            checkpoint: self.last_checkpoint.clone(),
            source: Box::new(source),
        })?;
        self.failed = false;
        Ok(outcome)
    }

    fn train_on(&mut self, observer: &mut dyn Observer) -> Result<Outcome, AgentError> {
        if let Some(reason) = self.finished {
            // The process may have been killed between the last checkpoint and this file.
            self.write_done(reason)?;
            return Ok(self.outcome(reason));
        }
        self.remove_done()?;
        if self.counters.evaluations == 0 {
            self.evaluate(observer)?;
        }
        loop {
            if self.workers.any(observer.should_stop())? {
                self.write_checkpoint(observer)?;
                return Ok(self.outcome(Reason::Stopped));
            }
            let (before, updates) = (self.counters.step, self.learner.updates());
            if self.config.training.actors == 0 {
                self.train_episode(observer)?;
            } else {
                self.train_round(observer)?;
            }
            if self.learner.updates() / COMPARED_EVERY > updates / COMPARED_EVERY {
                self.compare_networks()?;
            }
            let now = self.counters.step;
            let crossed = |period: u64| now / period > before / period;
            let ended = now >= self.config.steps;
            if ended {
                self.catch_up(observer)?;
            }
            self.finished = ended.then_some(Reason::Steps);
            let enough = self.config.training.stop_at_return;
            if !ended && enough.is_none() && self.config.training.actors > 0 {
                // Nothing waits for its outcome, so it can run beside the next round.
                if crossed(self.config.training.evaluation_period) {
                    self.deferred = Some((now, self.learner.policy_parameters().to_vec()));
                }
            } else if ended || crossed(self.config.training.evaluation_period) {
                let mean = self.evaluate(observer)?;
                let reached = !ended && enough.is_some_and(|enough| mean >= enough);
                if enough.is_some() && self.workers.any(reached)? {
                    self.finished = Some(Reason::Return);
                }
            }
            if self.finished.is_some() || crossed(self.config.training.checkpoint_period) {
                self.write_checkpoint(observer)?;
            }
            if let Some(reason) = self.finished {
                self.write_done(reason)?;
                return Ok(self.outcome(reason));
            }
        }
    }

    /// One training episode of each worker, the updates included, and their rows.
    fn train_episode(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        let Self { collectors, learner, replay, counters, config, workers, .. } = self;
        let Collector { environment_loop, writer } = &mut collectors[0];
        let before = counters.step;
        environment_loop.actor.load(learner.policy_parameters());
        let mut round = Round::new(&mut **workers, learner, replay, counters, &config.training);
        let episode = environment_loop.run_episode(writer, |actor| round.step(actor))?;
        let episodes = round.finish(episode)?;
        let statistics = round.statistics;
        // The next row counts them again.
        self.counters.step = before;
        self.record_episodes(&episodes, &statistics, observer)
    }

    /// Counts the episodes of a round and writes a row for each. The round's updates belong to no episode more than to another:
    /// each row has their mean.
    pub(super) fn record_episodes(
        &mut self,
        episodes: &[Episode],
        statistics: &StatisticsSum,
        observer: &mut dyn Observer,
    ) -> Result<(), AgentError> {
        for episode in episodes {
            self.counters.step += episode.length;
            self.counters.episodes += 1;
            let Some(logs) = &mut self.logs else { continue };
            let (step, number) = (self.counters.step, self.counters.episodes);
            let row = statistics.row(step, number, self.learner.updates(), *episode);
            logs.episode(&row)?;
            observer.on_episode(&row);
        }
        Ok(())
    }

    /// Makes sure that the networks of all workers are the same.
    fn compare_networks(&mut self) -> Result<(), AgentError> {
        if self.workers.workers() == 1 {
            return Ok(());
        }
        let prints = self.workers.all([self.learner.fingerprint()])?;
        match prints.iter().position(|print| *print != prints[0]) {
            Some(worker) => Err(AgentError::WorkersDiffer { update: self.learner.updates(), worker }),
            None => Ok(()),
        }
    }

    /// One evaluation of the present policy and its rows, by the first worker; returns the mean return, in the others NaN.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<f64, AgentError> {
        if !self.workers.is_first() {
            self.counters.evaluations += 1;
            return Ok(f64::NAN);
        }
        let parameters = self.learner.policy_parameters();
        let episodes = self.evaluator.evaluate(parameters, self.config.training.evaluation_episodes)?;
        let summary = EvaluationSummary::new(self.counters.step, &episodes);
        let mean = summary.mean();
        self.record(summary, observer)?;
        Ok(mean)
    }

    /// Writes an evaluation's rows.
    pub(super) fn record(&mut self, summary: EvaluationSummary, observer: &mut dyn Observer) -> Result<(), AgentError> {
        self.counters.evaluations += 1;
        if let Some(logs) = &mut self.logs {
            logs.evaluation(&summary)?;
        }
        observer.on_evaluation(&summary);
        self.evaluation = Some(summary);
        Ok(())
    }

    /// Makes an evaluation that was put off.
    fn catch_up(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        let Some((step, parameters)) = self.deferred.take() else { return Ok(()) };
        let episodes = self.evaluator.evaluate(&parameters, self.config.training.evaluation_episodes)?;
        self.record(EvaluationSummary::new(step, &episodes), observer)
    }

    fn write_checkpoint(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        self.catch_up(observer)?;
        self.compare_networks()?;
        // The rows that a checkpoint counts on must outlive a power cut as it does.
        self.logs.as_ref().map_or(Ok(()), Logs::sync)?;
        let loops = self.collectors.iter().map(|collector| &collector.environment_loop);
        let state = RunState {
            config: self.config.to_toml(),
            counters: self.counters,
            finished: self.finished,
            environments: loops.clone().map(|actor| files::hex(&actor.environment.save_state())).collect(),
            streams: Streams {
                actors: loops.map(|actor| actor.actor.stream().clone()).collect(),
                replay: self.learner.stream().clone(),
            },
            files: self.logs.as_ref().map(Logs::lengths).unwrap_or_default(),
        };
        let path = self.checkpoints.write(&state, &self.learner.save(), &self.replay, &mut *self.workers)?;
        if self.workers.is_first() {
            observer.on_checkpoint(self.counters.step, &path);
        }
        self.last_checkpoint = Some(path);
        Ok(())
    }

    fn write_done(&self, reason: Reason) -> Result<(), AgentError> {
        if !self.workers.is_first() {
            return Ok(());
        }
        let done = serde_json::json!({ "step": self.counters.step, "reason": reason });
        files::replace(&self.directory.join("done.json"), &json(&done))
    }

    fn remove_done(&self) -> Result<(), AgentError> {
        if !self.workers.is_first() {
            return Ok(());
        }
        let path = self.directory.join("done.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", &path),
            _ => Ok(()),
        }
    }

    fn outcome(&self, reason: Reason) -> Outcome {
        Outcome {
            step: self.counters.step,
            episodes: self.counters.episodes,
            updates: self.learner.updates(),
            reason,
            evaluation: self.evaluation.clone(),
        }
    }
}
