//! Saves a buffer in the middle of an episode, restores it, and shows that both go on alike.
//!
//! ```text
//! cargo run --release -p mpo-replay --example restore
//! ```
#![allow(clippy::print_stdout, reason = "a program that reports")]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};

use mpo_replay::{Batch, Layout, ReplayBuffer, TrajectoryWriter};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 3, action: 1 };

fn act(writer: &mut TrajectoryWriter, steps: std::ops::Range<u16>) {
    for step in steps {
        if !writer.in_episode() {
            writer.begin(&[0.0; 3]);
        }
        let number = f32::from(step);
        writer.push(&[number], -1.0, number, 1.0, &[number; 3], step % 30 == 29);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let original = ReplayBuffer::new(LAYOUT, 200, 1);
    let mut writer = original.writer(0)?;
    act(&mut writer, 0..500);

    let directory = tempfile::tempdir()?;
    let path = directory.path().join("replay.bin");
    let mut file = BufWriter::new(File::create(&path)?);
    original.save(&mut file)?;
    file.flush()?;
    println!("saved {} transitions in {} bytes", original.len(), path.metadata()?.len());

    let restored = ReplayBuffer::load_matching(&mut BufReader::new(File::open(&path)?), LAYOUT, 200, 1)?;
    let mut successor = restored.writer(0)?;
    println!("restored in the middle of an episode: {}", successor.in_episode());

    act(&mut writer, 500..700);
    act(&mut successor, 500..700);
    let mut batches = [Batch::new(), Batch::new()];
    for (buffer, batch) in [&original, &restored].into_iter().zip(&mut batches) {
        buffer.sample(&mut Xoshiro256PlusPlus::seed_from_u64(7), 1_000, 8, batch)?;
    }
    println!("the same batches afterwards: {}", batches[0].iter().eq(batches[1].iter()));
    Ok(())
}
