//! A learner's words that outlive an update, from and to its checkpoint, which is that of the CPU's learner.

use super::{
    memory::{CONTROL, NAMES, STATS},
    model::{Model, SETTINGS},
    update::Program,
};
use crate::{
    NetsError, UpdateStats,
    checkpoint::{Reader, Writer},
    learner::{SavedDuals, SavedNetwork},
};

/// Words of control block and statistics, which stand first.
pub(super) const HEAD: usize = CONTROL + STATS;

// Words of the control block, as in kernels/prelude.cu.
const LAUNCHES: usize = 0;
const UPDATES: usize = 1;
const HALTED: usize = 2;
const HALTED_VALUE: usize = 3;
const NOISE: usize = 4;
const KEY: usize = 6;

/// Names of what can be not finite, in the order of kernels/finish.cu.
const CHECKED: [&str; 7] = [
    "the critic's target",
    "the critic's loss",
    "the E-step's KL",
    "the policy's loss",
    "the policy's gradient norm",
    "the critic's gradient norm",
    "the dual variables' gradient",
];

/// The control block at the beginning of a run's words.
pub(super) struct Control<'a>(pub(super) &'a mut [u32]);

impl Control<'_> {
    /// Sets which slot the next launch reads.
    pub(super) fn set_launches(&mut self, launches: u64) {
        self.0[LAUNCHES] = launches as u32;
    }

    fn set_wide(&mut self, at: usize, value: u64) {
        self.0[at] = value as u32;
        self.0[at + 1] = (value >> 32) as u32;
    }
}

fn wide(words: &[u32], at: usize) -> u64 {
    u64::from(words[at]) | u64::from(words[at + 1]) << 32
}

/// A run's persistent words at the beginning of training.
pub(super) fn initial(model: &Model, program: &Program, seed: u64, launches: u64) -> Vec<u32> {
    let mut words = vec![0; program.persistent];
    Control(&mut words).set_launches(launches);
    Control(&mut words).set_wide(KEY, seed);
    for (word, (_, setting)) in words[SETTINGS..CONTROL].iter_mut().zip(model.settings()) {
        *word = setting.word();
    }
    put(program, &mut words, "duals", &model.duals);
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let turned = network.turn(&network.initial, false);
        put(program, &mut words, names.online, &network.initial);
        put(program, &mut words, names.turned, &turned);
        put(program, &mut words, names.target, &turned);
    }
    tables(program, &mut words);
    words
}

fn tables(program: &Program, words: &mut [u32]) {
    for (name, table) in &program.tables {
        let at = program.list.arena.get(name).at;
        if at < program.persistent {
            words[at..at + table.len()].copy_from_slice(table);
        }
    }
}

fn put(program: &Program, words: &mut [u32], name: &str, numbers: &[f32]) {
    let at = program.list.arena.get(name).at;
    words[at..at + numbers.len()].copy_from_slice(bytemuck::cast_slice(numbers));
}

fn take(program: &Program, words: &[u32], name: &str) -> Vec<f32> {
    let buffer = program.list.arena.get(name);
    words[buffer.at..buffer.at + buffer.len].iter().copied().map(f32::from_bits).collect()
}

/// The statistics in control block and statistics' words, or what was not finite.
pub(super) fn stats(words: &[u32]) -> Result<UpdateStats, NetsError> {
    if words[HALTED] != 0 {
        return Err(NetsError::NonFinite {
            update: u64::from(words[UPDATES]) + 1,
            quantity: CHECKED[words[HALTED] as usize - 1],
            value: f32::from_bits(words[HALTED_VALUE]),
        });
    }
    let numbers: Vec<f32> = words[CONTROL..].iter().copied().map(f32::from_bits).collect();
    Ok(of_numbers(&numbers))
}

