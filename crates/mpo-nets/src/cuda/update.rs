//! The update of MPO with a Gaussian policy, as a launch list.
//!
//! ```text
//! value_states ----------.
//! act --------------- values ---- improve -- backward_policy -- gradients -.
//!    forward_policy ------------'                                          finish -- adam, adam
//!    forward_critic ------------- retrace -- backward_critic -- gradients -'
//! ```
//! With other workers, `gradients -- weigh | meeting | unweigh -- finish_together` stands where `gradients -- finish` does.

use super::{
    launch::{Argument, Launch, LaunchList},
    memory::{Capacity, Factor, NAMES, TILE, TRAVEL, memory, partials, products, tables, tile_count, travelling},
    model::{Kind, Model},
};

/// Threads of blocks that are one warp for each row, few for more blocks than the card has multiprocessors.
const ROW_THREADS: usize = 128;
const WIDE_THREADS: usize = 256;
/// Of blocks of tiles: few, as their rows in shared memory are many.
const TILE_THREADS: usize = 64;
const WARP: usize = 32;

/// An update's launches, and the words of tables that are written once.
#[derive(Clone, Debug)]
pub struct Program {
    /// The launches.
    pub list: LaunchList,
    /// Words at the arena's beginning that outlive an update: all that a checkpoint holds and more.
    pub persistent: usize,
    /// Tables by the name of their piece.
    pub tables: Vec<(&'static str, Vec<u32>)>,
}

impl Program {
    /// The update of `runs` learners of `model` with batches up to `capacity`.
    #[must_use]
    pub fn new(model: &Model, capacity: Capacity, runs: usize) -> Self {
        Self::build(model, capacity, runs, false)
    }

    /// The update of one learner of `model` that meets other workers' in the middle of it.
    #[must_use]
    pub fn together(model: &Model, capacity: Capacity) -> Self {
        Self::build(model, capacity, 1, true)
    }

    fn build(model: &Model, capacity: Capacity, runs: usize, together: bool) -> Self {
        let (mut arena, batch, persistent) = memory(model, capacity);
        if together {
            arena.add(TRAVEL, travelling(model));
        }
        let mut list = LaunchList::new(arena, batch, runs);
        let tables: Vec<_> = tables(model, &list).into_iter().collect();
        launches(model, capacity, together, &mut list);
        Self { list, persistent, tables }
    }
}

/// Arguments in a kernel's order: a name is a piece that is read, with `+` before it one that is written, with `batch.` one of the
/// batch.
fn arguments(text: &'static str) -> impl Iterator<Item = Argument> {
    text.split(' ').map(|word| match word.strip_prefix('+') {
        Some(name) => Argument::Write(name),
        None if word == "arena" => Argument::Arena,
        None if word == "batches" => Argument::Batches,
        None => word.strip_prefix("batch.").map_or(Argument::Read(word), Argument::Batch),
    })
}

/// Makes launches whose last arguments are numbers, then the strides.
pub(super) struct Maker<'a> {
    model: &'a Model,
    strides: [Argument; 3],
}

impl Maker<'_> {
    /// Words of shared memory of a warp, by the macro's name.
    fn words(&self, name: &str) -> usize {
        self.model.shared().iter().find(|(of, _)| *of == name).map_or(0, |(_, words)| *words)
    }

    /// A warp for each of `count` rows.
    fn rows(&self, kernel: &'static str, count: usize, words: usize, text: &'static str, numbers: &[usize]) -> Launch {
        let warps = ROW_THREADS / WARP;
        self.blocks(kernel, count.div_ceil(warps), ROW_THREADS, warps * words, (text, numbers))
    }

    pub(super) fn blocks(
        &self,
        kernel: &'static str,
        blocks: usize,
        threads: usize,
        shared: usize,
        (text, numbers): (&'static str, &[usize]),
    ) -> Launch {
        let numbers = numbers.iter().map(|&number| Argument::Word(number as u32));
        Launch::new(kernel, blocks, threads, shared, arguments(text).chain(numbers).chain(self.strides).collect())
    }
}

fn launches(model: &Model, capacity: Capacity, together: bool, list: &mut LaunchList) {
    let Capacity { transitions: t, windows: w } = capacity;
    let make = Maker { model, strides: list.strides().map(Argument::Word) };
    match &model.kind {
        Kind::Numbers { .. } => {
            evaluate(&make, t, t + w, list);
            let text = "control batch.head duals q actions mean factor policy.out +weights +policy.d_out +terms";
            list.push(make.rows("improve", t, make.words("IMPROVE_SHARED"), text, &[t]));
            for (names, widest) in NAMES.iter().zip(["POLICY_WIDEST", "CRITIC_WIDEST"]) {
                list.push(make.rows(names.backward, t, make.words(widest), names.backward_arguments, &[]));
            }
            gradients(&make, list);
        }
        Kind::Frames(frames) => frames.launches(&make, t, t + w, list),
    }
    if together {
        meet(&make, t, list);
    } else {
        finish(&make, t, list);
    }
    adam(&make, list);
}

