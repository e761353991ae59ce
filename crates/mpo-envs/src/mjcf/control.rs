//! The environment that a task lives in: `dm_control.rl.control.Environment`.

use crate::mujoco::{Fault, Physics};
use crate::render::Scene;
use crate::{EnvError, Environment, ObservationPart, Progress, RandomState, Spec, StepType, TimeStep};

/// What distinguishes one task from another on the same physics.
pub trait Task: Send {
    /// Draws a start state into the freshly reset physics: positions and velocities, and what of the model varies from
    /// episode to episode. All that is random comes from `random`, whose state is part of checkpoints.
    ///
    /// # Errors
    ///
    /// What [`Physics`]'s functions return, passed on.
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault>;

    /// Appends the observation of the present state, part by part; always the same parts with the same lengths.
    fn observe(&self, physics: &Physics, observation: &mut Observation);

    /// Reward of the present state and controls.
    fn reward(&self, physics: &Physics) -> f64;

    /// Whether the present state ends the episode for good, so that nothing follows it (discount 0). Time limits are
    /// none of a task's business.
    fn terminates(&self, physics: &Physics) -> bool {
        let _ = physics;
        false
    }

    /// Whether the present state ends the episode although more could follow it (discount 1), as a time limit does: the end
    /// of a course.
    fn finishes(&self, physics: &Physics) -> bool {
        let _ = physics;
        false
    }

    /// How far the present state is, for reports; `None` where there is nowhere to get to.
    fn progress(&self, physics: &Physics) -> Option<Progress> {
        let _ = physics;
        None
    }
}

/// A task with its simulation and timing.
pub(crate) struct Setup {
    pub(crate) physics: Physics,
    pub(crate) task: Box<dyn Task>,
    /// Seconds of simulation in an episode.
    pub(crate) time_limit: f64,
    /// Seconds per action; `None` for one physics step.
    pub(crate) control_timestep: Option<f64>,
}

/// A flat observation under construction. Its memory is reused from step to step.
#[derive(Debug, Default)]
pub struct Observation {
    values: Vec<f64>,
    /// Names of the parts and where they start; only recorded while the spec is made.
    parts: Option<Vec<(&'static str, usize)>>,
}

impl Observation {
    /// Begins the part called `name`.
    pub fn part(&mut self, name: &'static str) -> &mut Self {
        if let Some(parts) = &mut self.parts {
            parts.push((name, self.values.len()));
        }
        self
    }

    /// Appends one number.
    pub fn push(&mut self, value: f64) -> &mut Self {
        self.values.push(value);
        self
    }

    /// Appends several numbers.
    pub fn extend(&mut self, values: &[f64]) -> &mut Self {
        self.values.extend_from_slice(values);
        self
    }

    /// All numbers so far.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}

/// A task in its episodes.
pub(crate) struct Control {
    name: &'static str,
    physics: Physics,
    task: Box<dyn Task>,
    random: RandomState,
    spec: Spec,
    substeps: usize,
    step_count: usize,
    reset_next_step: bool,
    observation: Observation,
}

impl Control {
    /// # Errors
    ///
    /// [`EnvError::InvalidModel`] when the control step is no multiple of the physics step, when the episode has no
    /// length, and when there is nothing to observe or to act with.
    pub(crate) fn new(name: &'static str, setup: Setup, seed: u32) -> Result<Self, EnvError> {
        let Setup { physics, task, time_limit, control_timestep } = setup;
        let timestep = physics.timestep();
        let invalid = |reason: String| Err(EnvError::InvalidModel { model: name.to_owned(), reason });
        let seconds = control_timestep.unwrap_or(timestep);
        let ratio = seconds / timestep;
        if ratio < 1.0 - 1e-8 || (ratio - ratio.round()).abs() > 1e-8 {
            return invalid(format!(
                "its physics step of {timestep} s does not divide the control step of {seconds} s; change one of them"
            ));
        }
        if !(time_limit.is_finite() && time_limit > 0.0) {
            return invalid(format!("an episode of {time_limit} s has no end or no step; give it another length"));
        }
        let substeps = ratio.round() as usize;
        let control_timestep = timestep * substeps as f64;
        let mut observation = Observation { values: Vec::new(), parts: Some(Vec::new()) };
        task.observe(&physics, &mut observation);
        if observation.values.is_empty() {
            return invalid("its task observes nothing; append to the observation".to_owned());
        }
        if physics.ctrl().is_empty() {
            return invalid("it has no actuators to act with; add some to the model".to_owned());
        }
        let spec = Spec {
            observation: observation_parts(&mut observation),
            frame: None,
            discrete_actions: None,
            action_minimum: action_bounds(&physics, 0, -UNLIMITED),
            action_maximum: action_bounds(&physics, 1, UNLIMITED),
            control_timestep,
            // An episode ends with the first step for which count >= time_limit / control_timestep.
            episode_steps: (time_limit / control_timestep).ceil() as usize,
        };
        Ok(Self {
            name,
            physics,
            task,
            random: RandomState::new(seed),
            spec,
            substeps,
            step_count: 0,
            reset_next_step: true,
            observation,
        })
    }

