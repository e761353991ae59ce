//! A network with all that belongs to training it.

use super::build::Initial;
use crate::{
    Activations, Adam, FixedParameters, Layout, NetsError, Network, NetworkConfig, Threads,
    checkpoint::{Reader, Writer},
    clip_by_global_norm,
};

/// A network with its target copy, gradient, optimiser and scratch.
#[derive(Debug)]
pub(super) struct Trained {
    name: &'static str,
    pub(super) network: Network,
    layout: Layout,
    pub(super) parameters: Vec<f32>,
    pub(super) target: FixedParameters,
    pub(super) gradient: Vec<f32>,
    adam: Adam,
    pub(super) activations: Activations,
}

/// What a checkpoint holds of a network, checked but not yet put in place.
pub(super) struct Restored {
    buffers: [Vec<f32>; 4],
    step: u64,
}

/// The size of a gradient, and by how much clipping shrinks it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub(super) norm: f32,
    factor: f32,
}

impl Trained {
    pub(super) fn new(
        name: &'static str,
        (layout, parameters): Initial,
        config: &NetworkConfig,
        learning_rate: f32,
        threads: &Threads,
    ) -> Self {
        let network = Network::from_layout(&layout, config.torso);
        Self {
            name,
            target: FixedParameters::new(&network, &parameters),
            network,
            gradient: vec![0.0; parameters.len()],
            adam: Adam::new(parameters.len(), learning_rate),
            activations: Activations::new(threads),
            layout,
            parameters,
        }
    }

    /// The outputs of the online network, its hidden activations kept for [`backward`](Self::backward).
    pub(super) fn forward(&mut self, inputs: &[&[f32]], rows: usize, out: &mut [f32]) {
        self.network.forward(&self.parameters, inputs, rows, &mut self.activations, out);
    }

    /// The outputs of the target network; hidden activations of the online one are lost.
    pub(super) fn forward_target(&mut self, inputs: &[&[f32]], rows: usize, out: &mut [f32]) {
        self.network.forward_fixed(&self.target, inputs, rows, &mut self.activations, out);
    }

    /// Fills `gradient` from the loss's gradient by the outputs, after [`forward`](Self::forward).
    pub(super) fn backward(&mut self, inputs: &[&[f32]], rows: usize, d_out: &[f32]) {
        self.network.backward(
            &self.parameters,
            inputs,
            rows,
            &mut self.activations,
            d_out,
            &mut self.gradient,
            &mut [],
        );
    }

    /// The gradient's norm, for [`step`](Self::step).
    pub(super) fn norm(&self, clip: f32) -> Norm {
        let (norm, factor) = clip_by_global_norm(&self.gradient, clip);
        Norm { norm, factor }
    }

    /// One step of the optimiser along the clipped gradient.
    pub(super) fn step(&mut self, norm: Norm) {
        self.adam.update(&mut self.parameters, &self.gradient, norm.factor);
    }

    /// The target becomes the online network.
    pub(super) fn copy_to_target(&mut self) {
        self.target.set(&self.network, &self.parameters);
    }

    pub(super) fn save(&self, writer: &mut Writer) {
        let (step, first, second) = self.adam.state();
        let parts = [
            ("online", &self.parameters[..]),
            ("target", self.target.parameters()),
            ("adam.first", first),
            ("adam.second", second),
        ];
        for (part, values) in parts {
            for entry in self.layout.entries() {
                let name = format!("{}.{part}.{}", self.name, entry.name);
                writer.array(name, &entry.shape, &values[entry.range.clone()]);
            }
        }
        writer.number(format!("{}.adam.step", self.name), step);
    }

    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<Restored, NetsError> {
        let read = |part: &str| -> Result<Vec<f32>, NetsError> {
            let mut values = Vec::with_capacity(self.parameters.len());
            for entry in self.layout.entries() {
                values.extend(reader.array(&format!("{}.{part}.{}", self.name, entry.name), &entry.shape)?);
            }
            Ok(values)
        };
        let buffers = [read("online")?, read("target")?, read("adam.first")?, read("adam.second")?];
        Ok(Restored { buffers, step: reader.number(&format!("{}.adam.step", self.name))? })
    }

    pub(super) fn put(&mut self, restored: Restored) {
        let [online, target, first, second] = restored.buffers;
        self.parameters = online;
        self.target.set(&self.network, &target);
        self.adam.set_state(restored.step, &first, &second);
    }
}