/// Both targets and both online networks forward, values and Retrace.
fn evaluate(make: &Maker<'_>, t: usize, s: usize, list: &mut LaunchList) {
    let model = make.model;
    let text = "control batch.head batch.states critic.target +base";
    list.push(make.rows("value_states", s, make.words("STATES_SHARED"), text, &[]));
    let text =
        "control batch.head batch.states batch.taken batch.log_probs policy.target +mean +factor +actions +log_rho";
    list.push(make.rows("act", s, make.words("ACT_SHARED"), text, &[]));
    let text = "control batch.head batch.states policy.turned +policy.first +policy.normal +policy.inverse +policy.second \
                +policy.out";
    list.push(make.rows("forward_policy", t, make.words("POLICY_WIDEST"), text, &[]));
    let text = "control batch.head batch.states batch.taken critic.turned +seen_taken +critic.first +critic.normal \
                +critic.inverse +critic.second +critic.out";
    list.push(make.rows("forward_critic", t, make.words("CRITIC_WIDEST"), text, &[]));
    let threads = if model.tensor_cores() { TILE_THREADS } else { WIDE_THREADS };
    let warps = threads / WARP;
    let blocks = (s * model.samples + t).div_ceil(warps * model.value_rows());
    let text = "control batch.head batch.taken actions critic.target base +q +q_taken";
    list.push(make.blocks("values", blocks, threads, warps * make.words("VALUES_SHARED"), (text, &[])));
    let text = "control batch.head batch.starts batch.rewards batch.discounts q q_taken log_rho critic.out +v +targets \
                +critic.d_out";
    list.push(make.blocks("retrace", 1, WIDE_THREADS, 0, (text, &[])));
}

/// Gradients of the parameters.
fn gradients(make: &Maker<'_>, list: &mut LaunchList) {
    for (names, network) in NAMES.iter().zip(&make.model.networks) {
        let tiles = tile_count(make.model, network);
        let text = (names.gradients_arguments, &[][..]);
        let mut launch = make.blocks("gradients", tiles, WIDE_THREADS, 2 * TILE * TILE, text);
        for product in products(make.model, network) {
            launch.reads.push(product.a.piece);
            if let Factor::Arena(columns) = product.b {
                launch.reads.push(columns.piece);
            }
        }
        launch.writes.push(names.gradient);
        list.push(launch);
    }
}

/// The decision to step.
fn finish(make: &Maker<'_>, t: usize, list: &mut LaunchList) {
    let [policy, critic] = make.model.networks.each_ref().map(|network| partials(make.model, network));
    let text = match make.model.kind {
        Kind::Numbers { .. } => {
            "+control batch.head targets critic.out terms policy.partial critic.partial +duals +duals.first +duals.second \
             +stats"
        }
        Kind::Frames(_) => {
            "+control batch.head targets picked terms policy.partial critic.partial +duals +duals.first +duals.second +stats"
        }
    };
    // Ten sums of each warp.
    let shared = WIDE_THREADS / WARP * 10;
    list.push(make.blocks("finish", 1, WIDE_THREADS, shared, (text, &[t, policy, critic])));
}

/// The same among several workers.
fn meet(make: &Maker<'_>, t: usize, list: &mut LaunchList) {
    let networks = make.model.networks.each_ref();
    let [policy, critic] = networks.map(|network| network.initial.len());
    // As many blocks as there are parts of the squared norm.
    let [policy_blocks, critic_blocks] = networks.map(|network| partials(make.model, network));
    let warps = WIDE_THREADS / WARP;
    let text = match make.model.kind {
        Kind::Numbers { .. } => "control batch.head policy.gradient critic.gradient targets critic.out terms +travel",
        Kind::Frames(_) => "control batch.head policy.gradient critic.gradient targets picked terms +travel",
    };
    let blocks = (policy + critic).div_ceil(WIDE_THREADS) + 1;
    list.push(make.blocks("weigh", blocks, WIDE_THREADS, warps * 8, (text, &[policy, critic, t])));
    list.meeting = Some(list.launches.len());
    let text = "control travel +policy.gradient +critic.gradient +policy.partial +critic.partial";
    let numbers = [policy, critic, policy_blocks].map(|number| Argument::Word(number as u32));
    let arguments = arguments(text).chain(numbers).chain([make.strides[0]]).collect();
    list.push(Launch::new("unweigh", policy_blocks + critic_blocks, WIDE_THREADS, warps, arguments));
    let text = "+control batch.head travel policy.partial critic.partial +duals +duals.first +duals.second +stats";
    let numbers = [policy + critic, policy_blocks, critic_blocks];
    list.push(make.blocks("finish_together", 1, WIDE_THREADS, warps * 2, (text, &numbers)));
}

fn adam(make: &Maker<'_>, list: &mut LaunchList) {
    for (index, (names, network)) in NAMES.iter().zip(&make.model.networks).enumerate() {
        let count = network.initial.len();
        let numbers = [count, network.weights().count(), index].map(|number| Argument::Word(number as u32));
        let arguments = arguments(names.adam_arguments).chain(numbers).chain([make.strides[0]]).collect();
        list.push(Launch::new("adam", count.div_ceil(WIDE_THREADS), WIDE_THREADS, 0, arguments));
    }
}
