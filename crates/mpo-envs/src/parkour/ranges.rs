//! Every number that a course is drawn from. None was published, so these are ours, and they have a version.
//!
//! | version | date | what changed |
//! |---|---|---|
//! | 1 | 2026-11-23 | the first |

use super::{Body, Terrain};
use crate::EnvError;

/// Version of the ranges that [`Ranges::of`] returns. Returns on courses of different versions cannot be compared.
pub const VERSION: u32 = 1;

/// Metres of level ground behind the start and beyond the end of every course.
pub(super) const BEHIND: f64 = 10.0;
pub(super) const BEYOND: f64 = 20.0;
/// Boxes of which a pool has at most so many: each costs time in every step, wherever it lies.
pub(super) const MOST_BOXES: usize = 200;
/// A course longer than this is a mistake.
const LONGEST: f64 = 1000.0;

/// What courses are drawn from: metres all, `[from, to]` where a quantity is drawn uniformly.
///
/// Of heights, widths and reaches the lower end is the easy one: a [`Terrain::Curriculum`] draws from the lower end at
/// the first obstacle, and from the whole range at the last.
///
/// | | walker | humanoid |
/// |---|---|---|
/// | `length` | 80 | 80 |
/// | `run_up` | 4 | 4 |
/// | `half_width` | 2 | 2 |
/// | `spacing` | 3 to 6 | 3 to 6 |
/// | `hurdle_height` | 0.1 to 0.4 | 0.05 to 0.3 |
/// | `hurdle_length` | 0.1 to 0.3 | 0.1 to 0.3 |
/// | `gap_length` | 0.2 to 0.9 | 0.15 to 0.6 |
/// | `gap_depth` | 2 | 2 |
/// | `platform_height` | 0.1 to 0.5 | 0.05 to 0.3 |
/// | `platform_length` | 2 to 5 | 2 to 5 |
/// | `slope_length` | 1 to 2.5 | 1 to 2.5 |
/// | `slope_rise` | 0.05 to 0.35 | 0.03 to 0.25 |
/// | `slope_top` | 0.8 | 0.6 |
/// | `series` | 3 to 6 slopes | 3 to 6 slopes |
/// | `wall_reach` | - | 0.1 to 0.8 |
/// | `wall_length` | - | 0.2 to 0.2 |
/// | `wall_height` | - | 2 |
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranges {
    /// From the start to the end of the course.
    pub length: f64,
    /// Level ground before the first obstacle.
    pub run_up: f64,
    /// From the centre line to the edge of the track; who crosses the edge has fallen.
    pub half_width: f64,
    /// Level ground between two obstacles.
    pub spacing: [f64; 2],
    /// Height of a hurdle.
    pub hurdle_height: [f64; 2],
    /// A hurdle's extent along the track.
    pub hurdle_length: [f64; 2],
    /// From edge to edge of a gap.
    pub gap_length: [f64; 2],
    /// How far below the track a gap's floor is.
    pub gap_depth: f64,
    /// Height of a platform.
    pub platform_height: [f64; 2],
    /// A platform's extent along the track.
    pub platform_length: [f64; 2],
    /// A slope's extent along the track. Slopes follow each other without level ground between.
    pub slope_length: [f64; 2],
    /// How much a slope rises or falls.
    pub slope_rise: [f64; 2],
    /// Greatest height of a slope's ends; the least is that of the level ground.
    pub slope_top: f64,
    /// How many slopes follow each other, one to return to the level ground not counted, where they are one obstacle of many. On
    /// a course of nothing else they fill it.
    pub series: [usize; 2],
    /// How far a slalom's wall reaches beyond the centre line. Walls come from the left and from the right by turns.
    pub wall_reach: [f64; 2],
    /// A wall's extent along the track.
    pub wall_length: [f64; 2],
    /// Height of a wall.
    pub wall_height: f64,
}

impl Ranges {
    /// The ranges of [`VERSION`].
    #[must_use]
    pub fn of(body: Body) -> Self {
        let walker = Self {
            length: 80.0,
            run_up: 4.0,
            half_width: 2.0,
            spacing: [3.0, 6.0],
            hurdle_height: [0.1, 0.4],
            hurdle_length: [0.1, 0.3],
            gap_length: [0.2, 0.9],
            gap_depth: 2.0,
            platform_height: [0.1, 0.5],
            platform_length: [2.0, 5.0],
            slope_length: [1.0, 2.5],
            slope_rise: [0.05, 0.35],
            slope_top: 0.8,
            series: [3, 6],
            wall_reach: [0.1, 0.8],
            wall_length: [0.2, 0.2],
            wall_height: 2.0,
        };
        match body {
            Body::Walker => walker,
            Body::Humanoid => Self {
                hurdle_height: [0.05, 0.3],
                gap_length: [0.15, 0.6],
                platform_height: [0.05, 0.3],
                slope_rise: [0.03, 0.25],
                slope_top: 0.6,
                ..walker
            },
        }
    }

