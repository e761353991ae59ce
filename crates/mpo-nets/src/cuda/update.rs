//! The update of MPO with a Gaussian policy, as a launch list.
//!
//! ```text
//! value_states ----------.
//! act --------------- values ---- improve -- backward_policy -- gradients -.
//!    forward_policy ------------'                                          finish -- adam, adam
//!    forward_critic ------------- retrace -- backward_critic -- gradients -'
//! ```

use super::{
    arena::Arena,
    launch::{Argument, Launch, LaunchList},
    model::{DeviceNetwork, Model},
};

/// Words of the control block and of the statistics.
pub(super) const CONTROL: usize = 32;
pub(super) const STATS: usize = 16;

/// Threads of blocks that are one warp for each row, few for more blocks than the card has multiprocessors.
const ROW_THREADS: usize = 128;
const WIDE_THREADS: usize = 256;
const WARP: usize = 32;
/// The side of a tile of a parameter's gradient.
const TILE: usize = 32;

/// Sizes of batches that the memory is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Transitions.
    pub transitions: usize,
    /// Windows.
    pub windows: usize,
}

impl Capacity {
    /// The least that holds both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { transitions: self.transitions.max(other.transitions), windows: self.windows.max(other.windows) }
    }
}

/// Where a network's numbers lie; the names of its pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    pub(super) online: &'static str,
    pub(super) turned: &'static str,
    pub(super) target: &'static str,
    pub(super) adam_first: &'static str,
    pub(super) adam_second: &'static str,
    shapes: &'static str,
    tiles: &'static str,
    gradient: &'static str,
    first: &'static str,
    normal: &'static str,
    inverse: &'static str,
    second: &'static str,
    out: &'static str,
    d_out: &'static str,
    d_second: &'static str,
    d_scale: &'static str,
    d_shift: &'static str,
    d_first: &'static str,
    partial: &'static str,
    backward: &'static str,
}

macro_rules! names {
    ($prefix:literal) => {
        Names {
            online: concat!($prefix, ".online"),
            turned: concat!($prefix, ".turned"),
            target: concat!($prefix, ".target"),
            adam_first: concat!($prefix, ".adam.first"),
            adam_second: concat!($prefix, ".adam.second"),
            shapes: concat!($prefix, ".shapes"),
            tiles: concat!($prefix, ".tiles"),
            gradient: concat!($prefix, ".gradient"),
            first: concat!($prefix, ".first"),
            normal: concat!($prefix, ".normal"),
            inverse: concat!($prefix, ".inverse"),
            second: concat!($prefix, ".second"),
            out: concat!($prefix, ".out"),
            d_out: concat!($prefix, ".d_out"),
            d_second: concat!($prefix, ".d_second"),
            d_scale: concat!($prefix, ".d_scale"),
            d_shift: concat!($prefix, ".d_shift"),
            d_first: concat!($prefix, ".d_first"),
            partial: concat!($prefix, ".partial"),
            backward: concat!("backward_", $prefix),
        }
    };
}

/// The two networks' names.
pub(super) const NAMES: [Names; 2] = [names!("policy"), names!("critic")];

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
        let (arena, batch, persistent) = memory(model, capacity);
        let mut list = LaunchList::new(arena, batch, runs);
        let tables: Vec<_> = tables(model, &list).into_iter().collect();
        launches(model, capacity, &mut list);
        Self { list, persistent, tables }
    }
}

/// Pieces of the arena, of a batch, and the words of the former that outlive an update.
fn memory(model: &Model, Capacity { transitions: t, windows: w }: Capacity) -> (Arena, Arena, usize) {
    let (s, m, n) = (t + w, model.samples, model.action);
    let mut batch = Arena::default();
    for (name, len) in [
        ("head", 2),
        ("starts", w + 1),
        ("states", s * model.observation),
        ("taken", t * n),
        ("rewards", t),
        ("discounts", t),
        ("log_probs", t),
    ] {
        batch.add(name, len);
    }
    let mut arena = Arena::default();
    for (name, len) in [
        ("control", CONTROL),
        ("stats", STATS),
        ("duals", model.duals.len()),
        ("duals.first", model.duals.len()),
        ("duals.second", model.duals.len()),
    ] {
        arena.add(name, len);
    }
    for (names, network) in NAMES.iter().zip(&model.networks) {
        for name in [names.online, names.turned, names.target, names.adam_first, names.adam_second, names.gradient] {
            arena.add(name, network.initial.len());
        }
        arena.add(names.shapes, 3 * network.weights().count());
    }
    let persistent = arena.len();
    for (name, len) in [
        ("mean", s * n),
        ("factor", s * model.factor),
        ("actions", s * m * n),
        ("log_rho", t),
        ("base", s * model.networks[1].sizes[1]),
        ("q", s * m),
        ("q_taken", t),
        ("v", s),
        ("targets", t),
        ("seen_taken", t * n),
        ("weights", t * m),
        ("terms", 5 * t),
    ] {
        arena.add(name, len);
    }
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let [_, h1, h2, out] = network.sizes;
        for (name, width) in [
            (names.first, h1),
            (names.normal, h1),
            (names.inverse, 1),
            (names.second, h2),
            (names.out, out),
            (names.d_out, out),
            (names.d_second, h2),
            (names.d_scale, h1),
            (names.d_shift, h1),
            (names.d_first, h1),
        ] {
            arena.add(name, t * width);
        }
        let count = tile_count(model, network);
        arena.add(names.partial, count);
        arena.add(names.tiles, count * TILE_WORDS);
    }
    (arena, batch, persistent)
}

