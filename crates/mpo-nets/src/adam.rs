//! Adam (Kingma & Ba 2015) over one flat buffer, and clipping by the global norm.

use crate::{
    kernels::{dot, vectorised},
    network::take,
    threads::{MOST, Threads, part_start},
};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Parameters that are worth waking a thread for: some 20 microseconds.
const PER_THREAD: usize = 16_384;

/// Adam's moments for one parameter buffer.
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: f32,
    step: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Adam {
    /// An optimiser of `parameters` numbers, beta1 0.9, beta2 0.999, epsilon 1e-8.
    #[must_use]
    pub fn new(parameters: usize, learning_rate: f32) -> Self {
        Self { learning_rate, step: 0, first: vec![0.0; parameters], second: vec![0.0; parameters] }
    }

    /// One step of `parameters` against `factor * gradient`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn update(&mut self, parameters: &mut [f32], gradient: &[f32], factor: f32) {
        self.update_on(&Threads::default(), parameters, gradient, factor);
    }

    /// [`update`](Self::update) on several threads; their number changes nothing.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn update_on(&mut self, threads: &Threads, parameters: &mut [f32], gradient: &[f32], factor: f32) {
        assert_eq!(parameters.len(), self.first.len(), "parameters of the optimiser");
        assert_eq!(gradient.len(), self.first.len(), "gradient of the optimiser");
        self.step += 1;
        let exponent = self.step.min(i32::MAX as u64) as i32;
        let correction1 = 1.0 - f64::from(BETA1).powi(exponent);
        let correction2 = 1.0 - f64::from(BETA2).powi(exponent);
        // lr * (m / c1) / (sqrt(v / c2) + eps), with the corrections folded into the step size and the floor.
        let rate = (f64::from(self.learning_rate) * correction2.sqrt() / correction1) as f32;
        let floor = (f64::from(EPSILON) * correction2.sqrt()) as f32;
        let len = parameters.len();
        let parts = threads.count().min(len / PER_THREAD).clamp(1, MOST);
        let (mut rest, mut first, mut second) = (parameters, &mut self.first[..], &mut self.second[..]);
        let mut tasks = [const { None }; MOST];
        for (part, task) in tasks.iter_mut().enumerate().take(parts) {
            let (from, to) = (part_start(len, part, parts), part_start(len, part + 1, parts));
            let mine = [&mut rest, &mut first, &mut second].map(|buffer| take(buffer, to - from));
            *task = Some((mine, &gradient[from..to]));
        }
        threads.each(&mut tasks[..parts], |task| {
            if let Some(([p, m, v], g)) = task {
                step(p, g, factor, m, v, rate, floor);
            }
        });
    }

    /// Steps taken, first and second moments: what a checkpoint stores.
    #[must_use]
    pub fn state(&self) -> (u64, &[f32], &[f32]) {
        (self.step, &self.first, &self.second)
    }

    /// Puts a stored state back.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn set_state(&mut self, step: u64, first: &[f32], second: &[f32]) {
        self.step = step;
        self.first.copy_from_slice(first);
        self.second.copy_from_slice(second);
    }
}

/// The gradient's Euclidean norm, and the factor that shrinks it to at most `max_norm`.
///
/// ```
/// let (norm, factor) = mpo_nets::clip_by_global_norm(&[3.0, 4.0], 1.0);
/// assert_eq!((norm, factor), (5.0, 0.2));
/// assert_eq!(mpo_nets::clip_by_global_norm(&[3.0, 4.0], 40.0).1, 1.0);
/// ```
#[must_use]
pub fn clip_by_global_norm(gradient: &[f32], max_norm: f32) -> (f32, f32) {
    let norm = dot(gradient, gradient).sqrt();
    (norm, if norm > max_norm { max_norm / norm } else { 1.0 })
}

vectorised! {
    fn step(p: &mut [f32], g: &[f32], factor: f32, m: &mut [f32], v: &mut [f32], rate: f32, floor: f32) {
        for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = factor * g;
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *p -= rate * *m / (v.sqrt() + floor);
        }
    }
}
