//! A network with all that belongs to training it.

use std::fmt;

use super::{BatchView, reduction::Fingerprint};
use crate::{
    Activations, Adam, FixedParameters, Layout, NetsError, Network, PixelActivations, PixelNetwork, Precision, Threads,
    checkpoint::{Reader, Writer},
    clip_by_global_norm,
};

/// A kind of network over states: of numbers, or of pixels.
pub(super) trait StateNetwork: fmt::Debug + Send {
    /// What a state is made of.
    type Number: Copy + Default + fmt::Debug + Send;
    /// A target network's parameters.
    type Target: fmt::Debug + Send;
    /// Hidden activations and scratch.
    type Activations: fmt::Debug + Send;

    /// The states of a batch, as this kind reads them.
    fn states<'a>(batch: &BatchView<'a>) -> &'a [Self::Number];

    fn activations(threads: &Threads) -> Self::Activations;
    fn target(&self, parameters: &[f32], precision: Precision) -> Self::Target;
    fn set_target(&self, target: &mut Self::Target, parameters: &[f32]);
    fn target_parameters(target: &Self::Target) -> &[f32];

    /// `out` `[rows, output]` in `states`; hidden activations are kept for [`backward`](Self::backward).
    fn forward(
        &self,
        p: &[f32],
        states: &[Self::Number],
        rows: usize,
        activations: &mut Self::Activations,
        out: &mut [f32],
    );

    /// The same of a target network, of which none are kept.
    fn forward_target(
        &self,
        target: &Self::Target,
        states: &[Self::Number],
        rows: usize,
        activations: &mut Self::Activations,
        out: &mut [f32],
    );

    /// `gradient`, overwritten, from d loss / d out.
    fn backward(
        &self,
        p: &[f32],
        states: &[Self::Number],
        rows: usize,
        activations: &mut Self::Activations,
        d_out: &[f32],
        gradient: &mut [f32],
    );

    fn forward_flops(&self, rows: usize) -> usize;
    fn training_flops(&self, rows: usize) -> usize;
}

impl StateNetwork for Network {
    type Number = f32;
    type Target = FixedParameters;
    type Activations = Activations;

    fn states<'a>(batch: &BatchView<'a>) -> &'a [f32] {
        batch.observations
    }

    fn activations(threads: &Threads) -> Activations {
        Activations::new(threads)
    }

    fn target(&self, parameters: &[f32], precision: Precision) -> FixedParameters {
        FixedParameters::with_precision(self, parameters, precision)
    }

    fn set_target(&self, target: &mut FixedParameters, parameters: &[f32]) {
        target.set(self, parameters);
    }

    fn target_parameters(target: &FixedParameters) -> &[f32] {
        target.parameters()
    }

    fn forward(&self, p: &[f32], states: &[f32], rows: usize, activations: &mut Activations, out: &mut [f32]) {
        self.forward(p, &[states], rows, activations, out);
    }

    fn forward_target(
        &self,
        target: &FixedParameters,
        states: &[f32],
        rows: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        self.forward_fixed(target, &[states], rows, activations, out);
    }

    fn backward(
        &self,
        p: &[f32],
        states: &[f32],
        rows: usize,
        activations: &mut Activations,
        d_out: &[f32],
        gradient: &mut [f32],
    ) {
        self.backward(p, &[states], rows, activations, d_out, gradient, &mut []);
    }

    fn forward_flops(&self, rows: usize) -> usize {
        self.forward_flops(rows)
    }

    fn training_flops(&self, rows: usize) -> usize {
        self.training_flops(rows)
    }
}

impl StateNetwork for PixelNetwork {
    type Number = u8;
    /// Weights are read as they lie: there is nothing to arrange.
    type Target = Vec<f32>;
    type Activations = PixelActivations;

    fn states<'a>(batch: &BatchView<'a>) -> &'a [u8] {
        batch.frames
    }

    fn activations(threads: &Threads) -> PixelActivations {
        PixelActivations::new(threads)
    }

    fn target(&self, parameters: &[f32], _: Precision) -> Vec<f32> {
        parameters.to_vec()
    }

    fn set_target(&self, target: &mut Vec<f32>, parameters: &[f32]) {
        target.copy_from_slice(parameters);
    }

    fn target_parameters(target: &Vec<f32>) -> &[f32] {
        target
    }

    fn forward(&self, p: &[f32], states: &[u8], rows: usize, activations: &mut PixelActivations, out: &mut [f32]) {
        self.forward(p, states, rows, activations, out);
    }

    fn forward_target(
        &self,
        target: &Vec<f32>,
        states: &[u8],
        rows: usize,
        activations: &mut PixelActivations,
        out: &mut [f32],
    ) {
        self.forward(target, states, rows, activations, out);
    }

    fn backward(
        &self,
        p: &[f32],
        states: &[u8],
        rows: usize,
        activations: &mut PixelActivations,
        d_out: &[f32],
        gradient: &mut [f32],
    ) {
        self.backward(p, states, rows, activations, d_out, gradient);
    }

    fn forward_flops(&self, rows: usize) -> usize {
        self.forward_flops(rows)
    }

    fn training_flops(&self, rows: usize) -> usize {
        self.training_flops(rows)
    }
}

/// A network with its target copy, gradient, optimiser and scratch.
#[derive(Debug)]
pub(super) struct Trained<N: StateNetwork = Network> {
    name: &'static str,
    pub(super) network: N,
    layout: Layout,
    pub(super) parameters: Vec<f32>,
    pub(super) target: N::Target,
    pub(super) gradient: Vec<f32>,
    adam: Adam,
    /// By how much clipping shrinks the gradient, known once its norm is.
    shrink: f32,
    pub(super) activations: N::Activations,
    /// Those of the activations.
    pub(super) threads: Threads,
}

