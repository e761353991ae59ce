//! How fast this machine multiplies matrices that stay in its caches.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use mpo_nets::matrix_product;

/// Products of a kind per look at the clock.
const REPETITIONS: usize = 8;

/// `[rows, depth, cols]`: what the critics' second layer multiplies, and a power of two.
const SHAPES: [[usize; 3]; 3] = [[112, 200, 200], [112, 304, 304], [126, 256, 256]];

/// `c = a b`, all row-major, of `[rows, depth, cols]`.
type Multiply = fn(a: &[f32], b: &[f32], shape: [usize; 3], c: &mut [f32]);

/// Best GFLOP/s over the shapes and over windows of 60 ms, all `threads` running at once: the crate's own kernel, and the gemm
/// crate's.
pub(crate) fn measure(threads: usize) -> [f64; 2] {
    [best(threads, matrix_product), best(threads, peer)]
}

fn best(threads: usize, product: Multiply) -> f64 {
    let mut most = 0.0_f64;
    for shape in SHAPES {
        for _ in 0..8 {
            most = most.max(window(threads, shape, product));
        }
    }
    most
}

/// GFLOP/s of all threads together in one window.
fn window(threads: usize, shape: [usize; 3], product: Multiply) -> f64 {
    let [rows, depth, cols] = shape;
    let barrier = Barrier::new(threads);
    let work = || {
        let (a, b, mut c) = (vec![0.5; rows * depth], vec![0.25; depth * cols], vec![0.0; rows * cols]);
        product(&a, &b, shape, &mut c);
        barrier.wait();
        let (start, mut products) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(60) {
            for _ in 0..REPETITIONS {
                product(&a, &b, shape, std::hint::black_box(&mut c));
            }
            products += REPETITIONS;
        }
        (2 * rows * depth * cols * products) as f64 * 1e-9 / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or(f64::NAN)).sum()
    })
}

#[allow(unsafe_code, reason = "the gemm crate's interface is raw pointers")]
fn peer(a: &[f32], b: &[f32], [rows, depth, cols]: [usize; 3], c: &mut [f32]) {
    assert!(a.len() >= rows * depth && b.len() >= depth * cols && c.len() >= rows * cols, "shapes of a product");
    let (row, depth_stride) = (cols as isize, depth as isize);
    // SAFETY: the assertion above holds all three matrices inside their slices, and `c` is borrowed mutably.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            depth,
            c.as_mut_ptr(),
            1,
            row,
            false,
            a.as_ptr(),
            1,
            depth_stride,
            b.as_ptr(),
            1,
            row,
            0.0_f32,
            1.0_f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
