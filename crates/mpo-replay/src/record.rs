//! How a state and the transition that led to it are laid out in the words of one record.
//!
//! A record holds a state and, unless the state is the first of its episode, the transition into it. So the transition
//! of record `p` goes from the state of record `p - 1` to the state of record `p`, it can be sampled as soon as it is
//! pushed, and an episode of T transitions takes T + 1 records, the last of which carries the final observation.
//!
//! ```text
//! word 0          bit 0 FIRST, bit 1 LAST, bits 8.. transitions of the lane up to and including this record
//! word 1          step in the episode (u32) | discount (f32) << 32
//! word 2          reward (f32)              | log-probability (f32) << 32
//! then            the action, two f32 a word, or one word with the discrete action
//! then            the observation, two f32 a word
//! then            the frame, eight bytes a word
//! ```
#![allow(clippy::inline_always, reason = "measured: without it a push takes twice as long")]

use std::ops::Range;

use crate::batch::StepType;
use crate::layout::{ActionLayout, TransitionLayout};
use crate::sync::{AtomicU64, Ordering};

const FIRST: u64 = 1;
const LAST: u64 = 2;
const TRANSITIONS_SHIFT: u32 = 8;

/// Words before the action.
pub(crate) const FIXED_WORDS: usize = 3;

/// Word 0 of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: bool,
    pub(crate) last: bool,
    /// Transitions of the lane up to and including this record.
    pub(crate) transitions: u64,
}

impl Header {
    #[inline]
    pub(crate) fn load(record: &[AtomicU64]) -> Self {
        Self::decode(record[0].load(Ordering::Relaxed))
    }

    pub(crate) fn decode(word: u64) -> Self {
        Self { first: word & FIRST != 0, last: word & LAST != 0, transitions: word >> TRANSITIONS_SHIFT }
    }

    pub(crate) fn step_type(self) -> StepType {
        match self {
            Self { first: true, .. } => StepType::First,
            Self { last: true, .. } => StepType::Last,
            _ => StepType::Mid,
        }
    }

    #[inline(always)]
    fn encode(self) -> u64 {
        let flags = if self.first { FIRST } else { 0 } | if self.last { LAST } else { 0 };
        flags | (self.transitions << TRANSITIONS_SHIFT)
    }
}

/// The numbers of a record that have a fixed place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalars {
    pub(crate) step: u32,
    pub(crate) discount: f32,
    pub(crate) reward: f32,
    pub(crate) log_prob: f32,
}

impl Scalars {
    #[inline]
    pub(crate) fn load(record: &[AtomicU64]) -> Self {
        let [step, discount] = halves(record[1].load(Ordering::Relaxed));
        let [reward, log_prob] = halves(record[2].load(Ordering::Relaxed));
        Self {
            step,
            discount: f32::from_bits(discount),
            reward: f32::from_bits(reward),
            log_prob: f32::from_bits(log_prob),
        }
    }

    /// Words 0 to 2. Put together before they are stored: two halves written to memory and read back as one word would
    /// wait for each other.
    #[inline(always)]
    pub(crate) fn encode(self, header: Header) -> [u64; FIXED_WORDS] {
        [
            header.encode(),
            word([self.step, self.discount.to_bits()]),
            word([self.reward.to_bits(), self.log_prob.to_bits()]),
        ]
    }
}

/// Places of the parts in a record.
#[derive(Clone, Debug)]
pub(crate) struct RecordLayout {
    pub(crate) action: Range<usize>,
    pub(crate) observation: Range<usize>,
    pub(crate) frame: Range<usize>,
}

impl RecordLayout {
    pub(crate) fn new(layout: &TransitionLayout) -> Self {
        let action_words = match layout.action {
            ActionLayout::Continuous(len) => len.div_ceil(2),
            ActionLayout::Discrete(_) => 1,
        };
        let action = FIXED_WORDS..FIXED_WORDS + action_words;
        let observation = action.end..action.end + layout.observation.div_ceil(2);
        let frame = observation.end..observation.end + layout.frame_bytes().div_ceil(8);
        Self { action, observation, frame }
    }

    /// Words of a record.
    pub(crate) fn words(&self) -> usize {
        self.frame.end
    }
}