/// What a checkpoint holds of a network.
pub(crate) struct SavedNetwork {
    /// Online and target parameters, first and second moments.
    pub(crate) buffers: [Vec<f32>; 4],
    /// Steps of its optimiser.
    pub(crate) step: u64,
}

/// Their names in the checkpoint.
const PARTS: [&str; 4] = ["online", "target", "adam.first", "adam.second"];

impl SavedNetwork {
    pub(crate) fn write(&self, name: &str, layout: &Layout, writer: &mut Writer) {
        for (part, values) in PARTS.iter().zip(&self.buffers) {
            for entry in layout.entries() {
                writer.array(format!("{name}.{part}.{}", entry.name), &entry.shape, &values[entry.range.clone()]);
            }
        }
        writer.number(format!("{name}.adam.step"), self.step);
    }

    pub(crate) fn read(name: &str, layout: &Layout, reader: &Reader<'_>) -> Result<Self, NetsError> {
        let read = |part: &str| -> Result<Vec<f32>, NetsError> {
            let mut values = Vec::with_capacity(layout.len());
            for entry in layout.entries() {
                values.extend(reader.array(&format!("{name}.{part}.{}", entry.name), &entry.shape)?);
            }
            Ok(values)
        };
        let [online, target, first, second] = PARTS.map(read);
        let buffers = [online?, target?, first?, second?];
        Ok(Self { buffers, step: reader.number(&format!("{name}.adam.step"))? })
    }
}

impl Trained {
    /// The target critic's values, `q` `[states, samples]`, of `samples` actions in each state; hidden activations are lost.
    pub(super) fn evaluate_actions_target(&mut self, states: &[f32], actions: &[f32], samples: usize, q: &mut [f32]) {
        let Self { network, target, activations, .. } = self;
        network.evaluate_actions_fixed(target, states, actions, samples, activations, q);
    }

    /// [`forward`](Self::forward) of a network with several inputs.
    pub(super) fn forward_inputs(&mut self, inputs: &[&[f32]], rows: usize, out: &mut [f32]) {
        self.network.forward(&self.parameters, inputs, rows, &mut self.activations, out);
    }

    /// [`backward`](Self::backward) of a network with several inputs.
    pub(super) fn backward_inputs(&mut self, inputs: &[&[f32]], rows: usize, d_out: &[f32]) {
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
}

impl<N: StateNetwork> Trained<N> {
    /// `network` must be that of `layout`.
    pub(super) fn new(
        name: &'static str,
        network: N,
        (layout, parameters): (Layout, Vec<f32>),
        learning_rate: f32,
        target_precision: Precision,
        threads: &Threads,
    ) -> Self {
        Self {
            name,
            target: network.target(&parameters, target_precision),
            network,
            gradient: vec![0.0; parameters.len()],
            adam: Adam::new(parameters.len(), learning_rate),
            shrink: 1.0,
            activations: N::activations(threads),
            threads: threads.clone(),
            layout,
            parameters,
        }
    }

    /// The outputs of the online network, its hidden activations kept for [`backward`](Self::backward).
    pub(super) fn forward(&mut self, states: &[N::Number], rows: usize, out: &mut [f32]) {
        self.network.forward(&self.parameters, states, rows, &mut self.activations, out);
    }

    /// The outputs of the target network; hidden activations of the online one are lost.
    pub(super) fn forward_target(&mut self, states: &[N::Number], rows: usize, out: &mut [f32]) {
        self.network.forward_target(&self.target, states, rows, &mut self.activations, out);
    }

    /// Fills `gradient` from the loss's gradient by the outputs, after [`forward`](Self::forward).
    pub(super) fn backward(&mut self, states: &[N::Number], rows: usize, d_out: &[f32]) {
        self.network.backward(&self.parameters, states, rows, &mut self.activations, d_out, &mut self.gradient);
    }

    /// The gradient's norm, beyond `clip` of which [`step`](Self::step) goes no further.
    pub(super) fn norm(&mut self, clip: f32) -> f32 {
        let (norm, shrink) = clip_by_global_norm(&self.gradient, clip);
        self.shrink = shrink;
        norm
    }

    /// One step of the optimiser along the gradient, clipped by the [`norm`](Self::norm) taken before.
    pub(super) fn step(&mut self) {
        self.adam.update_on(&self.threads, &mut self.parameters, &self.gradient, self.shrink);
    }

    /// The target becomes the online network.
    pub(super) fn copy_to_target(&mut self) {
        self.network.set_target(&mut self.target, &self.parameters);
    }

    /// Adds parameters, targets and optimiser.
    pub(super) fn fingerprint(&self, hash: Fingerprint) -> Fingerprint {
        let (step, first, second) = self.adam.state();
        let target = N::target_parameters(&self.target);
        hash.add(&self.parameters).add(target).add(first).add(second).add_number(step)
    }

    pub(super) fn save(&self, writer: &mut Writer) {
        let (step, first, second) = self.adam.state();
        let buffers = [&self.parameters[..], N::target_parameters(&self.target), first, second].map(<[f32]>::to_vec);
        SavedNetwork { buffers, step }.write(self.name, &self.layout, writer);
    }

    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<SavedNetwork, NetsError> {
        SavedNetwork::read(self.name, &self.layout, reader)
    }

    pub(super) fn put(&mut self, saved: SavedNetwork) {
        let [online, target, first, second] = saved.buffers;
        self.parameters = online;
        self.network.set_target(&mut self.target, &target);
        self.adam.set_state(saved.step, &first, &second);
    }
}
