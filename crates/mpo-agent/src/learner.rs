//! Sampling from the replay and updating the networks.

use mpo_nets::{Alone, BatchView, Demand, GradientReducer, LearnerStep, UpdateStats};
use mpo_replay::{Batch, ReplayBuffer};

use crate::AgentError;
use crate::config::ReplayConfig;
use crate::seeds::Stream;

/// A [`LearnerStep`] that feeds itself from a replay buffer.
pub struct Learner {
    step: Box<dyn LearnerStep>,
    stream: Stream,
    batch: Batch,
    sequences: usize,
    steps: usize,
}

impl std::fmt::Debug for Learner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner")
            .field("updates", &self.step.updates())
            .field("sequences", &self.sequences)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Learner {
    /// A learner that draws `replay.sequences` windows of up to `replay.steps` transitions per
    /// update, the draws coming from `stream`.
    #[must_use]
    pub fn new(step: Box<dyn LearnerStep>, replay: &ReplayConfig, stream: Stream) -> Self {
        Self { step, stream, batch: Batch::default(), sequences: replay.sequences, steps: replay.steps }
    }

    /// The batches that the algorithm wants: windows of the past, or the present policy's newest episodes.
    #[must_use]
    pub fn demand(&self) -> Demand {
        self.step.demand()
    }

    /// One update on one batch of windows from all that is stored.
    ///
    /// # Errors
    /// [`AgentError::Replay`] when the buffer is empty; [`AgentError::Learner`] when a loss is not finite.
    pub fn update(&mut self, replay: &ReplayBuffer) -> Result<UpdateStats, AgentError> {
        self.update_with(replay, &mut Alone)
    }

    /// [`update`](Self::update) together with other workers, each on a batch of its own.
    ///
    /// # Errors
    /// As [`update`](Self::update), and [`AgentError::Learner`] when another worker is gone.
    pub fn update_with(
        &mut self,
        replay: &ReplayBuffer,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, AgentError> {
        replay.sample(&mut self.stream, self.sequences, self.steps, &mut self.batch)?;
        self.learn(workers)
    }

    /// One round of updates on the newest `transitions` transitions, whole episodes in their order, together with other workers.
    ///
    /// # Errors
    /// [`AgentError::Replay`] when the buffer holds fewer; [`AgentError::Learner`] when a loss is not finite or another worker
    /// is gone.
    pub fn update_on_newest(
        &mut self,
        replay: &ReplayBuffer,
        transitions: usize,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, AgentError> {
        replay.latest(transitions, transitions, &mut self.batch)?;
        self.learn(workers)
    }

    fn learn(&mut self, workers: &mut dyn GradientReducer) -> Result<UpdateStats, AgentError> {
        let batch = &self.batch;
        let view = BatchView {
            lengths: &batch.lengths,
            observations: &batch.observations,
            actions: &batch.actions,
            rewards: &batch.rewards,
            discounts: &batch.discounts,
            log_probs: &batch.log_probs,
            frames: &batch.frames,
            discrete_actions: &batch.discrete_actions,
        };
        Ok(self.step.update_with(&view, workers)?)
    }

    /// A hash of all that must be equal in all workers between updates.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.step.fingerprint()
    }

    /// Updates made since the networks were initialised.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.step.updates()
    }

    /// The policy's flat parameter buffer, as [`crate::Actor::load`] takes it.
    #[must_use]
    pub fn policy_parameters(&self) -> &[f32] {
        self.step.policy_parameters()
    }

    /// The state of the sampling stream, for a checkpoint.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Networks, optimisers and duals as safetensors bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        self.step.save()
    }

    /// Puts back what [`Learner::save`] gave.
    ///
    /// # Errors
    /// [`AgentError::Learner`] when `bytes` are damaged or of other networks.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), AgentError> {
        Ok(self.step.load(bytes)?)
    }
}
