//! A critic's values of many actions per state, where an update spends most of its time.

use super::{Activations, CHUNK_ROWS, FixedParameters, HalfHead, Network, Scratch, Weights, lend, take};
use crate::{
    kernels::elu_dot,
    matmul::{Factor, Start, View, matmul},
    threads::{MOST, part_start},
};

/// The matrix product's tallest tile: chunks of whole tiles waste nothing.
const TILE_ROWS: usize = 14;

/// Fewer actions per state than this make a product of their own too small: the state's part is copied instead.
const LEAST_SAMPLES: usize = 4;

/// States with their actions, and where the values go.
struct Part<'a> {
    states: &'a [f32],
    actions: &'a [f32],
    out: &'a mut [f32],
}

/// A thread's activations of a chunk.
struct Chunk<'a> {
    shared: &'a mut [f32],
    joined: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    half: &'a mut [u16],
}

/// The parameters of an evaluation, as its layers read them.
#[derive(Clone, Copy)]
struct Judge<'a> {
    parameters: &'a [f32],
    weights: &'a Weights<'a>,
    half: Option<&'a HalfHead>,
}

/// States per chunk: about [`CHUNK_ROWS`] rows, in whole tiles if that is possible within twice as many.
fn states_per_chunk(samples: usize) -> usize {
    let few = (CHUNK_ROWS / samples).max(1);
    (few..=(2 * CHUNK_ROWS / samples).max(1)).find(|n| (n * samples).is_multiple_of(TILE_ROWS)).unwrap_or(few)
}

impl Network {
    /// Scalar outputs for `samples` second inputs (actions) per first input (state).
    ///
    /// `states` `[n, input_0]`, `actions` `[n * samples, input_1]`, `out` `[n * samples]`. Adds each action's part of the
    /// first layer to the state's, computed once, and keeps no activations.
    ///
    /// # Panics
    /// If the network has not two inputs and one output, or a slice is shorter than its shape.
    pub fn evaluate_actions(
        &self,
        p: &[f32],
        states: &[f32],
        actions: &[f32],
        samples: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        let mut packed = std::mem::take(&mut activations.packed);
        let weights = &self.pack(p, &mut packed);
        self.evaluate(Judge { parameters: p, weights, half: None }, states, actions, samples, activations, out);
        activations.packed = packed;
    }

    /// [`evaluate_actions`](Self::evaluate_actions) with parameters whose weights are arranged already, in the precision that they were
    /// arranged for.
    ///
    /// # Panics
    /// If the network has not two inputs and one output, or a slice is shorter than its shape.
    pub fn evaluate_actions_fixed(
        &self,
        fixed: &FixedParameters,
        states: &[f32],
        actions: &[f32],
        samples: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        let weights = &self.weights(&fixed.packed);
        let judge = Judge { parameters: &fixed.parameters, weights, half: fixed.half.as_ref() };
        self.evaluate(judge, states, actions, samples, activations, out);
    }

    fn evaluate(
        &self,
        judge: Judge<'_>,
        states: &[f32],
        actions: &[f32],
        samples: usize,
        activations: &mut Activations,
        out: &mut [f32],
    ) {
        let [h1, h2] = self.hidden;
        let [n_state, n_action] = self.rows.as_slice() else {
            panic!("evaluate_actions needs two inputs, not {}", self.rows.len());
        };
        assert_eq!(self.output, 1, "evaluate_actions needs a scalar output");
        let count = states.len() / n_state;
        let mut out = &mut out[..count * samples];
        let Activations { threads, scratch, .. } = activations;
        let workers = Activations::parts(threads, scratch, count * samples).min(count.max(1));
        let chunk = states_per_chunk(samples);
        let (second_len, half_len) = match judge.half {
            Some(half) => (half.second.out_len(chunk * samples), half.second.scratch_len(chunk * samples)),
            None => (chunk * samples * h2, 0),
        };
        let mut chunks = [const { None }; MOST];
        for (slot, scratch) in chunks.iter_mut().zip(scratch.iter_mut()).take(workers) {
            let Scratch { first, second, shared, joined, half, .. } = scratch;
            if half.len() < half_len {
                half.resize(half_len, 0);
            }
            *slot = Some(Chunk {
                shared: lend(shared, chunk * h1),
                joined: lend(joined, (self.branches.len() - 1) * chunk * h2),
                first: lend(first, chunk * samples * h1),
                second: lend(second, second_len),
                half: &mut half[..half_len],
            });
        }
        // Whole chunks, so that no thread computes a tile that is not full for want of states.
        let (whole, parts) = (count.div_ceil(chunk), if workers == 1 { 1 } else { MOST });
        let mut tasks = [const { None }; MOST];
        for (part, task) in tasks.iter_mut().enumerate().take(parts) {
            let [from, to] = [part, part + 1].map(|part| (part_start(whole, part, parts) * chunk).min(count));
            *task = Some(Part {
                states: &states[from * n_state..to * n_state],
                actions: &actions[from * samples * n_action..to * samples * n_action],
                out: take(&mut out, (to - from) * samples),
            });
        }
        threads.share(&mut chunks[..workers], &mut tasks[..parts], |chunk, task| {
            if let (Some(chunk), Some(part)) = (chunk, task) {
                self.evaluate_part(judge, samples, chunk, part);
            }
        });
    }

