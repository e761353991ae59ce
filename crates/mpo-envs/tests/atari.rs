//! Atari games: the same as ALE plays them, by the protocol, and what is refused.
#![allow(clippy::float_cmp, reason = "rewards and discounts are whole numbers")]

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::thread;

use mpo_envs::assets::AtariAssets;
use mpo_envs::atari::{self, Atari, AtariOptions};
use mpo_envs::{EnvError, Environment, RandomState, StepType, VectorEnvironment};

#[allow(dead_code, reason = "half of it is for continuous actions")]
#[path = "common/actions.rs"]
mod actions;
#[path = "common/atari_assets.rs"]
mod atari_assets;
#[path = "common/atari_recording.rs"]
mod atari_recording;
use atari_assets::atari_assets as assets;

/// The game, if the files are there.
fn game(name: &str, seed: u32, options: &AtariOptions) -> Option<Atari> {
    assets().map(|assets| Atari::load_with(&assets, name, seed, options).expect("a game"))
}

/// No frame of an episode is left to chance.
fn fixed() -> AtariOptions {
    AtariOptions { no_ops: 0..=0, ..AtariOptions::default() }
}

#[test]
fn games_replay_what_ale_py_played() {
    if assets().is_none() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/atari");
    let entries = fs::read_dir(&folder).expect("the folder of recordings");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert_eq!(files.len(), 10, "five games, with and without sticky actions");
    let replay = |file: &Path| {
        let record = serde_json::from_str(&fs::read_to_string(file).expect("a recording")).expect("JSON");
        // Screens are compared to the end; stacks are made of them, and need not be made as often.
        let compared = atari_recording::replay(&record, 800);
        assert_eq!(compared.len(), 9);
        for (quantity, comparison) in compared {
            let expected = if quantity == "stacks" || quantity.starts_with("vector") { 4 } else { 10 };
            let equal = comparison.compared == expected && comparison.equal == expected;
            assert!(equal, "{}: {quantity}: {comparison:?}", file.display());
        }
    };
    thread::scope(|scope| files.iter().for_each(|file| drop(scope.spawn(|| replay(file)))));
}

#[test]
fn every_game_starts_and_has_the_actions_that_are_listed() {
    let Some(assets) = assets() else { return };
    for info in atari::games() {
        let mut game = Atari::load_with(&assets, info.name, 0, &AtariOptions::default()).expect("a game");
        assert_eq!((game.info(), game.spec().discrete_actions), (info, Some(info.actions)), "{}", info.name);
        let last = info.actions as f64 - 1.0;
        let spec = game.spec();
        assert_eq!((spec.observation_len(), spec.action_len(), spec.action_maximum[0]), (0, 1, last));
        assert_eq!((spec.episode_steps, spec.control_timestep), (27_000, 4.0 / 60.0));
        assert_eq!(game.reset().expect("a reset").frame.len(), 84 * 84);
        game.step(&[last]).expect("a step");
        let screen = game.screen().expect("a picture");
        assert_eq!((screen.width, screen.rgb.len()), (160, 160 * screen.height * 3), "{}", info.name);
    }
}

#[test]
fn an_option_gives_all_actions() {
    let Some(game) = game("pong", 0, &AtariOptions { full_action_set: true, ..fixed() }) else { return };
    assert_eq!(game.spec().discrete_actions, Some(18));
    assert_eq!(game.actions(), (0..18).collect::<Vec<_>>());
}

