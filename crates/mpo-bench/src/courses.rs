//! What there is to say of parkour's tasks besides returns: how far a runner got, and how long the paper's learners took.

use mpo_agent::Algorithm;

/// What names of parkour's tasks begin with.
const PREFIX: &str = "parkour/";
/// What those of the walker begin with, for which alone the paper says how long learning took.
const WALKER: &str = "parkour/walker-";

/// The return of a whole course that was run well, about: 12.5 per metre of 80, and what being upright earns.
pub const WHOLE: f64 = 1000.0;

/// Whether `task` is a course.
#[must_use]
pub fn is_course(task: &str) -> bool {
    task.starts_with(PREFIX)
}

/// How a course is called among courses: `walker-hurdles`.
#[must_use]
pub fn title(task: &str) -> &str {
    task.strip_prefix(PREFIX).unwrap_or(task)
}

/// What learning is counted in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Axis {
    /// Environment steps: samples.
    #[default]
    Steps,
    /// Training episodes: trajectories.
    Trajectories,
}

/// How much a learner of the paper needed until it had solved a task (Abdolmaleki et al. 2018, Figure 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The learner.
    pub algorithm: Algorithm,
    /// On which axis.
    pub axis: Axis,
    /// Environment steps or training episodes, about.
    pub at: u64,
}

/// The walker's: of PPO's samples the paper says nothing.
const MARKS: [Mark; 3] = [
    Mark { algorithm: Algorithm::Mpo, axis: Axis::Steps, at: 60_000_000 },
    Mark { algorithm: Algorithm::Mpo, axis: Axis::Trajectories, at: 70_000 },
    Mark { algorithm: Algorithm::Ppo, axis: Axis::Trajectories, at: 1_000_000 },
];

/// What the paper says of `task` on an axis.
#[must_use]
pub fn marks(task: &str, axis: Axis) -> Vec<Mark> {
    let known = task.starts_with(WALKER);
    MARKS.into_iter().filter(|mark| known && mark.axis == axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paper_speaks_of_the_walker() {
        let at = |task, axis| marks(task, axis).iter().map(|mark| mark.at).collect::<Vec<_>>();
        assert_eq!(at("parkour/walker-mixed", Axis::Steps), [60_000_000]);
        assert_eq!(at("parkour/walker-flat", Axis::Trajectories), [70_000, 1_000_000]);
        assert!(marks("parkour/humanoid-flat", Axis::Steps).is_empty() && marks("walker-run", Axis::Steps).is_empty());
        assert_eq!((title("parkour/walker-flat"), is_course("walker-walk")), ("walker-flat", false));
    }
}
