//! Once warm, neither pushing nor sampling takes memory.
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use mpo_replay::{
    Action, ActionLayout, Batch, Frames, Observation, Outcome, Priorities, RateLimiter, ReplayBuffer, TransitionLayout,
};
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what this thread takes from it.
struct Counting;

fn count() {
    // While a thread ends, its counter may be gone already.
    let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
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

fn taken(work: impl FnOnce()) -> usize {
    let before = TAKEN.get();
    work();
    TAKEN.get() - before
}

#[test]
fn nothing_is_taken_once_warm() {
    assert!(taken(|| drop(vec![0_u8; 10])) > 0, "the allocator counts");
    for frames in [None, Some(Frames { bytes: 50, stack: 4 })] {
        let layout = TransitionLayout { observation: 5, frames, action: ActionLayout::Continuous(2) };
        let frame = vec![7; frames.map_or(0, |frames| frames.bytes)];
        let buffer = ReplayBuffer::new(layout, 500, 2);
        let limiter = RateLimiter::new(8.0, 1, 1e9);
        let mut writers = [0, 1].map(|lane| buffer.writer(lane).expect("the lane is free"));
        let mut push = |steps: u16| {
            for step in 0..steps {
                for writer in &mut writers {
                    let observation = Observation { vector: &[f32::from(step); 5], frame: &frame };
                    if !writer.in_episode() {
                        writer.begin_with(observation);
                    }
                    let outcome = Outcome { log_prob: 0.0, reward: 1.0, discount: 1.0, last: step % 9 == 8 };
                    assert!(limiter.insert(1));
                    writer.push_with(Action::Continuous(&[0.5, 0.5]), outcome, observation);
                }
            }
        };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let (mut batch, mut drawn, mut newest) = (Batch::new(), Batch::new(), Batch::new());
        let mut priorities = Priorities::new(&buffer, 0.6);
        let mut learn = |windows: usize| {
            assert!(limiter.sample(1));
            buffer.sample(&mut rng, windows, 6, &mut batch).expect("transitions are stored");
            priorities.sample(&mut rng, windows, 6, 0.4, &mut drawn).expect("transitions are stored");
            priorities.update(&drawn.keys, &[2.0; 64][..windows]);
            buffer.latest(windows, 6, &mut newest).expect("so many are stored");
            // The counters are read all the time.
            assert!(!buffer.is_empty() && buffer.inserted() > 0);
        };
        assert_eq!(taken(|| push(700)), 0, "pushing, even for the first time");
        learn(64);
        let later = taken(|| {
            for windows in [64, 3, 64, 17] {
                push(40);
                learn(windows);
            }
        });
        assert_eq!(later, 0, "pushing and sampling, {frames:?}");
    }
}
