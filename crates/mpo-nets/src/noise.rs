//! Standard-normal numbers from a counter: Philox4x32-10 (Salmon et al. 2011) and Box-Muller.
//!
//! A counter-based generator has no state but a key and a position, so a checkpoint stores two numbers,
//! any block can be computed without the ones before it, and a GPU can produce the same stream.

#![allow(clippy::needless_range_loop, reason = "lanes of several arrays move together; indices are what vectorises")]

use crate::{
    kernels::vectorised,
    network::take,
    threads::{MOST, Threads, part_start},
};

/// Philox blocks computed side by side; each yields four words, so four normal numbers.
const WIDTH: usize = 16;
/// Numbers made at a time.
const CHUNK: usize = 4 * WIDTH;

/// Chunks that are worth waking a thread for: some 20 microseconds.
const CHUNKS_PER_THREAD: usize = 128;

/// A seeded stream of independent standard-normal `f32`.
///
/// ```
/// use mpo_nets::noise::Noise;
/// let (mut a, mut b) = (Noise::new(7), Noise::new(7));
/// let (mut x, mut y) = ([0.0; 100], [0.0; 100]);
/// a.fill(&mut x);
/// b.fill(&mut y);
/// assert_eq!(x, y);
/// // The stream goes on from a saved position.
/// let mut c = Noise::at(7, a.position());
/// a.fill(&mut x);
/// c.fill(&mut y);
/// assert_eq!(x, y);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    key: u64,
    position: u64,
}

impl Noise {
    /// The stream of `key`, from its beginning.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self::at(key, 0)
    }

    /// The stream of `key` from a [`position`](Self::position).
    #[must_use]
    pub fn at(key: u64, position: u64) -> Self {
        Self { key, position }
    }

    /// Where the next [`fill`](Self::fill) begins, in Philox blocks.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Moves to a [`position`](Self::position) of the same stream.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Fills `out` with independent draws from N(0, 1).
    ///
    /// Every call begins at a fresh block, so the numbers depend on the lengths of the calls before.
    pub fn fill(&mut self, out: &mut [f32]) {
        self.fill_on(&Threads::default(), out);
    }

    /// [`fill`](Self::fill) on several threads; their number changes nothing.
    pub fn fill_on(&mut self, threads: &Threads, out: &mut [f32]) {
        let (len, chunks) = (out.len(), out.len().div_ceil(CHUNK));
        let parts = threads.count().min(chunks / CHUNKS_PER_THREAD).clamp(1, MOST);
        let (key, position, mut rest) = (self.key, self.position, out);
        let mut tasks = [const { None }; MOST];
        for (part, task) in tasks.iter_mut().enumerate().take(parts) {
            let (from, to) = (part_start(chunks, part, parts), part_start(chunks, part + 1, parts));
            let numbers = take(&mut rest, (to * CHUNK).min(len) - (from * CHUNK).min(len));
            *task = Some((position.wrapping_add((from * WIDTH) as u64), numbers));
        }
        threads.each(&mut tasks[..parts], |task| {
            if let Some((position, numbers)) = task {
                normals(key, *position, numbers);
            }
        });
        self.position += (chunks * WIDTH) as u64;
    }
}

