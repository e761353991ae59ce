//! The files of a run, as other programs read them.

use std::fs;
use std::path::{Path, PathBuf};

use mpo_agent::{Config, EpisodeRow, EvaluationRow, Provenance, Run, TimingRow, tensorboard};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use tempfile::tempdir;

use crate::common::{Watcher, config, parts, read, resume, train};

fn rows<T: DeserializeOwned>(directory: &Path, name: &str) -> Vec<T> {
    let mut reader = csv::Reader::from_path(directory.join(name)).expect("the file is there");
    reader.deserialize().map(|row| row.expect("a row as documented")).collect()
}

fn header(directory: &Path, name: &str) -> Vec<String> {
    read(directory, name).lines().next().expect("a header").split(',').map(str::to_owned).collect()
}

#[test]
fn csv_files_hold_what_the_observer_was_told() {
    let directory = tempdir().expect("a temporary directory");
    let path = directory.path();
    let mut run = Run::create_with(path, config(&[]), &parts()).expect("a new directory");
    let mut watcher = Watcher::default();
    run.train(&mut watcher).expect("nothing goes wrong");

    let episodes: Vec<EpisodeRow> = rows(path, "metrics.csv");
    assert_eq!(episodes, watcher.episodes);
    assert_eq!(header(path, "metrics.csv"), EpisodeRow::COLUMNS);
    let mut step = 0;
    for (row, number) in episodes.iter().zip(1..) {
        step += row.length;
        assert_eq!((row.step, row.episode), (step, number));
        let learnt = row.learning().iter().all(|(_, value)| value.is_some());
        let unlearnt = row.learning().iter().all(|(_, value)| value.is_none());
        assert!(if row.step > 103 { learnt } else { unlearnt }, "updates begin after 100 steps: {row:?}");
    }

    let evaluations: Vec<EvaluationRow> = rows(path, "eval.csv");
    assert_eq!(header(path, "eval.csv"), EvaluationRow::COLUMNS);
    let told: Vec<(u64, f64)> = watcher
        .evaluations
        .iter()
        .flat_map(|summary| summary.returns.iter().map(|&value| (summary.step, value)))
        .collect();
    assert_eq!(evaluations.iter().map(|row| (row.step, row.episode_return)).collect::<Vec<_>>(), told);
    assert_eq!(evaluations.iter().map(|row| row.episode).take(4).collect::<Vec<_>>(), [0, 1, 0, 1]);
    assert_eq!(evaluations[0].step, 0);
    assert_eq!(watcher.evaluations.len(), 5, "at 0, 150, 300, 450 and 600 steps");
    assert_eq!(evaluations.last().map(|row| row.step), Some(run.step()));

    let timing: Vec<TimingRow> = rows(path, "timing.csv");
    assert_eq!(header(path, "timing.csv"), TimingRow::COLUMNS);
    assert_eq!(timing.len(), episodes.len());
    assert!(timing.is_sorted_by(|a, b| a.step < b.step && a.seconds <= b.seconds));
}

#[test]
fn the_named_learner_columns_match_the_fields() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[]));
    let mut reader = csv::Reader::from_path(directory.path().join("metrics.csv")).expect("a file");
    let headers = reader.headers().expect("a header").clone();
    let text = reader.records().last().expect("a row").expect("a row");
    let row: EpisodeRow = text.deserialize(Some(&headers)).expect("a row as documented");
    for (name, value) in row.learning() {
        let column = headers.iter().position(|header| header == name).expect("a column of that name");
        assert_eq!(text[column].parse().ok(), value, "{name}");
    }
    assert!(row.temperature.is_some_and(|value| value > 0.0));
    assert!(row.stddev_mean.is_some_and(|value| value > 0.0 && value < 1.0));
}

#[test]
fn the_evaluations_of_one_run_begin_in_the_same_states() {
    // A policy that never changes must then score the same every time.
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), config(&[("training.updates_per_step", "0.0")]));
    let rows: Vec<EvaluationRow> = rows(directory.path(), "eval.csv");
    let returns: Vec<u64> = rows.iter().map(|row| row.episode_return.to_bits()).collect();
    assert_ne!(returns[0], returns[1]);
    assert!(returns.chunks(2).all(|pair| pair == &returns[..2]));
}

#[test]
fn the_configuration_is_the_resolved_one_and_provenance_counts_processes() {
    let directory = tempdir().expect("a temporary directory");
    let settings = config(&[("learner.discount", "0.97"), ("steps", "300")]);
    train(directory.path(), settings.clone());
    let path = directory.path().join("config.toml");
    assert_eq!(Config::read(&path).expect("just written"), settings);
    assert!(read(directory.path(), "config.toml").contains("discount = 0.97\n"));
    let done: serde_json::Value = serde_json::from_str(&read(directory.path(), "done.json")).expect("JSON");
    assert_eq!(done["reason"], "steps");

    resume(directory.path());
    let text = read(directory.path(), "provenance.json");
    let provenance: Provenance = serde_json::from_str(&text).expect("as documented");
    assert_eq!((provenance.started.step, provenance.resumed.len()), (0, 1));
    assert_eq!(done["step"], provenance.resumed[0].step);
    assert!(provenance.started.crates.contains_key("mpo-nets"));
    assert!(provenance.started.machine.contains_key("processor"));
}

