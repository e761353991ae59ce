//! The tasks: every body on every terrain that it can run over.

use super::profile::{SAMPLES, WALLS_SEEN};
use super::{Body, EPISODE_STEPS, Terrain};
use crate::EnvError;

/// What is known of a task before it is made.
#[derive(Debug, Clone, Copy)]
pub struct TaskInfo {
    /// Its name with the prefix, e.g. `parkour/walker-hurdles`.
    pub name: &'static str,
    /// Who runs.
    pub body: Body,
    /// What the course is made of.
    pub terrain: Terrain,
    /// Lengths of the observation's parts: `proprioception` and `terrain`.
    pub parts: [usize; 2],
    /// Length of an action.
    pub action: usize,
    /// Simulated seconds per step.
    pub control_timestep: f64,
    /// Steps after which the time limit ends an episode.
    pub episode_steps: usize,
}

impl TaskInfo {
    /// Length of the flat observation.
    #[must_use]
    pub const fn observation(&self) -> usize {
        self.parts[0] + self.parts[1]
    }
}

const fn walker(name: &'static str, terrain: Terrain) -> TaskInfo {
    task(name, Body::Walker, terrain, [20, SAMPLES], 6)
}

const fn humanoid(name: &'static str, terrain: Terrain) -> TaskInfo {
    task(name, Body::Humanoid, terrain, [71, SAMPLES + WALLS_SEEN], 21)
}

const fn task(name: &'static str, body: Body, terrain: Terrain, parts: [usize; 2], action: usize) -> TaskInfo {
    let control_timestep = body.control_timestep();
    TaskInfo { name, body, terrain, parts, action, control_timestep, episode_steps: EPISODE_STEPS }
}

static TASKS: [TaskInfo; 15] = [
    humanoid("parkour/humanoid-curriculum", Terrain::Curriculum),
    humanoid("parkour/humanoid-flat", Terrain::Flat),
    humanoid("parkour/humanoid-gaps", Terrain::Gaps),
    humanoid("parkour/humanoid-hurdles", Terrain::Hurdles),
    humanoid("parkour/humanoid-mixed", Terrain::Mixed),
    humanoid("parkour/humanoid-platforms", Terrain::Platforms),
    humanoid("parkour/humanoid-slalom", Terrain::Slalom),
    humanoid("parkour/humanoid-terrain", Terrain::Variable),
    walker("parkour/walker-curriculum", Terrain::Curriculum),
    walker("parkour/walker-flat", Terrain::Flat),
    walker("parkour/walker-gaps", Terrain::Gaps),
    walker("parkour/walker-hurdles", Terrain::Hurdles),
    walker("parkour/walker-mixed", Terrain::Mixed),
    walker("parkour/walker-platforms", Terrain::Platforms),
    walker("parkour/walker-terrain", Terrain::Variable),
];

/// All tasks, in alphabetical order.
#[must_use]
pub fn tasks() -> &'static [TaskInfo] {
    &TASKS
}

/// The task called `name`.
///
/// # Errors
///
/// [`EnvError::UnknownTask`], which names the nearest one.
///
/// ```
/// let error = mpo_envs::parkour::find("parkour/walker-hurdels").expect_err("a misspelt name");
/// assert!(error.to_string().starts_with("unknown task `parkour/walker-hurdels`; the nearest is `parkour/walker-hurdles`"));
/// ```
pub fn find(name: &str) -> Result<&'static TaskInfo, EnvError> {
    TASKS.iter().find(|task| task.name == name).ok_or_else(|| {
        let nearest = TASKS.iter().min_by_key(|task| strsim::damerau_levenshtein(task.name, name));
        EnvError::UnknownTask { name: name.to_owned(), nearest: nearest.map_or("", |task| task.name) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_body_and_terrain_in_order() {
        assert!(tasks().is_sorted_by_key(|task| task.name));
        for task in tasks() {
            let body = if task.body == Body::Walker { "walker" } else { "humanoid" };
            assert_eq!(task.name, format!("parkour/{body}-{}", task.terrain.name()));
        }
        let count = |body| tasks().iter().filter(|task| task.body == body).count();
        assert_eq!([count(Body::Walker), count(Body::Humanoid)], [7, 8]);
    }
}
