//! The learner from frames on a device: its memory and the launches of its update, whose kernels are in kernels/pixels.cu and
//! kernels/discrete.cu.
//!
//! ```text
//! targets, all states    convolve_1 - convolve_2 - convolve_3 - forward_dense - forward_head   of policy and critic
//! online, transitions    the same
//!                        retrace_discrete, improve_discrete
//! way back               back_head - back_dense - back_3 - back_2, and beside each the gradient_ of its layer
//!                        collect - finish - adam
//! ```

use std::fmt::Write as _;

use super::{
    arena::Arena,
    launch::{Argument, Launch, LaunchList},
    memory::NAMES,
    update::Maker,
};
use crate::{PixelNetwork, PixelShape, pixels::Sizes};

/// The kernels of one update from frames, by name; what follows the gradients is that of other learners.
pub const KERNELS: [&str; 19] = [
    "convolve_1",
    "convolve_2",
    "convolve_3",
    "forward_dense",
    "forward_head",
    "retrace_discrete",
    "improve_discrete",
    "back_head",
    "back_dense",
    "back_3",
    "back_2",
    "gradient_head",
    "gradient_dense",
    "gradient_3",
    "gradient_2",
    "gradient_1",
    "collect",
    "finish",
    "adam",
];

/// A tile of a product, and the words of shared memory that it takes: kernels/pixels.cu.
const TILE_ROWS: usize = 64;
const TILE_COLUMNS: usize = 32;
const TILE_DEPTH: usize = 32;
const TILE_SHARED: usize = TILE_DEPTH * (TILE_ROWS + 1 + TILE_COLUMNS + 1);
const TILE_THREADS: usize = 256;

/// Parts of a convolution's gradient: of 32 of Atari's states, enough for a block on most multiprocessors.
const SPLITS: usize = 16;

const STATE_THREADS: usize = 128;

/// Strides of the convolutions.
const STRIDES: [usize; 3] = [4, 2, 1];

/// Frames and the networks over them.
#[derive(Clone, Debug)]
pub(super) struct Frames {
    pub(super) shape: PixelShape,
    pub(super) network: PixelNetwork,
}

