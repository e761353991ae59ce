//! What a runner knows of the course: heights of the ground before it and behind it, and a slalom's next walls. They are
//! computed from the course, not by casting rays.

use super::course::{Course, Stretch};
use crate::mjcf::Observation;

/// Heights seen behind the runner, and from it onwards.
const SAMPLES_BEHIND: usize = 10;
const SAMPLES_AHEAD: usize = 40;
pub(super) const SAMPLES: usize = SAMPLES_BEHIND + SAMPLES_AHEAD;
/// How far the profile reaches, in metres.
const SEEN_BEHIND: f64 = 2.0;
const SEEN_AHEAD: f64 = 8.0;
/// How much sparser samples become with distance: places are a power of evenly spaced ones.
const SPARSER: f64 = 1.5;
/// Heights beyond so many metres above or below are seen as these.
const HIGHEST: f64 = 2.0;
/// Walls seen, and numbers for each.
const WALLS: usize = 2;
const WALL_NUMBERS: usize = 3;
/// Length of the wall information.
pub(super) const WALLS_SEEN: usize = WALLS * WALL_NUMBERS;
/// Metres before and behind the runner within which it may still stand on what is lower or higher.
const FOOTHOLD: f64 = 0.5;

/// Where the heights are taken, in metres from the runner, rising.
pub(super) fn places() -> [f64; SAMPLES] {
    std::array::from_fn(|index| {
        if index < SAMPLES_BEHIND {
            let share = (SAMPLES_BEHIND - index) as f64 / SAMPLES_BEHIND as f64;
            -SEEN_BEHIND * share.powf(SPARSER)
        } else {
            let share = (index - SAMPLES_BEHIND) as f64 / (SAMPLES_AHEAD - 1) as f64;
            SEEN_AHEAD * share.powf(SPARSER)
        }
    })
}

impl Course {
    /// The stretches from the one at `x` on.
    fn from(&self, x: f64) -> &[Stretch] {
        let after = self.stretches.partition_point(|stretch| stretch.start <= x);
        &self.stretches[after.saturating_sub(1)..]
    }

    /// Appends the surface's height above `level` at each of `places` from `x`, along the line at `y`.
    pub(super) fn observe_heights(&self, [x, y]: [f64; 2], level: f64, places: &[f64], observation: &mut Observation) {
        let mut stretches = self.from(x + places[0]).iter().peekable();
        let walls = &self.walls[self.walls.partition_point(|wall| wall.end < x + places[0])..];
        for place in places {
            let at = x + place;
            while stretches.next_if(|stretch| stretch.end <= at).is_some() {}
            let ground = stretches.peek().map_or(0.0, |stretch| stretch.at(stretch.surface, at));
            let wall = walls.iter().take_while(|wall| wall.start <= at).find(|wall| wall.covers(at, y));
            let height = wall.map_or(ground, |wall| wall.height);
            observation.push((height - level).clamp(-HIGHEST, HIGHEST));
        }
    }

    /// Appends of each of the next walls how far ahead it begins, where its edge is beside the runner, both in metres, and
    /// its side: 1 left, -1 right. A wall that is not there, or not in sight, is as far ahead as one can see, with zeros.
    pub(super) fn observe_walls(&self, [x, y]: [f64; 2], observation: &mut Observation) {
        let next = self.walls.partition_point(|wall| wall.end < x);
        let mut seen = self.walls[next..].iter().take_while(|wall| wall.start < x + SEEN_AHEAD);
        for _ in 0..WALLS {
            let numbers = seen.next().map_or([SEEN_AHEAD, 0.0, 0.0], |wall| [wall.start - x, wall.edge - y, wall.side]);
            observation.extend(&numbers);
        }
    }

    /// The lowest that a runner at `x` may be standing on: without hurdles and with gaps filled, near it. What steps up or
    /// down is so on neither side of an edge taken for one that falls.
    pub(super) fn footing(&self, x: f64) -> f64 {
        let (from, to) = (x - FOOTHOLD, x + FOOTHOLD);
        let near = self.from(from).iter().take_while(|stretch| stretch.start <= to);
        let lowest = near.map(|stretch| stretch.at(stretch.footing, from).min(stretch.at(stretch.footing, to)));
        lowest.reduce(f64::min).unwrap_or(0.0)
    }

    /// The height of the ground's surface.
    #[cfg(test)]
    pub(super) fn surface(&self, x: f64) -> f64 {
        self.from(x).first().map_or(0.0, |stretch| stretch.at(stretch.surface, x))
    }
}