    /// The simulation in its present state, and how many physics steps make a control step.
    pub(crate) fn physics_mut(&mut self) -> (&mut Physics, usize) {
        (&mut self.physics, self.substeps)
    }

    fn error(&mut self, fault: Fault) -> EnvError {
        self.reset_next_step = true;
        match fault {
            Fault::Warning { time, names } => EnvError::Diverged { task: self.name, time, warning: names },
            Fault::NoFreeState { attempts } => EnvError::NoFreeState { task: self.name, attempts },
        }
    }

    fn start(&mut self) -> Result<(), Fault> {
        self.physics.reset();
        self.task.initialize_episode(&mut self.physics, &mut self.random)?;
        self.physics.after_reset()
    }

    fn time_step(&mut self, step_type: StepType, reward: f64, discount: f64) -> TimeStep<'_> {
        self.observation.values.clear();
        self.task.observe(&self.physics, &mut self.observation);
        TimeStep { step_type, reward, discount, observation: &self.observation.values, frame: &[] }
    }
}

/// MuJoCo's `mjMAXVAL`, the bound of a control that has none.
const UNLIMITED: f64 = 1e10;

fn action_bounds(physics: &Physics, end: usize, unlimited: f64) -> Vec<f64> {
    let ranges = physics.actuator_ctrlrange().iter().zip(physics.actuator_ctrllimited());
    ranges.map(|(range, limited)| if *limited { range[end] } else { unlimited }).collect()
}

fn observation_parts(observation: &mut Observation) -> Vec<ObservationPart> {
    let parts = observation.parts.take().unwrap_or_default();
    let ends = parts.iter().skip(1).map(|(_, start)| *start).chain([observation.values.len()]);
    let named = parts.iter().zip(ends);
    named.map(|((name, start), end)| ObservationPart { name: (*name).to_owned(), len: end - start }).collect()
}

impl Environment for Control {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.step_count = 0;
        if let Err(fault) = self.start() {
            return Err(self.error(fault));
        }
        self.reset_next_step = false;
        Ok(self.time_step(StepType::First, 0.0, 1.0))
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert_eq!(action.len(), self.spec.action_len(), "length of the action for `{}`", self.name);
        if self.reset_next_step {
            return self.reset();
        }
        if let Some((index, value)) = action.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            let time = self.physics.time();
            self.reset_next_step = true;
            return Err(EnvError::NonFiniteAction { task: self.name, time, index, value: *value });
        }
        self.physics.ctrl_mut().copy_from_slice(action);
        if let Err(fault) = self.physics.step(self.substeps) {
            return Err(self.error(fault));
        }
        let reward = self.task.reward(&self.physics);
        self.step_count += 1;
        let terminated = self.task.terminates(&self.physics);
        let finished = self.task.finishes(&self.physics) || self.step_count >= self.spec.episode_steps;
        self.reset_next_step = terminated || finished;
        let step_type = if self.reset_next_step { StepType::Last } else { StepType::Mid };
        Ok(self.time_step(step_type, reward, if terminated { 0.0 } else { 1.0 }))
    }

    fn save_state(&self) -> Vec<u8> {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.push(0);
        bytes.extend(self.random.to_bytes());
        for array in self.physics.variable_arrays() {
            bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let task = self.name;
        let invalid = |reason: &str| EnvError::InvalidState { task, reason: reason.to_owned() };
        let own_name = state.strip_prefix(task.as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
        let rest = own_name.ok_or_else(|| invalid("the bytes were saved by another task or are damaged"))?;
        let (random, model) =
            rest.split_at_checked(RandomState::BYTES).ok_or_else(|| invalid("the bytes end early"))?;
        let random = RandomState::from_bytes(random).ok_or_else(|| invalid("the random stream is damaged"))?;
        let numbers: usize = self.physics.variable_arrays().iter().map(|array| array.len()).sum();
        if model.len() != 8 * numbers {
            return Err(invalid(&format!("the model's part has {} bytes instead of {}", model.len(), 8 * numbers)));
        }
        let mut numbers = model.as_chunks::<8>().0.iter();
        self.physics.restore_variable_arrays(|| numbers.next().map_or(0.0, |bytes| f64::from_le_bytes(*bytes)));
        self.random = random;
        self.reset_next_step = true;
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        self.task.progress(&self.physics)
    }

    fn scene(&mut self, camera: usize) -> Option<Scene> {
        Some(self.physics.scene(camera))
    }

    fn physics(&mut self) -> Option<&mut Physics> {
        Some(&mut self.physics)
    }
}
