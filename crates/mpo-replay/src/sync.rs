//! The atomics of the crate: those of `std`, or loom's when the crate is compiled with `--cfg loom`.
//!
//! The orderings of the ring's protocol are named here, each by the role it plays, so that the model tests can
//! weaken one at a time and see that the checker notices (`tests/loom.rs`). In an ordinary build they are constants.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

    /// `count` zeroed words. The pages come from the operating system as they are first written.
    pub(crate) fn zeroed_words(count: usize) -> Box<[AtomicU64]> {
        bytemuck::allocation::zeroed_slice_box(count)
    }

    /// The protocol's orderings as `Ring` explains them.
    pub(crate) mod order {
        use super::{Ordering, fence};

        pub(crate) const fn head_store() -> Ordering {
            Ordering::Release
        }

        pub(crate) const fn head_load() -> Ordering {
            Ordering::Acquire
        }

        pub(crate) fn writer_fence() {
            fence(Ordering::Release);
        }

        pub(crate) fn reader_fence() {
            fence(Ordering::Acquire);
        }

        pub(crate) const fn reserves_late() -> bool {
            false
        }

        pub(crate) const fn checks_reserve() -> bool {
            true
        }

        pub(crate) const fn reserve_store() -> Ordering {
            Ordering::Release
        }

        pub(crate) const fn claim_store() -> Ordering {
            Ordering::Release
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

    pub(crate) fn zeroed_words(count: usize) -> Box<[AtomicU64]> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    pub(crate) mod order {
        use super::super::{Weakening, weakening};
        use super::{Ordering, fence};

        pub(crate) fn head_store() -> Ordering {
            match weakening() {
                Weakening::HeadStoreRelaxed => Ordering::Relaxed,
                _ => Ordering::Release,
            }
        }

        pub(crate) fn head_load() -> Ordering {
            match weakening() {
                Weakening::HeadLoadRelaxed => Ordering::Relaxed,
                _ => Ordering::Acquire,
            }
        }

        pub(crate) fn writer_fence() {
            if weakening() != Weakening::NoWriterFence {
                fence(Ordering::Release);
            }
        }

        pub(crate) fn reader_fence() {
            if weakening() != Weakening::NoReaderFence {
                fence(Ordering::Acquire);
            }
        }

        pub(crate) fn reserves_late() -> bool {
            weakening() == Weakening::ReserveAfterWords
        }

        pub(crate) fn checks_reserve() -> bool {
            weakening() != Weakening::NoReserveCheck
        }

        pub(crate) fn reserve_store() -> Ordering {
            match weakening() {
                Weakening::ReserveStoreRelaxed => Ordering::Relaxed,
                _ => Ordering::Release,
            }
        }

        pub(crate) fn claim_store() -> Ordering {
            match weakening() {
                Weakening::ClaimStoreRelaxed => Ordering::Relaxed,
                _ => Ordering::Release,
            }
        }
    }
}

pub(crate) use imp::*;

/// One deliberate mistake in the ring's protocol, for the model tests.
#[cfg(loom)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakening {
    /// The protocol as it is.
    None,
    /// `head` is stored relaxed: a reader may see it before the words.
    HeadStoreRelaxed,
    /// `head` is loaded relaxed.
    HeadLoadRelaxed,
    /// No release fence between the `reserve` store and the words.
    NoWriterFence,
    /// No acquire fence between the copy and the `reserve` load.
    NoReaderFence,
    /// `reserve` is stored after the words.
    ReserveAfterWords,
    /// The reader trusts every copy.
    NoReserveCheck,
    /// `reserve` is stored relaxed: a refused reader may see the same old `head` for ever.
    ReserveStoreRelaxed,
    /// A dropped writer frees its lane with a relaxed store.
    ClaimStoreRelaxed,
}

#[cfg(loom)]
thread_local! {
    static WEAKENING: std::cell::Cell<Weakening> = const { std::cell::Cell::new(Weakening::None) };
}

/// Makes the mistake `weakening` in every ring used by models on this thread.
#[cfg(loom)]
pub fn weaken(weakening: Weakening) {
    WEAKENING.set(weakening);
}

#[cfg(loom)]
fn weakening() -> Weakening {
    WEAKENING.get()
}
