//! Limiter, priorities, tables, statistics.

use std::thread;

use mpo_replay::{
    Batch, Key, Layout, Priorities, RateLimiter, ReplayBuffer, ReplayError, Section, Tables, TrajectoryWriter,
};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

const LAYOUT: Layout = Layout { observation: 1, action: 1 };

fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

fn push(writer: &mut TrajectoryWriter, numbers: std::ops::Range<u16>, episode: u16) {
    for number in numbers {
        if !writer.in_episode() {
            writer.begin(&[f32::from(number)]);
        }
        writer.push(&[0.0], 0.0, f32::from(number), 1.0, &[0.0], (number + 1) % episode == 0);
    }
}

#[test]
fn the_limiter_keeps_the_proportion_between_threads() {
    const INSERTS: u64 = 5_000;
    let limiter = RateLimiter::new(2.5, 100, 64.0);
    let check = || {
        let (inserted, sampled) = limiter.counts();
        let ahead = 2.5 * inserted as f64 - sampled as f64;
        // Below the minimum nothing is sampled; from then on both bounds hold.
        assert!(if inserted < 100 { sampled == 0 } else { (186.0..=314.0).contains(&ahead) }, "{inserted} {sampled}");
    };
    thread::scope(|scope| {
        let actors: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..INSERTS / 2 {
                        assert!(limiter.insert(1), "nobody closes while actors run");
                        check();
                    }
                })
            })
            .collect();
        let learner = scope.spawn(|| {
            while limiter.sample(32) {
                check();
            }
        });
        for actor in actors {
            actor.join().expect("actors finish");
        }
        limiter.close();
        learner.join().expect("a closed limiter lets its waiters go");
    });
    let (inserted, sampled) = limiter.counts();
    assert_eq!(inserted, INSERTS);
    assert!(sampled as f64 > 2.4 * INSERTS as f64 - 314.0 - 32.0, "{sampled} sampled");
    assert!(!limiter.try_insert(1) && !limiter.insert(1), "closed");

    let resumed = RateLimiter::new(2.5, 100, 64.0).with_counts(100, 0);
    assert!(resumed.try_sample(64) && !resumed.try_sample(1));
}

#[test]
#[should_panic(expected = "a tolerance of 2 samples stops everything: must be at least 1 and at least 8")]
fn a_limiter_that_stops_everything_is_refused() {
    let _ = RateLimiter::new(8.0, 1, 2.0);
}

/// Draws many windows, checks them against the priorities `expected` gives to transition numbers, and returns the keys.
fn check_shares(priorities: &mut Priorities, stored: &[u16], expected: impl Fn(u16) -> f64) -> Vec<(u16, Key)> {
    const DRAWS: usize = 20_000;
    let mut batch = Batch::new();
    priorities.sample(&mut rng(5), DRAWS, 2, 0.5, &mut batch).expect("transitions are stored");
    assert_eq!(batch.redrawn, 0, "nobody writes meanwhile");
    let total: f64 = stored.iter().map(|&number| expected(number)).sum();
    let firsts: Vec<u16> = batch.iter().map(|window| window.rewards[0] as u16).collect();
    let mut keys = Vec::new();
    let mut chi = 0.0;
    let least = stored.iter().map(|&number| expected(number)).filter(|&p| p > 0.0).fold(f64::INFINITY, f64::min);
    for &number in stored {
        let expected = expected(number);
        let drawn: Vec<usize> = (0..DRAWS).filter(|&window| firsts[window] == number).collect();
        let mean = DRAWS as f64 * expected / total;
        if mean > 0.0 {
            chi += (drawn.len() as f64 - mean).powi(2) / mean;
            let weight = (expected / least).powf(-0.5);
            assert!(drawn.iter().all(|&window| (f64::from(batch.weights[window]) - weight).abs() < 1e-3));
            keys.push((number, batch.keys[drawn[0]]));
        } else {
            assert!(drawn.is_empty(), "transition {number} has no priority");
        }
    }
    assert!(firsts.iter().all(|number| stored.contains(number)));
    let freedom = stored.len() as f64 - 1.0;
    let excess = (chi - freedom) / (2.0 * freedom).sqrt();
    assert!(excess < 6.0, "chi-squared is {excess} standard deviations off");
    keys
}

