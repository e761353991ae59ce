//! Drawing a course.

use super::course::{Course, Slab, Wall};
use super::ranges::{BEHIND, BEYOND, Ranges};
use super::{Body, Terrain};
use crate::RandomState;

/// How far boxes reach below the ground that they stand on, in metres.
const ROOTED: f64 = 0.1;
/// Thickness of a slope's box in metres.
const SLOPE_THICKNESS: f64 = 0.5;

/// What stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    Hurdle,
    Gap,
    Platform,
    Slopes,
    Wall,
}

impl Obstacle {
    fn color(self) -> [f32; 4] {
        match self {
            Self::Hurdle => [0.85, 0.35, 0.2, 1.0],
            // The ground between gaps.
            Self::Gap => [0.45, 0.55, 0.45, 1.0],
            Self::Platform => [0.35, 0.5, 0.7, 1.0],
            Self::Slopes => [0.6, 0.55, 0.35, 1.0],
            Self::Wall => [0.75, 0.6, 0.3, 1.0],
        }
    }
}

/// Draws the courses of one terrain.
#[derive(Debug)]
pub(super) struct Draughtsman {
    terrain: Terrain,
    ranges: Ranges,
    obstacles: &'static [Obstacle],
}

impl Draughtsman {
    pub(super) fn new(body: Body, terrain: Terrain, ranges: Ranges) -> Self {
        use Obstacle::{Gap, Hurdle, Platform, Slopes, Wall};
        let obstacles: &[_] = match (terrain, body) {
            (Terrain::Flat, _) => &[],
            (Terrain::Hurdles, _) => &[Hurdle],
            (Terrain::Gaps, _) => &[Gap],
            (Terrain::Platforms, _) => &[Platform],
            (Terrain::Variable, _) => &[Slopes],
            (Terrain::Slalom, _) => &[Wall],
            (Terrain::Mixed | Terrain::Curriculum, Body::Walker) => &[Hurdle, Gap, Platform, Slopes],
            (Terrain::Mixed | Terrain::Curriculum, Body::Humanoid) => &[Hurdle, Gap, Platform, Slopes, Wall],
        };
        Self { terrain, ranges, obstacles }
    }

    /// Depth of the plane below the track: that of the gaps, if there are any.
    pub(super) fn floor(&self) -> f64 {
        if self.has_gaps() { self.ranges.gap_depth } else { 0.0 }
    }

    fn has_gaps(&self) -> bool {
        self.obstacles.contains(&Obstacle::Gap)
    }

    /// A new course: as many obstacles as fit before its end.
    pub(super) fn draw(&self, course: &mut Course, random: &mut RandomState) {
        let ranges = &self.ranges;
        course.clear();
        course.level(BEHIND + ranges.run_up);
        // The ground of a course with gaps is boxes, too; this is where the present one begins.
        let mut ground = -BEHIND;
        let mut side =
            if self.obstacles.contains(&Obstacle::Wall) && random.random_sample() < 0.5 { 1.0 } else { -1.0 };
        while let Some(obstacle) = self.next(random) {
            let share = (course.end() - ranges.run_up) / (ranges.length - ranges.run_up);
            let ease = if self.terrain == Terrain::Curriculum { share.clamp(0.0, 1.0) } else { 1.0 };
            let hard = |random: &mut RandomState, [from, to]: [f64; 2]| random.uniform(from, from + ease * (to - from));
            let (length, size) = match obstacle {
                Obstacle::Hurdle => (uniform(random, ranges.hurdle_length), hard(random, ranges.hurdle_height)),
                Obstacle::Gap => (hard(random, ranges.gap_length), ranges.gap_depth),
                Obstacle::Platform => (uniform(random, ranges.platform_length), hard(random, ranges.platform_height)),
                Obstacle::Slopes => (ranges.slope_length[1], ease),
                Obstacle::Wall => (uniform(random, ranges.wall_length), hard(random, ranges.wall_reach)),
            };
            let start = course.end();
            if start + length > ranges.length {
                break;
            }
            match obstacle {
                Obstacle::Hurdle => {
                    self.block(course, obstacle, length, size);
                    course.push(length, [size; 2], [0.0; 2]);
                }
                Obstacle::Platform => {
                    self.block(course, obstacle, length, size);
                    course.push(length, [size; 2], [size; 2]);
                }
                Obstacle::Gap => {
                    self.ground(course, ground);
                    course.push(length, [-size; 2], [0.0; 2]);
                    ground = course.end();
                }
                Obstacle::Slopes => self.slopes(course, random, ease),
                Obstacle::Wall => {
                    self.wall(course, length, side, -side * size);
                    side = -side;
                }
            }
            if obstacle != Obstacle::Slopes {
                course.ends.push(course.end());
            }
            let spacing = uniform(random, ranges.spacing);
            course.level(spacing);
        }
        let rest = ranges.length + BEYOND - course.end();
        course.level(rest.max(BEYOND));
        if self.has_gaps() {
            self.ground(course, ground);
        }
    }

