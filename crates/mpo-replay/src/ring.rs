//! A single-writer ring of fixed-size records that any number of threads may copy from.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence, order, zeroed_words};

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
    words: Box<[AtomicU64]>,
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
    slot: usize,
}

impl Cursor {
    /// Number of the record that will be written next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }
}

impl Ring {
    /// A ring that keeps the newest `kept` records of `record_words` words.
    ///
    /// # Panics
    /// If a size is zero or their product overflows.
    #[must_use]
    pub fn new(kept: usize, record_words: usize) -> Self {
        assert!(kept > 0 && record_words > 0, "a ring needs at least one record of one word");
        let words = kept
            .checked_add(1)
            .and_then(|slots| slots.checked_mul(record_words))
            .unwrap_or_else(|| panic!("{kept} records of {record_words} words overflow the address space"));
        Self {
            counters: CachePadded::new(Counters { reserve: AtomicU64::new(0), head: AtomicU64::new(0) }),
            words: zeroed_words(words),
            record_words,
            kept: kept as u64,
            floor: 0,
        }
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

    /// The slot of record `index`. Its words mean something only if [`Ring::is_intact`] holds after they were loaded.
    #[must_use]
    pub fn record(&self, index: u64) -> &[AtomicU64] {
        let start = self.slot_of(index) * self.record_words;
        &self.words[start..start + self.record_words]
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
        Cursor { next, slot: self.slot_of(next) }
    }

    /// Writes one record: `fill` stores (relaxed) into its words. Wait-free.
    pub fn write(&self, cursor: &mut Cursor, fill: impl FnOnce(&[AtomicU64])) {
        let done = cursor.next + 1;
        if !order::reserves_late() {
            self.counters.reserve.store(done, order::reserve_store());
        }
        order::writer_fence();
        let start = cursor.slot * self.record_words;
        fill(&self.words[start..start + self.record_words]);
        if order::reserves_late() {
            self.counters.reserve.store(done, order::reserve_store());
        }
        self.counters.head.store(done, order::head_store());
        cursor.next = done;
        cursor.slot = if cursor.slot as u64 + 1 == self.slots() { 0 } else { cursor.slot + 1 };
    }

    /// Bytes of all slots.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.words.len() * size_of::<AtomicU64>()
    }

    fn slot_of(&self, index: u64) -> usize {
        (index % self.slots()) as usize
    }

    /// The slots in the order of their records, beginning with that of record `index`.
    pub(crate) fn records_from(&self, index: u64) -> impl Iterator<Item = &[AtomicU64]> {
        let (before, after) = self.words.split_at(self.slot_of(index) * self.record_words);
        after.chunks_exact(self.record_words).chain(before.chunks_exact(self.record_words))
    }

    /// The words of `count` records from `index` on, as far as they lie before the ring's end.
    pub(crate) fn words_from(&self, index: u64, count: usize) -> std::slice::Iter<'_, AtomicU64> {
        let rest = &self.words[self.slot_of(index) * self.record_words..];
        rest[..rest.len().min(count * self.record_words)].iter()
    }
}
