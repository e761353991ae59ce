//! After warm-up an update allocates nothing, and neither does an action.
#![allow(unsafe_code, reason = "a global allocator is unsafe to implement")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use mpo_nets::{
    ActingPolicy, Algorithm, BatchView, Covariance, GradientReducer, LearnerConfig, NetsError, NetworkConfig,
    PixelActingPolicy, PixelShape, PixelTorso, PolicyKind, Precision, TemperatureMode, Torso, learner_for,
    noise::Noise, pixel_learner,
};

/// Allocations of all threads: the learner's own ones count too.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(mut f: impl FnMut()) -> usize {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    f();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

fn draw(stream: u64, len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    Noise::new(stream).fill(&mut values);
    values
}

/// A second worker with the same batches.
struct Twin;

impl GradientReducer for Twin {
    fn workers(&self) -> usize {
        2
    }

    fn mean(&mut self, _: &mut [f32]) -> Result<(), NetsError> {
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        Ok(count)
    }
}

/// One test, because the counter sees every thread of the process.
#[test]
fn updates_and_actions_allocate_nothing_once_warm() {
    let lengths = [8_u32; 16];
    let transitions = 128;
    let (observations, actions) = (draw(1, (transitions + 16) * 24), draw(2, transitions * 6));
    let (rewards, discounts, log_probs) = (draw(3, transitions), vec![1.0; transitions], vec![-6.0; transitions]);
    let batch = BatchView {
        lengths: &lengths,
        observations: &observations,
        actions: &actions,
        rewards: &rewards,
        discounts: &discounts,
        log_probs: &log_probs,
        ..BatchView::default()
    };
    let (sgd, exact) = (TemperatureMode::Sgd, TemperatureMode::Exact);
    let (single, half) = (Precision::F32, Precision::Bf16);
    for (algorithm, covariance, torso, temperature, target_precision, threads) in [
        (Algorithm::Mpo, Covariance::Diagonal, Torso::LayerNorm, sgd, single, 1),
        (Algorithm::Mpo, Covariance::Full, Torso::Plain, exact, single, 1),
        (Algorithm::Mpo, Covariance::Diagonal, Torso::LayerNorm, sgd, half, 2),
        (Algorithm::MpoParametric, Covariance::Diagonal, Torso::Plain, sgd, single, 3),
        (Algorithm::Epg, Covariance::Diagonal, Torso::LayerNorm, sgd, half, 1),
        (Algorithm::Ddpg, Covariance::Diagonal, Torso::LayerNorm, sgd, single, 2),
    ] {
        let policy = if algorithm == Algorithm::Ddpg { PolicyKind::Deterministic } else { PolicyKind::Gaussian };
        let network = NetworkConfig { covariance, torso, policy, ..NetworkConfig::default() };
        let mut config =
            LearnerConfig { algorithm, temperature, threads, target_period: 4, ..LearnerConfig::default() };
        config.target_precision = target_precision;
        config.critics = threads.min(2);
        config.epsilon_penalty = (threads == 1).then_some(1e-3);
        for branched in [false, true] {
            let mut learner = if branched {
                learner_for!(14 + 10, 6, &network, &config, 0).expect("sound settings")
            } else {
                learner_for!(24, 6, &network, &config, 0).expect("sound settings")
            };
            let mut update = || {
                for _ in 0..5 {
                    learner.update(&batch).expect("finite");
                }
            };
            update();
            let allocations = counted(update);
            let what = format!(
                "{algorithm:?}, {covariance:?}, {torso:?}, {target_precision:?}, {threads} threads, two torsos: {branched}"
            );
            assert_eq!(allocations, 0, "{what}");
            learner.update_with(&batch, &mut Twin).expect("finite");
            let allocations = counted(|| {
                learner.update_with(&batch, &mut Twin).expect("finite");
            });
            assert_eq!(allocations, 0, "{what}, with another worker");
        }
    }

    for part in [0, 10] {
        let mut policy = ActingPolicy::branched(24, part, 6, &NetworkConfig::default()).expect("sound settings");
        let mut action = [0.0; 6];
        policy.sample(&observations[..24], &[0.1; 6], &mut action);
        let acting = counted(|| {
            policy.sample(&observations[..24], &[0.1; 6], &mut action);
            policy.mean(&observations[..24], &mut action);
        });
        assert_eq!(acting, 0, "acting");
    }

    pixels();
}

/// The same over pixels, on one thread and on two.
fn pixels() {
    let lengths = [5_u32, 1, 4];
    let shape = PixelShape { stack: 2, height: 36, width: 36, actions: 4 };
    let frames: Vec<u8> = (0..13 * shape.state_len()).map(|i| (i * 31 % 251) as u8).collect();
    let actions: Vec<u32> = (0..10).map(|t| t % 4).collect();
    let (rewards, log_probs) = (draw(3, 10), [-1.4; 10]);
    let batch = BatchView {
        lengths: &lengths,
        rewards: &rewards,
        discounts: &[1.0; 10],
        log_probs: &log_probs,
        frames: &frames,
        discrete_actions: &actions,
        ..BatchView::default()
    };
    for (algorithm, pixel_torso, temperature, threads) in [
        (Algorithm::Mpo, PixelTorso::Small, TemperatureMode::Exact, 1),
        (Algorithm::Mpo, PixelTorso::Dqn, TemperatureMode::Sgd, 2),
        (Algorithm::Ppo, PixelTorso::Small, TemperatureMode::Sgd, 2),
    ] {
        let network = NetworkConfig { pixel_torso, ..NetworkConfig::default() };
        let mut config =
            LearnerConfig { algorithm, temperature, threads, target_period: 2, ..LearnerConfig::default() };
        config.ppo.minibatch = 4;
        config.critics = threads;
        let mut learner = pixel_learner(&shape, &network, &config, 0).expect("sound settings");
        let mut update = || {
            for _ in 0..3 {
                learner.update(&batch).expect("finite");
            }
        };
        update();
        assert_eq!(counted(update), 0, "{algorithm:?} over pixels, {pixel_torso:?}, {threads} threads");

        let mut policy = PixelActingPolicy::new(&shape, &network).expect("compiled sizes");
        policy.load(learner.policy_parameters());
        policy.sample(&frames[..shape.state_len()], 0.5);
        let acting = counted(|| {
            policy.sample(&frames[..shape.state_len()], 0.5);
            policy.greedy(&frames[..shape.state_len()]);
        });
        assert_eq!(acting, 0, "acting over pixels");
    }
}
