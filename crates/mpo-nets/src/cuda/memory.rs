//! A learner's memory: the names and sizes of its pieces, and the tables that kernels read from it.

use super::{
    arena::Arena,
    launch::LaunchList,
    model::{DeviceNetwork, Kind, Model},
};

/// Words of the control block and of the statistics.
pub(super) const CONTROL: usize = 32;
pub(super) const STATS: usize = 16;

/// The side of a tile of a parameter's gradient.
pub(super) const TILE: usize = 32;

/// What travels between workers, in an update that has a meeting: kernels/workers.cu.
pub(super) const TRAVEL: &str = "travel";

/// Its numbers: both gradients, eight sums over the batch, and the transitions.
pub(super) fn travelling(model: &Model) -> usize {
    model.networks.iter().map(|network| network.initial.len()).sum::<usize>() + 9
}

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
    pub(super) gradient: &'static str,
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
    pub(super) partial: &'static str,
    pub(super) backward: &'static str,
    /// Arguments of the kernels that are the same for both networks.
    pub(super) backward_arguments: &'static str,
    pub(super) gradients_arguments: &'static str,
    pub(super) adam_arguments: &'static str,
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
            backward_arguments: concat!(
                "control batch.head ",
                $prefix,
                ".online ",
                $prefix,
                ".first ",
                $prefix,
                ".normal ",
                $prefix,
                ".inverse ",
                $prefix,
                ".second ",
                $prefix,
                ".d_out +",
                $prefix,
                ".d_second +",
                $prefix,
                ".d_scale +",
                $prefix,
                ".d_shift +",
                $prefix,
                ".d_first"
            ),
            gradients_arguments: concat!("control batch.head arena batches ", $prefix, ".tiles +", $prefix, ".partial"),
            adam_arguments: concat!(
                "control ",
                $prefix,
                ".shapes ",
                $prefix,
                ".gradient +",
                $prefix,
                ".online +",
                $prefix,
                ".turned +",
                $prefix,
                ".target +",
                $prefix,
                ".adam.first +",
                $prefix,
                ".adam.second"
            ),
        }
    };
}

/// The two networks' names.
pub(super) const NAMES: [Names; 2] = [names!("policy"), names!("critic")];

/// Pieces of the arena, of a batch, and the words of the former that outlive an update.
pub(super) fn memory(model: &Model, Capacity { transitions: t, windows: w }: Capacity) -> (Arena, Arena, usize) {
    let s = t + w;
    // Frames are bytes, and a discrete action is one number.
    let (states, taken) = match model.kind {
        Kind::Numbers { .. } => (s * model.observation, t * model.action),
        Kind::Frames(_) => ((s * model.observation).div_ceil(4), t),
    };
    let mut batch = Arena::default();
    for (name, len) in [
        ("head", 2),
        ("starts", w + 1),
        ("states", states),
        ("taken", taken),
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
    match &model.kind {
        Kind::Numbers { .. } => work_space(model, t, s, &mut arena),
        Kind::Frames(frames) => frames.work_space(t, s, &mut arena),
    }
    (arena, batch, persistent)
}

/// Pieces of the work space of a learner with a Gaussian policy, for `t` transitions and `s` states.
fn work_space(model: &Model, t: usize, s: usize, arena: &mut Arena) {
    let (m, n) = (model.samples, model.action);
    for (name, len) in [
        ("mean", s * n),
        ("factor", s * model.factor),
        ("actions", s * m * n),
        ("log_rho", t),
        ("base", s * model.base_width()),
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
        let ([_, h1, h2, out], torsos) = (network.sizes, model.torsos());
        for (name, width) in [
            (names.first, torsos * h1),
            (names.normal, torsos * h1),
            (names.inverse, torsos),
            (names.second, h2),
            (names.out, out),
            (names.d_out, out),
            (names.d_second, h2),
            (names.d_scale, torsos * h1),
            (names.d_shift, torsos * h1),
            (names.d_first, torsos * h1),
        ] {
            arena.add(name, t * width);
        }
        let count = tile_count(model, network);
        arena.add(names.partial, count);
        arena.add(names.tiles, count * TILE_WORDS);
    }
}

/// Words of an entry of the table of tiles.
const TILE_WORDS: usize = 10;

/// Columns of a piece with a row for each state: `width` of `stride` numbers, from `from` on.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    pub(super) piece: &'static str,
    from: usize,
    stride: usize,
    width: usize,
}

impl Columns {
    fn all(piece: &'static str, width: usize) -> Self {
        Self { piece, from: 0, stride: width, width }
    }

    /// Block `block` of `blocks` of `width` columns each.
    fn block(piece: &'static str, width: usize, (block, blocks): (usize, usize)) -> Self {
        Self { piece, from: block * width, stride: blocks * width, width }
    }
}

