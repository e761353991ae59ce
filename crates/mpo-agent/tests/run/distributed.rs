//! Several workers, here threads, on one run.

use std::fs;
use std::path::Path;

use mpo_agent::{
    AgentError, Algorithm, Config, CpuLearners, LearnerFactory, LocalWorkers, Outcome, Reason, Run, Silent, Workers,
};
use mpo_nets::{BatchView, GradientReducer, LearnerStep, NetsError, UpdateStats};
use tempfile::tempdir;

use crate::common::{Fault, Watcher, assert_same, chain, checkpoints, config, faulty, parts, read};

const WORKERS: usize = 3;

/// What each of several threads makes of its part, in the order of ranks.
fn among<T: Send>(count: usize, work: impl Fn(usize, Box<dyn Workers>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let workers = LocalWorkers::new(count).into_iter().enumerate();
        let threads = workers.map(|(rank, worker)| scope.spawn(move || work(rank, Box::new(worker))));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn settings(overrides: &[(&str, &str)]) -> Config {
    config(&[&[("training.workers", "3"), ("training.reduction", "rank_order")], overrides].concat())
}

/// Begins the run, or takes it up again, and trains it to its end.
fn train(directory: &Path, config: &Config) -> Vec<(Run, Outcome)> {
    among(WORKERS, |_, workers| {
        let begun = directory.join("checkpoints").exists();
        let mut run = if begun {
            Run::resume_among(directory, &parts(), workers)
        } else {
            Run::create_among(directory, config.clone(), &parts(), workers)
        }
        .expect("the run can be opened");
        let outcome = run.train(&mut Silent).expect("nothing goes wrong");
        (run, outcome)
    })
}

/// That two runs made the same, in every worker.
fn assert_all_same(a: (&Path, &[(Run, Outcome)]), b: (&Path, &[(Run, Outcome)])) {
    assert_same((a.0, &a.1[0].0), (b.0, &b.1[0].0));
    for checkpoint in checkpoints(a.0) {
        for rank in 1..WORKERS {
            for name in ["replay.bin", "run.json", "learner.safetensors"] {
                let path = format!("checkpoints/{checkpoint}/worker-{rank}/{name}");
                let bytes = |directory: &Path| fs::read(directory.join(&path)).expect("every worker's part");
                let same = if name == "learner.safetensors" {
                    // The order of its tensors says nothing.
                    bytes(a.0).len() == bytes(b.0).len()
                } else {
                    bytes(a.0) == bytes(b.0)
                };
                assert!(same, "{path} differs");
            }
        }
    }
}

#[test]
fn workers_train_one_policy_in_one_directory_and_repeat_themselves() {
    let [a, b] = [0, 1].map(|_| tempdir().expect("a temporary directory"));
    let [runs_a, runs_b] = [&a, &b].map(|directory| train(directory.path(), &settings(&[])));
    assert_all_same((a.path(), &runs_a), (b.path(), &runs_b));
    let (run, outcome) = &runs_a[0];
    for (other, end) in &runs_a {
        assert_eq!(other.policy_parameters(), run.policy_parameters());
        assert_eq!((end.step, end.episodes, end.updates), (outcome.step, outcome.episodes, outcome.updates));
    }
    // Every episode of every worker has its row, and the steps are those of all.
    let rows = read(a.path(), "metrics.csv");
    let rows: Vec<Vec<&str>> = rows.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert_eq!((rows.len() as u64, rows.len() % WORKERS), (outcome.episodes, 0));
    let lengths: u64 = rows.iter().map(|row| row[3].parse::<u64>().expect("a length")).sum();
    assert_eq!(lengths, outcome.step);
    let returns: std::collections::HashSet<&str> = rows.iter().map(|row| row[2]).collect();
    assert_eq!(returns.len(), rows.len(), "workers play episodes of their own");
    // 0.3 updates for each worker's every step after the first 100 of all.
    assert_eq!(outcome.updates, (outcome.step - 100) * 3 / (10 * WORKERS as u64));
    assert_eq!(outcome.reason, Reason::Steps);
}

#[test]
fn what_one_worker_breaks_off_all_take_up_again_to_the_same_bytes() {
    let whole = tempdir().expect("a temporary directory");
    let whole_runs = train(whole.path(), &settings(&[]));
    // Before the first checkpoint, and after it.
    for step in [30, 120] {
        let broken = tempdir().expect("a temporary directory");
        let errors = among(WORKERS, |rank, workers| {
            let parts = if rank == 1 { faulty(Fault::Error(step)) } else { parts() };
            let mut run = Run::create_among(broken.path(), settings(&[]), &parts, workers).expect("a new directory");
            chain(&run.train(&mut Silent).expect_err("one worker's environment fails"))
        });
        assert!(errors[1].contains("a test"), "{}", errors[1]);
        assert!(errors[0].contains("another worker's thread has ended"), "{}", errors[0]);
        let runs = if broken.path().join("checkpoints").exists() {
            train(broken.path(), &settings(&[]))
        } else {
            among(WORKERS, |_, workers| {
                let mut run = Run::resume_among(broken.path(), &parts(), workers).expect("it has begun");
                let outcome = run.train(&mut Silent).expect("nothing goes wrong");
                (run, outcome)
            })
        };
        assert_all_same((whole.path(), &whole_runs), (broken.path(), &runs));
    }
}

#[test]
fn all_stop_when_one_is_asked_to() {
    let directory = tempdir().expect("a temporary directory");
    let outcomes = among(WORKERS, |rank, workers| {
        let mut run = Run::create_among(directory.path(), settings(&[]), &parts(), workers).expect("a new directory");
        // Only the first worker hears of episodes; another one that is asked stops before it has played any.
        let mut watcher = Watcher { stop_after: (rank == 0).then_some(WORKERS), ..Watcher::default() };
        run.train(&mut watcher).expect("nothing goes wrong")
    });
    assert!(outcomes.iter().all(|outcome| (outcome.reason, outcome.episodes) == (Reason::Stopped, 3)));
    train(directory.path(), &settings(&[]));
    assert!(directory.path().join("done.json").exists());
}

#[test]
fn another_number_of_workers_is_refused_by_its_number() {
    let directory = tempdir().expect("a temporary directory");
    train(directory.path(), &settings(&[]));
    let message = "training.workers = 3, but 1 is here; start it as `mpirun -np 3 mpo train ... --distributed`";
    let error = Run::resume_with(directory.path(), &parts()).expect_err("it was made by three");
    assert!(chain(&error).contains(message), "{}", chain(&error));
    let errors = among(2, |_, workers| Run::resume_among(directory.path(), &parts(), workers).expect_err("two"));
    assert!(errors.iter().all(|error| matches!(error, AgentError::WorkerCount { expected: 3, found: 2 })));
}

#[test]
fn a_damaged_part_of_any_worker_damages_the_checkpoint() {
    let directory = tempdir().expect("a temporary directory");
    let runs = train(directory.path(), &settings(&[]));
    let end = runs[0].0.policy_parameters().to_vec();
    drop(runs);
    let newest = checkpoints(directory.path()).pop().expect("a checkpoint");
    let path = directory.path().join("checkpoints").join(&newest).join("worker-2/replay.bin");
    let mut bytes = fs::read(&path).expect("a part");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&path, bytes).expect("writable");
    let runs = train(directory.path(), &settings(&[]));
    let warnings: Vec<String> = runs[0].0.warnings().iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains(&newest) && warnings[0].contains("worker-2: replay.bin"), "{warnings:?}");
    assert_eq!(runs[0].0.policy_parameters(), end, "from the older checkpoint to the same end");
}