#[test]
fn priorities_shape_the_draws() {
    let buffer = ReplayBuffer::new(LAYOUT, 23, 2);
    let (mut one, mut two) = (buffer.writer(0).expect("free"), buffer.writer(1).expect("free"));
    let mut priorities = Priorities::new(&buffer, 0.5);
    let empty = priorities.sample(&mut rng(1), 1, 1, 1.0, &mut Batch::new());
    assert!(matches!(empty, Err(ReplayError::Empty { lanes: 2 })));

    push(&mut one, 0..10, 5);
    push(&mut two, 100..104, 1_000);
    let mut stored: Vec<u16> = (0..10).chain(100..104).collect();
    let keys = check_shares(&mut priorities, &stored, |_| 1.0);
    assert_eq!(keys.len(), 14);

    // Sampled in proportion to the root of the priority, which is 0, 1, .., 13 here.
    let (numbers, places): (Vec<u16>, Vec<Key>) = keys.into_iter().unzip();
    let rank = |number: u16| numbers.iter().position(|&other| other == number).expect("known") as f64;
    let values: Vec<f64> = numbers.iter().map(|&number| rank(number)).collect();
    priorities.update(&places, &values);
    check_shares(&mut priorities, &stored, |number| rank(number).sqrt());

    // Lane 0 wraps around: new transitions come with the greatest priority so far, old ones are gone.
    push(&mut one, 10..33, 5);
    stored.retain(|&number| number >= 100);
    // 24 states: 19 transitions and 5 first states after the oldest state, or 4 of them and 20.
    let kept = buffer.statistics().lanes[0].stored as u16;
    stored.extend(33 - kept..33);
    let expected = |number: u16| if number < 100 { 13.0_f64.sqrt() } else { rank(number).sqrt() };
    check_shares(&mut priorities, &stored, expected);

    // The key of an overwritten transition names nothing, also where its slot holds another one by now.
    priorities.update(&places[..10], &[1e6; 10]);
    let newest = |number: u16| if number < 100 { 13.0_f64.sqrt() } else { rank(number).sqrt() };
    check_shares(&mut priorities, &stored, newest);

    // Nor is an overwritten transition drawn, at whatever step it goes.
    let mut batch = Batch::new();
    for number in 33..90 {
        push(&mut one, number..number + 1, 5);
        priorities.sample(&mut rng(u64::from(number)), 100, 1, 1.0, &mut batch).expect("transitions are stored");
        assert_eq!(batch.redrawn, 0, "after transition {number}");
    }
}

