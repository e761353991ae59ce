//! Atari 2600 games on the real Arcade Learning Environment, ALE (Bellemare et al. 2013), release 0.12.1.
//!
//! ALE is free software under the GPL. Nothing of it is in this repository: `cargo xtask setup atari` fetches its source
//! package and builds a library in the cache, which is loaded at run time. The ROM files come with the package.
//!
//! ```no_run
//! use mpo_envs::Environment;
//! use mpo_envs::atari::{Atari, AtariOptions};
//!
//! let mut pong = Atari::load("pong", 0, &AtariOptions::default())?;
//! let step = pong.reset()?;
//! assert_eq!(step.frame.len(), 84 * 84);
//! assert_eq!(pong.spec().discrete_actions, Some(6));
//! # Ok::<(), mpo_envs::EnvError>(())
//! ```

mod frame;
mod games;
mod resize;
mod sys;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::assets::AtariAssets;
use crate::environment::Screen;
use crate::{EnvError, Environment, FrameSpec, RandomState, Spec, StepType, TimeStep};
use frame::Frames;
use sys::{Game, Library, Outcome};

pub use games::GameInfo;
pub use resize::Resize;
pub use sys::VERSION;

const PREFIX: &str = "atari/";
/// Frames that a console shows in a second.
const FRAME_RATE: f64 = 60.0;
/// ALE's number of the action that presses nothing.
const NO_OP: i32 = 0;
/// What a saved state begins with.
const STATE: &[u8; 8] = b"ale0.12\n";

/// All games, in alphabetical order.
///
/// ```
/// let pong = mpo_envs::atari::games().iter().find(|game| game.name == "atari/pong").expect("everyone's first game");
/// assert_eq!((pong.bare_name(), pong.actions), ("pong", 6));
/// ```
#[must_use]
pub fn games() -> &'static [GameInfo] {
    &games::GAMES
}

/// The game called `name`: "pong", or "atari/pong".
///
/// # Errors
///
/// [`EnvError::UnknownTask`], which names the nearest one.
///
/// ```
/// let error = mpo_envs::atari::find("atari/pongg").expect_err("a misspelt name");
/// assert!(error.to_string().starts_with("unknown task `atari/pongg`; the nearest is `atari/pong`"));
/// ```
pub fn find(name: &str) -> Result<&'static GameInfo, EnvError> {
    let bare = name.strip_prefix(PREFIX).unwrap_or(name);
    games().iter().find(|game| game.bare_name() == bare).ok_or_else(|| {
        let nearest = games().iter().min_by_key(|game| strsim::damerau_levenshtein(game.bare_name(), bare));
        EnvError::UnknownTask { name: name.to_owned(), nearest: nearest.map_or("", |game| game.name) }
    })
}

/// How a game is played and shown. The default is the protocol of Mnih et al. 2015 as DQN Zoo has it.
#[derive(Debug, Clone, PartialEq)]
pub struct AtariOptions {
    /// Frames that an action is held for; the frame shown is made of the last two of them. 4.
    pub frame_skip: u32,
    /// How a screen becomes a frame.
    pub resize: Resize,
    /// Rows of a frame. 84.
    pub height: usize,
    /// Pixels in a row. 84.
    pub width: usize,
    /// Frames of an observation, [`FrameSpec::stack`]. 4.
    pub stack: usize,
    /// Single frames without action at an episode's start, their number drawn anew each time. 1 to 30.
    pub no_ops: RangeInclusive<u32>,
    /// Offer all of the console's actions instead of those that do something in the game.
    pub full_action_set: bool,
    /// Probability at each frame that the action before goes on for it instead. 0; Machado et al. 2018 recommend 0.25.
    pub sticky: f32,
    /// Whether the loss of a life gives discount 0, without ending the episode. True.
    pub life_loss_discount: bool,
    /// Frames after which an episode ends by the time limit. 108,000, half an hour.
    pub frame_cap: u32,
}

impl Default for AtariOptions {
    fn default() -> Self {
        Self {
            frame_skip: 4,
            resize: Resize::default(),
            height: 84,
            width: 84,
            stack: 4,
            no_ops: 1..=30,
            full_action_set: false,
            sticky: 0.0,
            life_loss_discount: true,
            frame_cap: 108_000,
        }
    }
}

/// A game. Rewards are the game's own; an action is the index of one of [`actions`](Self::actions).
pub struct Atari {
    info: &'static GameInfo,
    spec: Spec,
    options: AtariOptions,
    game: Game,
    /// ALE's numbers of the actions offered.
    actions: Vec<i32>,
    palette: Box<[u32; 256]>,
    /// The screen's height and width.
    screen: [usize; 2],
    frames: Frames,
    /// Draws the numbers of no-ops.
    random: RandomState,
    lives: i32,
    /// Frames played in this episode after the no-ops; `None` when the next step starts an episode.
    played: Option<u32>,
}

