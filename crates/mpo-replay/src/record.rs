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

use std::ops::Range;

use crate::layout::{ActionLayout, TransitionLayout};
use crate::sync::{AtomicU64, Ordering};

const FIRST: u64 = 1;
const LAST: u64 = 2;
const TRANSITIONS_SHIFT: u32 = 8;

/// Word 0 of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) first: bool,
    pub(crate) last: bool,
    /// Transitions of the lane up to and including this record.
    pub(crate) transitions: u64,
}

impl Header {
    pub(crate) fn load(record: &[AtomicU64]) -> Self {
        Self::decode(record[0].load(Ordering::Relaxed))
    }

    pub(crate) fn decode(word: u64) -> Self {
        Self { first: word & FIRST != 0, last: word & LAST != 0, transitions: word >> TRANSITIONS_SHIFT }
    }

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

    pub(crate) fn store(self, header: Header, record: &[AtomicU64]) {
        record[0].store(header.encode(), Ordering::Relaxed);
        record[1].store(word([self.step, self.discount.to_bits()]), Ordering::Relaxed);
        record[2].store(word([self.reward.to_bits(), self.log_prob.to_bits()]), Ordering::Relaxed);
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
        let action = 3..3 + action_words;
        let observation = action.end..action.end + layout.observation.div_ceil(2);
        let frame = observation.end..observation.end + layout.frame_bytes().div_ceil(8);
        Self { action, observation, frame }
    }

    /// Words of a record.
    pub(crate) fn words(&self) -> usize {
        self.frame.end
    }
}

fn word([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | (u64::from(high) << 32)
}

fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

/// Stores numbers two to a word; an odd one leaves the upper half zero.
pub(crate) fn store_floats(values: &[f32], words: &[AtomicU64]) {
    let (pairs, rest) = values.as_chunks::<2>();
    for (pair, target) in pairs.iter().zip(words) {
        target.store(word(pair.map(f32::to_bits)), Ordering::Relaxed);
    }
    if let [value] = rest {
        words[pairs.len()].store(u64::from(value.to_bits()), Ordering::Relaxed);
    }
}

/// The inverse of [`store_floats`].
#[inline]
pub(crate) fn load_floats(words: &[AtomicU64], values: &mut [f32]) {
    let (pairs, rest) = values.as_chunks_mut::<2>();
    for (pair, source) in pairs.iter_mut().zip(words) {
        *pair = halves(source.load(Ordering::Relaxed)).map(f32::from_bits);
    }
    if let [value] = rest {
        *value = f32::from_bits(halves(words[pairs.len()].load(Ordering::Relaxed))[0]);
    }
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
