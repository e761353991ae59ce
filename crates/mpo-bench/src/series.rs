//! Which runs belong together: those of one algorithm, or of one variant of its settings.

use mpo_agent::Algorithm;

use crate::records::Record;

/// Runs that differ by task and seed alone: a curve in every panel, a column or row in every table.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<'a> {
    /// What to call it in figures and tables.
    pub name: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its runs.
    pub records: Vec<&'a Record>,
}

impl<'a> Series<'a> {
    /// Its runs of `task`.
    #[must_use]
    pub fn of_task(&self, task: &str) -> Vec<&'a Record> {
        self.records.iter().copied().filter(|record| record.task == task).collect()
    }
}

/// Place of an algorithm in figures and tables.
#[must_use]
pub fn rank(algorithm: Algorithm) -> usize {
    Algorithm::ALL.iter().position(|&one| one == algorithm).unwrap_or(Algorithm::ALL.len())
}

/// The series of `records`, in the order of their algorithms and, within one, of their first runs.
///
/// A variant that an experiment file names is called so. Else an algorithm's runs are one series under the algorithm's
/// title, unless they stand in several folders (`GROUP/TASK/seed-N`): then each folder is a series of its name, but for
/// the folder that is named like the algorithm, as `mpo experiment` makes it.
#[must_use]
pub fn gather(records: &[Record]) -> Vec<Series<'_>> {
    let mut all: Vec<Series<'_>> = Vec::new();
    for record in records {
        let name = name(record, records);
        match all.iter_mut().find(|series| series.algorithm == record.algorithm && series.name == name) {
            Some(series) => series.records.push(record),
            None => all.push(Series { name, algorithm: record.algorithm, records: vec![record] }),
        }
    }
    all.sort_by_key(|series| rank(series.algorithm));
    all
}

fn name(record: &Record, records: &[Record]) -> String {
    let algorithm = record.algorithm;
    let apart = records.iter().any(|other| other.algorithm == algorithm && other.group != record.group);
    match (&record.variant, &record.group) {
        (Some(variant), _) => variant.clone(),
        (None, Some(group)) if apart && group != algorithm.name() => group.clone(),
        _ => algorithm.title().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn record(algorithm: Algorithm, group: Option<&str>, variant: Option<&str>) -> Record {
        Record {
            dir: PathBuf::new(),
            task: "walker-walk".to_owned(),
            seed: 0,
            algorithm,
            group: group.map(str::to_owned),
            variant: variant.map(str::to_owned),
            evaluations: Vec::new(),
            finished: true,
        }
    }

    fn names(records: &[Record]) -> Vec<String> {
        gather(records).into_iter().map(|series| series.name).collect()
    }

    #[test]
    fn one_folder_per_algorithm_is_called_by_title_and_in_their_order() {
        let records = [
            record(Algorithm::Ppo, Some("ppo"), None),
            record(Algorithm::Mpo, Some("runs"), None),
            record(Algorithm::Mpo, Some("runs"), None),
        ];
        assert_eq!(names(&records), ["MPO", "PPO"]);
        assert_eq!(gather(&records)[0].records.len(), 2);
        assert_eq!(names(&records[1..]), ["MPO"]);
        assert_eq!(names(&[record(Algorithm::Mpo, None, None)]), ["MPO"]);
    }

    #[test]
    fn several_folders_of_an_algorithm_are_kept_apart() {
        let records = [
            record(Algorithm::Mpo, Some("wide"), None),
            record(Algorithm::Mpo, Some("mpo"), None),
            record(Algorithm::Mpo, Some("plain"), None),
            record(Algorithm::Mpo, Some("wide"), None),
        ];
        assert_eq!(names(&records), ["wide", "MPO", "plain"]);
    }

    #[test]
    fn a_name_that_an_experiment_gives_goes_first() {
        let records = [record(Algorithm::Mpo, Some("a"), Some("a")), record(Algorithm::Epg, Some("b"), Some("b"))];
        assert_eq!(names(&records), ["a", "b"]);
    }
}
