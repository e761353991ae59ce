//! Training several runs: on a small environment of this test's own, with the real learner.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use mpo_agent::{Algorithm, Config, EpisodeRow, Observer, Parts, Profile};
use mpo_bench::{
    crew::Crew,
    experiment::{self, Experiment},
    interrupt::Ending,
    pool::{self, Ended, Existing, Job, State},
    progress::Progress,
    records,
};
use mpo_envs::{EnvError, Environment, ObservationPart, Spec, StepType, TimeStep};

/// Push a point towards the origin; twenty steps an episode.
struct Point {
    spec: Spec,
    state: [f64; 3],
    step: usize,
    episodes: u64,
}

const STEPS: usize = 20;

impl Point {
    fn boxed(seed: u32) -> Box<dyn Environment> {
        let spec = Spec {
            observation: vec![ObservationPart { name: "state".to_owned(), len: 3 }],
            frame: None,
            discrete_actions: None,
            action_minimum: vec![-1.0],
            action_maximum: vec![1.0],
            control_timestep: 0.1,
            episode_steps: STEPS,
        };
        Box::new(Self { spec, state: [0.0; 3], step: STEPS, episodes: u64::from(seed) })
    }
}

impl Environment for Point {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.episodes += 1;
        self.state = [(self.episodes % 7) as f64 / 3.5 - 1.0, 0.0, 1.0];
        self.step = 0;
        Ok(TimeStep { step_type: StepType::First, reward: 0.0, discount: 1.0, observation: &self.state, frame: &[] })
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        self.step += 1;
        self.state[1] = action[0].clamp(-1.0, 1.0);
        self.state[0] += 0.1 * self.state[1];
        let reward = 1.0 - self.state[0].abs().min(1.0);
        let step_type = if self.step == STEPS { StepType::Last } else { StepType::Mid };
        Ok(TimeStep { step_type, reward, discount: 1.0, observation: &self.state, frame: &[] })
    }

    fn save_state(&self) -> Vec<u8> {
        self.episodes.to_le_bytes().to_vec()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let bytes = state
            .try_into()
            .map_err(|_| EnvError::InvalidState { task: "point", reason: "not eight bytes".to_owned() })?;
        self.episodes = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn parts() -> Parts {
    Parts::with_environments(|_: &str, seed: u32| Ok(Point::boxed(seed)))
}

/// An environment whose second task cannot be made.
fn half_broken() -> Parts {
    Parts::with_environments(|task: &str, seed: u32| {
        if task.ends_with("seed-less") {
            return Err(EnvError::InvalidModel { model: "point".to_owned(), reason: "made to fail".to_owned() });
        }
        Ok(Point::boxed(seed))
    })
}

fn job(root: &Path, task: &str, seed: u64, sets: &[(&str, &str)]) -> Job {
    let seed_text = seed.to_string();
    let base = [
        ("task", task),
        ("seed", seed_text.as_str()),
        ("steps", "100"),
        ("network.policy_hidden", "[32, 32]"),
        ("network.critic_hidden", "[32, 32]"),
        ("replay.capacity", "1000"),
        ("replay.sequences", "4"),
        ("training.warmup_steps", "40"),
        ("training.updates_per_step", "0.25"),
        ("training.evaluation_period", "40"),
        ("training.evaluation_episodes", "2"),
    ];
    let sets: Vec<(String, String)> =
        base.iter().chain(sets).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Job {
        name: format!("{task} seed {seed}"),
        dir: root.join(task).join(format!("seed-{seed}")),
        variant: None,
        config: Config::resolve(Profile::Default, None, &sets).expect("the test's settings are right"),
        existing: Existing::Continue,
    }
}

/// An experiment on a task whose shape is that of the point.
fn trial(rest: &str) -> Experiment {
    let text = format!(
        "description = \"A trial\"\ntasks = [\"pendulum-swingup\"]\nseeds = 2\nsteps = 100\n{rest}\n\
         [set]\nnetwork.policy_hidden = [32, 32]\nnetwork.critic_hidden = [32, 32]\nreplay.capacity = 1000\n\
         replay.sequences = 4\ntraining.warmup_steps = 40\ntraining.updates_per_step = 0.25\n\
         training.evaluation_period = 20\ntraining.evaluation_episodes = 2\nlearner.ppo.horizon = 40\n\
         learner.ppo.minibatch = 20\nlearner.ppo.epochs = 2\n"
    );
    toml::from_str(&text).expect("the test's experiment parses")
}

fn train(jobs: &[Job], workers: usize, stop: &AtomicBool) -> Vec<Ended> {
    let progress = Progress::new(jobs.iter().map(|job| job.name.as_str()), 0);
    pool::train(jobs, workers, &progress, stop, &parts, &Crew::Alone)
}

/// Asks to stop once an episode has ended.
struct OneEpisode(bool);

impl Observer for OneEpisode {
    fn on_episode(&mut self, _: &EpisodeRow) {
        self.0 = true;
    }

    fn should_stop(&self) -> bool {
        self.0
    }
}

fn files(dir: &Path) -> [Vec<u8>; 2] {
    ["metrics.csv", "eval.csv"].map(|name| fs::read(dir.join(name)).expect("the run wrote its files"))
}

#[test]
fn runs_side_by_side_write_the_same_bytes_as_one_after_another() {
    let (one, two) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let jobs = |root: &Path| -> Vec<Job> { (0..3).map(|seed| job(root, "point", seed, &[])).collect() };
    let (alone, together) = (jobs(one.path()), jobs(two.path()));
    let never = AtomicBool::new(false);
    for ended in train(&alone, 1, &never).iter().chain(&train(&together, 3, &never)) {
        assert!(matches!(ended, Ended::Finished(outcome) if outcome.step == 100), "{ended:?}");
    }
    for (alone, together) in alone.iter().zip(&together) {
        assert!(files(&alone.dir) == files(&together.dir), "{} differs", alone.name);
    }
    assert!(files(&alone[0].dir) != files(&alone[1].dir), "seeds differ");
}

#[test]
fn finished_runs_are_kept_and_interrupted_ones_go_on() {
    let root = tempfile::tempdir().expect("a folder");
    let whole = job(root.path(), "whole", 0, &[]);
    let cut = job(root.path(), "cut", 0, &[]);
    let jobs = [whole, cut.clone()];
    let stop = AtomicBool::new(false);
    assert!(matches!(train(&jobs[..1], 1, &stop)[0], Ended::Finished(_)));

    stop.store(true, Ordering::Relaxed);
    assert!(matches!(train(&jobs, 2, &stop)[..], [Ended::NotBegun, Ended::NotBegun]));

    // A run of its own that is asked to stop after its first episode.
    let mut run = mpo_agent::Run::create_with(&cut.dir, cut.config.clone(), &parts()).expect("the run can be made");
    let outcome = run.train(&mut OneEpisode(false)).expect("training works");
    assert_eq!((outcome.step, pool::state(&cut.dir)), (20, State::Begun));
    assert_eq!(pool::steps_left(&cut), 80);
    drop(run);

    stop.store(false, Ordering::Relaxed);
    let ended = train(&jobs, 2, &stop);
    assert!(matches!(&ended[0], Ended::Before), "{ended:?}");
    assert!(matches!(&ended[1], Ended::Finished(outcome) if outcome.step == 100), "{ended:?}");

    // The same settings and seed under another name: the interruption left no trace.
    let reference = job(root.path(), "whole", 0, &[]);
    assert!(files(&reference.dir) == files(&cut.dir), "the resumed run differs from an uninterrupted one");
}

#[test]
fn a_run_made_with_other_settings_is_refused() {
    let root = tempfile::tempdir().expect("a folder");
    let never = AtomicBool::new(false);
    assert!(matches!(train(&[job(root.path(), "point", 0, &[])], 1, &never)[0], Ended::Finished(_)));
    let other = job(root.path(), "point", 0, &[("learner.discount", "0.9")]);
    match &train(&[other], 1, &never)[0] {
        Ended::Failed(error) => {
            let text = error.to_string();
            assert!(text.contains("learner.discount = 0.99, but 0.9 is asked for"), "{text}");
            assert!(text.contains("choose another folder"), "{text}");
        }
        ended => panic!("the run was not refused: {ended:?}"),
    }
}

#[test]
fn a_failed_run_is_reported_and_the_others_are_tabulated() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = [job(root.path(), "seed-less", 0, &[]), job(root.path(), "point", 0, &[])];
    let progress = Progress::new([], 0);
    let ended = pool::train(&jobs, 1, &progress, &AtomicBool::new(false), &half_broken, &Crew::Alone);
    assert!(matches!(&ended[0], Ended::Failed(_)), "{ended:?}");
    assert!(matches!(&ended[1], Ended::Finished(_)), "{ended:?}");
    let error = experiment::conclude(&trial(""), root.path(), &jobs, &ended).expect_err("a run failed");
    assert!(error.to_string().starts_with("1 of 2 runs failed"), "{error}");
    for name in ["table.txt", "table.md", "table.csv", "learning-curves.svg", "learning-curves.png"] {
        assert!(root.path().join(name).is_file(), "{name}");
    }
}

