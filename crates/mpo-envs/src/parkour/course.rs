//! A course: a profile of heights to compute with, and the boxes that make it in the simulation.

use super::ranges::{BEHIND, BEYOND, MOST_BOXES};

/// A part of the track, from `start` to the next one's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) start: f64,
    pub(super) end: f64,
    /// Height of the surface at both ends, linear between.
    pub(super) surface: [f64; 2],
    /// The same with hurdles taken away and gaps filled: what a runner's height is measured from.
    pub(super) footing: [f64; 2],
}

impl Stretch {
    /// A height that is `ends` at both ends, at `x`.
    pub(super) fn at(&self, ends: [f64; 2], x: f64) -> f64 {
        let share = ((x - self.start) / (self.end - self.start)).clamp(0.0, 1.0);
        ends[0] + share * (ends[1] - ends[0])
    }
}

/// A wall of a slalom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wall {
    pub(super) start: f64,
    pub(super) end: f64,
    /// 1 if it comes from the left (y > 0), -1 if from the right.
    pub(super) side: f64,
    /// The y at which it ends.
    pub(super) edge: f64,
    pub(super) height: f64,
}

impl Wall {
    /// Whether it is above the point.
    pub(super) fn covers(&self, x: f64, y: f64) -> bool {
        self.start <= x && x <= self.end && self.side * (y - self.edge) >= 0.0
    }
}

/// A box of the simulation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slab {
    pub(super) center: [f64; 3],
    pub(super) half: [f64; 3],
    /// Radians about the y axis; positive leans down towards the end of the course.
    pub(super) pitch: f64,
    pub(super) color: [f32; 4],
}

/// A course. Its memory is reused from episode to episode.
#[derive(Debug)]
pub(super) struct Course {
    /// Side by side, without holes, from behind the start to beyond the end.
    pub(super) stretches: Vec<Stretch>,
    /// In their order along the track.
    pub(super) walls: Vec<Wall>,
    pub(super) slabs: Vec<Slab>,
    /// Where each obstacle ends, in order.
    pub(super) ends: Vec<f64>,
}

impl Course {
    pub(super) fn new() -> Self {
        let mut course = Self {
            stretches: Vec::with_capacity(2 * MOST_BOXES + 4),
            walls: Vec::with_capacity(MOST_BOXES),
            slabs: Vec::with_capacity(MOST_BOXES),
            ends: Vec::with_capacity(MOST_BOXES),
        };
        course.clear();
        course.level(BEHIND + BEYOND);
        course
    }

    /// How many obstacles lie behind `x`.
    pub(super) fn passed(&self, x: f64) -> usize {
        self.ends.partition_point(|end| *end < x)
    }

    pub(super) fn clear(&mut self) {
        self.stretches.clear();
        self.walls.clear();
        self.slabs.clear();
        self.ends.clear();
    }

    /// Where the track ends so far.
    pub(super) fn end(&self) -> f64 {
        self.stretches.last().map_or(-BEHIND, |stretch| stretch.end)
    }

    pub(super) fn level(&mut self, length: f64) {
        self.push(length, [0.0; 2], [0.0; 2]);
    }

    pub(super) fn push(&mut self, length: f64, surface: [f64; 2], footing: [f64; 2]) {
        let start = self.end();
        self.stretches.push(Stretch { start, end: start + length, surface, footing });
    }
}
