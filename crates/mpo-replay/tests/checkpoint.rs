//! Files: whole or not there, refused by name when they are not what they were.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mpo_replay::{Batch, Layout, Priorities, ReplayBuffer, ReplayError, Tables, load_file, save_file};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 30, action: 2 };
/// Set for the process that is killed: where it writes its checkpoints.
const VICTIM: &str = "MPO_REPLAY_CHECKPOINT";
/// Transitions between two checkpoints.
const BETWEEN: u64 = 100;

fn filled(transitions: u64) -> ReplayBuffer {
    let buffer = ReplayBuffer::new(LAYOUT, 20_000, 1);
    push(&buffer, transitions);
    buffer
}

fn push(buffer: &ReplayBuffer, transitions: u64) {
    let mut writer = buffer.writer(0).expect("the lane is free");
    for _ in 0..transitions {
        let number = buffer.inserted() as f32;
        if !writer.in_episode() {
            writer.begin(&[number; 30]);
        }
        writer.push(&[number; 2], 0.0, number, 1.0, &[number + 1.0; 30], buffer.inserted() % 100 == 99);
    }
}

fn load(path: &Path) -> Result<ReplayBuffer, ReplayError> {
    load_file(path, |reader| ReplayBuffer::load(reader))
}

/// Not a test of its own: the process that `a_killed_checkpoint_leaves_the_previous_one` starts and kills.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let buffer = filled(20_000);
    loop {
        push(&buffer, BETWEEN);
        save_file(&path, |writer| buffer.save(writer)).expect("the directory is writable");
        writeln!(std::io::stderr(), "saved").expect("the parent reads");
    }
}

#[test]
fn a_killed_checkpoint_leaves_the_previous_one() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let path = directory.path().join("replay");
    let partial = directory.path().join("replay.partial");
    let mut interrupted = 0;
    for round in 0..12 {
        let mut victim = Command::new(std::env::current_exe().expect("a test knows its program"))
            .args(["--exact", "victim", "--nocapture"])
            .env(VICTIM, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a test can be started again");
        let mut lines = BufReader::new(victim.stderr.take().expect("it is piped")).lines();
        // At least one checkpoint more, then some way into another one.
        lines.next().expect("the victim saves until it is killed").expect("its messages are text");
        std::thread::sleep(Duration::from_micros(1_700 * round));
        victim.kill().expect("it runs until it is killed");
        victim.wait().expect("it was started here");
        interrupted += usize::from(partial.exists());

        let buffer = load(&path).expect("the file under the name is whole");
        assert!(buffer.inserted() > 20_000 && buffer.inserted().is_multiple_of(BETWEEN), "{}", buffer.inserted());
        let mut batch = Batch::new();
        buffer.sample(&mut Xoshiro256PlusPlus::seed_from_u64(round), 200, 4, &mut batch).expect("it is filled");
        for window in &batch {
            for (row, state) in window.observations.chunks(30).enumerate() {
                assert!(state.iter().all(|value| value.to_bits() == (window.rewards[0] + row as f32).to_bits()));
            }
        }
    }
    assert!(interrupted > 0, "no kill hit a file that was being written: the test did not test");
}

#[test]
fn a_file_that_was_changed_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let path = directory.path().join("replay");
    let missing = load(&path).expect_err("nothing is there yet").to_string();
    assert!(missing.starts_with(&path.display().to_string()), "{missing}");

    save_file(&path, |writer| filled(300).save(writer)).expect("the directory is writable");
    let intact = fs::read(&path).expect("just written");
    assert_eq!(load(&path).expect("just written").len(), 300);

    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("the directory is writable");
        let message = load(&path).expect_err("altered").to_string();
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        message
    };
    for at in [20, 100, 5_000, intact.len() - 30] {
        let mut altered = intact.clone();
        altered[at] ^= 1;
        let message = refused(&altered);
        assert!(message.contains("checksum ") && message.contains(", recorded "), "byte {at}: {message}");
    }
    for len in [0, 7, 50, 5_000, intact.len() - 1] {
        assert!(refused(&intact[..len]).contains("is cut short"), "cut at {len}");
    }
    let longer: Vec<u8> = intact.iter().copied().chain([0, 0]).collect();
    assert!(refused(&longer).contains("the number of bytes behind it is 2"));
}

#[test]
fn a_save_that_fails_leaves_the_previous_file() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let path = directory.path().join("replay");
    save_file(&path, |writer| filled(10).save(writer)).expect("the directory is writable");
    let error = save_file(&path, |writer| {
        filled(20).save(writer)?;
        Err(ReplayError::Empty { lanes: 1 })
    });
    assert!(matches!(error, Err(ReplayError::File { .. })));
    assert_eq!(load(&path).expect("the first file").len(), 10);
    let nowhere = directory.path().join("missing/replay");
    assert!(save_file(&nowhere, |writer| filled(10).save(writer)).is_err());
}

/// Buffers, priorities and tables in one file, while a writer runs.
#[test]
fn everything_in_one_file_while_writers_run() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let path = directory.path().join("replay");
    let buffer = filled(5_000);
    let mut tables = Tables::new();
    tables.insert("experience", buffer.clone());
    tables.insert("demonstrations", filled(50));
    let mut priorities = Priorities::new(&buffer, 0.6);
    let mut batch = Batch::new();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    priorities.sample(&mut rng, 64, 2, 0.5, &mut batch).expect("it is filled");
    std::thread::scope(|scope| {
        scope.spawn(|| push(&buffer, 40_000));
        for _ in 0..5 {
            save_file(&path, |writer| {
                tables.save(writer)?;
                priorities.save(writer)
            })
            .expect("the directory is writable");
            let (tables, mut priorities) = load_file(&path, |reader| {
                let tables = Tables::load(reader)?;
                let priorities = Priorities::load(reader, tables.get("experience")?)?;
                Ok((tables, priorities))
            })
            .expect("just written");
            assert_eq!(tables.get("demonstrations").expect("it was saved").len(), 50);
            let mut restored = Batch::new();
            priorities.sample(&mut rng, 64, 2, 0.5, &mut restored).expect("it is filled");
            assert_eq!(restored.redrawn, 0, "nobody writes to the restored tables");
        }
    });
}
