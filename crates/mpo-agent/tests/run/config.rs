//! Layers of settings, and errors that name the key.

use std::fs;
use std::path::PathBuf;

use mpo_agent::{AgentError, Config, Profile};
use mpo_nets::{Covariance, Torso};
use tempfile::tempdir;

fn sets(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let task = ("task", "control/cheetah-run");
    std::iter::once(&task).chain(pairs).map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn resolve(pairs: &[(&str, &str)]) -> Result<Config, AgentError> {
    Config::resolve(Profile::Default, None, &sets(pairs))
}

fn message(pairs: &[(&str, &str)]) -> String {
    resolve(pairs).expect_err("the settings are wrong").to_string()
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempdir().expect("a temporary directory");
    let path = directory.path().join("preset.toml");
    fs::write(&path, text).expect("writable");
    (directory, path)
}

#[test]
fn later_layers_win() {
    let (_directory, path) = file("seed = 3\n[learner]\ntarget_period = 7\ndiscount = 0.5\n");
    let config = Config::resolve(Profile::Paper, Some(&path), &sets(&[("learner.discount", "0.75")]));
    let config = config.expect("all layers are sound");
    assert!(config.network.covariance == Covariance::Full, "from the profile");
    assert_eq!((config.seed, config.learner.target_period), (3, 7), "from the file");
    assert!((config.learner.discount - 0.75).abs() < 1e-9, "from the set");
    assert_eq!(config.replay.sequences, 32, "from the defaults");
}

#[test]
fn networks_are_larger_for_the_humanoid_and_for_parkour_wherever_they_are_named() {
    for profile in [Profile::Default, Profile::Paper] {
        let hidden = |task: &str| {
            let pair = [("task".to_owned(), task.to_owned())];
            let config = Config::resolve(profile, None, &pair).expect("sound settings");
            (config.network.policy_hidden, config.network.critic_hidden)
        };
        assert_eq!(hidden("control/walker-run"), ([100, 100], [200, 200]));
        for task in ["control/humanoid-run", "humanoid-stand", "parkour/walker-gaps", "parkour/humanoid-flat"] {
            assert_eq!(hidden(task), ([200, 200], [300, 300]), "{task} under {profile}");
        }
    }
    let (_directory, path) = file("task = \"control/humanoid-walk\"\nnetwork.policy_hidden = [100, 100]\n");
    let config = Config::resolve(Profile::Paper, Some(&path), &[]).expect("sound settings");
    assert_eq!(config.network.policy_hidden, [100, 100], "the file comes after the profile");
    assert_eq!(config.network.critic_hidden, [300, 300]);
}

#[test]
fn every_kind_of_value_can_be_set() {
    let config = resolve(&[
        ("steps", "500_000"),
        ("network.policy_hidden", "[200, 200]"),
        ("network.torso", "plain"),
        ("network.clip_critic_actions", "false"),
        ("learner.policy_learning_rate", "3e-4"),
        ("learner.discount", "1"),
        ("training.stop_at_return", "900"),
        ("training.updates_per_step", "0.25"),
    ])
    .expect("sound settings");
    assert_eq!((config.steps, config.network.policy_hidden), (500_000, [200, 200]));
    assert_eq!((config.network.torso, config.network.clip_critic_actions), (Torso::Plain, false));
    assert_eq!(config.training.stop_at_return, Some(900.0));
    assert!((config.learner.policy_learning_rate - 3e-4).abs() < 1e-12);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    for (given, nearest) in [
        ("learner.polcy_learning_rate", "learner.policy_learning_rate"),
        ("target_period", "learner.target_period"),
        ("learner.warmup_steps", "training.warmup_steps"),
        ("replay.capasity", "replay.capacity"),
        ("sed", "seed"),
        ("seed.x", "seed"),
    ] {
        let message = message(&[(given, "1")]);
        assert!(message.contains(&format!("`{given}`")), "{message}");
        assert!(message.contains(&format!("nearest known key is `{nearest}`")), "{message}");
    }
    let (_directory, path) = file("[lerner]\ndiscount = 0.5\n");
    let error = Config::resolve(Profile::Default, Some(&path), &sets(&[])).expect_err("no such section");
    let message = error.to_string();
    assert!(message.contains("`lerner.discount`") && message.contains("preset.toml"), "{message}");
    assert!(message.contains("`learner.discount`"), "{message}");
}

#[test]
fn a_value_of_the_wrong_type_or_range_names_its_key() {
    for (key, value, problem) in [
        ("learner.discount", "high", "expected f32"),
        ("steps", "1.5", "expected u64"),
        ("steps", "-1", "expected u64"),
        ("network.torso", "layernorm", "layer_norm"),
        ("network.policy_hidden", "[100]", "length"),
        ("learner", "3", "section"),
        ("learner.discount", "1.5", "between 0 and 1"),
        ("replay.sequences", "0", "at least 1"),
        ("training.updates_per_step", "-1.0", "between"),
        ("training.updates_per_step", "1e-9", "between"),
        ("training.evaluation_period", "0", "at least 1"),
        ("training.episode_steps", "0", "at least 1"),
        ("task", "", "name a task"),
    ] {
        let message = message(&[(key, value)]);
        assert!(message.contains(&format!("`{key}`")) && message.contains(problem), "{message}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let (directory, path) = file("seed = \n");
    let error = Config::resolve(Profile::Default, Some(&path), &sets(&[])).expect_err("no value");
    assert!(error.to_string().contains("preset.toml") && error.to_string().contains("line 1"), "{error}");
    let missing = directory.path().join("missing.toml");
    let error = Config::resolve(Profile::Default, Some(&missing), &sets(&[])).expect_err("no file");
    assert!(error.to_string().contains("missing.toml"), "{error}");
    assert!("papr".parse::<Profile>().is_err());
}

#[test]
fn the_document_reads_back_whatever_was_set() {
    let (directory, path) = file("");
    for profile in [Profile::Default, Profile::Paper] {
        let awkward = [
            ("learner.epsilon_covariance", "0.1"),
            ("learner.discount", "0.333333343"),
            ("training.updates_per_step", "0.1"),
            ("training.stop_at_return", "1e-3"),
            ("seed", "9223372036854775807"),
        ];
        let config = Config::resolve(profile, None, &sets(&awkward)).expect("sound settings");
        fs::write(&path, config.to_toml()).expect("writable");
        assert_eq!(Config::read(&path).expect("its own document"), config);
        assert!(config.to_toml().contains("epsilon_covariance = 0.1\n"), "{}", config.to_toml());
    }
    assert!(Config::keys().iter().any(|key| key == "training.stop_at_return"));
    drop(directory);
}