    fn next(&self, random: &mut RandomState) -> Option<Obstacle> {
        let count = self.obstacles.len();
        let index = if count > 1 { (random.random_sample() * count as f64) as usize } else { 0 };
        self.obstacles.get(index).copied()
    }

    /// A box of the track's width on the ground.
    fn block(&self, course: &mut Course, obstacle: Obstacle, length: f64, height: f64) {
        let half = [0.5 * length, self.ranges.half_width, 0.5 * (height + ROOTED)];
        let center = [course.end() + half[0], 0.0, height - half[2]];
        course.slabs.push(Slab { center, half, pitch: 0.0, color: obstacle.color() });
    }

    /// The ground from `start` to where the track ends so far, down to the floor of the gaps.
    fn ground(&self, course: &mut Course, start: f64) {
        let half = [0.5 * (course.end() - start), self.ranges.half_width, 0.5 * self.ranges.gap_depth];
        let center = [start + half[0], 0.0, -half[2]];
        course.slabs.push(Slab { center, half, pitch: 0.0, color: Obstacle::Gap.color() });
    }

    /// A wall from its side's edge of the track to `edge`.
    fn wall(&self, course: &mut Course, length: f64, side: f64, edge: f64) {
        let Ranges { half_width, wall_height: height, .. } = self.ranges;
        let (start, width) = (course.end(), (side * half_width - edge).abs());
        let half = [0.5 * length, 0.5 * width, 0.5 * (height + ROOTED)];
        let center = [start + half[0], f64::midpoint(side * half_width, edge), height - half[2]];
        course.slabs.push(Slab { center, half, pitch: 0.0, color: Obstacle::Wall.color() });
        course.walls.push(Wall { start, end: start + length, side, edge, height });
        course.level(length);
    }

    /// Slopes up and down, the last of which returns to the level ground. Each is an obstacle.
    fn slopes(&self, course: &mut Course, random: &mut RandomState, ease: f64) {
        let ranges = &self.ranges;
        let [fewest, most] = ranges.series;
        let count = match self.terrain {
            // Until the course is full.
            Terrain::Variable => usize::MAX,
            _ => fewest + (random.random_sample() * (most - fewest + 1) as f64) as usize,
        };
        let (mut height, mut made) = (0.0, 0);
        while made < count && course.end() + ranges.slope_length[1] <= ranges.length {
            let length = uniform(random, ranges.slope_length);
            let [least, greatest] = ranges.slope_rise;
            let rise = random.uniform(least, least + ease * (greatest - least));
            let up = random.random_sample() < 0.5;
            // What would leave the range goes the other way.
            let up = if up { height + rise <= ranges.slope_top } else { height - rise < 0.0 };
            let next = (if up { height + rise } else { height - rise }).clamp(0.0, ranges.slope_top);
            self.slope(course, length, [height, next]);
            (height, made) = (next, made + 1);
        }
        if height > 0.0 {
            self.slope(course, ranges.slope_length[0].max(height / ranges.steepest()), [height, 0.0]);
        }
    }

    /// A slope whose upper face goes from the first height to the second.
    fn slope(&self, course: &mut Course, length: f64, heights: [f64; 2]) {
        let (start, rise) = (course.end(), heights[1] - heights[0]);
        let (face, pitch) = (length.hypot(rise), -rise.atan2(length));
        let half = [0.5 * face, self.ranges.half_width, 0.5 * SLOPE_THICKNESS];
        let middle = [start + 0.5 * length, f64::midpoint(heights[0], heights[1])];
        // From the middle of the face into the box.
        let center = [middle[0] - half[2] * pitch.sin(), 0.0, middle[1] - half[2] * pitch.cos()];
        course.slabs.push(Slab { center, half, pitch, color: Obstacle::Slopes.color() });
        course.push(length, heights, heights);
        course.ends.push(course.end());
    }
}

fn uniform(random: &mut RandomState, [from, to]: [f64; 2]) -> f64 {
    random.uniform(from, to)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "level ground has the same number at both ends")]
mod tests {
    use super::super::course::Stretch;
    use super::*;

    const BODIES: [Body; 2] = [Body::Walker, Body::Humanoid];

    fn is_possible(body: Body, terrain: Terrain) -> bool {
        body == Body::Humanoid || terrain != Terrain::Slalom
    }