/// In the order of kernels/finish.cu.
fn of_numbers(numbers: &[f32]) -> UpdateStats {
    UpdateStats {
        critic_loss: numbers[0],
        policy_loss: numbers[1],
        temperature: numbers[2],
        alpha_mean: numbers[3],
        alpha_covariance: numbers[4],
        kl_q: numbers[5],
        kl_mean: numbers[6],
        kl_covariance: numbers[7],
        q_mean: numbers[8],
        target_mean: numbers[9],
        policy_grad_norm: numbers[10],
        critic_grad_norm: numbers[11],
        stddev_mean: numbers[12],
        entropy: numbers[13],
    }
}

fn to_numbers(stats: &UpdateStats) -> [f32; 14] {
    [
        stats.critic_loss,
        stats.policy_loss,
        stats.temperature,
        stats.alpha_mean,
        stats.alpha_covariance,
        stats.kl_q,
        stats.kl_mean,
        stats.kl_covariance,
        stats.q_mean,
        stats.target_mean,
        stats.policy_grad_norm,
        stats.critic_grad_norm,
        stats.stddev_mean,
        stats.entropy,
    ]
}

/// The largest relative difference of two updates' statistics; of what is nearly zero, the difference itself counts.
pub(super) fn distance(found: &UpdateStats, wanted: &UpdateStats) -> f64 {
    let pairs = to_numbers(found).into_iter().zip(to_numbers(wanted));
    let gaps = pairs.map(|(a, b)| (f64::from(a) - f64::from(b)).abs() / f64::from(b).abs().max(1e-2));
    gaps.fold(0.0, |worst, gap| if gap > worst || gap.is_nan() { gap } else { worst })
}

/// The checkpoint of a run's persistent words. The statistics told last are in it too, so that a resumed run's records go on
/// as they would have.
pub(super) fn save(model: &Model, program: &Program, words: &[u32], stats: &UpdateStats) -> Vec<u8> {
    let mut writer = Writer::default();
    let step = u64::from(words[UPDATES]);
    for (names, network) in NAMES.iter().zip(&model.networks) {
        let saved = SavedNetwork {
            buffers: [
                take(program, words, names.online),
                network.turn(&take(program, words, names.target), true),
                take(program, words, names.adam_first),
                take(program, words, names.adam_second),
            ],
            step,
        };
        saved.write(network.name, &network.layout, &mut writer);
    }
    let [raw, first, second] = ["duals", "duals.first", "duals.second"].map(|name| take(program, words, name));
    SavedDuals { raw, first, second, step }.write(&mut writer);
    writer.array("stats", &[14], &to_numbers(stats));
    writer.number("noise.position", wide(words, NOISE));
    writer.number("updates", step);
    writer.finish()
}

/// Puts a checkpoint into a run's persistent words; returns its updates and statistics. The words are as they were where it
/// fails.
pub(super) fn load(
    model: &Model,
    program: &Program,
    bytes: &[u8],
    words: &mut [u32],
) -> Result<(u64, UpdateStats), NetsError> {
    let reader = Reader::new(bytes)?;
    let mut networks = Vec::new();
    for network in &model.networks {
        networks.push(SavedNetwork::read(network.name, &network.layout, &reader)?);
    }
    let duals = SavedDuals::read(model.duals.len(), &reader)?;
    let (position, updates) = (reader.number("noise.position")?, reader.number("updates")?);
    // The CPU's learner saves none.
    let stats = reader.array("stats", &[14]).map_or(UpdateStats::default(), |numbers| of_numbers(&numbers));
    for ((names, network), saved) in NAMES.iter().zip(&model.networks).zip(networks) {
        let [online, target, first, second] = saved.buffers;
        put(program, words, names.turned, &network.turn(&online, false));
        put(program, words, names.target, &network.turn(&target, false));
        put(program, words, names.online, &online);
        put(program, words, names.adam_first, &first);
        put(program, words, names.adam_second, &second);
    }
    put(program, words, "duals", &duals.raw);
    put(program, words, "duals.first", &duals.first);
    put(program, words, "duals.second", &duals.second);
    words[UPDATES] = updates as u32;
    words[HALTED] = 0;
    Control(words).set_wide(NOISE, position);
    Ok((updates, stats))
}