/// Ten Philox rounds on `WIDTH` counters at once, in place.
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of a vectorised loop")]
fn philox(x: &mut [[u32; WIDTH]; 4], key: u64) {
    let (mut k0, mut k1) = (key as u32, (key >> 32) as u32);
    for _ in 0..10 {
        for l in 0..WIDTH {
            let p0 = 0xD251_1F53_u64 * u64::from(x[0][l]);
            let p1 = 0xCD9E_8D57_u64 * u64::from(x[2][l]);
            let (x1, x3) = (x[1][l], x[3][l]);
            x[0][l] = (p1 >> 32) as u32 ^ x1 ^ k0;
            x[1][l] = p1 as u32;
            x[2][l] = (p0 >> 32) as u32 ^ x3 ^ k1;
            x[3][l] = p0 as u32;
        }
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
}

/// `ln u` for `u` in (0, 1], by the logarithm's series in `(m - 1) / (m + 1)` around sqrt(1/2) <= m < sqrt(2).
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of a vectorised loop")]
fn ln_unit(u: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let shifted = u.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let exponent = (shifted as i32) >> 23;
    let m = f32::from_bits((shifted & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS));
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let mut p = 0.222_222_22_f32;
    p = p.mul_add(s2, 0.285_714_3);
    p = p.mul_add(s2, 0.4);
    p = p.mul_add(s2, 0.666_666_7);
    p = p.mul_add(s2, 2.0);
    (exponent as f32).mul_add(std::f32::consts::LN_2, p * s)
}

/// `sin(2 pi w)` for `w` in [-1/2, 3/4].
#[inline(always)]
#[allow(clippy::inline_always, reason = "part of a vectorised loop")]
fn sin_turn(w: f32) -> f32 {
    let w = if w > 0.5 { w - 1.0 } else { w };
    let half = 0.5_f32.copysign(w);
    let w = if w.abs() > 0.25 { half - w } else { w };
    let x = std::f32::consts::TAU * w;
    let x2 = x * x;
    let mut p = -2.505_210_8e-8_f32;
    p = p.mul_add(x2, 2.755_731_9e-6);
    p = p.mul_add(x2, -1.984_127e-4);
    p = p.mul_add(x2, 8.333_333e-3);
    p = p.mul_add(x2, -1.666_666_7e-1);
    (p * x2).mul_add(x, x)
}

vectorised! {
    fn normals(key: u64, position: u64, out: &mut [f32]) {
        let mut buffer = [0.0_f32; CHUNK];
        for (block, chunk) in out.chunks_mut(CHUNK).enumerate() {
            let base = position.wrapping_add((block * WIDTH) as u64);
            let mut x = [[0_u32; WIDTH]; 4];
            for l in 0..WIDTH {
                let counter = base.wrapping_add(l as u64);
                x[0][l] = counter as u32;
                x[1][l] = (counter >> 32) as u32;
            }
            philox(&mut x, key);
            for pair in 0..2 {
                for l in 0..WIDTH {
                    let unit = |bits: u32| (bits >> 8) as i32 as f32;
                    let u = (unit(x[2 * pair][l]) + 1.0) * (1.0 / 16_777_216.0);
                    let turn = (unit(x[2 * pair + 1][l])) * (1.0 / 16_777_216.0) - 0.5;
                    let radius = (-2.0 * ln_unit(u)).max(0.0).sqrt();
                    buffer[2 * pair * WIDTH + l] = radius * sin_turn(turn);
                    buffer[(2 * pair + 1) * WIDTH + l] = radius * sin_turn(turn + 0.25);
                }
            }
            chunk.copy_from_slice(&buffer[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that accompany the generator's publication.
    #[test]
    fn philox_gives_the_published_words() {
        let run = |counter: [u32; 4], key: u64| {
            let mut x = counter.map(|c| [c; WIDTH]);
            philox(&mut x, key);
            x.map(|lane| lane[3])
        };
        assert_eq!(run([0; 4], 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(run([u32::MAX; 4], u64::MAX), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn moments_and_tails_are_those_of_a_standard_normal() {
        let mut x = vec![0.0; 1 << 20];
        Noise::new(3).fill(&mut x);
        let n = x.len() as f64;
        let moment = |k: i32| x.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / n;
        assert!(moment(1).abs() < 5e-3 && (moment(2) - 1.0).abs() < 7e-3);
        assert!(moment(3).abs() < 2e-2 && (moment(4) - 3.0).abs() < 5e-2);
        for (bound, probability) in [(1.0, 0.317_311), (2.0, 0.045_500), (3.0, 0.002_700)] {
            let share = x.iter().filter(|x| x.abs() > bound).count() as f64 / n;
            assert!((share - probability).abs() < 5.0 * (probability / n).sqrt(), "P(|x| > {bound}) = {share}");
        }
        let lagged = x.windows(2).map(|w| f64::from(w[0] * w[1])).sum::<f64>() / n;
        assert!(lagged.abs() < 5e-3, "neighbours are correlated: {lagged}");
    }

    #[test]
    fn threads_make_the_numbers_that_one_makes() {
        for len in [0, 1, 64, 3 * CHUNKS_PER_THREAD * CHUNK + 17] {
            let (mut alone, mut together) = (Noise::at(9, 5), Noise::at(9, 5));
            let (mut x, mut y) = (vec![0.0; len], vec![1.0; len]);
            alone.fill(&mut x);
            together.fill_on(&Threads::new(3), &mut y);
            assert_eq!((x, alone), (y, together), "{len} numbers");
        }
    }

    #[test]
    fn the_elementary_functions_are_accurate() {
        for i in 1..=100_000 {
            let u = i as f32 / 100_000.0;
            assert!((ln_unit(u) - u.ln()).abs() < 2e-6_f32.max(3e-7 * u.ln().abs()), "ln {u}");
            let w = 1.25 * u - 0.5;
            assert!(
                (f64::from(sin_turn(w)) - (std::f64::consts::TAU * f64::from(w)).sin()).abs() < 6e-7,
                "sin of {w} turns"
            );
        }
    }
}