#[cfg(test)]
mod tests {
    use super::super::draughtsman::Draughtsman;
    use super::super::{Body, Ranges, Terrain};
    use super::*;
    use crate::RandomState;

    #[test]
    fn the_profile_is_denser_near_the_runner() {
        let places = places();
        assert!((places[0] + 2.0).abs() < 1e-12 && (places[SAMPLES - 1] - 8.0).abs() < 1e-12);
        assert_eq!(places.iter().filter(|place| **place >= 0.0).count(), SAMPLES_AHEAD);
        let steps: Vec<f64> = places.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step > 0.0), "{places:?}");
        assert!(steps[..SAMPLES_BEHIND].is_sorted_by(|a, b| a > b), "{steps:?}");
        assert!(steps[SAMPLES_BEHIND..].is_sorted(), "{steps:?}");
    }

    /// The same heights as those of one point at a time, and the boxes have them too.
    #[test]
    fn heights_are_those_of_the_boxes() {
        for terrain in Terrain::ALL {
            let draughtsman = Draughtsman::new(Body::Humanoid, terrain, Ranges::of(Body::Humanoid));
            let mut course = Course::new();
            let mut random = RandomState::new(3);
            for _ in 0..5 {
                draughtsman.draw(&mut course, &mut random);
                let mut compared = 0;
                for step in 0..900 {
                    let x = -4.95 + 0.1 * f64::from(step);
                    let y = random.uniform(-1.9, 1.9);
                    let mut seen = Observation::default();
                    course.observe_heights([x, y], 0.0, &places(), &mut seen);
                    for (place, height) in places().iter().zip(seen.values()) {
                        let at = x + place;
                        let near = course.stretches.iter().any(|stretch| (stretch.start - at).abs() < 1e-6);
                        if near || !(-9.0..95.0).contains(&at) {
                            continue;
                        }
                        let boxes = highest(&course, at, y).max(-draughtsman.floor());
                        assert!((height - boxes.min(HIGHEST)).abs() < 1e-9, "{terrain:?} at {at}: {height}, {boxes}");
                        compared += 1;
                    }
                }
                assert!(compared > 10_000, "{terrain:?}: {compared}");
            }
        }
    }

    /// The highest point of the boxes above a place, by cutting a vertical line with each.
    fn highest(course: &Course, x: f64, y: f64) -> f64 {
        let tops = course.slabs.iter().filter_map(|slab| {
            let ([dx, dy], (sin, cos)) = ([x - slab.center[0], y - slab.center[1]], slab.pitch.sin_cos());
            // The point of the upper face above x, in the box's own axes.
            let along = (dx - slab.half[2] * sin) / cos;
            let inside = along.abs() <= slab.half[0] && dy.abs() <= slab.half[1];
            inside.then(|| slab.center[2] - along * sin + slab.half[2] * cos)
        });
        tops.fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn footing_is_the_lower_side_of_an_edge_and_knows_no_hurdles_and_gaps() {
        // Longer than what lies within a foothold.
        let ranges = Ranges { hurdle_length: [2.0; 2], gap_length: [2.0; 2], ..Ranges::of(Body::Walker) };
        let mut course = Course::new();
        let mut random = RandomState::new(1);
        for terrain in [Terrain::Hurdles, Terrain::Gaps] {
            Draughtsman::new(Body::Walker, terrain, ranges).draw(&mut course, &mut random);
            let uneven = course.stretches.iter().filter(|stretch| stretch.surface[0].abs() > 0.05).count();
            assert!(uneven > 5, "{terrain:?}");
            assert!((0..800).all(|step| course.footing(0.1 * f64::from(step)).abs() < 1e-12), "{terrain:?}");
        }
        Draughtsman::new(Body::Walker, Terrain::Platforms, ranges).draw(&mut course, &mut random);
        let platform = *course.stretches.iter().find(|stretch| stretch.surface[0] > 0.0).expect("a platform");
        let height = platform.surface[0];
        for (x, expected) in [(-0.6, 0.0), (0.1, 0.0), (0.51, height), (platform.end - platform.start - 0.4, 0.0)] {
            assert!((course.footing(platform.start + x) - expected).abs() < 1e-12, "{x} into {platform:?}");
        }
        assert!((course.surface(platform.start + 0.1) - height).abs() < 1e-12);
    }
}
