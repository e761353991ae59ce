//! A single-writer ring of fixed-size records that any number of threads may copy from.

use crossbeam_utils::CachePadded;
use prefetch_index::prefetch_index;

use crate::error::ReplayError;
use crate::memory::{Memory, Words};
use crate::sync::{AtomicU64, Ordering, fence, order};

/// Words of a cache line.
const LINE_WORDS: usize = 8;

/// A ring of records, each a fixed number of 64-bit words; one writer, any number of readers, no lock and no `unsafe`.
///
/// Records are numbered from 0 in the order of writing and never renumbered; record `i` lies in slot `i % slots`.
/// Two counters, which only grow, say what the slots hold:
///
/// - `reserve`: records up to here (exclusive) may have been *started*;
/// - `head`: records up to here (exclusive) are *complete*.
///
/// # Memory ordering
///
/// ```text
/// writer of record i                       reader of records first .. last
/// W1  reserve = i + 1       release        R1  h = head             acquire   (chooses last <= h)
/// W2  fence                 release        R2  copy words           relaxed
/// W3  store words           relaxed        R3  fence                acquire
/// W4  head = i + 1          release        R4  valid if reserve <= first + slots   (relaxed load)
///                                          R5  if not valid: fence  acquire
/// ```
///
/// *Nothing unwritten is read.* R1 reads a value that some W4 stored, so every word of the records below `h` happens
/// before R2 (release store, acquire load).
///
/// *Nothing overwritten is returned.* Suppose a load in R2 sees a word of a later record `j` in the slot of a record
/// `i >= first`, so that `j >= i + slots`. That word was stored in W3 after the fence W2, and the load comes before the
/// fence R3. A release fence and an acquire fence, joined by a relaxed store and the load that reads it, synchronise: W1
/// of record `j` happens before R4, which hence reads `reserve >= j + 1 > first + slots`, and the copy is refused. Since
/// slots are overwritten in order, the one comparison with the *oldest* record vouches for all the records of a copy.
///
/// The counters never wrap: 2^64 records at ten million a second last 58,000 years.
///
/// # Progress
///
/// A write is wait-free: it stores and never loads a shared word. Readers use the newest `kept` records, while the ring
/// has `kept + 1` slots: the spare slot takes the record under way, so that a writer that is stopped in the middle of a
/// write disturbs nobody. A refused copy therefore implies that at least one record was completed since R1, and the
/// next R1 sees it: W1 of record `j` comes after W4 of record `j - 1`, and synchronises with R5. So reading is lock-free.
#[derive(Debug)]
pub struct Ring {
    counters: CachePadded<Counters>,
    words: Words,
    record_words: usize,
    kept: u64,
    /// Lowest record that was ever stored here: above 0 only after a restore.
    floor: u64,
}

#[derive(Debug)]
struct Counters {
    reserve: AtomicU64,
    head: AtomicU64,
}

/// The place of the next write. Whoever holds the cursor of a ring is its writer.
#[derive(Debug)]
pub struct Cursor {
    next: u64,
    /// The first word of the record.
    word: usize,
}

impl Cursor {
    /// Number of the record that will be written next.
    #[must_use]
    #[inline]
    pub fn next(&self) -> u64 {
        self.next
    }
}

impl Ring {
    /// A ring on the heap that keeps the newest `kept` records of `record_words` words.
    ///
    /// # Panics
    /// If a size is zero or their product overflows.
    #[must_use]
    pub fn new(kept: usize, record_words: usize) -> Self {
        Self::new_in(kept, record_words, &Memory::Heap)
            .unwrap_or_else(|error| panic!("the heap is not mapped, so that this cannot happen: {error}"))
    }

    /// [`Ring::new`] in memory of another kind.
    ///
    /// # Errors
    /// [`ReplayError::Memory`] if the memory cannot be mapped.
    ///
    /// # Panics
    /// If a size is zero or their product overflows.
    pub fn new_in(kept: usize, record_words: usize, memory: &Memory) -> Result<Self, ReplayError> {
        assert!(kept > 0 && record_words > 0, "a ring needs at least one record of one word");
        let words = kept
            .checked_add(1)
            .and_then(|slots| slots.checked_mul(record_words))
            .unwrap_or_else(|| panic!("{kept} records of {record_words} words overflow the address space"));
        Ok(Self {
            counters: CachePadded::new(Counters { reserve: AtomicU64::new(0), head: AtomicU64::new(0) }),
            words: Words::new(words, memory)?,
            record_words,
            kept: kept as u64,
            floor: 0,
        })
    }

    /// Declares that the records `floor..head` have been put into their slots and that `head` is written next.
    ///
    /// # Panics
    /// If `floor` is above `head`.
    pub fn restore(&mut self, floor: u64, head: u64) {
        assert!(floor <= head, "the floor {floor} lies above the head {head}");
        self.floor = floor;
        // Exclusive access: whoever shares the ring from here on synchronises with this thread first.
        self.counters.reserve.store(head, Ordering::Relaxed);
        self.counters.head.store(head, Ordering::Relaxed);
    }

    /// Words of a record.
    #[must_use]
    pub fn record_words(&self) -> usize {
        self.record_words
    }

