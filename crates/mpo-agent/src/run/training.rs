//! The course of a run: episodes, evaluations and checkpoints in turn.

use std::fs;

use super::Run;
use crate::AgentError;
use crate::checkpoint::{RunState, Streams, json};
use crate::config::updates_in_millionths;
use crate::error::AtPath;
use crate::files;
use crate::records::{EvaluationSummary, Observer, Outcome, Reason, StatisticsSum};

/// An update in millionths.
const ONE_UPDATE: u64 = 1_000_000;

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
            self.train_episode(observer)?;
            let now = self.counters.step;
            let crossed = |period: u64| now / period > before / period;
            let ended = now >= self.config.steps;
            self.finished = ended.then_some(Reason::Steps);
            if ended || crossed(self.config.training.evaluation_period) {
                let mean = self.evaluate(observer)?;
                let enough = self.config.training.stop_at_return;
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
        let Self { environment_loop, learner, replay, writer, counters, config, .. } = self;
        let training = &config.training;
        let rate = updates_in_millionths(training.updates_per_step);
        let mut statistics = StatisticsSum::default();
        environment_loop.actor.load(learner.policy_parameters());
        let episode = environment_loop.run_episode(writer, |actor| {
            counters.step += 1;
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
        self.counters.episodes += 1;
        let (step, number) = (self.counters.step, self.counters.episodes);
        let row = statistics.row(step, number, self.learner.updates(), episode);
        self.logs.episode(&row)?;
        observer.on_episode(&row);
        Ok(())
    }

    /// One evaluation and its rows; returns the mean return.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<f64, AgentError> {
        let parameters = self.learner.policy_parameters();
        let episodes = self.evaluator.evaluate(parameters, self.config.training.evaluation_episodes)?;
        let summary = EvaluationSummary::new(self.counters.step, &episodes);
        self.counters.evaluations += 1;
        self.logs.evaluation(&summary)?;
        observer.on_evaluation(&summary);
        let mean = summary.mean();
        self.evaluation = Some(summary);
        Ok(mean)
    }

    fn write_checkpoint(&mut self, observer: &mut dyn Observer) -> Result<(), AgentError> {
        // The rows that a checkpoint counts on must outlive a power cut as it does.
        self.logs.sync()?;
        let state = RunState {
            config: self.config.to_toml(),
            counters: self.counters,
            finished: self.finished,
            environment: files::hex(&self.environment_loop.environment.save_state()),
            streams: Streams {
                actor: self.environment_loop.actor.stream().clone(),
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
