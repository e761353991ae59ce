//! Cards of several processes that take a mean among themselves, by NCCL.
//!
//! The processes know each other already, by MPI or otherwise: the first draws an [`identity`](Place::draw), tells it to the
//! others, and all join. NCCL is loaded when it is asked for; without it numbers travel by way of the hosts.
#![expect(unsafe_code, reason = "NCCL's foreign functions")]

use std::{ptr, sync::Arc};

use cudarc::{
    driver::{CudaStream, sys::CUdeviceptr},
    nccl::{result, sys},
};

use crate::NetsError;

/// Words of an identity.
const WORDS: usize = 16;

/// A process's place among those whose cards meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 0.
    pub rank: usize,
    /// How many they are.
    pub workers: usize,
    /// What tells this meeting from others: the same for all.
    pub identity: [u64; WORDS],
}

impl Place {
    /// An identity for a new meeting, drawn by one process for all.
    ///
    /// # Errors
    /// [`NetsError::Device`] when NCCL cannot be loaded or fails.
    pub fn draw() -> Result<[u64; WORDS], NetsError> {
        if !Self::possible() {
            return Err(failed("its library libnccl was not found".to_owned()));
        }
        let id = result::get_uniqueid().map_err(nccl("ncclGetUniqueId"))?;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(id.internal.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(bytes.map(|byte| byte.to_ne_bytes()[0]));
        }
        Ok(words)
    }

    /// Whether NCCL's library is there.
    #[must_use]
    pub fn possible() -> bool {
        // SAFETY: looks whether the library can be opened; it is NVIDIA's.
        unsafe { sys::is_culib_present() }
    }

    fn id(&self) -> sys::ncclUniqueId {
        let mut internal = [0; 8 * WORDS];
        for (bytes, word) in internal.as_chunks_mut::<8>().0.iter_mut().zip(self.identity) {
            *bytes = word.to_le_bytes().map(|byte| std::ffi::c_char::from_ne_bytes([byte]));
        }
        sys::ncclUniqueId { internal }
    }
}

/// A communicator of the cards.
#[derive(Debug)]
pub(super) struct Meeting(sys::ncclComm_t);

fn failed(reason: String) -> NetsError {
    NetsError::Device { device: "NCCL", reason }
}

fn nccl(call: &'static str) -> impl Fn(result::NcclError) -> NetsError {
    move |error| failed(format!("{call}: {error:?}"))
}

impl Meeting {
    /// Joins with the card of the context that is bound.
    ///
    /// # Errors
    /// [`NetsError::Device`] when NCCL cannot be loaded or does not reach the others.
    pub(super) fn join(place: &Place) -> Result<Self, NetsError> {
        if !Place::possible() {
            return Err(failed("its library libnccl was not found".to_owned()));
        }
        let (workers, rank) = (place.workers as i32, place.rank as i32);
        let mut communicator = ptr::null_mut();
        // SAFETY: a pointer to the handle that is written; the library is there.
        unsafe { result::comm_init_rank(&raw mut communicator, workers, place.id(), rank) }
            .map_err(nccl("ncclCommInitRank"))?;
        Ok(Self(communicator))
    }

    /// Begins to replace `len` numbers by their mean over all, in the order of `stream`; does not wait.
    ///
    /// # Errors
    /// [`NetsError::Device`] when NCCL fails.
    ///
    /// # Safety
    /// The numbers must be memory of the card that joined, of which nothing else on another stream makes use before the stream has
    /// come past.
    pub(super) unsafe fn mean(
        &self,
        numbers: CUdeviceptr,
        len: usize,
        stream: &Arc<CudaStream>,
    ) -> Result<(), NetsError> {
        let (from, to) = (numbers as *const std::ffi::c_void, numbers as *mut std::ffi::c_void);
        let (kind, mean) = (sys::ncclDataType_t::ncclFloat32, sys::ncclRedOp_t::ncclAvg);
        // SAFETY: promised by the caller; sums in place are allowed, and the stream is a handle of the same driver.
        unsafe { result::all_reduce(from, to, len, kind, mean, self.0, stream.cu_stream().cast()) }
            .map_err(nccl("ncclAllReduce"))?;
        Ok(())
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        // SAFETY: joined by us, left once. Not waited for: the others may be gone. An error has nobody to go to.
        let _ = unsafe { result::comm_abort(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_keeps_its_bytes() {
        let identity = std::array::from_fn(|i| 0x8899_aabb_ccdd_eeff_u64.rotate_left(i as u32 * 5));
        let id = Place { rank: 1, workers: 2, identity }.id();
        let back: Vec<u64> = id
            .internal
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(bytes.map(|byte| byte.to_ne_bytes()[0])))
            .collect();
        assert_eq!(back, identity);
    }

    #[test]
    fn without_the_library_it_is_an_error_that_names_it() {
        if !Place::possible() {
            assert!(Place::draw().expect_err("no library").to_string().contains("libnccl"));
        }
    }
}
