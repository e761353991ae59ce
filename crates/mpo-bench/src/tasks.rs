//! `mpo tasks`.

use std::fmt::Write as _;

use mpo_envs::suite;

use crate::output;

/// Runs `mpo tasks`: one line per task with its sizes.
///
/// # Errors
/// If standard output cannot be written.
pub fn command() -> anyhow::Result<()> {
    output::print(&list())
}

fn list() -> String {
    let mut out =
        format!("{:<32}  {:>12}  {:>7}  {:>12}  {:>7}\n", "task", "observations", "actions", "control step", "episode");
    for task in suite::tasks() {
        let mark = if task.headline { "*" } else { "" };
        let _ = writeln!(
            out,
            "{:<32}  {:>12}  {:>7}  {:>10} s  {:>7}",
            format!("control/{}{mark}", task.name),
            task.observation,
            task.action,
            task.control_timestep,
            task.episode_steps,
        );
    }
    out += "\n*: one of the 18 tasks that published MPO figures exist for.\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors;

    #[test]
    fn every_task_has_its_line_with_sizes() {
        let list = list();
        assert!(
            list.contains("control/cheetah-run*                        17        6        0.01 s     1000\n"),
            "{list}"
        );
        assert_eq!(list.matches("control/").count(), suite::tasks().len());
    }

    #[test]
    fn the_headline_tasks_are_those_with_published_figures() {
        for task in suite::tasks() {
            assert_eq!(task.headline, !anchors::series(task.name, "mpo").is_empty(), "{}", task.name);
        }
    }
}
