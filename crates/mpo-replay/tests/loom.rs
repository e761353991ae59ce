//! Every execution of small programs under the C11 memory model, by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release -p mpo-replay --test loom
//! ```
//!
//! Each ordering of the protocol is also weakened, one at a time, and must then be caught: a check that cannot fail
//! proves nothing. `weakened` lists them.
#![cfg(loom)]
#![allow(clippy::float_cmp, reason = "the numbers are small integers, which are exact")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;
use mpo_replay::ring::Ring;
use mpo_replay::{Batch, Layout, ReplayBuffer, ReplayError, Weakening, weaken};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// A writer of `writes` records of two equal words, and `readers` readers that each copy the newest records once.
fn ring(kept: usize, writes: u64, readers: usize) {
    let ring = Arc::new(Ring::new(kept, 2));
    let writer = {
        let ring = Arc::clone(&ring);
        // Made here: a writer that loads a shared word before it stores keeps loom from exploring some executions
        // (loom issues 166 and 392).
        let mut cursor = ring.cursor();
        thread::spawn(move || {
            for index in 0..writes {
                ring.write(&mut cursor, |words| {
                    for word in words {
                        word.store(index + 1, Relaxed);
                    }
                });
            }
        })
    };
    let read = |ring: &Ring| {
        let head = ring.head();
        let oldest = ring.oldest(head);
        let copy: Vec<_> = (oldest..head)
            .map(|index| (index, ring.record(index).iter().map(|word| word.load(Relaxed)).collect::<Vec<_>>()))
            .collect();
        if ring.is_intact(oldest) {
            for (index, words) in copy {
                assert_eq!(words, [index + 1; 2], "record {index} below head {head}");
            }
        }
    };
    let others: Vec<_> = (1..readers)
        .map(|_| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || read(&ring))
        })
        .collect();
    read(&ring);
    writer.join().expect("the writer returns");
    for other in others {
        other.join().expect("the reader returns");
    }
    // All is quiet: the newest records are there, and valid.
    assert_eq!(ring.head(), writes);
    read(&ring);
    assert!(ring.is_intact(ring.oldest(writes)), "a quiet ring refuses nothing");
}

/// A sampler of a lane whose only transitions are being overwritten.
fn buffer() {
    let buffer = ReplayBuffer::new(Layout { observation: 1, action: 0 }, 1, 1);
    let mut writer = buffer.writer(0).expect("the lane is free");
    writer.begin(&[0.0]);
    writer.push(&[], 0.0, 1.0, 1.0, &[1.0], false);
    let writer = thread::spawn(move || {
        for step in 2..=3_u8 {
            let step = f32::from(step);
            writer.push(&[], 0.0, step, 1.0, &[step], false);
        }
    });
    let mut batch = Batch::new();
    match buffer.sample(&mut Xoshiro256PlusPlus::seed_from_u64(1), 1, 1, &mut batch) {
        Ok(()) => {
            let reward = batch.rewards[0];
            assert_eq!(batch.observations, [reward - 1.0, reward], "the states around step {reward}");
        }
        Err(error) => assert!(matches!(error, ReplayError::Overrun { .. }), "{error}"),
    }
    writer.join().expect("the writer returns");
    assert_eq!((buffer.len(), buffer.inserted()), (1, 3));
}

/// A lane that two threads want: the second writer, if there is one, continues after the first one's records.
fn claim() {
    let buffer = ReplayBuffer::new(Layout { observation: 1, action: 0 }, 3, 1);
    let append = |buffer: &ReplayBuffer| {
        let Ok(mut writer) = buffer.writer(0) else { return 0 };
        if !writer.in_episode() {
            writer.begin(&[0.0]);
        }
        writer.push(&[], 0.0, 1.0, 1.0, &[1.0], false);
        1
    };
    let other = {
        let buffer = buffer.clone();
        thread::spawn(move || append(&buffer))
    };
    let pushed = append(&buffer) + other.join().expect("the other writer returns");
    assert_eq!(buffer.inserted(), pushed, "no push is lost");
}

/// Runs a model with the protocol weakened; `None` leaves it as it is.
fn check(weakening: Weakening, preemptions: Option<usize>, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    weaken(weakening);
    let result = catch_unwind(AssertUnwindSafe(|| builder.check(model)));
    weaken(Weakening::None);
    if weakening == Weakening::None {
        assert!(result.is_ok(), "the protocol failed");
    } else {
        assert!(result.is_err(), "{weakening:?} was not noticed");
    }
}

#[test]
fn a_reader_and_a_writer() {
    check(Weakening::None, None, || ring(1, 4, 1));
}

#[test]
fn a_copy_of_several_records() {
    check(Weakening::None, None, || ring(2, 5, 1));
}

#[test]
fn two_readers() {
    check(Weakening::None, Some(3), || ring(1, 3, 2));
}

#[test]
fn a_sampler_and_a_writer() {
    check(Weakening::None, None, buffer);
}

#[test]
fn a_lane_changes_hands() {
    check(Weakening::None, None, claim);
}

#[test]
fn weakened() {
    for weakening in [
        Weakening::HeadStoreRelaxed,
        Weakening::HeadLoadRelaxed,
        Weakening::NoWriterFence,
        Weakening::NoReaderFence,
        Weakening::ReserveAfterWords,
        Weakening::NoReserveCheck,
    ] {
        check(weakening, None, || ring(1, 3, 1));
    }
    check(Weakening::ClaimStoreRelaxed, None, claim);
}

#[test]
fn weakened_buffer() {
    // The last one is no wrong result but a reader that never gets on, which loom reports as too many branches.
    for weakening in
        [Weakening::NoWriterFence, Weakening::NoReaderFence, Weakening::NoReserveCheck, Weakening::ReserveStoreRelaxed]
    {
        check(weakening, Some(2), buffer);
    }
}