#[test]
fn restored_priorities_draw_on_alike() {
    let buffer = ReplayBuffer::new(LAYOUT, 50, 2);
    let mut writers = [0, 1].map(|lane| buffer.writer(lane).expect("free"));
    let mut priorities = Priorities::new(&buffer, 0.7);
    let mut batch = Batch::new();
    let learn = |priorities: &mut Priorities, batch: &mut Batch, seed: u64| {
        priorities.sample(&mut rng(seed), 16, 2, 0.5, batch).expect("transitions are stored");
        let errors: Vec<f64> = batch.rewards[..16].iter().map(|&reward| f64::from(reward) % 7.0).collect();
        priorities.update(&batch.keys, &errors);
    };
    for round in 0..10 {
        push(&mut writers[usize::from(round % 2)], 20 * round..20 * (round + 1), 6);
        learn(&mut priorities, &mut batch, u64::from(round));
    }
    // What is pushed between the last sample and the checkpoint is unknown to the priorities, before and after.
    push(&mut writers[0], 200..230, 6);
    let (mut saved, mut bytes) = (Vec::new(), Vec::new());
    buffer.save(&mut saved).expect("a vector takes every byte");
    priorities.save(&mut bytes).expect("a vector takes every byte");
    let loaded = ReplayBuffer::load(&mut &saved[..]).expect("just saved");
    let mut restored = Priorities::load(&mut &bytes[..], &loaded).expect("just saved");
    let mut successors = [0, 1].map(|lane| loaded.writer(lane).expect("free"));
    let mut other = Batch::new();
    for round in 12..30 {
        for writers in [&mut writers, &mut successors] {
            push(&mut writers[usize::from(round % 2)], 20 * round..20 * (round + 1), 6);
        }
        learn(&mut priorities, &mut batch, u64::from(round));
        learn(&mut restored, &mut other, u64::from(round));
        assert!(batch.iter().eq(other.iter()) && batch.keys == other.keys && batch.weights == other.weights);
    }

    let load = |bytes: &[u8], buffer| Priorities::load(&mut &bytes[..], buffer).expect_err("damaged");
    for len in 0..bytes.len() {
        assert!(matches!(load(&bytes[..len], &loaded), ReplayError::Truncated { section: Section::Priorities }));
        let mut altered = bytes.clone();
        altered[len] ^= 4;
        let error = load(&altered, &loaded);
        let expected = if len < 8 {
            matches!(error, ReplayError::NotReplay { .. })
        } else {
            matches!(error, ReplayError::Checksum { section: Section::Priorities, .. })
        };
        assert!(expected, "byte {len}: {error}");
    }
    let error = load(&bytes, &ReplayBuffer::new(LAYOUT, 51, 2));
    assert!(matches!(error, ReplayError::Mismatch { field: "slots per lane", .. }), "{error}");
}

#[test]
fn tables_are_saved_together() {
    let mut tables = Tables::new();
    for (name, lanes) in [("a", 1), ("b", 2)] {
        let buffer = ReplayBuffer::new(LAYOUT, 10, lanes);
        push(&mut buffer.writer(lanes - 1).expect("free"), 0..5, 3);
        tables.insert(name, buffer);
    }
    let mut bytes = Vec::new();
    tables.save(&mut bytes).expect("a vector takes every byte");
    let loaded = Tables::load(&mut &bytes[..]).expect("just saved");
    assert_eq!(loaded.iter().map(|(name, table)| (name, table.len())).collect::<Vec<_>>(), [("a", 5), ("b", 5)]);
    for len in 0..bytes.len() {
        let error = Tables::load(&mut &bytes[..len]).expect_err("cut short");
        assert!(matches!(error, ReplayError::Truncated { .. }), "cut at {len}: {error}");
    }
}

#[test]
fn statistics_and_ages() {
    let buffer = ReplayBuffer::new(LAYOUT, 9, 2);
    assert!(buffer.statistics().occupancy.abs() < 1e-12);
    let mut writer = buffer.writer(1).expect("free");
    push(&mut writer, 0..20, 4);
    // The newest ten states: those of transitions 12 .. 19, less a first state each, behind the oldest one.
    let statistics = buffer.statistics();
    let lane = statistics.lanes[1];
    assert_eq!((lane.stored + lane.episodes, lane.oldest, lane.inserted), (9, 9, 20));
    assert_eq!(lane.stored as usize, buffer.len());
    assert!((statistics.occupancy - 0.5).abs() < 1e-12);

    let mut batch = Batch::new();
    buffer.sample(&mut rng(6), 50, 2, &mut batch).expect("transitions are stored");
    for (window, &age) in batch.iter().zip(&batch.ages) {
        let since = 19 - window.rewards[0] as u64;
        // States since the start: one per transition, and one more for each episode that began meanwhile.
        let number = 19 - since;
        assert_eq!(age, since + 1 + (19 / 4 - number / 4));
    }
}