impl fmt::Debug for Atari {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Atari")
            .field("game", &self.info.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Atari {
    /// Loads the game called `name`, with or without prefix, with the files that [`AtariAssets::locate`] finds. `seed`
    /// decides the numbers of no-ops, and when actions stick.
    ///
    /// # Errors
    ///
    /// [`EnvError::UnknownTask`]; the errors of [`AtariAssets::locate`]; the errors of [`load_with`](Self::load_with).
    ///
    /// # Panics
    ///
    /// As [`load_rom`](Self::load_rom).
    pub fn load(name: &str, seed: u32, options: &AtariOptions) -> Result<Self, EnvError> {
        find(name)?;
        Self::load_with(&AtariAssets::locate()?, name, seed, options)
    }

    /// As [`load`](Self::load), with the given files.
    ///
    /// # Errors
    ///
    /// [`EnvError::UnknownTask`]; the errors of [`load_rom`](Self::load_rom).
    ///
    /// # Panics
    ///
    /// As [`load_rom`](Self::load_rom).
    pub fn load_with(assets: &AtariAssets, name: &str, seed: u32, options: &AtariOptions) -> Result<Self, EnvError> {
        let info = find(name)?;
        let rom = assets.roms.join(format!("{}.bin", info.bare_name()));
        let loaded = Self::load_rom(assets, &rom, seed, options)?;
        if loaded.info != info {
            let reason = format!("it is `{}`, not `{}`", loaded.info.name, info.name);
            return Err(EnvError::Rom { path: rom, reason });
        }
        Ok(loaded)
    }

    /// Loads the game of a ROM file of your own; its contents say which it is.
    ///
    /// # Errors
    ///
    /// [`EnvError::AleUnloadable`] and [`EnvError::AleVersion`] when the library is none, or not this program's;
    /// [`EnvError::Rom`] when the file cannot be read, or is not one of the games that ALE has rewards for.
    ///
    /// # Panics
    ///
    /// If options make no sense: a frame skip, a size, a stack or a cap of 0, an empty range of no-ops, a probability outside
    /// `[0, 1]`.
    pub fn load_rom(assets: &AtariAssets, rom: &Path, seed: u32, options: &AtariOptions) -> Result<Self, EnvError> {
        assert!(options.frame_skip > 0 && options.frame_cap > 0, "no frame to play: {options:?}");
        assert!(options.height > 0 && options.width > 0 && options.stack > 0, "no pixel to see: {options:?}");
        assert!(!options.no_ops.is_empty(), "an empty range of no-ops: {options:?}");
        assert!((0.0..=1.0).contains(&options.sticky), "a probability outside [0, 1]: {options:?}");

        // ALE's seeds are the numbers that have no sign.
        let ale_seed = (seed & 0x7fff_ffff) as i32;
        let (game, facts) = Game::open(&Library::load(&assets.library)?, rom, ale_seed, options.sticky)?;
        let info = find(facts.name())?;
        let actions = if options.full_action_set { facts.legal() } else { facts.minimal() }.to_vec();
        let screen = [facts.height, facts.width].map(|size| usize::try_from(size).unwrap_or(0));
        let frame = FrameSpec { height: options.height, width: options.width, stack: options.stack };
        let spec = Spec {
            observation: Vec::new(),
            frame: Some(frame),
            discrete_actions: Some(actions.len()),
            action_minimum: vec![0.0],
            action_maximum: vec![actions.len() as f64 - 1.0],
            control_timestep: f64::from(options.frame_skip) / FRAME_RATE,
            episode_steps: options.frame_cap.div_ceil(options.frame_skip) as usize,
        };
        Ok(Self {
            info,
            spec,
            options: options.clone(),
            game,
            actions,
            palette: Box::new(facts.palette),
            screen,
            frames: Frames::new(options.resize, &facts.palette, &facts.grey, screen, [frame.height, frame.width]),
            random: RandomState::new(seed),
            lives: 0,
            played: None,
        })
    }

    /// The game's name with the prefix, and its number of actions.
    #[must_use]
    pub fn info(&self) -> &'static GameInfo {
        self.info
    }

    /// ALE's number of each action offered, by index: 0 is no-op, 1 fire, 2 up, 3 right, 4 left, 5 down and so on.
    #[must_use]
    pub fn actions(&self) -> &[i32] {
        &self.actions
    }

    /// Lives left.
    #[must_use]
    pub fn lives(&self) -> i32 {
        self.lives
    }

    /// The console's memory, 128 bytes.
    #[must_use]
    pub fn ram(&self) -> [u8; 128] {
        self.game.ram()
    }

    /// The newest screen: its values in the palette, row by row.
    #[must_use]
    pub fn screen_values(&self) -> &[u8] {
        self.frames.screen()
    }

    fn failed(&mut self, reason: String) -> EnvError {
        self.played = None;
        EnvError::Emulator { task: self.info.name, reason }
    }

    fn act(&mut self, action: i32, frames: u32) -> Result<Outcome, EnvError> {
        let (before, newest) = (&mut self.frames.before, &mut self.frames.newest);
        let frames = i32::try_from(frames).unwrap_or(i32::MAX);
        self.game.act(action, frames, before, newest).map_err(|reason| self.failed(reason))
    }

    /// An episode's first frames, up to where the agent takes over.
    fn begin(&mut self) -> Result<(), EnvError> {
        self.lives = self.game.reset().map_err(|reason| self.failed(reason))?;
        let (least, most) = (*self.options.no_ops.start(), *self.options.no_ops.end());
        let choices = f64::from(most - least) + 1.0;
        let mut left = least + (self.random.random_sample() * choices) as u32;
        while left > 0 {
            let outcome = self.act(NO_OP, left)?;
            self.lives = outcome.lives;
            left -= outcome.frames as u32;
            if outcome.game_over != 0 {
                self.lives = self.game.reset().map_err(|reason| self.failed(reason))?;
            }
        }
        self.game.screen(&mut self.frames.newest);
        self.frames.make(false);
        self.played = Some(0);
        Ok(())
    }
}

impl Environment for Atari {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    /// # Errors
    ///
    /// [`EnvError::Emulator`].
    fn reset(&mut self) -> Result<TimeStep<'_>, EnvError> {
        self.begin()?;
        let frame = self.frames.frame();
        Ok(TimeStep { step_type: StepType::First, reward: 0.0, discount: 1.0, observation: &[], frame })
    }