#[test]
fn the_time_limit_is_no_termination_and_the_end_of_the_game_is_one() {
    let capped = AtariOptions { frame_cap: 42, ..fixed() };
    let Some(mut pong) = game("pong", 0, &capped) else { return };
    assert_eq!(pong.spec().episode_steps, 11);
    let mut single = game("pong", 0, &AtariOptions { frame_skip: 1, ..fixed() }).expect("it was there");
    single.reset().expect("a reset");
    for _ in 0..42 {
        single.step(&[0.0]).expect("a step");
    }
    for episode in 0..2 {
        pong.reset().expect("a reset");
        for step in 1..=11 {
            let answer = pong.step(&[0.0]).expect("a step");
            let expected = if step == 11 { StepType::Last } else { StepType::Mid };
            assert_eq!((answer.step_type, answer.discount), (expected, 1.0), "step {step}");
        }
        assert!(episode > 0 || pong.ram() == single.ram(), "the last step has two frames");
        assert_eq!(pong.step(&[0.0]).expect("a new episode").step_type, StepType::First);
    }

    let mut pong = game("pong", 0, &fixed()).expect("it was there");
    pong.reset().expect("a reset");
    let mut lost = 0.0;
    loop {
        let answer = pong.step(&[0.0]).expect("a step");
        lost += answer.reward;
        if answer.step_type == StepType::Last {
            assert_eq!(answer.discount, 0.0);
            break;
        }
        assert_eq!(answer.discount, 1.0);
    }
    assert_eq!(lost, -21.0, "whoever does nothing loses to nil");
}

#[test]
fn a_lost_life_is_discount_0_within_the_episode_unless_that_is_unwanted() {
    for life_loss_discount in [true, false] {
        let options = AtariOptions { life_loss_discount, ..fixed() };
        let Some(mut breakout) = game("breakout", 3, &options) else { return };
        breakout.reset().expect("a reset");
        let (mut zeros, mut lives) = (0, breakout.lives());
        assert_eq!(lives, 5);
        loop {
            // Fire, which serves the ball; then it is missed.
            let answer = breakout.step(&[1.0]).expect("a step");
            let (step_type, discount) = (answer.step_type, answer.discount);
            let lost = breakout.lives() < lives;
            lives = breakout.lives();
            zeros += usize::from(discount == 0.0);
            if step_type == StepType::Last {
                assert_eq!((discount, lives), (0.0, 0));
                break;
            }
            assert_eq!(discount == 0.0, lost && life_loss_discount);
        }
        assert_eq!(zeros, if life_loss_discount { 5 } else { 1 });
    }
}

#[test]
fn episodes_start_after_1_to_30_frames_of_waiting() {
    let start = |seed: u32, no_ops: RangeInclusive<u32>| {
        let mut boxing = game("boxing", seed, &AtariOptions { no_ops, ..AtariOptions::default() })?;
        boxing.reset().expect("a reset");
        Some(boxing.ram())
    };
    // Waiting for n frames, and playing n single frames without action.
    let Some(mut watched) = game("boxing", 0, &AtariOptions { frame_skip: 1, ..fixed() }) else { return };
    watched.reset().expect("a reset");
    let mut starts = Vec::new();
    for _ in 0..=30 {
        starts.push(watched.ram());
        watched.step(&[0.0]).expect("a step");
    }
    assert_eq!(start(1, 7..=7), Some(starts[7]));

    // The number is the whole part of a uniform one, and the seeds with the least and the greatest give the bounds.
    let draw = |seed: &u32| RandomState::new(*seed).random_sample();
    let by_draw = |a: &u32, b: &u32| draw(a).total_cmp(&draw(b));
    let least = (0..1000).min_by(by_draw).expect("a thousand seeds");
    let greatest = (0..1000).max_by(by_draw).expect("a thousand seeds");
    for (seed, frames) in [(least, 1), (greatest, 30), (0, 1 + (30.0 * draw(&0)) as usize)] {
        let memory = start(seed, AtariOptions::default().no_ops).expect("it was there");
        assert_eq!(starts.iter().position(|start| *start == memory), Some(frames), "seed {seed}");
    }
}

#[test]
fn rewards_are_the_games_own() {
    let Some(mut qbert) = game("qbert", 0, &fixed()) else { return };
    qbert.reset().expect("a reset");
    let mut generator = actions::SplitMix64(1);
    let mut largest: f64 = 0.0;
    for _ in 0..300 {
        largest = largest.max(qbert.step(&[(generator.uniform() * 6.0).floor()]).expect("a step").reward);
    }
    assert!(largest >= 25.0, "a cube is worth 25, and the best step gave {largest}");
}