    pub(crate) fn slots(&self) -> u64 {
        self.kept + 1
    }

    /// Number of complete records ever written: what [`Ring::oldest`] and a copy start from.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.counters.head.load(order::head_load())
    }

    /// The oldest record that a reader who saw `head` may use.
    #[must_use]
    pub fn oldest(&self, head: u64) -> u64 {
        head.saturating_sub(self.kept).max(self.floor)
    }

    /// The words of record `index`. They mean something only if [`Ring::is_intact`] holds after they were loaded.
    #[must_use]
    pub fn record(&self, index: u64) -> &[AtomicU64] {
        self.in_slot(self.slot_of(index))
    }

    /// The words in slot `slot`.
    #[inline]
    pub(crate) fn in_slot(&self, slot: usize) -> &[AtomicU64] {
        let start = slot * self.record_words;
        &self.words.as_slice()[start..start + self.record_words]
    }

    /// Whether everything that this thread loaded from the records `oldest..` (below a `head` that it saw before) is
    /// what their writer stored. To be asked after the loads.
    #[must_use]
    pub fn is_intact(&self, oldest: u64) -> bool {
        order::reader_fence();
        if !order::checks_reserve() {
            return true;
        }
        let intact = self.counters.reserve.load(Ordering::Relaxed) <= oldest + self.slots();
        if !intact {
            fence(Ordering::Acquire);
        }
        intact
    }

    /// The cursor of a ring that nobody is writing to.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        let next = self.head();
        Cursor { next, word: self.slot_of(next) * self.record_words }
    }

    /// Writes one record: `fill` stores (relaxed) into its words. Wait-free.
    #[inline]
    pub fn write(&self, cursor: &mut Cursor, fill: impl FnOnce(&[AtomicU64])) {
        fill(self.open(cursor));
        self.publish(cursor);
    }

    /// Declares that the record at the cursor is being written (W1, W2), and returns its words.
    #[inline]
    pub(crate) fn open(&self, cursor: &Cursor) -> &[AtomicU64] {
        if !order::reserves_late() {
            self.counters.reserve.store(cursor.next + 1, order::reserve_store());
        }
        order::writer_fence();
        &self.words.as_slice()[cursor.word..][..self.record_words]
    }

    /// Declares that the record at the cursor is complete (W4), and moves on.
    #[inline]
    pub(crate) fn publish(&self, cursor: &mut Cursor) {
        let done = cursor.next + 1;
        if order::reserves_late() {
            self.counters.reserve.store(done, order::reserve_store());
        }
        self.counters.head.store(done, order::head_store());
        cursor.next = done;
        let word = cursor.word + self.record_words;
        cursor.word = if word == self.words.as_slice().len() { 0 } else { word };
    }

    /// Bytes of all slots.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    pub(crate) fn slot_of(&self, index: u64) -> usize {
        (index % self.slots()) as usize
    }

    /// The slot `ahead` records after slot `slot`; `ahead` is at most the number of slots.
    #[inline]
    pub(crate) fn slot_after(&self, slot: usize, ahead: usize) -> usize {
        let (sum, slots) = (slot + ahead, self.kept as usize + 1);
        if sum < slots { sum } else { sum - slots }
    }

    /// `count` records from slot `slot` on: those before the ring's end, and those from its beginning on.
    #[inline]
    pub(crate) fn run(&self, slot: usize, count: usize) -> [Records<'_>; 2] {
        let (before, after) = self.words.as_slice().split_at(slot * self.record_words);
        let words = count * self.record_words;
        let parts = match after.get(..words) {
            Some(whole) => [whole, &[]],
            None => [after, &before[..words - after.len()]],
        };
        parts.map(|words| Records { words, record_words: self.record_words })
    }

    /// Has the cache lines of `count` records from slot `slot` on fetched, as far as they lie before the ring's end.
    /// Changes no result, only when it is there.
    #[inline]
    pub(crate) fn prefetch(&self, slot: usize, count: usize) {
        let words = self.words.as_slice();
        let start = slot * self.record_words;
        let end = words.len().min(start + count * self.record_words);
        let mut line = start;
        while line < end {
            prefetch_index(words, line);
            line += LINE_WORDS;
        }
        prefetch_index(words, end - 1);
    }

    /// The slots in the order of their records, beginning with that of record `index`.
    pub(crate) fn records_from(&self, index: u64) -> impl Iterator<Item = &[AtomicU64]> {
        let (before, after) = self.words.as_slice().split_at(self.slot_of(index) * self.record_words);
        after.chunks_exact(self.record_words).chain(before.chunks_exact(self.record_words))
    }
}

/// Records that lie one after the other. In contrast to chunks of a slice, cutting them takes no division.
#[derive(Clone, Debug)]
pub(crate) struct Records<'a> {
    words: &'a [AtomicU64],
    record_words: usize,
}

impl Records<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [AtomicU64];

    #[inline]
    fn next(&mut self) -> Option<&'a [AtomicU64]> {
        let (record, rest) = self.words.split_at_checked(self.record_words)?;
        self.words = rest;
        Some(record)
    }
}
