//! Where the records of a buffer lie.

use crate::error::ReplayError;
use crate::sync::{AtomicU64, zeroed_words};

/// Where a buffer made by [`ReplayBuffer::new_in`](crate::ReplayBuffer::new_in) keeps its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// The heap. Pages come from the operating system as they are first written.
    #[default]
    Heap,
    /// Memory of its own, for which Linux is asked to use huge pages: a sampler that jumps through hundreds of megabytes
    /// then misses the translation cache far less often. Needs the feature `mmap`.
    #[cfg(feature = "mmap")]
    HugePages,
    /// A file without a name in this directory, one for each lane, mapped into memory: for what exceeds memory. The disk
    /// space is taken at once, so that a full disk is an error then and not a crash later, and given back when the buffer
    /// is dropped or the process ends in any way. It is no checkpoint: that is [`save`](crate::ReplayBuffer::save).
    /// A failing disk ends the process with SIGBUS, as it does for every mapped file. Needs the feature `mmap`.
    #[cfg(feature = "mmap")]
    FileIn(std::path::PathBuf),
}

/// Zeroed words of one lane.
#[derive(Debug)]
pub(crate) enum Words {
    Heap(Box<[AtomicU64]>),
    #[cfg(feature = "mmap")]
    Mapped(crate::mapping::Mapping),
}

impl Words {
    #[cfg_attr(not(feature = "mmap"), allow(clippy::unnecessary_wraps, reason = "the heap never refuses"))]
    pub(crate) fn new(count: usize, memory: &Memory) -> Result<Self, ReplayError> {
        match memory {
            Memory::Heap => Ok(Self::Heap(zeroed_words(count))),
            #[cfg(feature = "mmap")]
            Memory::HugePages => Self::mapped(crate::mapping::Mapping::anonymous(count), count, "huge pages"),
            #[cfg(feature = "mmap")]
            Memory::FileIn(directory) => {
                let place = directory.display().to_string();
                Self::mapped(crate::mapping::Mapping::file_in(directory, count), count, &place)
            }
        }
    }

    #[cfg(feature = "mmap")]
    fn mapped(
        mapping: std::io::Result<crate::mapping::Mapping>,
        count: usize,
        place: &str,
    ) -> Result<Self, ReplayError> {
        mapping.map(Self::Mapped).map_err(|source| ReplayError::Memory {
            bytes: count * size_of::<AtomicU64>(),
            place: place.to_owned(),
            source,
        })
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[AtomicU64] {
        match self {
            Self::Heap(words) => words,
            #[cfg(feature = "mmap")]
            Self::Mapped(mapping) => mapping.words(),
        }
    }
}
