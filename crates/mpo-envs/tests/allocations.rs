//! After the first episode, stepping and resetting allocate nothing on the Rust side, one environment or many.
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use mpo_envs::atari::{Atari, AtariOptions, Resize};
use mpo_envs::{EnvError, Environment, Spec, StepType, TimeStep, VectorEnvironment, parkour, suite};

#[path = "common/actions.rs"]
mod actions;
#[path = "common/atari_assets.rs"]
mod atari_assets;
mod common;
use actions::SplitMix64;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread's allocations count in [`WATCHED`] too.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

/// Allocations of all watched threads together.
static WATCHED: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting per thread.
struct Counting;

fn count() {
    // While a thread ends, its counter may be gone already.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    if IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
        WATCHED.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn no_allocation_per_step_after_the_first_episode() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in suite::tasks() {
        let mut environment = suite::load(info.name, 0).expect("a task");
        let spec = environment.spec().clone();
        let mut action = vec![0.0; spec.action_len()];
        let mut generator = SplitMix64(0);
        let mut before = 0;
        for episode in 0..2 {
            if episode == 1 {
                before = ALLOCATIONS.get();
            }
            environment.reset().expect("a reset");
            for _ in 0..100 {
                generator.action(&spec, &mut action);
                assert_eq!(environment.step(&action).expect("a step").step_type, StepType::Mid);
            }
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in an episode of {}", info.name);
    }
}

#[test]
fn no_allocation_per_step_of_parkour_with_its_new_courses() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        let mut environment = mpo_envs::load(info.name, 0).expect("a task");
        let spec = environment.spec().clone();
        let mut action = vec![0.0; spec.action_len()];
        let mut generator = SplitMix64(0);
        while environment.step(&action).expect("a step").step_type != StepType::Last {}
        let before = ALLOCATIONS.get();
        let mut episodes = 0;
        for _ in 0..500 {
            generator.action(&spec, &mut action);
            episodes += usize::from(environment.step(&action).expect("a step").step_type == StepType::First);
        }
        assert!(episodes > 3, "{} episodes of {}", episodes, info.name);
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocations in {episodes} episodes of {}", info.name);
    }
}

#[test]
fn no_allocation_per_step_of_a_game() {
    let Some(assets) = atari_assets::atari_assets() else { return };
    for resize in [Resize::Bilinear, Resize::Area] {
        let options = AtariOptions { resize, frame_cap: 400, ..AtariOptions::default() };
        let mut game = Atari::load_with(&assets, "breakout", 0, &options).expect("a game");
        let mut generator = SplitMix64(0);
        game.reset().expect("a reset");
        let before = ALLOCATIONS.get();
        for _ in 0..300 {
            // Two episodes end by the time limit, and start again.
            game.step(&[(generator.uniform() * 4.0).floor()]).expect("a step");
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "allocations of {resize:?}");
    }
}

/// Has the thread that steps it watched from then on.
struct Watching(Box<dyn Environment>);

impl Environment for Watching {
    fn spec(&self) -> &Spec {
        self.0.spec()
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        IS_WATCHED.set(true);
        self.0.reset()
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        self.0.step(action)
    }

    fn save_state(&self) -> Vec<u8> {
        self.0.save_state()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.0.restore_state(state)
    }
}

#[test]
fn no_allocation_per_step_of_a_vector_after_the_first_episode() {
    if !common::mujoco_is_here() {
        return;
    }
    let environment =
        |seed| Box::new(Watching(suite::load("cheetah-run", seed).expect("a task"))) as Box<dyn Environment>;
    let mut vector = VectorEnvironment::new((0..4).map(environment).collect(), 3).expect("three threads");
    let mut generator = SplitMix64(0);
    let mut actions = vec![0.0; vector.count() * vector.spec().action_len()];
    let mut before = 0;
    for episode in 0..2 {
        if episode == 1 {
            before = WATCHED.load(Ordering::Relaxed);
            assert!(before > 0, "nothing is watched");
        }
        vector.reset().expect("a reset");
        for _ in 0..100 {
            actions.fill_with(|| 2.0 * generator.uniform() - 1.0);
            vector.step(&actions).expect("a step");
        }
    }
    assert_eq!(WATCHED.load(Ordering::Relaxed) - before, 0, "allocations in an episode of a vector");
}
