//! What is published of Atari games: `data/atari.csv`, one row per game and agent, each with its source.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::random;

/// The games of the paper's table, in its order, with the names it has for them.
pub const HEADLINE: [(&str, &str); 5] = [
    ("atari/pong", "Pong"),
    ("atari/breakout", "Breakout"),
    ("atari/qbert", "Q*bert"),
    ("atari/tennis", "Tennis"),
    ("atari/boxing", "Boxing"),
];

/// Agents with a column of their own, in the paper's order, and their headings. The first is a person.
pub const AGENTS: [(&str, &str); 5] = [
    ("human", "Human"),
    ("dqn", "DQN"),
    ("prioritized_dueling", "Prior. Dueling"),
    ("c51", "C51"),
    ("mpo", "MPO (paper)"),
];

/// Frames of the console in an environment step: an action is held for as many.
pub const FRAMES_PER_STEP: u64 = 4;

/// Environment steps after which the published scores were reached: 200 million frames.
pub const PUBLISHED_STEPS: u64 = 200_000_000 / FRAMES_PER_STEP;

/// One published score.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Score {
    /// Task, `atari/pong`.
    pub task: String,
    /// One of [`AGENTS`].
    pub agent: String,
    /// Mean score of the agent's best evaluation.
    pub score: f64,
    /// Where it was published.
    pub source: String,
}

/// Every published score, in the order of the file.
///
/// # Panics
/// Never for a checked-in file that its test has parsed.
pub fn published() -> &'static [Score] {
    static SCORES: OnceLock<Vec<Score>> = OnceLock::new();
    SCORES.get_or_init(|| {
        csv::Reader::from_reader(include_str!("../data/atari.csv").as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .expect("data/atari.csv is part of the program and parses")
    })
}

/// The published score of an agent in a game.
#[must_use]
pub fn score(task: &str, agent: &str) -> Option<f64> {
    published().iter().find(|score| score.task == task && score.agent == agent).map(|score| score.score)
}

/// Whether a task is an Atari game.
#[must_use]
pub fn is_game(task: &str) -> bool {
    task.starts_with("atari/")
}

/// Whether a task is one of [`HEADLINE`].
#[must_use]
pub fn is_headline(task: &str) -> bool {
    HEADLINE.iter().any(|&(name, _)| name == task)
}

/// What to call a game in a table: the paper's name, or ALE's.
#[must_use]
pub fn title(task: &str) -> &str {
    let known = HEADLINE.iter().find(|&&(name, _)| name == task).map(|&(_, title)| title);
    known.unwrap_or_else(|| task.strip_prefix("atari/").unwrap_or(task))
}

/// A score on the scale from the random policy's, as we measured it, to the published human one: 0 to 1. `None` for a game
/// that one of them is not known of.
#[must_use]
pub fn human_normalised(task: &str, score: f64) -> Option<f64> {
    let (random, human) = (random::mean_return(task)?, self::score(task, "human")?);
    Some((score - random) / (human - random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_has_a_score_in_every_game_of_the_paper_and_no_other() {
        assert_eq!(published().len(), HEADLINE.len() * AGENTS.len());
        for (task, _) in HEADLINE {
            assert!(mpo_envs::atari::find(task).is_ok_and(|game| game.name == task), "{task}");
            for (agent, _) in AGENTS {
                assert!(score(task, agent).is_some(), "{task} {agent}");
            }
        }
        assert_eq!((score("atari/qbert", "mpo"), score("atari/tennis", "human")), (Some(10317.0), Some(-8.3)));
        assert_eq!(score("atari/alien", "mpo"), None);
        assert!(published().iter().all(|score| score.source.contains("20")));
    }

    #[test]
    fn a_step_is_as_many_frames_as_the_environment_plays() {
        assert_eq!(u64::from(mpo_envs::atari::AtariOptions::default().frame_skip), FRAMES_PER_STEP);
    }

    #[test]
    fn a_person_is_one_and_the_random_policy_zero() {
        for (task, _) in HEADLINE {
            let random = random::mean_return(task).expect("the random policy was measured");
            let human = score(task, "human").expect("a person was");
            assert_eq!(human_normalised(task, random), Some(0.0), "{task}");
            assert_eq!(human_normalised(task, human), Some(1.0), "{task}");
        }
        assert_eq!(human_normalised("atari/alien", 100.0), None);
    }
}