/// Words of an entry of the table of tiles.
const TILE_WORDS: usize = 8;

/// One product of the parameters' gradient: `out [a_width, b_width] = a^T b`, or column sums of `a` where there is no `b`.
struct Product {
    a: &'static str,
    a_width: usize,
    b: Factor,
    out: usize,
}

enum Factor {
    Ones,
    Arena(&'static str, usize),
    Batch(&'static str, usize),
}

fn products(model: &Model, network: &DeviceNetwork) -> Vec<Product> {
    let critic = network.name == "critic";
    let names = &NAMES[usize::from(critic)];
    let [_, h1, h2, out] = network.sizes;
    let place = |tensor: &str| network.place(tensor).start;
    let inputs = network.layout.entries();
    let mut products = vec![
        Product { a: names.d_out, a_width: out, b: Factor::Arena(names.second, h2), out: place("head.weight") },
        Product { a: names.d_out, a_width: out, b: Factor::Ones, out: place("head.bias") },
        Product { a: names.d_second, a_width: h2, b: Factor::Arena(names.first, h1), out: place("hidden.weight") },
        Product { a: names.d_second, a_width: h2, b: Factor::Ones, out: place("hidden.bias") },
        Product { a: names.d_first, a_width: h1, b: Factor::Ones, out: place("torso.bias") },
        Product {
            a: names.d_first,
            a_width: h1,
            b: Factor::Batch("states", model.observation),
            out: inputs[0].range.start,
        },
    ];
    if critic {
        let b = Factor::Arena("seen_taken", model.action);
        products.push(Product { a: names.d_first, a_width: h1, b, out: inputs[1].range.start });
    }
    if model.normalises() {
        for (a, tensor) in [(names.d_scale, "torso.scale"), (names.d_shift, "torso.shift")] {
            products.push(Product { a, a_width: h1, b: Factor::Ones, out: place(tensor) });
        }
    }
    products
}

impl Product {
    fn b_columns(&self) -> usize {
        match self.b {
            Factor::Ones => 1,
            Factor::Arena(_, width) | Factor::Batch(_, width) => width,
        }
    }

    fn tiles(&self) -> usize {
        self.a_width.div_ceil(TILE) * self.b_columns().div_ceil(TILE)
    }
}

fn tile_count(model: &Model, network: &DeviceNetwork) -> usize {
    products(model, network).iter().map(Product::tiles).sum()
}

/// The tables of tiles and of the weights' shapes.
fn tables(model: &Model, list: &LaunchList) -> Vec<(&'static str, Vec<u32>)> {
    let at = |name: &str| list.arena.get(name).at;
    let mut tables = Vec::new();
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let mut tiles = Vec::new();
        for product in products(model, network) {
            let (b, width, in_batch) = match product.b {
                Factor::Ones => (0, 0, 0),
                Factor::Arena(name, width) => (at(name), width, 0),
                Factor::Batch(name, width) => (list.batch.get(name).at, width, 1),
            };
            for a_from in (0..product.a_width).step_by(TILE) {
                for b_from in (0..product.b_columns()).step_by(TILE) {
                    let out = at(names.gradient) + product.out;
                    let entry = [at(product.a), product.a_width, a_from, b, width, b_from, out, in_batch];
                    tiles.extend(entry.map(|word| word as u32));
                }
            }
        }
        tables.push((names.tiles, tiles));
        tables.push((names.shapes, network.weights().flatten().map(|word| word as u32).collect()));
    }
    tables
}

fn launches(model: &Model, capacity: Capacity, list: &mut LaunchList) {
    use Argument::{Arena as Whole, Batch, Batches, Read, Word, Write};
    let Capacity { transitions: t, windows: w } = capacity;
    let s = t + w;
    let shared = model.shared();
    let words = |name: &str| shared.iter().find(|(macro_name, _)| *macro_name == name).map_or(0, |(_, words)| *words);
    let [stride, batch_stride, slot] = list.strides().map(Word);
    let warps = ROW_THREADS / WARP;
    let rows = |kernel, count: usize, words: usize, arguments: Vec<Argument>| {
        let arguments = arguments.into_iter().chain([stride, batch_stride, slot]).collect();
        Launch::new(kernel, count.div_ceil(warps), ROW_THREADS, warps * words, arguments)
    };
    let [policy, critic] = NAMES;
    let (control, head) = (Read("control"), Batch("head"));

    list.push(rows(
        "value_states",
        s,
        model.observation,
        vec![control, head, Batch("states"), Read(critic.target), Write("base")],
    ));
    list.push(rows(
        "act",
        s,
        words("ACT_SHARED"),
        vec![
            control,
            head,
            Batch("states"),
            Batch("taken"),
            Batch("log_probs"),
            Read(policy.target),
            Write("mean"),
            Write("factor"),
            Write("actions"),
            Write("log_rho"),
        ],
    ));
    list.push(rows(
        "forward_policy",
        t,
        words("POLICY_WIDEST"),
        vec![
            control,
            head,
            Batch("states"),
            Read(policy.turned),
            Write(policy.first),
            Write(policy.normal),
            Write(policy.inverse),
            Write(policy.second),
            Write(policy.out),
        ],
    ));
    list.push(rows(
        "forward_critic",
        t,
        words("CRITIC_WIDEST"),
        vec![
            control,
            head,
            Batch("states"),
            Batch("taken"),
            Read(critic.turned),
            Write("seen_taken"),
            Write(critic.first),
            Write(critic.normal),
            Write(critic.inverse),
            Write(critic.second),
            Write(critic.out),
        ],
    ));
    let value_warps = WIDE_THREADS / WARP;
    list.push(Launch::new(
        "values",
        (s * model.samples + t).div_ceil(value_warps * model.value_rows()),
        WIDE_THREADS,
        value_warps * words("VALUES_SHARED"),
        vec![
            control,
            head,
            Batch("taken"),
            Read("actions"),
            Read(critic.target),
            Read("base"),
            Write("q"),
            Write("q_taken"),
            stride,
            batch_stride,
            slot,
        ],
    ));
    list.push(Launch::new(
        "retrace",
        1,
        WIDE_THREADS,
        0,
        vec![
            control,
            head,
            Batch("starts"),
            Batch("rewards"),
            Batch("discounts"),
            Read("q"),
            Read("q_taken"),
            Read("log_rho"),
            Read(critic.out),
            Write("v"),
            Write("targets"),
            Write(critic.d_out),
            stride,
            batch_stride,
            slot,
        ],
    ));
    list.push(rows(
        "improve",
        t,
        words("IMPROVE_SHARED"),
        vec![
            control,
            head,
            Read("duals"),
            Read("q"),
            Read("actions"),
            Read("mean"),
            Read("factor"),
            Read(policy.out),
            Write("weights"),
            Write(policy.d_out),
            Write("terms"),
            Word(t as u32),
        ],
    ));
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let widest = network.sizes[1..].iter().copied().max().unwrap_or(0);
        let widest = widest.max(network.sizes[0]);
        list.push(rows(
            names.backward,
            t,
            widest,
            vec![
                control,
                head,
                Read(names.online),
                Read(names.first),
                Read(names.normal),
                Read(names.inverse),
                Read(names.second),
                Read(names.d_out),
                Write(names.d_second),
                Write(names.d_scale),
                Write(names.d_shift),
                Write(names.d_first),
            ],
        ));
    }
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let arguments =
            vec![control, head, Whole, Batches, Read(names.tiles), Write(names.partial), stride, batch_stride, slot];
        let mut launch = Launch::new("gradients", tile_count(model, network), WIDE_THREADS, 2 * TILE * TILE, arguments);
        for product in products(model, network) {
            launch.reads.push(product.a);
            if let Factor::Arena(name, _) = product.b {
                launch.reads.push(name);
            }
        }
        launch.writes.push(names.gradient);
        list.push(launch);
    }
    let tiles = model.networks.each_ref().map(|network| Word(tile_count(model, network) as u32));
    list.push(Launch::new(
        "finish",
        1,
        WIDE_THREADS,
        WIDE_THREADS / WARP * 10,
        vec![
            Write("control"),
            head,
            Read("targets"),
            Read(critic.out),
            Read("terms"),
            Read(policy.partial),
            Read(critic.partial),
            Write("duals"),
            Write("duals.first"),
            Write("duals.second"),
            Write("stats"),
            Word(t as u32),
            tiles[0],
            tiles[1],
            stride,
            batch_stride,
            slot,
        ],
    ));
    for (index, (names, network)) in NAMES.iter().zip(&model.networks).enumerate() {
        let count = network.initial.len();
        list.push(Launch::new(
            "adam",
            count.div_ceil(WIDE_THREADS),
            WIDE_THREADS,
            0,
            vec![
                control,
                Read(names.shapes),
                Read(names.gradient),
                Write(names.online),
                Write(names.turned),
                Write(names.target),
                Write(names.adam_first),
                Write(names.adam_second),
                Word(count as u32),
                Word(network.weights().count() as u32),
                Word(index as u32),
                stride,
            ],
        ));
    }
}