    /// Whether courses can be drawn, of all terrains.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        let impossible = |quantity, reason: String| Err(EnvError::ImpossibleCourse { quantity, reason });
        let intervals = [
            ("spacing", self.spacing),
            ("hurdle_height", self.hurdle_height),
            ("hurdle_length", self.hurdle_length),
            ("gap_length", self.gap_length),
            ("platform_height", self.platform_height),
            ("platform_length", self.platform_length),
            ("slope_length", self.slope_length),
            ("slope_rise", self.slope_rise),
            ("wall_reach", self.wall_reach),
            ("wall_length", self.wall_length),
        ];
        let lengths = [
            ("length", self.length),
            ("run_up", self.run_up),
            ("half_width", self.half_width),
            ("gap_depth", self.gap_depth),
            ("slope_top", self.slope_top),
            ("wall_height", self.wall_height),
        ];
        for (name, [from, to]) in intervals.into_iter().chain(lengths.map(|(name, length)| (name, [length; 2]))) {
            if !(from > 0.0 && to <= LONGEST) {
                return impossible(name, format!("from {from} m to {to} m is not within 0 and {LONGEST} m"));
            }
            if from > to {
                return impossible(name, format!("its lower end of {from} m is above its upper end of {to} m"));
            }
        }
        let [fewest, most] = self.series;
        if fewest == 0 || fewest > most || most > MOST_BOXES {
            return impossible("series", format!("from {fewest} to {most} is not within 1 and {MOST_BOXES} slopes"));
        }
        if self.run_up >= self.length {
            return impossible(
                "run_up",
                format!("{} m leave none of the {} m of the course", self.run_up, self.length),
            );
        }
        if self.wall_reach[1] >= self.half_width {
            let reason =
                format!("{} m reach the track's edge at {} m: no way around", self.wall_reach[1], self.half_width);
            return impossible("wall_reach", reason);
        }
        if self.slope_rise[1] > self.slope_length[0] {
            let reason =
                format!("{} m within {} m are steeper than 45 degrees", self.slope_rise[1], self.slope_length[0]);
            return impossible("slope_rise", reason);
        }
        Ok(())
    }

    /// Greatest slope, rise over length.
    pub(super) fn steepest(&self) -> f64 {
        self.slope_rise[1] / self.slope_length[0]
    }

    /// Most boxes that a course of `terrain` needs.
    ///
    /// # Errors
    ///
    /// [`EnvError::CourseTooLong`] if they are more than a pool has.
    pub(super) fn boxes(&self, terrain: Terrain) -> Result<usize, EnvError> {
        // Boxes of an obstacle, and the least that it takes of the track.
        let series = self.series[1] as f64 + 1.0;
        let slopes = (series, series * self.slope_length[0] + self.spacing[0]);
        let alone = |length: [f64; 2]| (1.0, length[0] + self.spacing[0]);
        let kinds = match terrain {
            Terrain::Flat => return Ok(0),
            Terrain::Hurdles => vec![alone(self.hurdle_length)],
            Terrain::Gaps => vec![alone(self.gap_length)],
            Terrain::Platforms => vec![alone(self.platform_length)],
            Terrain::Variable => vec![(1.0, self.slope_length[0])],
            Terrain::Slalom => vec![alone(self.wall_length)],
            Terrain::Mixed | Terrain::Curriculum => {
                vec![
                    alone(self.hurdle_length),
                    alone(self.gap_length),
                    alone(self.platform_length),
                    alone(self.wall_length),
                    slopes,
                ]
            }
        };
        let densest = kinds.iter().map(|(boxes, length)| boxes / length).fold(0.0, f64::max);
        // One more obstacle may end at the very end; ground lies on both sides of gaps; a slope leads back.
        let most = (densest * (self.length - self.run_up)).ceil() as usize + self.series[1] + 3;
        if most > MOST_BOXES {
            return Err(EnvError::CourseTooLong { length: self.length, boxes: most, most: MOST_BOXES });
        }
        Ok(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_of_both_bodies_can_be_drawn_from() {
        for body in [Body::Walker, Body::Humanoid] {
            let ranges = Ranges::of(body);
            ranges.check().expect("ranges of ours");
            for terrain in Terrain::ALL {
                assert!(ranges.boxes(terrain).expect("a pool") < MOST_BOXES, "{body:?} on {terrain:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let good = Ranges::of(Body::Humanoid);
        let refused = |ranges: Ranges, part: &str| {
            let error = ranges.check().expect_err("impossible").to_string();
            assert!(error.contains(part), "{part:?} is not in: {error}");
        };
        refused(Ranges { hurdle_height: [0.4, 0.1], ..good }, "`hurdle_height`: its lower end of 0.4 m is above");
        refused(Ranges { gap_length: [-0.1, 0.1], ..good }, "`gap_length`: from -0.1 m to 0.1 m is not within 0");
        refused(Ranges { spacing: [f64::NAN, 1.0], ..good }, "`spacing`");
        refused(Ranges { platform_length: [1.0, f64::INFINITY], ..good }, "`platform_length`");
        refused(Ranges { length: 3.0, ..good }, "`run_up`: 4 m leave none of the 3 m");
        refused(Ranges { wall_reach: [0.1, 2.0], ..good }, "`wall_reach`: 2 m reach the track's edge at 2 m");
        refused(Ranges { slope_rise: [0.1, 1.1], ..good }, "`slope_rise`: 1.1 m within 1 m are steeper");
        refused(Ranges { series: [4, 3], ..good }, "`series`");
        let error = Ranges { length: 900.0, ..good }.boxes(Terrain::Variable).expect_err("too long").to_string();
        assert!(error.contains("a course of 900 m may need 905 boxes, and a pool has at most 200"), "{error}");
    }
}
