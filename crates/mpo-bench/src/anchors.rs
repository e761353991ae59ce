//! Published returns to stand beside ours: `data/anchors.csv`, one row per task, algorithm and number of
//! environment steps, each with its source.

use std::sync::OnceLock;

use serde::Deserialize;

/// One published figure.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Anchor {
    /// Repository, commit and file that the figure comes from.
    pub source: String,
    /// Task with underscores only, `cartpole_swingup`.
    pub task: String,
    /// Algorithm: `mpo`, `dmpo`, `d4pg`, `ddpg`, `ppo_fixhp` or `sac`.
    #[serde(rename = "algo")]
    pub algorithm: String,
    /// Environment steps after which the return was reached.
    #[serde(rename = "env_steps")]
    pub steps: u64,
    /// Mean return over the seeds.
    pub mean: f64,
    /// Standard deviation over the seeds.
    pub std: f64,
    /// How many seeds were run.
    #[serde(rename = "n_seeds")]
    pub seeds: u32,
    /// The stretch of training that each seed's return is averaged over, as `last 50k`.
    pub window: String,
}

/// Every published figure, in the order of the file.
///
/// # Panics
/// Never for a checked-in file that its test has parsed.
pub fn published() -> &'static [Anchor] {
    static ANCHORS: OnceLock<Vec<Anchor>> = OnceLock::new();
    ANCHORS.get_or_init(|| {
        csv::Reader::from_reader(include_str!("../data/anchors.csv").as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .expect("data/anchors.csv is part of the program and parses")
    })
}

/// The figures of one algorithm on one task, by rising steps.
///
/// `task` is a suite name (`ball_in_cup-catch`).
#[must_use]
pub fn series(task: &str, algorithm: &str) -> Vec<&'static Anchor> {
    let task = task.replace('-', "_");
    let mut found: Vec<_> =
        published().iter().filter(|anchor| anchor.task == task && anchor.algorithm == algorithm).collect();
    found.sort_by_key(|anchor| anchor.steps);
    found
}

/// The figure to hold against a run of `steps` environment steps: the latest that is not later than the run,
/// so that the published agent never had more experience; where all are later, the earliest of them.
#[must_use]
pub fn nearest(task: &str, algorithm: &str, steps: u64) -> Option<&'static Anchor> {
    let series = series(task, algorithm);
    series.iter().rev().find(|anchor| anchor.steps <= steps).or(series.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(task: &str, algorithm: &str, steps: u64) -> (u64, f64) {
        let anchor = nearest(task, algorithm, steps).expect("the task has published figures");
        (anchor.steps, anchor.mean)
    }

    #[test]
    fn known_rows_are_read() {
        assert_eq!(published().len(), 404);
        let row = nearest("walker-run", "mpo", 250_000).expect("walker-run is published");
        assert_eq!(
            row,
            &Anchor {
                source: "danijar/dreamerv3@e3f0224 scores/dmc_proprio-mpo".to_owned(),
                task: "walker_run".to_owned(),
                algorithm: "mpo".to_owned(),
                steps: 250_000,
                mean: 274.0,
                std: 52.2,
                seeds: 10,
                window: "last 50k".to_owned(),
            }
        );
        assert_eq!(figure("ball_in_cup-catch", "dmpo", 100_000), (100_000, 613.4));
        assert_eq!(figure("swimmer-swimmer6", "sac", 5_000_000), (5_000_000, 511.4));
    }

    #[test]
    fn the_figure_is_the_latest_not_later_than_the_run_else_the_earliest() {
        assert_eq!(figure("reacher-easy", "mpo", 60_000), (100_000, 393.5));
        assert_eq!(figure("reacher-easy", "mpo", 100_000), (100_000, 393.5));
        assert_eq!(figure("reacher-easy", "mpo", 249_999), (100_000, 393.5));
        assert_eq!(figure("reacher-easy", "mpo", 250_000), (250_000, 877.5));
        assert_eq!(figure("reacher-easy", "mpo", 1_000_000), (500_000, 962.1));
    }

    #[test]
    fn a_task_nobody_published_has_no_figure() {
        assert_eq!(nearest("humanoid-run", "mpo", 500_000), None);
        assert_eq!(nearest("walker-run", "reinforce", 500_000), None);
    }

    #[test]
    fn mpo_and_d4pg_cover_the_same_eighteen_tasks() {
        let tasks = |algorithm| {
            let mut names: Vec<_> = published()
                .iter()
                .filter(|anchor| anchor.algorithm == algorithm)
                .map(|anchor| anchor.task.as_str())
                .collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        assert_eq!(tasks("mpo").len(), 18);
        assert_eq!(tasks("mpo"), tasks("d4pg"));
    }
}
