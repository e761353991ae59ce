//! All tasks by their short names, `walker-walk`, `atari/pong`, `example/catch`: what patterns mean, in which order tables and
//! figures have them, and between which returns they lie.

use std::sync::OnceLock;

use mpo_envs::{EnvError, atari as emulator, examples, parkour, suite};

use crate::{atari, courses};

/// The prefix that a task's short name lacks.
const CONTROL: &str = "control/";

/// Every task: the suite's, then parkour, then the paper's five games, then all other games, then the examples.
///
/// ```
/// use mpo_bench::catalogue;
///
/// assert!(catalogue::names().contains(&"walker-walk") && catalogue::names().contains(&"atari/pong"));
/// ```
#[must_use]
pub fn names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let control = suite::tasks().iter().map(|task| task.name);
        let courses = parkour::tasks().iter().map(|task| task.name);
        let headline = atari::HEADLINE.iter().map(|&(task, _)| task);
        let games = emulator::games().iter().map(|game| game.name).filter(|name| !atari::is_headline(name));
        let examples = examples::tasks().iter().map(|task| task.name);
        control.chain(courses).chain(headline).chain(games).chain(examples).collect()
    })
}

/// A task's name without the suite's prefix.
///
/// ```
/// use mpo_bench::catalogue::short;
///
/// assert_eq!((short("control/walker-walk"), short("atari/pong")), ("walker-walk", "atari/pong"));
/// ```
#[must_use]
pub fn short(name: &str) -> &str {
    name.strip_prefix(CONTROL).unwrap_or(name)
}

/// The short name of the task called `name`.
///
/// # Errors
/// [`EnvError::UnknownTask`], which names the nearest one.
pub fn find(name: &str) -> Result<String, EnvError> {
    mpo_envs::full_name(name).map(|full| short(&full).to_owned())
}

/// The tasks that match `pattern`, in the catalogue's order.
#[must_use]
pub fn matching(pattern: &str) -> Vec<&'static str> {
    names().iter().copied().filter(|name| matches(pattern, name)).collect()
}

/// Whether `name` matches `pattern`, in which `*` stands for any letters but `/`: `*` is every task of the suite, `atari/*`
/// every game. Both may begin with `control/`.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern = short(pattern);
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(tail) = name.strip_prefix(first) else { return false };
    // The star takes every possible length in turn; names are short.
    let longest = tail.find('/').unwrap_or(tail.len());
    (0..=longest).filter(|&at| tail.is_char_boundary(at)).any(|at| matches(rest, &tail[at..]))
}

/// A task's place in tables and figures; tasks that nobody knows come last.
#[must_use]
pub fn rank(task: &str) -> usize {
    names().iter().position(|name| *name == task).unwrap_or(names().len())
}

/// The returns between which a task's lie, if they have bounds that are worth showing: those of the suite, and of what is unknown,
/// are on a scale of 1000. A game's scores have none, nor have those of parkour, which begin below zero and far from their end.
///
/// ```
/// use mpo_bench::catalogue::range;
///
/// assert_eq!(range("walker-walk"), Some((0.0, 1000.0)));
/// assert_eq!(range("example/catch"), Some((-1.0, 1.0)));
/// assert_eq!(range("atari/pong"), None);
/// assert_eq!(range("parkour/walker-gaps"), None);
/// ```
#[must_use]
pub fn range(task: &str) -> Option<(f64, f64)> {
    if atari::is_game(task) || courses::is_course(task) {
        return None;
    }
    Some(match examples::tasks().iter().find(|example| example.name == task) {
        Some(example) if example.discrete_actions.is_some() => (-1.0, 1.0),
        // A reward of at most 1 a step.
        Some(example) => (0.0, example.episode_steps as f64),
        None => (0.0, 1000.0),
    })
}

/// The score that counts as 1 on the scale which begins with the random policy's: the largest return, a game's human score, what a
/// course is about worth; `None` where there is no such score.
#[must_use]
pub fn whole(task: &str) -> Option<f64> {
    if courses::is_course(task) {
        return Some(courses::WHOLE);
    }
    range(task).map(|(_, highest)| highest).or_else(|| atari::score(task, "human"))
}

/// Decimals that a return of the task is shown with where there is little room.
#[must_use]
pub fn decimals(task: &str) -> usize {
    match range(task) {
        None => 1,
        Some((lowest, highest)) if highest - lowest < 10.0 => 2,
        Some(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_listed_once_and_found() {
        let mut sorted = names().to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), names().len());
        let suites = [suite::tasks().len(), parkour::tasks().len(), emulator::games().len(), examples::tasks().len()];
        assert_eq!(names().len(), suites.iter().sum::<usize>());
        for name in names() {
            assert_eq!(find(name).ok().as_deref(), Some(*name));
        }
        assert_eq!(find("control/walker-walk").ok().as_deref(), Some("walker-walk"));
        assert!(find("atari/pongg").expect_err("a misspelt name").to_string().contains("`atari/pong`"));
    }

    #[test]
    fn a_star_stands_for_any_letters_within_a_suite() {
        for (pattern, name) in [
            ("walker-*", "walker-run"),
            ("*", "cheetah-run"),
            ("*-swingup*", "cartpole-swingup_sparse"),
            ("control/walker-*", "walker-walk"),
            ("cheetah-run", "cheetah-run"),
            ("atari/*", "atari/pong"),
            ("*/pong", "atari/pong"),
            ("atari/b*ing", "atari/boxing"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("walker-*", "cheetah-run"),
            ("*-swingup", "cartpole-swingup_sparse"),
            ("", "x"),
            ("*", "atari/pong"),
            ("atari*", "atari/pong"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert_eq!(matching("*").len(), suite::tasks().len());
        assert_eq!(matching("atari/*").len(), emulator::games().len());
        assert_eq!(matching("example/*"), ["example/arm", "example/catch", "example/pendulum"]);
    }

    #[test]
    fn suites_stand_apart_and_the_papers_games_first() {
        let order = [
            "walker-walk",
            "parkour/walker-gaps",
            "atari/pong",
            "atari/breakout",
            "atari/boxing",
            "atari/alien",
            "example/catch",
            "else",
        ];
        assert!(order.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])), "{:?}", order.map(rank));
    }
}
