//! The table's last rows: means over the tasks for which every published agent has a figure.

use super::{Reference, Row};

/// The mean of one series over tasks, beside the means of published agents over the same tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Name of the series.
    pub series: String,
    /// Tasks that the means are taken over.
    pub tasks: usize,
    /// Environment steps of ours, where all tasks agree.
    pub steps: Option<u64>,
    /// Whether all of the runs have finished.
    pub finished: bool,
    /// Mean of our medians.
    pub ours: f64,
    /// Mean of the random policy's returns, if it has been measured on all of them.
    pub random: Option<f64>,
    /// Means of published MPO, DMPO and D4PG, with their steps where all tasks agree.
    pub published: [(f64, Option<u64>); 3],
}

/// The means of every series that has two tasks or more on which MPO, DMPO and D4PG are all published.
#[must_use]
pub fn means(rows: &[Row]) -> Vec<Mean> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.series.as_str()) {
            names.push(&row.series);
        }
    }
    names.into_iter().filter_map(|name| mean(name, rows)).collect()
}

fn mean(series: &str, rows: &[Row]) -> Option<Mean> {
    let complete: Vec<(&Row, [&Reference; 3])> = rows
        .iter()
        .filter(|row| row.series == series)
        .filter_map(|row| Some((row, [row.mpo.as_ref()?, row.dmpo.as_ref()?, row.d4pg.as_ref()?])))
        .collect();
    if complete.len() < 2 {
        return None;
    }
    let count = complete.len() as f64;
    let randoms: Option<Vec<f64>> = complete.iter().map(|(row, _)| row.random).collect();
    let published = [0, 1, 2].map(|agent| {
        let mean = complete.iter().map(|(_, figures)| figures[agent].mean).sum::<f64>() / count;
        (mean, common(complete.iter().map(|(_, figures)| figures[agent].steps)))
    });
    Some(Mean {
        series: series.to_owned(),
        tasks: complete.len(),
        steps: common(complete.iter().map(|(row, _)| row.steps)),
        finished: complete.iter().all(|(row, _)| row.finished),
        ours: complete.iter().map(|(row, _)| row.median).sum::<f64>() / count,
        random: randoms.map(|values| values.iter().sum::<f64>() / count),
        published,
    })
}

/// The number that all are, if they are one.
fn common(mut numbers: impl Iterator<Item = u64>) -> Option<u64> {
    let first = numbers.next()?;
    numbers.all(|number| number == first).then_some(first)
}
