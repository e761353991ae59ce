//! Workers with a device each, against workers on the CPU.

use std::{
    array,
    sync::{Barrier, Mutex},
    thread,
};

use mpo_nets::{Alone, GradientReducer, LearnerStep, NetsError, UpdateStats};

use crate::{
    data::{Case, Kind, arrays},
    frames::Frames,
    updates::{apart, close_stats},
};

const WORKERS: usize = 2;

/// Threads that take means in the order of their ranks.
#[derive(Default)]
struct Table(Mutex<[Vec<f32>; WORKERS]>);

struct Worker<'a> {
    rank: usize,
    table: &'a Table,
    barrier: &'a Barrier,
}

impl GradientReducer for Worker<'_> {
    fn workers(&self) -> usize {
        WORKERS
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        self.table.0.lock().expect("nobody panics")[self.rank] = values.to_vec();
        self.barrier.wait();
        let all = self.table.0.lock().expect("nobody panics").clone();
        self.barrier.wait();
        for (i, value) in values.iter_mut().enumerate() {
            *value = (all[0][i] + all[1][i]) / WORKERS as f32;
        }
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        Ok(count)
    }
}

/// Some updates of both workers side by side, each with batches of its own and of another size. What each has afterwards: statistics of
/// the last one, checkpoint, fingerprint.
fn train(
    case: &impl Kind,
    learners: [Box<dyn LearnerStep>; WORKERS],
    updates: u64,
) -> [(UpdateStats, Vec<u8>, u64); WORKERS] {
    let (table, barrier) = (Table::default(), Barrier::new(WORKERS));
    let mut rank = 0;
    let work = learners.map(|mut learner| {
        let mut worker = Worker { rank, table: &table, barrier: &barrier };
        rank += 1;
        move || {
            let mut stats = UpdateStats::default();
            for step in 0..updates {
                let windows = 4 + 3 * worker.rank as u32 + step as u32;
                let seed = 100 + 10 * step + worker.rank as u64;
                stats = case.update(&mut *learner, &mut worker, windows, seed);
            }
            (stats, learner.save(), learner.fingerprint())
        }
    });
    thread::scope(|scope| {
        let threads = work.map(|work| scope.spawn(work));
        threads.map(|thread| thread.join().expect("the worker ends"))
    })
}

fn agrees(case: &impl Kind, updates: u64, tolerance: f64) {
    // Networks as one learner's after some updates, and noise of their own.
    let mut begun = case.cpu(5);
    for step in 0..4 {
        case.update(&mut *begun, &mut Alone, 5, step);
    }
    let begun = begun.save();
    let cpu: [Box<dyn LearnerStep>; WORKERS] = array::from_fn(|rank| {
        let mut learner = case.cpu(20 + rank as u64);
        learner.load(&begun).expect("a checkpoint");
        learner
    });
    let devices: [Option<Box<dyn LearnerStep>>; WORKERS] = array::from_fn(|rank| {
        let mut learner = case.device(20 + rank as u64)?;
        learner.load(&begun).expect("the CPU's checkpoint");
        Some(Box::new(learner) as Box<dyn LearnerStep>)
    });
    let [Some(first), Some(second)] = devices else { return };
    let (found, wanted) = (train(case, [first, second], updates), train(case, cpu, updates));
    for ((stats, bytes, _), (cpu_stats, cpu_bytes, _)) in found.iter().zip(&wanted) {
        close_stats(stats, cpu_stats, 1e3 * tolerance as f32, &format!("{case:?}"));
        for part in ["adam.first", "adam.second", "online", "target", "duals.raw"] {
            let (distance, name) = apart(bytes, cpu_bytes, part);
            assert!(distance < tolerance, "{case:?}: {name} differs by {distance:e}");
        }
    }
    let [(_, first, one), (_, second, other)] = found;
    assert_eq!(one, other, "fingerprints of the two workers");
    for ((name, a), (_, b)) in arrays(&first).iter().zip(&arrays(&second)) {
        assert!(a == b || name == "noise.position", "{name} differs between the workers");
    }
}

#[test]
fn two_workers_on_devices_make_the_update_of_two_on_the_cpu() {
    agrees(&Case::small(), 1, 1e-4);
    agrees(&Case::full(), 1, 1e-4);
    agrees(&Case::two_torsos(), 1, 1e-4);
}

#[test]
fn two_workers_from_frames_on_devices_make_the_update_of_two_on_the_cpu() {
    agrees(&Frames::small(), 1, 1e-4);
    agrees(&Frames::small(), 4, 1e-3);
}

#[test]
fn they_stay_together_over_growing_batches_and_copies_into_the_targets() {
    agrees(&Case::small(), 7, 1e-3);
}

#[test]
fn runs_that_share_a_device_cannot_have_workers_elsewhere() {
    use mpo_nets::cuda::{Emulator, Model, Pace, Population};
    let case = Case::small();
    if crate::data::emulator(&case.model(0)).is_none() {
        return;
    }
    let open = |model: &Model| Ok(Box::new(Emulator::new(model)?) as Box<dyn mpo_nets::cuda::Device>);
    let mut learner = Population::new(2, Pace::default(), open).join(case.model(0), 0).expect("a place");
    let (table, barrier) = (Table::default(), Barrier::new(1));
    let mut worker = Worker { rank: 0, table: &table, barrier: &barrier };
    let error = learner.update_with(&case.data(3, 0).view(), &mut worker).expect_err("two places");
    assert!(error.to_string().contains("train one run at a time"), "{error}");
}