#[inline(always)]
fn word([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

#[inline(always)]
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// Calls `$function::<N>` for the `N` that `$count` is, or `$other` if it is a greater one.
///
/// The compiler neither joins nor vectorises atomic accesses, so that a row costs one instruction for each word. For short
/// rows a loop's counting would cost as much again.
macro_rules! unrolled {
    ($count:expr, $function:ident($($argument:expr),*), $other:expr) => {
        match $count {
            0 => $function::<0>($($argument),*),
            1 => $function::<1>($($argument),*),
            2 => $function::<2>($($argument),*),
            3 => $function::<3>($($argument),*),
            4 => $function::<4>($($argument),*),
            5 => $function::<5>($($argument),*),
            6 => $function::<6>($($argument),*),
            7 => $function::<7>($($argument),*),
            8 => $function::<8>($($argument),*),
            9 => $function::<9>($($argument),*),
            10 => $function::<10>($($argument),*),
            11 => $function::<11>($($argument),*),
            12 => $function::<12>($($argument),*),
            13 => $function::<13>($($argument),*),
            14 => $function::<14>($($argument),*),
            15 => $function::<15>($($argument),*),
            16 => $function::<16>($($argument),*),
            _ => $other,
        }
    };
}

/// Stores numbers two to a word; an odd one leaves the upper half zero.
#[inline(always)]
pub(crate) fn store_floats(values: &[f32], words: &[AtomicU64]) {
    let (pairs, odd) = values.as_chunks::<2>();
    unrolled!(pairs.len(), store_pairs(pairs, words), {
        for (pair, word) in pairs.iter().zip(words) {
            word.store(join(*pair), Ordering::Relaxed);
        }
    });
    if let [value] = odd {
        words[pairs.len()].store(u64::from(value.to_bits()), Ordering::Relaxed);
    }
}

#[inline(always)]
fn store_pairs<const N: usize>(pairs: &[[f32; 2]], words: &[AtomicU64]) {
    for (pair, word) in pairs[..N].iter().zip(&words[..N]) {
        word.store(join(*pair), Ordering::Relaxed);
    }
}

/// The inverse of [`store_floats`] for a row of `width` numbers in each of `records`, from word `at` on.
#[inline(always)]
pub(crate) fn load_rows<'a>(records: impl Iterator<Item = &'a [AtomicU64]>, at: usize, width: usize, rows: &mut [f32]) {
    let odd = width % 2 == 1;
    unrolled!(width / 2, load_pairs(records, at, odd, rows), {
        let mut rows = rows;
        for record in records {
            let (row, rest) = rows.split_at_mut(width);
            rows = rest;
            let words = &record[at..];
            let (pairs, odd) = row.as_chunks_mut::<2>();
            for (pair, word) in pairs.iter_mut().zip(words) {
                *pair = split(word.load(Ordering::Relaxed));
            }
            if let [value] = odd {
                *value = split(words[width / 2].load(Ordering::Relaxed))[0];
            }
        }
    });
}

#[inline]
fn load_pairs<'a, const N: usize>(
    records: impl Iterator<Item = &'a [AtomicU64]>,
    at: usize,
    odd: bool,
    mut rows: &mut [f32],
) {
    for record in records {
        let words = &record[at..];
        let (row, rest) = rows.split_at_mut(2 * N);
        rows = rest;
        for (pair, word) in row.as_chunks_mut::<2>().0.iter_mut().zip(&words[..N]) {
            *pair = split(word.load(Ordering::Relaxed));
        }
        if odd && let Some((value, rest)) = std::mem::take(&mut rows).split_first_mut() {
            *value = split(words[N].load(Ordering::Relaxed))[0];
            rows = rest;
        }
    }
}

/// Two numbers as one word; no instruction on a little-endian machine.
#[inline(always)]
fn join(pair: [f32; 2]) -> u64 {
    word(pair.map(f32::to_bits))
}

#[inline(always)]
fn split(word: u64) -> [f32; 2] {
    halves(word).map(f32::from_bits)
}

/// Stores bytes eight to a word; the last word is padded with zeros.
pub(crate) fn store_bytes(bytes: &[u8], words: &[AtomicU64]) {
    let (eights, rest) = bytes.as_chunks::<8>();
    for (eight, target) in eights.iter().zip(words) {
        target.store(u64::from_le_bytes(*eight), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        words[eights.len()].store(u64::from_le_bytes(eight), Ordering::Relaxed);
    }
}

/// The inverse of [`store_bytes`].
#[inline]
pub(crate) fn load_bytes(words: &[AtomicU64], bytes: &mut [u8]) {
    let (eights, rest) = bytes.as_chunks_mut::<8>();
    for (eight, source) in eights.iter_mut().zip(words) {
        *eight = source.load(Ordering::Relaxed).to_le_bytes();
    }
    if !rest.is_empty() {
        let eight = words[eights.len()].load(Ordering::Relaxed).to_le_bytes();
        let len = rest.len();
        rest.copy_from_slice(&eight[..len]);
    }
}