    /// As many obstacles as there can be.
    fn dense(ranges: Ranges) -> Ranges {
        let least = |[from, _]: [f64; 2]| [from; 2];
        Ranges {
            spacing: [1.0; 2],
            hurdle_length: least(ranges.hurdle_length),
            gap_length: least(ranges.gap_length),
            platform_length: least(ranges.platform_length),
            slope_length: least(ranges.slope_length),
            wall_length: least(ranges.wall_length),
            ..ranges
        }
    }

    #[test]
    fn courses_are_whole_within_their_ranges_and_never_of_more_boxes_than_the_pool() {
        let all = BODIES.into_iter().flat_map(|body| Terrain::ALL.map(|terrain| (body, terrain)));
        let possible = all.filter(|(body, terrain)| is_possible(*body, *terrain));
        let kinds = possible.flat_map(|(body, terrain)| {
            [Ranges::of(body), dense(Ranges::of(body))].map(|ranges| (body, terrain, ranges))
        });
        for (body, terrain, ranges) in kinds {
            let (pool, draughtsman) = (ranges.boxes(terrain).expect("a pool"), Draughtsman::new(body, terrain, ranges));
            let (mut course, mut random) = (Course::new(), RandomState::new(8));
            for _ in 0..200 {
                draughtsman.draw(&mut course, &mut random);
                assert!(course.slabs.len() <= pool, "{body:?} on {terrain:?}: {} of {pool}", course.slabs.len());
                let (first, last) = (course.stretches[0], course.stretches[course.stretches.len() - 1]);
                assert!(first.start <= -BEHIND && first.end >= ranges.run_up - 1e-9, "{first:?}");
                assert!(last.end >= ranges.length + BEYOND - 1e-9, "{last:?}");
                for pair in course.stretches.windows(2) {
                    assert!((pair[0].end - pair[1].start).abs() < 1e-9 && pair[0].end > pair[0].start, "{pair:?}");
                }
                let least = if terrain == Terrain::Flat { 0 } else { 8 };
                assert!(course.ends.len() >= least && course.ends.is_sorted(), "{terrain:?}: {:?}", course.ends);
                for pair in course.walls.windows(2) {
                    assert!(pair[0].side * pair[1].side < 0.0 && pair[0].side * pair[0].edge < 0.0, "{pair:?}");
                }
                for stretch in &course.stretches {
                    let steep = (stretch.surface[1] - stretch.surface[0]).abs() / (stretch.end - stretch.start);
                    assert!(steep < ranges.steepest() + 1e-9, "{stretch:?}");
                    assert!(
                        stretch.surface[0] >= -ranges.gap_depth && stretch.surface[0] <= ranges.slope_top,
                        "{stretch:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_curriculum_is_easy_first_and_a_mixture_is_not() {
        let ranges = Ranges::of(Body::Walker);
        // Greatest deviations from level ground in the first and the last quarter of many courses.
        let hardest = |terrain| {
            let draughtsman = Draughtsman::new(Body::Walker, terrain, ranges);
            let (mut course, mut random) = (Course::new(), RandomState::new(0));
            let mut most = [0.0_f64; 2];
            for _ in 0..50 {
                draughtsman.draw(&mut course, &mut random);
                for stretch in course.stretches.iter().filter(|stretch| stretch.footing[0] == stretch.footing[1]) {
                    let half = usize::from(stretch.start > 0.75 * ranges.length);
                    if half == 1 || stretch.start < 0.25 * ranges.length {
                        most[half] = most[half].max(stretch.surface[0]);
                    }
                }
            }
            most
        };
        let ([first, last], [mixed, _]) = (hardest(Terrain::Curriculum), hardest(Terrain::Mixed));
        assert!(first < 0.2 && last > 0.4 && mixed > 0.4, "{first} m, then {last} m, not {mixed} m");
    }

    /// In a mixed course every kind of obstacle occurs.
    #[test]
    fn a_mixture_has_everything() {
        let draughtsman = Draughtsman::new(Body::Humanoid, Terrain::Mixed, Ranges::of(Body::Humanoid));
        let (mut course, mut random) = (Course::new(), RandomState::new(0));
        let mut seen = [0; 5];
        for _ in 0..20 {
            draughtsman.draw(&mut course, &mut random);
            let count = |is: fn(&&Stretch) -> bool| course.stretches.iter().filter(is).count();
            seen[0] +=
                count(|stretch| stretch.surface[0] > 0.0 && stretch.footing[0] == 0.0 && stretch.footing[1] == 0.0);
            seen[1] += count(|stretch| stretch.surface[0] < 0.0);
            seen[2] += count(|stretch| stretch.footing[0] > 0.0 && stretch.footing[0] == stretch.footing[1]);
            seen[3] += count(|stretch| stretch.footing[0] != stretch.footing[1]);
            seen[4] += course.walls.len();
        }
        assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
    }
}