#[test]
fn a_stopped_experiment_is_tabulated_and_ends_as_interrupted() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = [job(root.path(), "point", 0, &[]), job(root.path(), "point", 1, &[])];
    let ended = train(&jobs[..1], 1, &AtomicBool::new(false));
    let ended = [ended.into_iter().next().expect("one job"), Ended::NotBegun];
    let ending = experiment::conclude(&trial(""), root.path(), &jobs, &ended).expect("the files can be written");
    assert_eq!(ending, Ending::Interrupted);
    let table = fs::read_to_string(root.path().join("table.csv")).expect("the table was written");
    assert!(table.contains("\npoint,MPO,mpo,false,100,1,true,"), "{table}");
}

#[test]
fn what_training_writes_is_what_tables_read() {
    let root = tempfile::tempdir().expect("a folder");
    let jobs = [job(root.path(), "point", 3, &[])];
    train(&jobs, 1, &AtomicBool::new(false));
    let record = records::read(&jobs[0].dir).expect("the run can be read");
    assert_eq!((record.task.as_str(), record.seed, record.finished), ("point", 3, true));
    let steps: Vec<u64> = record.evaluations.iter().map(|evaluation| evaluation.step).collect();
    assert_eq!(steps, [0, 40, 80, 100]);
    assert!(record.evaluations.iter().all(|evaluation| evaluation.returns.len() == 2));
    assert!(records::seconds_per_step(&jobs[0].dir).expect("timing.csv can be read").is_some());
    let seconds = experiment::seconds(&[job(root.path(), "point", 4, &[])], 1, &parts);
    assert!(seconds.expect("an earlier run gives the rate") > 0.0);
}

