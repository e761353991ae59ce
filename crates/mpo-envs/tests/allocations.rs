//! After the first episode, stepping and resetting allocate nothing on the Rust side.
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mpo_envs::{StepType, suite};

#[path = "common/actions.rs"]
mod actions;
mod common;
use actions::SplitMix64;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting per thread.
struct Counting;

fn count() {
    // While a thread ends, its counter may be gone already.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
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
