//! The task: a body on a course.

use super::course::Course;
use super::draughtsman::Draughtsman;
use super::pool::Pool;
use super::profile::{self, SAMPLES};
use super::runner::Runner;
use super::{Body, Ranges};
use crate::mjcf::{Observation, Task};
use crate::mujoco::{Fault, Physics};
use crate::{Progress, RandomState};

pub(super) struct Traversal {
    pub(super) runner: Box<dyn Runner>,
    pub(super) pool: Pool,
    pub(super) draughtsman: Draughtsman,
    pub(super) course: Course,
    body: Body,
    length: f64,
    half_width: f64,
    places: [f64; SAMPLES],
}

impl Traversal {
    pub(super) fn new(
        body: Body,
        ranges: &Ranges,
        runner: Box<dyn Runner>,
        pool: Pool,
        draughtsman: Draughtsman,
    ) -> Self {
        let Ranges { length, half_width, .. } = *ranges;
        let (course, places) = (Course::new(), profile::places());
        Self { runner, pool, draughtsman, course, body, length, half_width, places }
    }

    /// Of the torso above its footing.
    fn height(&self, physics: &Physics) -> f64 {
        let [x, _, z] = self.runner.position(physics);
        z - self.course.footing(x)
    }
}

impl Task for Traversal {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        self.draughtsman.draw(&mut self.course, random);
        self.pool.lay(physics, &self.course.slabs);
        self.runner.place(physics, random);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        let [x, y, z] = self.runner.position(physics);
        self.runner.proprioception(physics, self.height(physics), observation.part("proprioception"));
        // Level ground is zero to a torso at the height at which it stands.
        let level = z - self.runner.standing();
        self.course.observe_heights([x, y], level, &self.places, observation.part("terrain"));
        if self.body == Body::Humanoid {
            self.course.observe_walls([x, y], observation);
        }
    }

    fn reward(&self, physics: &Physics) -> f64 {
        self.runner.reward(physics)
    }

    fn terminates(&self, physics: &Physics) -> bool {
        let [_, y, _] = self.runner.position(physics);
        self.runner.fallen(physics, self.height(physics)) || y.abs() > self.half_width
    }

    fn finishes(&self, physics: &Physics) -> bool {
        self.runner.position(physics)[0] >= self.length
    }

    fn progress(&self, physics: &Physics) -> Option<Progress> {
        let distance = self.runner.position(physics)[0];
        Some(Progress { distance, obstacles: self.course.passed(distance) })
    }
}
