//! The course of a run: episodes, evaluations and checkpoints in turn.

use std::fs;

use mpo_nets::Demand;

use super::{Collector, Run};
use crate::AgentError;
use crate::checkpoint::{RunState, Streams, json};
use crate::config::updates_in_millionths;
use crate::error::AtPath;
use crate::files;
use crate::records::{EvaluationSummary, Observer, Outcome, Reason, StatisticsSum};

/// An update in millionths.
pub(super) const ONE_UPDATE: u64 = 1_000_000;

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
            if observer.should_stop() {
                self.write_checkpoint(observer)?;
                return Ok(self.outcome(Reason::Stopped));
            }
            let before = self.counters.step;
            if self.config.training.actors == 0 {
                self.train_episode(observer)?;
            } else {
                self.train_round(observer)?;
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
                if !ended && enough.is_some_and(|enough| mean >= enough) {
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

    /// One training episode, its updates included, and its row.
    fn train_episode(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        let Self { collectors, learner, replay, counters, config, .. } = self;
        let Collector { environment_loop, writer } = &mut collectors[0];
        let training = &config.training;
        let rate = updates_in_millionths(training.updates_per_step);
        let demand = learner.demand();
        let mut statistics = StatisticsSum::default();
        environment_loop.actor.load(learner.policy_parameters());
        let episode = environment_loop.run_episode(writer, |actor| {
            counters.step += 1;
            if demand != Demand::Replay {
                counters.collected += 1;
                return Ok(());
            }
            if counters.step > training.warmup_steps {
                counters.update_credit += rate;
            }
            while counters.update_credit >= ONE_UPDATE {
                counters.update_credit -= ONE_UPDATE;
                statistics.add(&learner.update(replay)?);
            }
            let refresh = training.policy_refresh_steps;
            if refresh > 0 && counters.step.is_multiple_of(refresh) {
                actor.load(learner.policy_parameters());
            }
            Ok(())
        })?;
        // An on-policy round changes the policy, so it comes between episodes.
        if let Demand::OnPolicy { transitions } = demand
            && counters.collected >= transitions as u64
        {
            let collected = std::mem::take(&mut counters.collected);
            statistics.add(&learner.update_on_newest(replay, collected as usize)?);
        }
        self.counters.episodes += 1;
        let (step, number) = (self.counters.step, self.counters.episodes);
        let row = statistics.row(step, number, self.learner.updates(), episode);
        self.logs.episode(&row)?;
        observer.on_episode(&row);
        Ok(())
    }

    /// One evaluation of the present policy and its rows; returns the mean return.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<f64, AgentError> {
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
        self.logs.evaluation(&summary)?;
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
        // The rows that a checkpoint counts on must outlive a power cut as it does.
        self.logs.sync()?;
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
            files: self.logs.lengths(),
        };
        let path = self.checkpoints.write(&state, &self.learner.save(), &self.replay)?;
        observer.on_checkpoint(self.counters.step, &path);
        self.last_checkpoint = Some(path);
        Ok(())
    }

    fn write_done(&self, reason: Reason) -> Result<(), AgentError> {
        let done = serde_json::json!({ "step": self.counters.step, "reason": reason });
        files::replace(&self.directory.join("done.json"), &json(&done))
    }

    fn remove_done(&self) -> Result<(), AgentError> {
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