#[test]
fn a_restored_game_has_the_same_episodes() {
    let sticky = AtariOptions { sticky: 0.25, ..AtariOptions::default() };
    let Some(mut breakout) = game("breakout", 1, &sticky) else { return };
    let mut restored = game("breakout", 2, &sticky).expect("it was there");
    let mut generator = actions::SplitMix64(0);
    let mut act = || [(generator.uniform() * 4.0).floor()];
    breakout.reset().expect("a reset");
    for _ in 0..100 {
        breakout.step(&act()).expect("a step");
    }
    let state = breakout.save_state();
    breakout.reset().expect("a reset");
    restored.reset().expect("a reset");
    restored.step(&[1.0]).expect("a step");
    restored.restore_state(&state).expect("a state of the same game");
    // The action is ignored: this starts the episode.
    assert_eq!(restored.step(&[2.0]).expect("a start").step_type, StepType::First);
    for step in 0..600 {
        let action = act();
        let ours = restored.step(&action).expect("a step");
        let (step_type, reward) = (ours.step_type, ours.reward);
        let frame = ours.frame.to_vec();
        let expected = breakout.step(&action).expect("a step");
        assert_eq!((step_type, reward), (expected.step_type, expected.reward), "step {step}");
        assert!(frame == expected.frame, "another frame at step {step}");
        assert_eq!(restored.ram(), breakout.ram(), "step {step}");
    }

    let mut damaged = state.clone();
    *damaged.last_mut().expect("it is not empty") ^= 1;
    let mut pong = game("pong", 2, &sticky).expect("it was there");
    refuses(&mut restored, &[&damaged]);
    refuses(&mut pong, &[&state, b"?", &state[..12]]);
}

fn refuses(game: &mut Atari, states: &[&[u8]]) {
    for state in states {
        let before = game.save_state();
        let error = game.restore_state(state).expect_err("a bad state");
        assert!(matches!(error, EnvError::InvalidState { .. }), "{error:?}");
        assert!(before == game.save_state(), "it was changed all the same");
    }
}

#[test]
fn an_action_that_there_is_not_is_an_error_and_the_next_step_starts_anew() {
    let Some(mut pong) = game("pong", 0, &fixed()) else { return };
    for bad in [6.0, -1.0, 2.5, f64::NAN] {
        pong.reset().expect("a reset");
        let error = pong.step(&[bad]).expect_err("no such action").to_string();
        assert_eq!(error, format!("task `atari/pong` has 6 actions, numbered from 0, and action[0] is {bad}"));
        assert_eq!(pong.step(&[0.0]).expect("a new episode").step_type, StepType::First);
    }
}

#[test]
fn a_vector_shows_the_frames_of_its_games() {
    if assets().is_none() {
        return;
    }
    let mut vector = VectorEnvironment::load("atari/boxing", 0..3, 2).expect("games");
    let mut single: Vec<_> = (0..3).map(|seed| mpo_envs::load("atari/boxing", seed).expect("a game")).collect();
    vector.reset().expect("a reset");
    for environment in &mut single {
        environment.reset().expect("a reset");
    }
    let mut generator = actions::SplitMix64(0);
    for _ in 0..50 {
        let actions: Vec<f64> = (0..3).map(|_| (generator.uniform() * 18.0).floor()).collect();
        let steps = vector.step(&actions).expect("a step");
        for ((environment, action), frame) in single.iter_mut().zip(&actions).zip(steps.frames.chunks(84 * 84)) {
            assert!(environment.step(&[*action]).expect("a step").frame == frame, "another frame");
        }
    }
}

#[test]
fn unknown_games_are_named_with_their_nearest() {
    for (name, nearest) in [("pongg", "atari/pong"), ("atari/break_out", "atari/breakout"), ("Qbert", "atari/qbert")] {
        let error = Atari::load(name, 0, &fixed()).expect_err("no such game");
        assert!(matches!(&error, EnvError::UnknownTask { nearest: found, .. } if *found == nearest), "{error}");
    }
    let error = mpo_envs::load("atari/tenis", 0).err().expect("no such game").to_string();
    assert!(error.starts_with("unknown task `atari/tenis`; the nearest is `atari/tennis`"), "{error}");
    assert!(mpo_envs::full_name("atari/tenis").is_err());
}

