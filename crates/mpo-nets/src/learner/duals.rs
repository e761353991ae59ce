//! The dual variables of a learner: temperature and multipliers, before softplus, with their optimiser.

use mpo_core::{Multiplier, Temperature};

use super::reduction::Fingerprint;
use crate::{
    Adam, NetsError,
    checkpoint::{Reader, Writer},
};

/// Dual variables in the order that their learner gives them; none for a learner without bounds.
#[derive(Debug)]
pub(super) struct Duals {
    raw: Vec<f32>,
    pub(super) gradient: Vec<f32>,
    adam: Adam,
}

/// What a checkpoint holds of them.
pub(crate) struct SavedDuals {
    pub(crate) raw: Vec<f32>,
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
    pub(crate) step: u64,
}

impl SavedDuals {
    pub(crate) fn write(&self, writer: &mut Writer) {
        for (name, values) in [("raw", &self.raw), ("adam.first", &self.first), ("adam.second", &self.second)] {
            writer.array(format!("duals.{name}"), &[self.raw.len()], values);
        }
        writer.number("duals.adam.step", self.step);
    }

    pub(crate) fn read(count: usize, reader: &Reader<'_>) -> Result<Self, NetsError> {
        let read = |part: &str| reader.array(&format!("duals.{part}"), &[count]);
        Ok(Self {
            raw: read("raw")?,
            first: read("adam.first")?,
            second: read("adam.second")?,
            step: reader.number("duals.adam.step")?,
        })
    }
}

impl Duals {
    pub(super) fn new(initial: &[f32], learning_rate: f32) -> Self {
        let adam = Adam::new(initial.len(), learning_rate);
        Self { raw: initial.to_vec(), gradient: vec![0.0; initial.len()], adam }
    }

    pub(super) fn temperature(&self, index: usize) -> Temperature<f32> {
        Temperature::from_raw(self.raw[index])
    }

    pub(super) fn multiplier(&self, index: usize) -> Multiplier<f32> {
        Multiplier::from_raw(self.raw[index])
    }

    /// One step of the optimiser along `gradient`.
    pub(super) fn step(&mut self) {
        self.adam.update(&mut self.raw, &self.gradient, 1.0);
    }

    /// Adds variables and optimiser.
    pub(super) fn fingerprint(&self, hash: Fingerprint) -> Fingerprint {
        let (step, first, second) = self.adam.state();
        hash.add(&self.raw).add(first).add(second).add_number(step)
    }

    pub(super) fn save(&self, writer: &mut Writer) {
        let (step, first, second) = self.adam.state();
        SavedDuals { raw: self.raw.clone(), first: first.to_vec(), second: second.to_vec(), step }.write(writer);
    }

    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<SavedDuals, NetsError> {
        SavedDuals::read(self.raw.len(), reader)
    }

    pub(super) fn put(&mut self, saved: SavedDuals) {
        self.raw = saved.raw;
        self.adam.set_state(saved.step, &saved.first, &saved.second);
    }
}
