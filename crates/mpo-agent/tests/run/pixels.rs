//! Runs on frames and discrete actions: the falling object of `example/catch`.

use mpo_agent::{Actor, AgentError, Config, EnvironmentLoop, Profile, Run, Seeds, Shape, Silent, evaluate};
use mpo_envs::{FrameSpec, Spec};
use mpo_replay::{Batch, ReplayBuffer};
use tempfile::tempdir;

use crate::common::assert_same;

/// Small settings, with `sets` over them.
pub(crate) fn small(sets: &[(&str, &str)]) -> Config {
    let settings = [
        ("task", "example/catch"),
        ("steps", "880"),
        ("network.pixel_torso", "small"),
        ("replay.capacity", "5000"),
        ("replay.sequences", "8"),
        ("replay.steps", "4"),
        ("training.warmup_steps", "110"),
        ("training.updates_per_step", "0.1"),
        ("training.evaluation_period", "220"),
        ("training.evaluation_episodes", "5"),
        ("training.checkpoint_period", "220"),
    ];
    let sets = settings.iter().chain(sets).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::resolve(Profile::Default, None, &sets.collect::<Vec<_>>()).expect("sound settings")
}

#[test]
fn an_interrupted_run_on_frames_ends_with_the_same_bytes() {
    for algorithm in ["mpo", "ppo"] {
        let sets = [("learner.algorithm", algorithm), ("learner.ppo.horizon", "110"), ("learner.ppo.minibatch", "32")];
        let [whole, broken] = std::array::from_fn(|_| tempdir().expect("a temporary directory"));
        let mut run = Run::create(whole.path(), small(&sets)).expect("a new directory");
        let outcome = run.train(&mut Silent).expect("nothing fails");
        assert!(outcome.updates > 0, "{algorithm}");
        let shorter = [&sets[..], &[("steps", "440")]].concat();
        Run::create(broken.path(), small(&shorter)).expect("new").train(&mut Silent).expect("nothing fails");
        // A run that reached its steps goes on when it is given more.
        std::fs::write(broken.path().join("config.toml"), small(&sets).to_toml()).expect("a file of ours");
        let mut resumed = Run::resume(broken.path()).expect("a checkpoint");
        resumed.train(&mut Silent).expect("nothing fails");
        // The shorter run ended with an evaluation that the period asks for anyway.
        assert_same((whole.path(), &run), (broken.path(), &resumed));
    }
}

#[test]
fn an_evaluation_repeats_itself() {
    let directory = tempdir().expect("a temporary directory");
    Run::create(directory.path(), small(&[])).expect("a new directory").train(&mut Silent).expect("nothing fails");
    let play = || evaluate(directory.path(), 40, 3).expect("a checkpoint").summary;
    assert_eq!(play(), play());
}

/// The whole discrete stack: frames stored once and stacked, convolutions, exact expectations, Retrace.
#[test]
fn training_learns_to_catch() {
    let directory = tempdir().expect("a temporary directory");
    let settings = small(&[
        ("steps", "11000"),
        ("training.updates_per_step", "0.25"),
        ("training.evaluation_period", "11000"),
        ("training.evaluation_episodes", "50"),
        ("training.checkpoint_period", "11000"),
    ]);
    let outcome = Run::create(directory.path(), settings).expect("new").train(&mut Silent).expect("nothing fails");
    let mean = outcome.evaluation.expect("there is one at the end").mean();
    assert!(mean > 0.8, "mean return {mean} of at most 1; at random about -0.5");
}

#[test]
fn rewards_are_stored_clipped_and_counted_whole() {
    let environment = mpo_envs::load("example/catch", 0).expect("it needs nothing");
    let (spec, config) = (environment.spec().clone(), small(&[]));
    let shape = Shape::of(&spec).expect("frames and discrete actions");
    let actor = Actor::new(&spec, &config.network, Seeds::new(0).stream("actor")).expect("sound settings");
    let replay = ReplayBuffer::new(shape.layout(), 1000, 1);
    let mut writer = replay.writer(0).expect("nobody else writes");
    let mut acting = EnvironmentLoop::new(environment, actor).clipping_rewards(0.25);
    let returns: Vec<f64> =
        (0..20).map(|_| acting.run_episode(&mut writer, |_| Ok(())).expect("sound").episode_return).collect();
    assert!(returns.iter().all(|value| value.abs() >= 1.0), "{returns:?}");
    let mut batch = Batch::new();
    replay.sample(&mut Seeds::new(0).stream("replay"), 200, 4, &mut batch).expect("something is stored");
    let largest = batch.rewards.iter().fold(0.0_f32, |most, reward| most.max(reward.abs()));
    assert_eq!(largest.to_bits(), 0.25_f32.to_bits());
}