/// A network's pass over states: the pieces that it leaves, and its kernels' arguments, layer by layer.
struct Pass {
    pieces: [&'static str; 5],
    arguments: [&'static str; 5],
    /// Over all states, or those with a transition.
    all: bool,
}

macro_rules! pass {
    ($weights:literal, $all:literal) => {
        Pass {
            pieces: [
                concat!($weights, ".map1"),
                concat!($weights, ".map2"),
                concat!($weights, ".map3"),
                concat!($weights, ".dense"),
                concat!($weights, ".out"),
            ],
            arguments: [
                concat!("control batch.head batch.states ", $weights, " +", $weights, ".map1"),
                concat!("control batch.head ", $weights, ".map1 ", $weights, " +", $weights, ".map2"),
                concat!("control batch.head ", $weights, ".map2 ", $weights, " +", $weights, ".map3"),
                concat!("control batch.head ", $weights, ".map3 ", $weights, " +", $weights, ".dense"),
                concat!("control batch.head ", $weights, ".dense ", $weights, " +", $weights, ".out"),
            ],
            all: $all,
        }
    };
}

const PASSES: [Pass; 4] = [
    pass!("policy.target", true),
    pass!("critic.target", true),
    pass!("critic.online", false),
    pass!("policy.online", false),
];

/// A network's way back: the pieces of the loss's gradient by what its layers leave, from the last to the first; parts of its
/// convolutions' gradients; and its kernels' arguments.
struct Back {
    d: [&'static str; 5],
    parts: [&'static str; 3],
    /// `back_head`, `back_dense`, `back_3` and `back_2`.
    inputs: [&'static str; 4],
    /// `gradient_head`, `gradient_dense`, `gradient_3`, `gradient_2` and `gradient_1`.
    parameters: [&'static str; 5],
    collect: &'static str,
}

macro_rules! back {
    ($net:literal) => {
        Back {
            d: [
                concat!($net, ".d_out"),
                concat!($net, ".d_dense"),
                concat!($net, ".d_map3"),
                concat!($net, ".d_map2"),
                concat!($net, ".d_map1"),
            ],
            parts: [concat!($net, ".parts1"), concat!($net, ".parts2"), concat!($net, ".parts3")],
            inputs: [
                concat!(
                    "control batch.head ",
                    $net,
                    ".d_out ",
                    $net,
                    ".online.dense ",
                    $net,
                    ".online +",
                    $net,
                    ".d_dense"
                ),
                concat!(
                    "control batch.head ",
                    $net,
                    ".d_dense ",
                    $net,
                    ".online.map3 ",
                    $net,
                    ".online +",
                    $net,
                    ".d_map3"
                ),
                concat!(
                    "control batch.head ",
                    $net,
                    ".d_map3 ",
                    $net,
                    ".online.map2 ",
                    $net,
                    ".online +",
                    $net,
                    ".d_map2"
                ),
                concat!(
                    "control batch.head ",
                    $net,
                    ".d_map2 ",
                    $net,
                    ".online.map1 ",
                    $net,
                    ".online +",
                    $net,
                    ".d_map1"
                ),
            ],
            parameters: [
                concat!("control batch.head ", $net, ".d_out ", $net, ".online.dense +", $net, ".gradient"),
                concat!("control batch.head ", $net, ".d_dense ", $net, ".online.map3 +", $net, ".gradient"),
                concat!("control batch.head ", $net, ".d_map3 ", $net, ".online.map2 +", $net, ".parts3"),
                concat!("control batch.head ", $net, ".d_map2 ", $net, ".online.map1 +", $net, ".parts2"),
                concat!("control batch.head ", $net, ".d_map1 batch.states +", $net, ".parts1"),
            ],
            collect: concat!(
                "control batch.head ",
                $net,
                ".parts1 ",
                $net,
                ".parts2 ",
                $net,
                ".parts3 +",
                $net,
                ".gradient +",
                $net,
                ".partial"
            ),
        }
    };
}

const BACK: [Back; 2] = [back!("policy"), back!("critic")];

impl Frames {
    /// Numbers that each layer leaves of a state, from the first convolution to the outputs.
    fn widths(&self) -> [usize; 5] {
        let Sizes { maps, units, output, .. } = self.network.sizes();
        let [first, second, third] = maps.map(|map| map.iter().product());
        [first, second, third, units, output]
    }

    /// Numbers that the last convolution leaves of a state.
    pub(super) fn features(&self) -> usize {
        self.widths()[2]
    }

    /// Writes the macros that stand before the kernels.
    pub(super) fn defines(&self, text: &mut String) {
        let Sizes { maps, weights, biases, dense, dense_bias, head, head_bias, units, output, .. } =
            self.network.sizes();
        for layer in 0..3 {
            let number = layer + 1;
            let [height, width, channels] = maps[layer];
            for (name, value) in [
                ("HEIGHT", height),
                ("WIDTH", width),
                ("CHANNELS", channels),
                ("WEIGHT", weights[layer]),
                ("BIAS", biases[layer]),
            ] {
                let _ = writeln!(text, "#define {name}_{number} {value}");
            }
        }
        for (name, value) in [
            ("STACK", self.shape.stack),
            ("FRAME_HEIGHT", self.shape.height),
            ("FRAME_WIDTH", self.shape.width),
            ("FEATURES", self.features()),
            ("UNITS", units),
            ("ACTIONS", output),
            ("DENSE", dense),
            ("DENSE_BIAS", dense_bias),
            ("HEAD", head),
            ("HEAD_BIAS", head_bias),
            ("SPLITS", SPLITS),
            // No action is sampled, and no noise used.
            ("SAMPLES", 0),
            ("OBSERVATION", 0),
            ("PART", 0),
            ("LAYER_NORM", 0),
            ("CLIP_ACTIONS", 0),
            ("JOINT", 0),
            ("DISCRETE", 1),
        ] {
            let _ = writeln!(text, "#define {name} {value}");
        }
    }

    /// Parts of a network's squared norm: blocks of `collect`.
    pub(super) fn partials(&self) -> usize {
        self.network.parameters().div_ceil(TILE_THREADS)
    }

    /// Pieces of the work space, for `t` transitions and `s` states.
    pub(super) fn work_space(&self, t: usize, s: usize, arena: &mut Arena) {
        let widths = self.widths();
        for (name, len) in [("v", s), ("targets", t), ("picked", t), ("terms", 5 * t)] {
            arena.add(name, len);
        }
        for pass in &PASSES {
            for (piece, width) in pass.pieces.iter().zip(widths) {
                arena.add(piece, if pass.all { s } else { t } * width);
            }
        }
        let patches = self.network.sizes().patches;
        for (back, names) in BACK.iter().zip(&NAMES) {
            for (piece, width) in back.d.iter().zip(widths.iter().rev()) {
                arena.add(piece, t * width);
            }
            for (layer, piece) in back.parts.iter().enumerate() {
                arena.add(piece, SPLITS * (patches[layer] + 1) * self.network.sizes().maps[layer][2]);
            }
            arena.add(names.partial, self.partials());
        }
    }

    /// The launches up to the gradients, for `t` transitions and `s` states.
    pub(super) fn launches(&self, make: &Maker<'_>, t: usize, s: usize, list: &mut LaunchList) {
        let Sizes { maps, .. } = self.network.sizes();
        let widths = self.widths();
        let places = maps.map(|[height, width, _]| height * width);
        let columns = [maps[0][2], maps[1][2], maps[2][2], widths[3], widths[4]];
        let per_state = [places[0], places[1], places[2], 1, 1];
        for pass in &PASSES {
            let states = if pass.all { s } else { t };
            for (layer, arguments) in pass.arguments.into_iter().enumerate() {
                let tiles = [states * per_state[layer], columns[layer]];
                list.push(tile(make, KERNELS[layer], tiles, 1, (arguments, &[usize::from(pass.all)])));
            }
        }
        let text = "control batch.head batch.starts batch.taken batch.rewards batch.discounts batch.log_probs \
                    policy.target.out critic.target.out critic.online.out +v +targets +picked +critic.d_out";
        list.push(make.blocks("retrace_discrete", 1, TILE_THREADS, 0, (text, &[])));
        let text =
            "control batch.head duals policy.target.out critic.target.out policy.online.out +policy.d_out +terms";
        list.push(make.blocks("improve_discrete", t.div_ceil(STATE_THREADS), STATE_THREADS, 0, (text, &[t])));
        for back in &BACK {
            self.way_back(make, t, back, list);
        }
    }

    /// Multiply-adds of a launch over `t` transitions and `s` states.
    pub(super) fn multiply_adds(&self, launch: &Launch, t: usize, s: usize) -> usize {
        let Sizes { maps, patches, units, output, .. } = self.network.sizes();
        let convolution = |layer: usize| patches[layer] * maps[layer].iter().product::<usize>();
        let all = launch.arguments.iter().find_map(|argument| match argument {
            Argument::Word(all) => Some(*all == 1),
            _ => None,
        });
        let states = if all == Some(true) { s } else { t };
        match launch.kernel {
            "convolve_1" => states * convolution(0),
            "convolve_2" => states * convolution(1),
            "convolve_3" => states * convolution(2),
            "forward_dense" => states * self.features() * units,
            "forward_head" => states * units * output,
            "gradient_1" => t * convolution(0),
            "back_2" | "gradient_2" => t * convolution(1),
            "back_3" | "gradient_3" => t * convolution(2),
            "back_dense" | "gradient_dense" => t * self.features() * units,
            "back_head" | "gradient_head" => t * units * output,
            _ => 0,
        }
    }

    fn way_back(&self, make: &Maker<'_>, t: usize, back: &Back, list: &mut LaunchList) {
        let Sizes { maps, patches, .. } = self.network.sizes();
        let [_, _, features, units, actions] = self.widths();
        let phases = |layer: usize| {
            // What a convolution sees are the maps before it.
            let [height, width, channels] = maps[layer - 1];
            let stride = STRIDES[layer];
            ([t * height.div_ceil(stride) * width.div_ceil(stride), channels], stride * stride)
        };
        let (third, phases_3) = phases(2);
        let (second, phases_2) = phases(1);
        let inputs = [
            ("back_head", [t, units], 1),
            ("back_dense", [t, features], 1),
            ("back_3", third, phases_3),
            ("back_2", second, phases_2),
        ];
        for ((kernel, tiles, times), arguments) in inputs.into_iter().zip(back.inputs) {
            list.push(tile(make, kernel, tiles, times, (arguments, &[])));
        }
        let parameters = [
            ("gradient_head", [actions, units + 1], 1),
            ("gradient_dense", [features + 1, units], 1),
            ("gradient_3", [patches[2] + 1, maps[2][2]], SPLITS),
            ("gradient_2", [patches[1] + 1, maps[1][2]], SPLITS),
            ("gradient_1", [patches[0] + 1, maps[0][2]], SPLITS),
        ];
        for ((kernel, tiles, times), arguments) in parameters.into_iter().zip(back.parameters) {
            list.push(tile(make, kernel, tiles, times, (arguments, &[])));
        }
        let (blocks, shared) = (self.partials(), TILE_THREADS / 32);
        let numbers = [self.network.parameters()];
        list.push(make.blocks("collect", blocks, TILE_THREADS, shared, (back.collect, &numbers)));
    }
}

/// A launch over the tiles of a product of so many rows and columns, `times` times.
fn tile(
    make: &Maker<'_>,
    kernel: &'static str,
    [rows, columns]: [usize; 2],
    times: usize,
    arguments: (&'static str, &[usize]),
) -> Launch {
    let mut launch = make.blocks(kernel, rows.div_ceil(TILE_ROWS), TILE_THREADS, TILE_SHARED, arguments);
    launch.grid[1] = (times * columns.div_ceil(TILE_COLUMNS)) as u32;
    launch
}
