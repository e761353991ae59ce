//! All tasks by their full names.

use crate::atari::{self, Atari, AtariOptions};
use crate::parkour::{self, Parkour};
use crate::{EnvError, Environment, examples, suite};

/// The full name of the task called `name`, its prefix included: `control/cheetah-run`, `atari/pong`, `parkour/walker-gaps`,
/// `example/arm`. The suite's tasks are also known without prefix.
///
/// # Errors
///
/// [`EnvError::UnknownTask`], which names the nearest one.
///
/// ```
/// assert_eq!(mpo_envs::full_name("cheetah-run")?, "control/cheetah-run");
/// assert_eq!(mpo_envs::full_name("atari/pong")?, "atari/pong");
/// assert_eq!(mpo_envs::full_name("example/arm")?, "example/arm");
/// let error = mpo_envs::full_name("example/harm").expect_err("a misspelt name").to_string();
/// assert!(error.starts_with("unknown task `example/harm`; the nearest is `example/arm`"));
/// # Ok::<(), mpo_envs::EnvError>(())
/// ```
pub fn full_name(name: &str) -> Result<String, EnvError> {
    if let Some(example) = examples::tasks().iter().find(|example| example.name == name) {
        return Ok(example.name.to_owned());
    }
    if name.starts_with(ATARI) {
        return atari::find(name).map(|game| game.name.to_owned());
    }
    if name.starts_with(PARKOUR) {
        return parkour::find(name).map(|task| task.name.to_owned());
    }
    suite::find(name).map(|task| format!("control/{}", task.name)).map_err(|error| {
        let Some(nearest) = nearest_example(name) else { return error };
        EnvError::UnknownTask { name: name.to_owned(), nearest }
    })
}

/// Makes the environment of the task called `name`, with or without prefix; its episodes follow from `seed`. Atari games are
/// played with the [`AtariOptions`] that are the default.
///
/// # Errors
///
/// [`EnvError::UnknownTask`]; what [`suite::load`], [`Atari::load`], [`Parkour::load`] and the examples return when MuJoCo, ALE
/// or a model is missing.
pub fn load(name: &str, seed: u32) -> Result<Box<dyn Environment>, EnvError> {
    match examples::tasks().iter().find(|example| example.name == name) {
        Some(example) => example.environment(seed),
        None if name.starts_with(EXAMPLE) => {
            let nearest = nearest_example(name).unwrap_or_default();
            Err(EnvError::UnknownTask { name: name.to_owned(), nearest })
        }
        None if name.starts_with(ATARI) => Ok(Box::new(Atari::load(name, seed, &AtariOptions::default())?)),
        None if name.starts_with(PARKOUR) => Ok(Box::new(Parkour::load(name, seed)?)),
        None => suite::load(name, seed),
    }
}

const EXAMPLE: &str = "example/";
const ATARI: &str = "atari/";
const PARKOUR: &str = "parkour/";

/// The example with the smallest edit distance, if one is meant.
fn nearest_example(name: &str) -> Option<&'static str> {
    let names = name.starts_with(EXAMPLE).then(|| examples::tasks().iter().map(|example| example.name))?;
    names.min_by_key(|known| strsim::damerau_levenshtein(known, name))
}