/// The policy on what the replay stacks is the policy on what the actor saw: frames in their order, beginnings of episodes
/// included, with the action that was taken then.
#[test]
fn replayed_stacks_have_the_log_probabilities_that_were_stored() {
    let environment = mpo_envs::load("example/catch", 0).expect("it needs nothing");
    let (spec, config) = (environment.spec().clone(), small(&[]));
    let shape = Shape::of(&spec).expect("frames and discrete actions");
    let pixels = shape.pixels.expect("frames");
    let seed = 3;
    let parameters = mpo_nets::pixel_learner(&pixels, &config.network, &config.learner, seed)
        .expect("sound settings")
        .policy_parameters()
        .to_vec();
    let mut actor = Actor::new(&spec, &config.network, Seeds::new(0).stream("actor")).expect("sound settings");
    actor.load(&parameters);
    let replay = ReplayBuffer::new(shape.layout(), 1000, 1);
    let mut writer = replay.writer(0).expect("nobody else writes");
    let mut acting = EnvironmentLoop::new(environment, actor);
    for _ in 0..20 {
        acting.run_episode(&mut writer, |_| Ok(())).expect("sound");
    }
    let mut batch = Batch::new();
    replay.sample(&mut Seeds::new(0).stream("replay"), 100, 6, &mut batch).expect("something is stored");
    let mut policy = mpo_nets::PixelActingPolicy::new(&pixels, &config.network).expect("sound settings");
    policy.load(&parameters);
    let mut seen = std::collections::BTreeSet::new();
    for window in &batch {
        let states = window.frames.chunks_exact(pixels.state_len());
        for ((state, &action), &stored) in states.zip(window.discrete_actions).zip(window.log_probs) {
            let logits = policy.logits(state);
            let partition: f32 = logits.iter().map(|logit| logit.exp()).sum();
            let log_prob = logits[action as usize] - partition.ln();
            assert!((log_prob - stored).abs() < 1e-5, "{log_prob} now, {stored} then");
            seen.insert(stored.to_bits());
        }
    }
    assert!(seen.len() > 50, "the policy hardly depends on what it sees: {} values", seen.len());
}

#[test]
fn what_no_learner_takes_is_refused_in_words() {
    let spec = mpo_envs::load("example/catch", 0).expect("it needs nothing").spec().clone();
    let continuous = Spec { discrete_actions: None, ..spec.clone() };
    let message = Shape::of(&continuous).expect_err("frames and continuous actions").to_string();
    assert!(message.contains("0 numbers and frames as observation and continuous actions"), "{message}");
    let blind = Spec { frame: None, ..spec.clone() };
    assert!(matches!(Shape::of(&blind), Err(AgentError::UnsupportedSpec { frames: false, discrete: true, .. })));
    let odd = Spec { frame: Some(FrameSpec { height: 7, width: 9, stack: 1 }), ..spec };
    let directory = tempdir().expect("a temporary directory");
    let parts = mpo_agent::Parts::with_environments(move |_: &str, _: u32| {
        Ok(Box::new(Odd(odd.clone())) as Box<dyn mpo_envs::Environment>)
    });
    let error = Run::create_with(directory.path(), small(&[]), &parts).expect_err("there is no 7 x 9");
    let cause = std::error::Error::source(&error).expect("the networks' own error").to_string();
    assert!(cause.contains('7') && cause.contains('9'), "{cause}");
}

/// Nothing but a specification.
struct Odd(Spec);

impl mpo_envs::Environment for Odd {
    fn spec(&self) -> &Spec {
        &self.0
    }

    fn reset(&mut self) -> Result<mpo_envs::TimeStep<'_>, mpo_envs::EnvError> {
        unreachable!("no run begins")
    }

    fn step(&mut self, _: &[f64]) -> Result<mpo_envs::TimeStep<'_>, mpo_envs::EnvError> {
        unreachable!("no run begins")
    }

    fn save_state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore_state(&mut self, _: &[u8]) -> Result<(), mpo_envs::EnvError> {
        Ok(())
    }
}