    fn evaluate_part(&self, judge: Judge<'_>, samples: usize, room: &mut Chunk<'_>, part: &mut Part<'_>) {
        let Judge { parameters: p, weights, half } = judge;
        let [h1, h2] = self.hidden;
        let [n_state, n_action] = [self.rows[0], self.rows[1]];
        let chunk = states_per_chunk(samples);
        let chunks = part
            .states
            .chunks(chunk * n_state)
            .zip(part.actions.chunks(chunk * samples * n_action))
            .zip(part.out.chunks_mut(chunk * samples));
        for ((states, actions), out) in chunks {
            let (count, rows) = (states.len() / n_state, out.len());
            let joined = self.join_states(p, weights, (states, count), room.shared, room.joined);
            let main = &self.branches[0];
            let shared = &mut room.shared[..count * h1];
            let bias = Start::Row(&p[main.bias.clone()]);
            let states = main.weights[0].part(states, n_state, 0, count);
            matmul(shared, states, Factor::Packed(weights.first[0][0]), bias);

            let first = &mut room.first[..rows * h1];
            let action_weight = Factor::Packed(weights.first[0][1]);
            if samples < LEAST_SAMPLES {
                repeat_rows(shared, h1, samples, first);
                matmul(first, View::new(actions, rows, n_action), action_weight, Start::Destination);
            } else {
                let per_state = shared
                    .chunks_exact(h1)
                    .zip(actions.chunks_exact(samples * n_action))
                    .zip(first.chunks_exact_mut(samples * h1));
                for ((shared, actions), first) in per_state {
                    matmul(first, View::new(actions, samples, n_action), action_weight, Start::Row(shared));
                }
            }
            self.activate(p, main, first);
            if let Some(half) = half {
                half.second.product(first, rows, room.half, room.second);
                elu_dot(&room.second[..rows * half.head.len()], &half.head, p[self.head_bias.start], out);
                continue;
            }
            let second = &mut room.second[..rows * h2];
            let from = match joined {
                None => Start::Row(&p[self.second_bias.clone()]),
                Some(joined) => {
                    repeat_rows(joined, h2, samples, second);
                    Start::Destination
                }
            };
            matmul(second, View::new(first, rows, h1), Factor::Packed(weights.second[0]), from);
            elu_dot(second, &p[self.head.clone()], p[self.head_bias.start], out);
        }
    }

    /// What the branches without actions add to the second layer, its bias included, `[count, hidden_1]`; `None` if there is none.
    fn join_states<'a>(
        &self,
        p: &[f32],
        weights: &Weights<'_>,
        (states, count): (&[f32], usize),
        first: &mut [f32],
        joined: &'a mut [f32],
    ) -> Option<&'a [f32]> {
        let [h1, h2] = self.hidden;
        let first = &mut first[..count * h1];
        for (b, branch) in self.branches.iter().enumerate().skip(1) {
            let part = branch.weights[0].part(states, self.rows[0], 0, count);
            matmul(first, part, Factor::Packed(weights.first[b][0]), Start::Row(&p[branch.bias.clone()]));
            self.activate(p, branch, first);
            let from = if b == 1 { Start::Row(&p[self.second_bias.clone()]) } else { Start::Destination };
            matmul(joined, View::new(first, count, h1), Factor::Packed(weights.second[b]), from);
        }
        (self.branches.len() > 1).then(|| &joined[..count * h2])
    }
}

/// Each of `rows`, of `width` numbers, `times` times.
fn repeat_rows(rows: &[f32], width: usize, times: usize, out: &mut [f32]) {
    for (row, out) in rows.chunks_exact(width).zip(out.chunks_exact_mut(times * width)) {
        for copy in out.chunks_exact_mut(width) {
            copy.copy_from_slice(row);
        }
    }
}