#[test]
fn variants_are_trained_compared_and_kept() {
    let root = tempfile::tempdir().expect("a folder");
    let experiment = trial(
        "variants = [{ name = \"plain\" }, { name = \"few\", set = { learner = { action_samples = 2, algorithm = \"epg\" } } }]",
    );
    let jobs = experiment.jobs(root.path(), None, None).expect("the experiment is right");
    let never = AtomicBool::new(false);
    let ended = train(&jobs, 2, &never);
    assert!(ended.iter().all(|end| matches!(end, Ended::Finished(_))), "{ended:?}");
    let ending = experiment::conclude(&experiment, root.path(), &jobs, &ended).expect("the files can be written");
    assert_eq!(ending, Ending::Complete);
    for name in ["plain/pendulum-swingup/seed-1", "few/pendulum-swingup/seed-0"] {
        assert_eq!(pool::state(&root.path().join(name)), State::Done, "{name}");
    }
    assert!(files(&jobs[0].dir) != files(&jobs[1].dir), "the variants differ");
    let beside = fs::read_to_string(root.path().join("comparison.csv")).expect("the comparison was written");
    let names: Vec<&str> = beside.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(names, ["series", "plain", "few"]);
    assert!(!root.path().join("report.md").exists());
    // Who reads the folder later, without the experiment's file, tells them apart by their algorithms.
    let records = records::find(&[root.path().to_owned()]).expect("the runs can be read");
    let names: Vec<String> = mpo_bench::series::gather(&records).into_iter().map(|series| series.name).collect();
    assert_eq!(names, ["MPO", "EPG + Retrace + entropy"]);
    assert!(train(&jobs, 2, &never).iter().all(|end| matches!(end, Ended::Before)));
}

#[test]
fn all_seven_learners_train_go_on_and_are_reported() {
    let root = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = Algorithm::ALL.iter().map(|algorithm| format!("{:?}", algorithm.name())).collect();
    let experiment = trial(&format!("figure = 2\nasymptotes = {{ ppo = 300 }}\nalgorithms = [{}]", names.join(", ")));
    let jobs = experiment.jobs(root.path(), Some(1), None).expect("the experiment is right");
    assert_eq!(jobs.len(), 7);

    // One is interrupted after its first episode.
    let cut = &jobs[5];
    let mut run = mpo_agent::Run::create_with(&cut.dir, cut.config.clone(), &parts()).expect("the run can be made");
    run.train(&mut OneEpisode(false)).expect("training works");
    assert_eq!(pool::state(&cut.dir), State::Begun);
    drop(run);

    let ended = train(&jobs, 2, &AtomicBool::new(false));
    for (job, end) in jobs.iter().zip(&ended) {
        let Ended::Finished(outcome) = end else { panic!("{} ended with {end:?}", job.name) };
        assert!(outcome.step == job.config.steps && outcome.updates > 0, "{}: {outcome:?}", job.name);
    }
    experiment::conclude(&experiment, root.path(), &jobs, &ended).expect("the files can be written");
    let report = fs::read_to_string(root.path().join("report.md")).expect("the report was written");
    for algorithm in Algorithm::ALL {
        assert!(report.contains(&format!("| pendulum-swingup\\* | {} | 100 | 1 |", algorithm.title())), "{report}");
    }
    assert!(report.contains("## Longer runs") && report.contains("### pendulum-swingup"), "{report}");
    assert!(report.contains("too few steps: no learner"), "{report}");
    let table = fs::read_to_string(root.path().join("table.csv")).expect("the table was written");
    let steps: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split(',').nth(4)).collect();
    assert_eq!(steps, ["100"; 7], "scores at equal steps:\n{table}");
    let drawn = fs::read_to_string(root.path().join("learning-curves.svg")).expect("the figure was drawn");
    assert!(drawn.contains("final level of longer runs: PPO 300 steps"), "a star");
}
