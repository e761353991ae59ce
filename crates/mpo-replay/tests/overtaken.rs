//! Windows that are overtaken between draw and copy, without threads: the generator itself pushes.

use std::convert::Infallible;
use std::io::{self, Write};

use mpo_replay::{Batch, Layout, ReplayBuffer, ReplayError, TrajectoryWriter};
use rand::{Rng, SeedableRng, TryRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 1, action: 1 };

/// Draws from `inner`, and before every `period`-th draw pushes `burst` transitions.
struct Overtaking {
    inner: Xoshiro256PlusPlus,
    writer: TrajectoryWriter,
    draws: u64,
    period: u64,
    burst: u64,
    pushed: u16,
}

impl Overtaking {
    fn new(buffer: &ReplayBuffer, period: u64, burst: u64) -> Self {
        let mut writer = buffer.writer(0).expect("the lane is free");
        writer.begin(&[0.0]);
        let inner = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut rng = Self { inner, writer, draws: 0, period, burst, pushed: 0 };
        rng.push(buffer.capacity() as u64);
        rng
    }

    fn push(&mut self, count: u64) {
        for _ in 0..count {
            self.pushed += 1;
            let number = f32::from(self.pushed);
            self.writer.push(&[number], number, number, 1.0, &[number], false);
        }
    }
}

impl TryRng for Overtaking {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|draw| draw as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.draws += 1;
        if self.draws.is_multiple_of(self.period) {
            self.push(self.burst);
        }
        Ok(self.inner.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.inner.fill_bytes(bytes);
        Ok(())
    }
}

#[test]
#[allow(clippy::float_cmp, reason = "small integers are exact")]
fn an_overtaken_window_is_drawn_anew() {
    let buffer = ReplayBuffer::new(LAYOUT, 64, 1);
    let mut rng = Overtaking::new(&buffer, 10, 24);
    let mut batch = Batch::new();
    let mut redrawn = 0;
    for _ in 0..100 {
        buffer.sample(&mut rng, 16, 4, &mut batch).expect("the next draws find the lane quiet");
        redrawn += batch.redrawn;
        let newest = f32::from(rng.pushed);
        for window in &batch {
            // What was valid when it was copied may lag by the bursts of the remaining draws of this call.
            assert!(window.rewards[0] > newest - 64.0 - 24.0 * 8.0);
            for (step, reward) in window.rewards.iter().enumerate() {
                assert_eq!(*reward, window.rewards[0] + step as f32);
                assert_eq!(window.actions[step], *reward);
                assert_eq!(window.observations[step..step + 2], [*reward - 1.0, *reward]);
            }
        }
    }
    assert!(redrawn > 100, "{redrawn} redraws");
}

#[test]
fn a_lane_that_is_always_overtaken_is_an_error() {
    let buffer = ReplayBuffer::new(LAYOUT, 4, 1);
    let mut rng = Overtaking::new(&buffer, 1, 6);
    let mut batch = Batch::new();
    let error = buffer.sample(&mut rng, 1, 2, &mut batch).expect_err("every window is overwritten before its copy");
    assert!(matches!(error, ReplayError::Overrun { lane: 0, steps: 2, capacity: 4, .. }), "{error}");
    assert!(batch.lengths.is_empty());
}

/// Half of the lane is overwritten between draws and copies: what is accepted is uniform over the rest.
#[test]
fn retries_do_not_bias() {
    let mut counts = [0_u32; 60];
    for seed in 0..2_000 {
        let buffer = ReplayBuffer::new(LAYOUT, 60, 1);
        // One call: 10 draws, of which the last is preceded by the burst.
        let mut rng = Overtaking::new(&buffer, 10, 30);
        rng.inner = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut batch = Batch::new();
        // 9 windows are drawn first, then the first refusal draws the tenth time and everything is overtaken alike.
        buffer.sample(&mut rng, 10, 3, &mut batch).expect("the later draws find the lane quiet");
        for window in &batch {
            // Transition 30 is still there, thanks to the spare slot, but no redraw looks for it.
            let number = window.rewards[0] as usize;
            assert!(number >= 30, "transition {number} had been overwritten");
            if number > 30 {
                counts[number - 31] += 1;
            }
        }
    }
    // Transitions 31..=60 outlived the burst. Only redraws can find 61..=90: those weigh less, but alike.
    for half in counts.chunks(30) {
        let expected = f64::from(half.iter().sum::<u32>()) / 30.0;
        let chi: f64 = half.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        let excess = (chi - 29.0) / 58.0_f64.sqrt();
        assert!(excess < 6.0, "chi-squared is {excess} standard deviations off: {half:?}");
    }
}

/// Takes bytes, and once in a while pushes `burst` transitions, between two blocks of a save.
struct PushingSink {
    bytes: Vec<u8>,
    writer: TrajectoryWriter,
    bursts: std::vec::IntoIter<u16>,
    pushed: u16,
}

impl Write for PushingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend(bytes);
        // The records of a block: what was overwritten meanwhile, the next block has to notice.
        if bytes.len() > 10_000 {
            for _ in 0..self.bursts.next().unwrap_or(0) {
                self.pushed += 1;
                let number = f32::from(self.pushed);
                self.writer.push(&[number], number, number, 1.0, &[number], false);
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A save that is overtaken restores what was not overwritten, and nothing else.
#[test]
#[allow(clippy::float_cmp, reason = "small integers are exact")]
fn an_overtaken_save_is_whole() {
    // Three to four blocks; overtaken within the lane, by a whole lane, and again and again.
    for bursts in [vec![], vec![10], vec![3_000], vec![0, 4_500], vec![7_000], vec![6_000, 0, 6_000, 2_500]] {
        let buffer = ReplayBuffer::new(LAYOUT, 5_000, 1);
        let mut writer = buffer.writer(0).expect("the lane is free");
        writer.begin(&[0.0]);
        let quiet = bursts.is_empty();
        let mut sink = PushingSink { bytes: Vec::new(), writer, bursts: vec![].into_iter(), pushed: 0 };
        // Fill the lane and wrap it around, then save.
        for _ in 0..8_000 {
            sink.pushed += 1;
            let number = f32::from(sink.pushed);
            sink.writer.push(&[number], number, number, 1.0, &[number], false);
        }
        sink.bursts = bursts.clone().into_iter();
        buffer.save(&mut sink).expect("the sink takes every byte");

        let loaded = ReplayBuffer::load(&mut &sink.bytes[..]).expect("just saved");
        let newest = loaded.inserted();
        assert!((8_000..=u64::from(sink.pushed)).contains(&newest), "{bursts:?}: {newest}");
        assert!(!loaded.is_empty() && (loaded.len() == 5_000) >= quiet, "{bursts:?}: {}", loaded.len());
        let oldest = newest - loaded.len() as u64 + 1;
        let mut batch = Batch::new();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        loaded.sample(&mut rng, 20_000, 2, &mut batch).expect("transitions are stored");
        assert_eq!(batch.redrawn, 0);
        for window in &batch {
            let number = window.rewards[0];
            assert!((oldest..=newest).contains(&(number as u64)), "{bursts:?}: {number}, not {oldest}..={newest}");
            assert_eq!(window.observations[..2], [number - 1.0, number], "{bursts:?}");
        }
        // The restored lane goes on.
        let mut writer = loaded.writer(0).expect("the lane is free");
        writer.push(&[0.0], 0.0, 0.0, 1.0, &[0.0], true);
        assert_eq!(loaded.inserted(), newest + 1);
    }
}
