//! Buffers in huge pages and in a mapped file behave as those on the heap.
#![cfg(feature = "mmap")]

use mpo_replay::{Batch, Layout, Memory, ReplayBuffer, ReplayError};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 5, action: 2 };

fn push(buffer: &ReplayBuffer, numbers: std::ops::Range<u16>) {
    let mut writer = buffer.writer(1).expect("the lane is free");
    for number in numbers {
        let value = f32::from(number);
        if !writer.in_episode() {
            writer.begin(&[value; 5]);
        }
        writer.push(&[value; 2], -value, value, 1.0, &[value + 1.0; 5], number % 31 == 30);
    }
}

#[test]
fn every_memory_holds_the_same() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let memories = [Memory::Heap, Memory::HugePages, Memory::FileIn(directory.path().to_owned())];
    let mut saved = Vec::new();
    let mut sampled = Vec::new();
    for memory in &memories {
        let buffer = ReplayBuffer::new_in(LAYOUT, 3_000, 2, memory).expect("there is room");
        assert!(buffer.is_empty(), "memory comes as zeros");
        push(&buffer, 0..10_000);
        let mut bytes = Vec::new();
        buffer.save(&mut bytes).expect("a vector takes every byte");
        drop(buffer);
        let loaded = ReplayBuffer::load_in(&mut &bytes[..], memory).expect("just saved");
        push(&loaded, 10_000..12_000);
        let mut batch = Batch::new();
        loaded.sample(&mut Xoshiro256PlusPlus::seed_from_u64(1), 500, 8, &mut batch).expect("it is filled");
        saved.push(bytes);
        sampled.push(batch);
    }
    assert!(saved.iter().all(|bytes| *bytes == saved[0]));
    assert!(sampled.iter().all(|batch| batch.iter().eq(sampled[0].iter())));
    let left = std::fs::read_dir(directory.path()).expect("it is a directory").count();
    assert_eq!(left, 0, "the files have no names");
}

#[test]
fn no_room_is_an_error_that_names_the_place() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    // More than any disk has, and less than can be addressed.
    let capacity = 1 << 44;
    let memory = Memory::FileIn(directory.path().to_owned());
    let error = ReplayBuffer::new_in(LAYOUT, capacity, 1, &memory).expect_err("there is not so much room");
    assert!(matches!(error, ReplayError::Memory { .. }), "{error}");
    assert!(error.to_string().contains(&directory.path().display().to_string()), "{error}");
    let missing = Memory::FileIn(directory.path().join("missing"));
    assert!(ReplayBuffer::new_in(LAYOUT, 10, 1, &missing).is_err());
}
