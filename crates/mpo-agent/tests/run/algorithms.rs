//! Every algorithm runs in the same loop: to the same bytes, interrupted or not.

use mpo_agent::{Algorithm, Config, Run, Silent};
use tempfile::tempdir;

use crate::common::{Fault, assert_same, config, faulty, read, resume, train};

/// Small settings for `algorithm`.
fn small(algorithm: Algorithm) -> Config {
    let name = [("learner.algorithm", algorithm.name())];
    match algorithm {
        Algorithm::Ppo => config(&[name[0], ("learner.ppo.horizon", "60"), ("learner.ppo.minibatch", "20")]),
        _ => config(&name),
    }
}

#[test]
fn every_algorithm_updates_and_resumes_to_the_same_bytes() {
    for algorithm in Algorithm::ALL {
        let [whole, broken] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
        let (whole_run, outcome) = train(whole.path(), small(algorithm));
        assert!(outcome.updates > 0, "{}", algorithm.name());
        let mut run = Run::create_with(broken.path(), small(algorithm), &faulty(Fault::Error(390))).expect("new");
        run.train(&mut Silent).expect_err("the environment fails");
        drop(run);
        let (run, _) = resume(broken.path());
        assert_same((whole.path(), &whole_run), (broken.path(), &run));
    }
}

#[test]
fn an_on_policy_round_comes_after_whole_episodes_and_uses_each_transition_once() {
    let directory = tempdir().expect("a temporary directory");
    let (_, outcome) = train(directory.path(), small(Algorithm::Ppo));
    let metrics = read(directory.path(), "metrics.csv");
    let mut rows = csv::Reader::from_reader(metrics.as_bytes());
    let (mut collected, mut minibatches, mut updates) = (0, 0, 0);
    for row in rows.deserialize::<mpo_agent::EpisodeRow>() {
        let row = row.expect("a row of metrics.csv");
        collected += row.length;
        if collected >= 60 {
            minibatches += 10 * (collected / 20);
            collected = 0;
        }
        assert_eq!(row.updates, minibatches, "episode {}", row.episode);
        updates = row.updates;
    }
    assert_eq!(outcome.updates, updates);
}

#[test]
fn an_algorithms_own_settings_come_after_the_profile_and_before_yours() {
    let ddpg = config(&[("learner.algorithm", "ddpg")]);
    assert_eq!(ddpg.network.policy, mpo_nets::PolicyKind::Deterministic);
    assert!((ddpg.network.initial_stddev - 0.2).abs() < 1e-6);
    let louder = config(&[("learner.algorithm", "ddpg"), ("network.initial_stddev", "0.3")]);
    assert!((louder.network.initial_stddev - 0.3).abs() < 1e-6);
}
