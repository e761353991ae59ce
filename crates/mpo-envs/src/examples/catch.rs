//! An object falls over a grid and a paddle below is to catch it: a task that is seen and not told, without MuJoCo.

use mpo_envs::{EnvError, Environment, FrameSpec, RandomState, Spec, StepType, TimeStep};

const NAME: &str = "example/catch";
/// Cells of the grid along each side. The object falls one cell per step, from the top row to the bottom row.
pub(super) const CELLS: usize = 12;
/// Steps of an episode: the object's falls.
pub(super) const STEPS: usize = CELLS - 1;
/// Left, stay, right.
pub(super) const ACTIONS: usize = 3;
/// Columns beside the paddle's middle that it covers.
const REACH: usize = 1;

struct Catch {
    spec: Spec,
    random: RandomState,
    /// Where the object falls, and the paddle's middle.
    column: usize,
    paddle: usize,
    /// The object's row, which is also the steps made.
    row: usize,
    frame: Vec<u8>,
}

/// The environment; `seed` decides where objects fall and where the paddle starts. Frames are `side` x `side` bytes, the object
/// one cell of 255 and the paddle three of 128 in the bottom row; an observation is `stack` of them. Actions: 0 left, 1 stay,
/// 2 right. After 11 steps the reward is 1 if the paddle is under the object, otherwise -1, and the episode is over. Wherever
/// they start, the best return is 1; chance has about -0.5.
///
/// # Panics
///
/// If `side` is less than 12, the grid's cells, or `stack` is 0.
#[must_use]
pub fn catch(seed: u32, side: usize, stack: usize) -> Box<dyn Environment> {
    assert!(side >= CELLS && stack > 0, "frames of side {side} in stacks of {stack}");
    let spec = Spec {
        observation: Vec::new(),
        frame: Some(FrameSpec { height: side, width: side, stack }),
        discrete_actions: Some(ACTIONS),
        action_minimum: vec![0.0],
        action_maximum: vec![(ACTIONS - 1) as f64],
        control_timestep: 0.1,
        episode_steps: STEPS,
    };
    let random = RandomState::new(seed);
    Box::new(Catch { spec, random, column: 0, paddle: REACH, row: STEPS, frame: vec![0; side * side] })
}

impl Catch {
    /// Draws the grid and says what happened.
    fn time_step(&mut self, step_type: StepType) -> TimeStep<'_> {
        let side = self.spec.frame.map_or(0, |frame| frame.width);
        let cell = side / CELLS;
        self.frame.fill(0);
        let mut draw = |row: usize, columns: std::ops::Range<usize>, grey: u8| {
            for line in self.frame.chunks_exact_mut(side).skip(row * cell).take(cell) {
                line[columns.start * cell..columns.end * cell].fill(grey);
            }
        };
        draw(STEPS, self.paddle - REACH..self.paddle + REACH + 1, 128);
        draw(self.row, self.column..self.column + 1, 255);
        let caught = self.column.abs_diff(self.paddle) <= REACH;
        let (reward, discount) = match step_type {
            // The catch is the end, and no time limit.
            StepType::Last => (if caught { 1.0 } else { -1.0 }, 0.0),
            StepType::First | StepType::Mid => (0.0, 1.0),
        };
        TimeStep { step_type, reward, discount, observation: &[], frame: &self.frame }
    }

    fn below(&mut self, count: usize) -> usize {
        (self.random.random_sample() * count as f64) as usize
    }
}

impl Environment for Catch {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.column = self.below(CELLS);
        self.paddle = REACH + self.below(CELLS - 2 * REACH);
        self.row = 0;
        Ok(self.time_step(StepType::First))
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert_eq!(action.len(), 1, "length of the action for `{NAME}`");
        if self.row >= STEPS {
            return self.reset();
        }
        let index = self.spec.action_index(NAME, action[0]).inspect_err(|_| self.row = STEPS)?;
        self.paddle = (self.paddle + index).saturating_sub(1).clamp(REACH, STEPS - REACH);
        self.row += 1;
        Ok(self.time_step(if self.row == STEPS { StepType::Last } else { StepType::Mid }))
    }

    fn save_state(&self) -> Vec<u8> {
        self.random.to_bytes()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let reason = || "the bytes are no random stream".to_owned();
        self.random =
            RandomState::from_bytes(state).ok_or_else(|| EnvError::InvalidState { task: NAME, reason: reason() })?;
        self.row = STEPS;
        Ok(())
    }
}
