//! The environments of one thread.

use std::fmt;

use crate::{EnvError, Environment, Spec, StepType};

/// What is to be done with every environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Reset,
    Step,
}

/// Consecutive environments of a vector, with their rows of the results.
pub(super) struct Shard {
    /// Index of the first one in the vector.
    pub(super) first: usize,
    environments: Vec<Box<dyn Environment>>,
    pub(super) step_types: Vec<StepType>,
    pub(super) rewards: Vec<f64>,
    pub(super) discounts: Vec<f64>,
    pub(super) observations: Vec<f64>,
    pub(super) frames: Vec<u8>,
    /// The first environment that failed, by its index in the vector.
    pub(super) error: Option<(usize, EnvError)>,
}

impl fmt::Debug for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.first..self.first + self.count();
        formatter.debug_struct("Shard").field("rows", &rows).finish_non_exhaustive()
    }
}

impl Shard {
    pub(super) fn new(first: usize, environments: Vec<Box<dyn Environment>>, spec: &Spec) -> Self {
        let count = environments.len();
        Self {
            first,
            environments,
            step_types: vec![StepType::Last; count],
            rewards: vec![0.0; count],
            discounts: vec![1.0; count],
            observations: vec![0.0; count * spec.observation_len()],
            frames: vec![0; count * super::frame_bytes(spec)],
            error: None,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.environments.len()
    }

    /// Does the job with each environment in turn. `actions` holds this shard's rows only; none for a reset.
    pub(super) fn advance(&mut self, job: Job, actions: &[f64]) {
        let count = self.count();
        let action_len = actions.len() / count;
        let (observation_len, frame_bytes) = (self.observations.len() / count, self.frames.len() / count);
        for (row, environment) in self.environments.iter_mut().enumerate() {
            let outcome = match job {
                Job::Reset => environment.reset(),
                Job::Step => environment.step(&actions[row * action_len..(row + 1) * action_len]),
            };
            match outcome {
                Ok(step) => {
                    self.step_types[row] = step.step_type;
                    self.rewards[row] = step.reward;
                    self.discounts[row] = step.discount;
                    self.observations[row * observation_len..(row + 1) * observation_len]
                        .copy_from_slice(step.observation);
                    self.frames[row * frame_bytes..(row + 1) * frame_bytes].copy_from_slice(step.frame);
                }
                Err(error) => {
                    self.step_types[row] = StepType::Last;
                    self.rewards[row] = 0.0;
                    self.discounts[row] = 1.0;
                    self.error.get_or_insert((self.first + row, error));
                }
            }
        }
    }
}
