//! One learner of a population, as everything above knows it.

use std::{
    cell::{OnceCell, RefCell},
    sync::{Arc, Mutex},
};

use super::{
    device::Device,
    model::Model,
    population::{Pace, Population, Seat},
};
use crate::{BatchView, GradientReducer, LearnerStep, NetsError, UpdateStats};

/// A learner on a device; made by [`Population::join`].
///
/// Its state and checkpoints are those of the CPU's learner: either takes up the other's. Updates are asynchronous: statistics
/// are those of the last multiple of [`Pace::stats`] updates, and what is not finite is found then, with parameters and
/// optimisers as they were before it.
#[derive(Debug)]
pub struct DeviceLearner {
    seat: Arc<Seat>,
    model: Model,
    pace: Pace,
    updates: u64,
    stats: UpdateStats,
    /// The online policy since the last update, fetched when somebody asks.
    fetched: OnceCell<Vec<f32>>,
    /// What went wrong while fetching, for the next update to tell.
    fault: RefCell<Option<NetsError>>,
}

impl DeviceLearner {
    pub(super) fn new(seat: Seat, model: Model, pace: Pace) -> Self {
        let (fetched, fault) = (OnceCell::new(), RefCell::new(None));
        Self { seat: Arc::new(seat), model, pace, updates: 0, stats: UpdateStats::default(), fetched, fault }
    }

    /// A learner alone on `device`.
    ///
    /// # Errors
    /// [`NetsError::Device`].
    pub fn alone(model: Model, device: Box<dyn Device>, pace: Pace, seed: u64) -> Result<Self, NetsError> {
        let device = Mutex::new(Some(device));
        let open = move |_: &Model| {
            let mut device = device.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            device.take().ok_or(NetsError::Device { device: "the device", reason: "is taken".to_owned() })
        };
        Population::new(1, pace, open).join(model, seed)
    }

    /// Numbers of a named piece of this learner's memory: what a kernel left there, for tests and reports.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    ///
    /// # Panics
    /// If there is no such piece.
    pub fn inspect(&self, piece: &str) -> Result<Vec<f32>, NetsError> {
        self.seat.read(piece).map(|words| words.into_iter().map(f32::from_bits).collect())
    }

    /// Seconds of each kernel of an update by itself, in the order of the list; `None` where times mean nothing. The learner has
    /// made `rounds` updates more on its last batch afterwards.
    ///
    /// # Errors
    /// [`NetsError::Device`] when the device failed.
    pub fn time(&mut self, rounds: usize) -> Result<Option<Vec<(&'static str, f64)>>, NetsError> {
        self.fetched.take();
        self.updates += rounds as u64;
        self.seat.time(rounds)
    }

    /// Makes an update by `seat`, and hears from the device when it is time.
    fn step(&mut self, update: impl FnOnce(&Seat, &Model) -> Result<(), NetsError>) -> Result<UpdateStats, NetsError> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        update(&self.seat, &self.model)?;
        self.updates += 1;
        self.fetched.take();
        if self.updates.is_multiple_of(self.pace.stats) {
            self.stats = self.seat.stats().inspect_err(|error| {
                if let NetsError::NonFinite { update, .. } = error {
                    self.updates = update - 1;
                }
            })?;
        }
        Ok(self.stats)
    }
}

impl LearnerStep for DeviceLearner {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        self.step(|seat, model| seat.update(batch, model))
    }

    fn update_with(
        &mut self,
        batch: &BatchView<'_>,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, NetsError> {
        if workers.workers() == 1 {
            return self.update(batch);
        }
        self.step(|seat, model| seat.update_with(batch, model, workers))
    }

    fn fingerprint(&self) -> u64 {
        self.seat.fingerprint().unwrap_or_else(|error| {
            // Equal to nobody's; the next update tells why.
            self.fault.replace(Some(error));
            self.updates
        })
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        self.model.flops(transitions, windows)
    }

    fn policy_parameters(&self) -> &[f32] {
        self.fetched.get_or_init(|| match self.seat.read(super::memory::NAMES[0].online) {
            Ok(words) => words.into_iter().map(f32::from_bits).collect(),
            Err(error) => {
                // There is no way to say so here; acting goes on with the initial policy until the next update says it.
                self.fault.replace(Some(error));
                self.model.networks[0].initial.clone()
            }
        })
    }

    fn save(&self) -> Vec<u8> {
        match self.seat.save(&self.model, &self.stats) {
            Ok(bytes) => bytes,
            Err(error) => {
                // Bytes that no learner takes up: the checkpoint shows as damaged, and the run's next update tells why.
                self.fault.replace(Some(error));
                Vec::new()
            }
        }
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        (self.updates, self.stats) = self.seat.load(&self.model, bytes)?;
        self.fetched.take();
        Ok(())
    }
}
