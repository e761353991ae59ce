//! A pole that hangs from a weak motor is to be swung up and held: an environment without MuJoCo.

use std::f64::consts::PI;

use mpo_envs::{EnvError, Environment, ObservationPart, RandomState, Spec, StepType, TimeStep};

const NAME: &str = "example/pendulum";
/// Seconds per step.
const TIMESTEP: f64 = 0.05;
const EPISODE_STEPS: usize = 200;
/// Angular acceleration in rad/s^2 by gravity with the pole level, and by the motor at full power.
const GRAVITY: f64 = 15.0;
const MOTOR: f64 = 6.0;
/// Greatest angular velocity in rad/s.
const FASTEST: f64 = 8.0;

struct Pendulum {
    spec: Spec,
    random: RandomState,
    /// Radians from upright.
    angle: f64,
    /// Radians per second.
    velocity: f64,
    step: usize,
    observation: [f64; 3],
}

/// The environment; `seed` decides the start states. 3 observations, 1 action, 200 steps of 0.05 s.
#[must_use]
pub fn pendulum(seed: u32) -> Box<dyn Environment> {
    let parts = [("orientation", 2), ("velocity", 1)];
    let spec = Spec {
        observation: parts.map(|(name, len)| ObservationPart { name: name.to_owned(), len }).to_vec(),
        frame: None,
        discrete_actions: None,
        action_minimum: vec![-1.0],
        action_maximum: vec![1.0],
        control_timestep: TIMESTEP,
        episode_steps: EPISODE_STEPS,
    };
    let random = RandomState::new(seed);
    Box::new(Pendulum { spec, random, angle: 0.0, velocity: 0.0, step: EPISODE_STEPS, observation: [0.0; 3] })
}

impl Pendulum {
    fn time_step(&mut self, step_type: StepType, reward: f64) -> TimeStep<'_> {
        self.observation = [self.angle.cos(), self.angle.sin(), self.velocity];
        // The time limit is no termination: the discount stays 1.
        TimeStep { step_type, reward, discount: 1.0, observation: &self.observation, frame: &[] }
    }
}

impl Environment for Pendulum {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.angle = self.random.uniform(-PI, PI);
        (self.velocity, self.step) = (0.0, 0);
        Ok(self.time_step(StepType::First, 0.0))
    }

    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert_eq!(action.len(), 1, "length of the action for `{NAME}`");
        if self.step >= EPISODE_STEPS {
            return self.reset();
        }
        if !action[0].is_finite() {
            let time = TIMESTEP * self.step as f64;
            self.step = EPISODE_STEPS;
            return Err(EnvError::NonFiniteAction { task: NAME, time, index: 0, value: action[0] });
        }
        let acceleration = GRAVITY * self.angle.sin() + MOTOR * action[0].clamp(-1.0, 1.0);
        self.velocity = (self.velocity + acceleration * TIMESTEP).clamp(-FASTEST, FASTEST);
        self.angle += self.velocity * TIMESTEP;
        self.step += 1;
        let step_type = if self.step == EPISODE_STEPS { StepType::Last } else { StepType::Mid };
        Ok(self.time_step(step_type, f64::midpoint(1.0, self.angle.cos())))
    }

    /// All that the next reset depends on.
    fn save_state(&self) -> Vec<u8> {
        self.random.to_bytes()
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let reason = || "the bytes are no random stream".to_owned();
        self.random =
            RandomState::from_bytes(state).ok_or_else(|| EnvError::InvalidState { task: NAME, reason: reason() })?;
        self.step = EPISODE_STEPS;
        Ok(())
    }
}