/// One product of the parameters' gradient: `out [a.width, b.width] = a^T b`, or column sums of `a` where there is no `b`.
pub(super) struct Product {
    pub(super) a: Columns,
    pub(super) b: Factor,
    out: usize,
}

pub(super) enum Factor {
    Ones,
    Arena(Columns),
    Batch(Columns),
}

pub(super) fn products(model: &Model, network: &DeviceNetwork) -> Vec<Product> {
    let critic = network.name == "critic";
    let names = &NAMES[usize::from(critic)];
    let [_, h1, h2, out] = network.sizes;
    let place = |tensor: &str| network.place(tensor).start;
    let inputs = network.layout.entries();
    let (d_out, d_second) = (Columns::all(names.d_out, out), Columns::all(names.d_second, h2));
    let second = Factor::Arena(Columns::all(names.second, h2));
    let mut products = vec![
        Product { a: d_out, b: second, out: place("head.weight") },
        Product { a: d_out, b: Factor::Ones, out: place("head.bias") },
        Product { a: d_second, b: Factor::Ones, out: place("hidden.bias") },
    ];
    let tensors = [
        ["hidden.weight", "torso.bias", "torso.scale", "torso.shift"],
        ["branch.hidden", "branch.torso.bias", "branch.torso.scale", "branch.torso.shift"],
    ];
    for (torso, [hidden, bias, scale, shift]) in tensors.into_iter().enumerate().take(model.torsos()) {
        let of = |piece| Columns::block(piece, h1, (torso, model.torsos()));
        let d_first = of(names.d_first);
        products.push(Product { a: d_second, b: Factor::Arena(of(names.first)), out: place(hidden) });
        products.push(Product { a: d_first, b: Factor::Ones, out: place(bias) });
        let main = model.observation - model.part;
        let (from, width) = if torso == 0 { (0, main) } else { (main, model.part) };
        let states = Columns { piece: "states", from, stride: model.observation, width };
        let first = if torso == 0 { inputs[0].range.start } else { place("branch.observation") };
        products.push(Product { a: d_first, b: Factor::Batch(states), out: first });
        if critic && torso == 0 {
            let b = Factor::Arena(Columns::all("seen_taken", model.action));
            products.push(Product { a: d_first, b, out: inputs[1].range.start });
        }
        if model.normalises() {
            products.push(Product { a: of(names.d_scale), b: Factor::Ones, out: place(scale) });
            products.push(Product { a: of(names.d_shift), b: Factor::Ones, out: place(shift) });
        }
    }
    products
}

impl Product {
    fn b_columns(&self) -> usize {
        match self.b {
            Factor::Ones => 1,
            Factor::Arena(columns) | Factor::Batch(columns) => columns.width,
        }
    }

    fn tiles(&self) -> usize {
        self.a.width.div_ceil(TILE) * self.b_columns().div_ceil(TILE)
    }
}

/// Parts of a network's squared norm.
pub(super) fn partials(model: &Model, network: &DeviceNetwork) -> usize {
    match &model.kind {
        Kind::Numbers { .. } => tile_count(model, network),
        Kind::Frames(frames) => frames.partials(),
    }
}

pub(super) fn tile_count(model: &Model, network: &DeviceNetwork) -> usize {
    products(model, network).iter().map(Product::tiles).sum()
}

/// The tables of tiles and of the weights' shapes.
pub(super) fn tables(model: &Model, list: &LaunchList) -> Vec<(&'static str, Vec<u32>)> {
    let at = |name: &str| list.arena.get(name).at;
    let mut tables = Vec::new();
    if matches!(model.kind, Kind::Frames(_)) {
        return tables;
    }
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let mut tiles = Vec::new();
        for product in products(model, network) {
            let (b, stride, width, in_batch) = match product.b {
                Factor::Ones => (0, 0, 0, 0),
                Factor::Arena(columns) => (at(columns.piece) + columns.from, columns.stride, columns.width, 0),
                Factor::Batch(columns) => {
                    (list.batch.get(columns.piece).at + columns.from, columns.stride, columns.width, 1)
                }
            };
            let Columns { piece, from, stride: a_stride, width: a_width } = product.a;
            for a_from in (0..a_width).step_by(TILE) {
                for b_from in (0..product.b_columns()).step_by(TILE) {
                    let (a, out) = (at(piece) + from, at(names.gradient) + product.out);
                    let entry = [a, a_stride, a_width, a_from, b, stride, width, b_from, out, in_batch];
                    tiles.extend(entry.map(|word| word as u32));
                }
            }
        }
        tables.push((names.tiles, tiles));
        tables.push((names.shapes, network.weights().flatten().map(|word| word as u32).collect()));
    }
    tables
}
