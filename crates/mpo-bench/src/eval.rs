//! `mpo eval`.

use mpo_agent::EvaluationSummary;

use crate::{cli::EvalOptions, output};

/// Runs `mpo eval`: the policy's mean action (no exploration) of the newest good checkpoint.
///
/// # Errors
/// If the directory is no run, holds no good checkpoint, or an episode fails.
pub fn command(options: &EvalOptions) -> anyhow::Result<()> {
    let evaluation = mpo_agent::evaluate(&options.run, options.episodes, options.seed)?;
    for warning in &evaluation.warnings {
        output::note(&format!("warning: {warning}"));
    }
    output::print(&report(&evaluation.summary))
}

fn report(summary: &EvaluationSummary) -> String {
    let progress = summary.mean_progress().map_or(String::new(), |(distance, obstacles)| {
        format!("distance {distance:.1} m, obstacles passed {obstacles:.1} (means)\n")
    });
    format!(
        "return {:.1} ± {:.1} (mean and standard deviation of {} episodes; {:.1} to {:.1}) at step {}\n{progress}",
        summary.mean(),
        summary.standard_deviation(),
        summary.returns.len(),
        summary.minimum(),
        summary.maximum(),
        output::steps(summary.step),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_one_line_and_of_a_course_two() {
        let (returns, lengths) = (vec![700.0, 900.0], vec![1000; 2]);
        let summary = EvaluationSummary { step: 60_000, returns, lengths, progress: Vec::new() };
        let expected = "return 800.0 ± 100.0 (mean and standard deviation of 2 episodes; 700.0 to 900.0) at step 60k\n";
        assert_eq!(report(&summary), expected);
        let summary = EvaluationSummary { progress: vec![(3.0, 0), (6.0, 1)], ..summary };
        let second = "distance 4.5 m, obstacles passed 0.5 (means)\n";
        assert_eq!(report(&summary), format!("{expected}{second}"));
    }
}
