//! Random streams: all of a run's randomness follows from one root seed.
//!
//! A stream is named, not numbered: its seed is the SHA-256 of the root and the name, so a new
//! stream never shifts the others, and runs of neighbouring roots share nothing.
//!
//! ```
//! use mpo_agent::Seeds;
//! use rand::Rng;
//!
//! let (mut actor, mut replay) = (Seeds::new(1).stream("actor"), Seeds::new(1).stream("replay"));
//! assert_ne!(actor.next_u64(), replay.next_u64());
//! assert_eq!(Seeds::new(1).stream("actor"), Seeds::new(1).stream("actor"));
//! ```

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

/// A random stream. Its state is serialisable, so that a checkpoint holds it exactly.
pub type Stream = Xoshiro256PlusPlus;

/// The root seed of a run, from which every stream is derived by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    root: u64,
    worker: u64,
}

impl Seeds {
    /// Streams of the root seed `root`.
    #[must_use]
    pub const fn new(root: u64) -> Self {
        Self { root, worker: 0 }
    }

    /// The streams of the same names of one of several workers: independent of each other's, the first's being those of a run
    /// alone.
    #[must_use]
    pub const fn of_worker(self, rank: usize) -> Self {
        Self { worker: rank as u64, ..self }
    }

    /// The stream called `name`, at its beginning.
    #[must_use]
    pub fn stream(&self, name: &str) -> Stream {
        Stream::from_seed(self.digest(name))
    }

    /// A 64-bit seed for a component that keeps its own generator.
    #[must_use]
    pub fn seed_u64(&self, name: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest(name);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// A 32-bit seed, the width that `NumPy`'s `RandomState`, and so an environment, takes.
    #[must_use]
    pub fn seed_u32(&self, name: &str) -> u32 {
        let [a, b, c, d, ..] = self.digest(name);
        u32::from_le_bytes([a, b, c, d])
    }

    fn digest(self, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.root.to_le_bytes());
        hash.update(name.as_bytes());
        if self.worker > 0 {
            // No name holds this byte.
            hash.update([0xff]);
            hash.update(self.worker.to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// Fills `out` with independent standard normal draws (Marsaglia's polar method, in `f64`).
///
/// Pairs are never kept between calls: the state of `stream` is the whole state.
pub fn standard_normals(stream: &mut impl Rng, out: &mut [f32]) {
    for pair in out.chunks_mut(2) {
        let (u, v, square) = loop {
            let (u, v) = (symmetric_uniform(stream), symmetric_uniform(stream));
            let square = u * u + v * v;
            if square < 1.0 && square > 0.0 {
                break (u, v, square);
            }
        };
        let scale = (-2.0 * square.ln() / square).sqrt();
        for (slot, coordinate) in pair.iter_mut().zip([u, v]) {
            *slot = (coordinate * scale) as f32;
        }
    }
}

/// Uniform on `[-1, 1)`, from the 53 upper bits of a draw.
fn symmetric_uniform(stream: &mut impl Rng) -> f64 {
    (stream.next_u64() >> 11) as f64 * (2.0 / (1_u64 << 53) as f64) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_the_moments_of_a_standard_normal() {
        let mut draws = vec![0.0; 200_001];
        standard_normals(&mut Seeds::new(3).stream("actor"), &mut draws);
        let moment = |k: i32| draws.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / draws.len() as f64;
        // Four standard errors of each sample moment: sqrt(Var[x^k] / n) with Var = 1, 2, 15, 96.
        for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let tolerance = 4.0 * f64::sqrt(variance / draws.len() as f64);
            assert!((moment(k) - expected).abs() < tolerance, "moment {k} is {}", moment(k));
        }
    }

    #[test]
    fn every_worker_has_streams_of_its_own() {
        let seed = |rank, name: &str| Seeds::new(5).of_worker(rank).seed_u64(name);
        assert_eq!(seed(0, "actor"), Seeds::new(5).seed_u64("actor"));
        let mut all: Vec<u64> = (0..100).flat_map(|rank| ["actor", "replay"].map(|name| seed(rank, name))).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 200);
    }

    #[test]
    fn a_saved_stream_continues_where_it_was() {
        let mut stream = Seeds::new(9).stream("replay");
        stream.next_u64();
        let saved = serde_json::to_string(&stream).expect("a stream is four integers");
        let mut restored: Stream = serde_json::from_str(&saved).expect("just written");
        assert_eq!(stream.next_u64(), restored.next_u64());
    }
}