/// An event as far as this crate writes it.
#[derive(Debug, Default, PartialEq)]
struct Event {
    step: u64,
    version: Option<String>,
    scalars: Vec<(String, f32)>,
}

/// Reads an event file without any of the code that wrote it.
fn events(bytes: &[u8]) -> Vec<Event> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (length, payload) = rest.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
        let event = &payload[4..4 + length];
        assert_eq!(payload[..4], masked(&rest[..8]), "checksum of the length");
        assert_eq!(payload[4 + length..8 + length], masked(event), "checksum of the payload");
        found.push(parse(event));
        rest = &payload[8 + length..];
    }
    found
}

/// CRC-32C by the polynomial's definition, one bit at a time from the top, then `TFRecord`'s mask.
fn masked(data: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for byte in data {
        for bit in 0..8 {
            let top = (crc >> 31) ^ u32::from(byte >> bit & 1);
            crc = (crc << 1) ^ if top == 1 { 0x1edc_6f41 } else { 0 };
        }
    }
    let crc = !crc.reverse_bits();
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a protocol buffer: number and bytes (a varint's as eight).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                found.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        let (field, rest) = bytes.split_at(length);
        found.push((key >> 3, field.to_vec()));
        bytes = rest;
    }
    found
}

fn parse(event: &[u8]) -> Event {
    let mut parsed = Event::default();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    for (number, bytes) in fields(event) {
        match number {
            1 => assert!(f64::from_le_bytes(bytes.try_into().expect("a double")) > 0.0),
            2 => parsed.step = u64::from_le_bytes(bytes.try_into().expect("a varint")),
            3 => parsed.version = Some(text(bytes)),
            5 => {
                for (_, value) in fields(&bytes) {
                    let mut parts = fields(&value).into_iter().map(|(_, bytes)| bytes);
                    let tag = text(parts.next().expect("a tag"));
                    let value = parts.next().expect("a value").try_into().expect("a float");
                    parsed.scalars.push((tag, f32::from_le_bytes(value)));
                }
            }
            other => panic!("field {other}"),
        }
    }
    parsed
}

fn event_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path());
    entries.filter(|path| path.display().to_string().contains("events.out.tfevents.")).collect()
}

#[test]
fn the_event_file_holds_every_row_once_also_after_a_resumption() {
    let directory = tempdir().expect("a temporary directory");
    let path = directory.path();
    let parts = crate::common::faulty(crate::common::Fault::Error(390));
    let mut run = Run::create_with(path, config(&[]), &parts).expect("a new directory");
    run.train(&mut mpo_agent::Silent).expect_err("the environment fails");
    drop(run);
    resume(path);

    let files = event_files(path);
    assert_eq!(files.len(), 1);
    let events = events(&fs::read(&files[0]).expect("readable"));
    assert_eq!(events[0].version.as_deref(), Some("brain.Event:2"));
    let scalar = |tag: &str| -> Vec<(u64, f32)> {
        let of_tag =
            |event: &Event| event.scalars.iter().find(|(name, _)| name == tag).map(|&(_, value)| (event.step, value));
        events.iter().filter_map(of_tag).collect()
    };
    let episodes: Vec<EpisodeRow> = rows(path, "metrics.csv");
    let expected: Vec<(u64, f32)> = episodes.iter().map(|row| (row.step, row.episode_return as f32)).collect();
    assert_eq!(scalar("train/return"), expected);
    let expected: Vec<(u64, f32)> = episodes.iter().filter_map(|row| Some((row.step, row.kl_mean? as f32))).collect();
    assert_eq!(scalar("learner/kl_mean"), expected);
    assert_eq!(scalar("evaluation/return").len(), 5);
}

proptest! {
    #[test]
    fn any_scalars_can_be_read_back(
        step in any::<u64>(),
        scalars in prop::collection::vec(("[a-z/_]{0,200}", -1e30_f64..1e30), 0..20),
    ) {
        let mut bytes = tensorboard::header(1.0);
        bytes.extend(tensorboard::scalars(2.0, step, &scalars));
        let read = events(&bytes);
        prop_assert_eq!(read[1].step, step);
        let expected: Vec<(String, f32)> =
            scalars.into_iter().map(|(tag, value)| (tag, value as f32)).collect();
        prop_assert_eq!(&read[1].scalars, &expected);
    }
}