    /// # Errors
    ///
    /// [`EnvError::NoSuchAction`], [`EnvError::Emulator`].
    fn step(&mut self, action: &[f64]) -> Result<TimeStep<'_>, EnvError> {
        assert_eq!(action.len(), 1, "length of the action for `{}`", self.info.name);
        let Some(played) = self.played else { return self.reset() };
        let index = self.spec.action_index(self.info.name, action[0]).inspect_err(|_| self.played = None)?;
        let lives_before = self.lives;
        let outcome = self.act(self.actions[index], self.options.frame_skip.min(self.options.frame_cap - played))?;
        self.frames.make(outcome.screens == 2);
        self.lives = outcome.lives;
        let played = played + outcome.frames as u32;
        let over = outcome.game_over != 0;
        let last = over || played >= self.options.frame_cap;
        self.played = (!last).then_some(played);
        let lost = over || self.options.life_loss_discount && self.lives < lives_before;
        Ok(TimeStep {
            step_type: if last { StepType::Last } else { StepType::Mid },
            reward: f64::from(outcome.reward),
            discount: if lost { 0.0 } else { 1.0 },
            observation: &[],
            frame: self.frames.frame(),
        })
    }

    /// The random streams and the emulator.
    fn save_state(&self) -> Vec<u8> {
        // ALE can only fail here for want of memory; what is empty is refused when it is restored.
        let emulator = self.game.save().unwrap_or_default();
        let mut body = self.random.to_bytes();
        body.extend(emulator);
        let mut state = STATE.to_vec();
        state.extend(digest(self.info.name, &body).to_le_bytes());
        state.extend(body);
        state
    }

    fn restore_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let task = self.info.name;
        let invalid = |reason: &str| EnvError::InvalidState { task, reason: reason.to_owned() };
        let rest = state.strip_prefix(STATE).ok_or_else(|| invalid("the bytes are no saved game"))?;
        let (told, body) = rest.split_first_chunk::<8>().ok_or_else(|| invalid("the bytes are cut off"))?;
        let (random, emulator) =
            body.split_at_checked(RandomState::BYTES).ok_or_else(|| invalid("the bytes are cut off"))?;
        if u64::from_le_bytes(*told) != digest(task, body) || emulator.is_empty() {
            return Err(invalid("the bytes are another game's, or changed"));
        }
        let random = RandomState::from_bytes(random).ok_or_else(|| invalid("the bytes are no random stream"))?;
        self.game.restore(emulator).map_err(|reason| EnvError::InvalidState { task, reason })?;
        (self.random, self.played) = (random, None);
        Ok(())
    }

    fn screen(&mut self) -> Option<Screen> {
        let [height, width] = self.screen;
        let colours = self.frames.screen().iter().map(|&value| self.palette[usize::from(value)]);
        let rgb = colours.flat_map(|colour| [16, 8, 0].map(|shift| (colour >> shift & 255) as u8)).collect();
        Some(Screen { width, height, rgb })
    }
}

/// FNV-1a of a game's name and its state: ALE reads a state without a check.
fn digest(name: &str, body: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    name.as_bytes().iter().chain(body).fold(0xcbf2_9ce4_8422_2325, step)
}