#[test]
fn on_policy_rounds_are_in_step_too() {
    let directory = tempdir().expect("a temporary directory");
    let overrides = [("learner.algorithm", "ppo"), ("learner.ppo.horizon", "50"), ("learner.ppo.minibatch", "16")];
    let config = settings(&overrides);
    assert_eq!(config.learner.algorithm, Algorithm::Ppo);
    let runs = train(directory.path(), &config);
    assert!(runs[0].1.updates > 0);
    assert!(runs.iter().all(|(run, _)| run.policy_parameters() == runs[0].0.policy_parameters()));
}

/// A learner that keeps the networks of its own seed.
struct Stubborn(Box<dyn LearnerStep>);

impl LearnerStep for Stubborn {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        self.0.update(batch)
    }

    fn update_with(
        &mut self,
        batch: &BatchView<'_>,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, NetsError> {
        self.0.update_with(batch, workers)
    }

    fn updates(&self) -> u64 {
        self.0.updates()
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        self.0.flops(transitions, windows)
    }

    fn policy_parameters(&self) -> &[f32] {
        self.0.policy_parameters()
    }

    fn save(&self) -> Vec<u8> {
        self.0.save()
    }

    fn load(&mut self, _: &[u8]) -> Result<(), NetsError> {
        Ok(())
    }
}

#[test]
fn networks_that_differ_stop_every_worker() {
    let directory = tempdir().expect("a temporary directory");
    let errors = among(WORKERS, |_, workers| {
        let parts =
            parts().learning_by(|shape, network: &_, learner: &_, seed| -> Result<Box<dyn LearnerStep>, AgentError> {
                Ok(Box::new(Stubborn(CpuLearners.make(shape, network, learner, seed)?)))
            });
        let mut run = Run::create_among(directory.path(), settings(&[]), &parts, workers).expect("a new directory");
        chain(&run.train(&mut Silent).expect_err("the networks differ"))
    });
    assert!(
        errors.iter().all(|error| error.contains("the networks of worker 1 differ from the first's")),
        "{errors:?}"
    );
    assert!(!directory.path().join("checkpoints").exists(), "nothing wrong is kept");
}

#[test]
fn a_learner_that_knows_no_others_says_so() {
    struct Lonely(Stubborn);

    impl LearnerStep for Lonely {
        fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
            self.0.update(batch)
        }

        fn updates(&self) -> u64 {
            self.0.updates()
        }

        fn flops(&self, transitions: usize, windows: usize) -> usize {
            self.0.flops(transitions, windows)
        }

        fn policy_parameters(&self) -> &[f32] {
            self.0.policy_parameters()
        }

        fn save(&self) -> Vec<u8> {
            self.0.save()
        }

        fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
            self.0.load(bytes)
        }
    }

    let directory = tempdir().expect("a temporary directory");
    let errors = among(WORKERS, |_, workers| {
        let parts =
            parts().learning_by(|shape, network: &_, learner: &_, seed| -> Result<Box<dyn LearnerStep>, AgentError> {
                Ok(Box::new(Lonely(Stubborn(CpuLearners.make(shape, network, learner, seed)?))))
            });
        let mut run = Run::create_among(directory.path(), settings(&[]), &parts, workers).expect("a new directory");
        chain(&run.train(&mut Silent).expect_err("it can only train alone"))
    });
    assert!(errors.iter().all(|error| error.contains("LearnerStep::update_with")), "{errors:?}");
}

#[test]
fn threads_beside_the_learner_and_other_workers_exclude_each_other() {
    let error =
        Config { training: mpo_agent::TrainingConfig { actors: 1, workers: 2, ..config(&[]).training }, ..config(&[]) }
            .validate()
            .expect_err("they race");
    assert!(error.to_string().contains("`training.actors` = 1: must be 0 with several workers"), "{error}");
}
