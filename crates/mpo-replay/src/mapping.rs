//! Words in memory that was mapped for them: the only file of the crate with `unsafe` code, behind the feature `mmap`.
#![allow(unsafe_code, reason = "a mapping is a raw address: see the safety comment of its one dereference")]

use std::io;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};

use crate::sync::AtomicU64;

#[cfg(not(unix))]
compile_error!("the feature mmap of mpo-replay needs a Unix: the file behind a mapping must have no name");

/// Zeroed words that no other process can reach.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: MmapRaw,
    words: usize,
}

impl Mapping {
    /// Private memory, in huge pages if the system has them.
    pub(crate) fn anonymous(words: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes(words)?).map_anon()?;
        // Advice: where it is not taken, the pages are small ones.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Self { map: map.into(), words })
    }

    /// A new file without a name in `directory`, whose blocks are taken at once.
    pub(crate) fn file_in(directory: &Path, words: usize) -> io::Result<Self> {
        let len = bytes(words)?;
        let file = tempfile::tempfile_in(directory)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, len as u64)?;
        let map = MmapOptions::new().len(len).map_raw(&file)?;
        Ok(Self { map, words })
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        #[allow(clippy::cast_ptr_alignment, reason = "a mapping starts at a page's boundary")]
        let first = self.map.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY:
        // - The mapping is `words * 8` bytes long, readable and writable, starts at a page's boundary and stays mapped at
        //   this address as long as `self`, which the slice borrows.
        // - Its bytes are initialised: the system hands out zeros; and every pattern of eight bytes is an `AtomicU64`.
        // - Nobody holds a reference to the bytes but as `&[AtomicU64]`, made here: `map` is private and is not used
        //   otherwise, so all accesses of this process are atomic.
        // - No other process writes them or shortens the file: anonymous memory is private to the process, and the file
        //   has no name by which another one could open it (one that reaches into /proc/PID with the user's rights could
        //   as well write into any other memory of this process). Even a foreign write would be seen as a racing atomic
        //   store, never as undefined behaviour of a plain access.
        unsafe { std::slice::from_raw_parts(first, self.words) }
    }
}

/// The length of a mapping of `words`, which must be addressable.
fn bytes(words: usize) -> io::Result<usize> {
    words
        .checked_mul(size_of::<AtomicU64>())
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::OutOfMemory, "more bytes than can be addressed"))
}