#[test]
fn files_that_are_no_games_are_refused() {
    let Some(assets) = assets() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let message = |path: &Path| {
        let error = Atari::load_rom(&assets, path, 0, &fixed()).expect_err("no game");
        assert!(matches!(error, EnvError::Rom { .. }), "{error:?}");
        error.to_string()
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("writable");
        path
    };
    let pong = fs::read(assets.roms.join("pong.bin")).expect("the game's file");
    let mut broken = pong.clone();
    broken[100] ^= 1;
    // ALE would take the first two for the game that they are named after.
    for bad in [file("pong.bin", &broken), file("breakout.bin", b""), file("foreign.bin", &[7; 4096])] {
        let message = message(&bad);
        assert!(message.contains("its MD5 is ") && message.contains("cargo xtask setup atari"), "{message}");
    }
    assert!(message(&folder.path().join("missing.bin")).contains("missing.bin` cannot be played: it cannot be read"));
    assert!(message(folder.path()).contains("cannot be played: "), "a folder is no file");

    // A file of the user's own, whatever it is called; but not in another game's place.
    let own = Atari::load_rom(&assets, &file("mine", &pong), 0, &fixed()).expect("a game");
    assert_eq!(own.info().name, "atari/pong");
    assert!(message(&file("alien.bin", &pong)).contains("it is the game pong under another's name: rename it"));
    file("tennis.bin", &pong);
    let own = AtariAssets { library: assets.library, roms: folder.path().to_owned() };
    let error = Atari::load_with(&own, "tennis", 0, &fixed()).expect_err("pong is not tennis").to_string();
    assert!(error.contains("it is `atari/pong`, not `atari/tennis`"), "{error}");
}

#[test]
fn a_library_that_is_none_or_not_ours_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let assets = |library: PathBuf| AtariAssets { library, roms: folder.path().to_owned() };
    let load = |library: PathBuf| Atari::load_with(&assets(library), "pong", 0, &fixed()).expect_err("no library");
    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").expect("writable");
    for missing in [text, folder.path().join("missing.so")] {
        let error = load(missing);
        assert!(matches!(error, EnvError::AleUnloadable { .. }), "{error:?}");
        assert!(error.to_string().contains("run `cargo xtask setup atari`, or set MPO_ALE_LIBRARY"), "{error}");
    }
    let other = "#[unsafe(no_mangle)] pub extern \"C\" fn other() {}";
    let newer = "#[unsafe(no_mangle)] pub extern \"C\" fn mpo_ale_interface() -> i32 { 2 }
        #[unsafe(no_mangle)] pub extern \"C\" fn mpo_ale_version() -> *const u8 { c\"0.13.0\".as_ptr().cast() }";
    for (name, source, found) in
        [("other", other, "another library"), ("newer", newer, "ALE 0.13.0 with functions number 2")]
    {
        let path = folder.path().join(format!("{name}.so"));
        library(&path, source);
        let error = load(path).to_string();
        assert!(error.contains(&format!("is {found}, and this program needs")), "{error}");
        assert!(error.contains("`cargo xtask setup atari` builds of ALE 0.12.1"), "{error}");
    }
}

/// Compiles a shared library that holds nothing but the given source.
fn library(path: &Path, source: &str) {
    let text = path.with_extension("rs");
    fs::write(&text, source).expect("a source file");
    let rustc = option_env!("RUSTC").unwrap_or("rustc");
    let arguments = ["--crate-type", "cdylib", "--edition", "2024", "-o"];
    let status = std::process::Command::new(rustc).args(arguments).args([path, &text]).status().expect("rustc runs");
    assert!(status.success());
}

#[test]
#[should_panic(expected = "a probability outside [0, 1]")]
fn options_without_sense_are_a_panic() {
    let nowhere = AtariAssets { library: PathBuf::new(), roms: PathBuf::new() };
    let _ = Atari::load_with(&nowhere, "pong", 0, &AtariOptions { sticky: 1.5, ..fixed() });
}
