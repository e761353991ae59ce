//! `mpo tasks`.

use std::{fmt::Write as _, path::Path};

use mpo_envs::{examples, suite};

use crate::{
    cli::TasksOptions,
    output,
    pictures::{self, Picture},
};

/// Pixels of a task's own picture, and of its place on the sheet.
const SIZE: (usize, usize) = (320, 240);
const SMALL: (usize, usize) = (128, 96);
/// The start state that is shown.
const SEED: u32 = 1;

/// Runs `mpo tasks`: one line per task with its sizes; with `--pictures` also what each looks like.
///
/// # Errors
/// If standard output or a picture cannot be written, or, for pictures, a task cannot be loaded.
pub fn command(options: &TasksOptions) -> anyhow::Result<()> {
    output::print(&list())?;
    options.pictures.as_deref().map_or(Ok(()), take_pictures)
}

/// Writes a picture of each of the suite's tasks, and the contact sheet.
fn take_pictures(folder: &Path) -> anyhow::Result<()> {
    let mut small = Vec::new();
    for task in suite::tasks() {
        let mut environment = suite::load(task.name, SEED)?;
        environment.reset()?;
        let picture = Picture::take(environment.as_mut(), task.name, SIZE)?;
        output::save(&folder.join(format!("{}.png", task.name)), &picture.png()?)?;
        small.push((task.name, Picture::take(environment.as_mut(), task.name, SMALL)?));
    }
    let sheet = folder.join("contact-sheet.png");
    output::save(&sheet, &pictures::sheet(&small)?.png()?)?;
    output::print(&format!("\n{} pictures, all of them in {}\n", small.len(), sheet.display()))
}

fn list() -> String {
    let mut out = format!(
        "{:<32}  {:>12}  {:>7}  {:>12}  {:>13}  {:>5}  {:>8}\n",
        "task", "observations", "actions", "control step", "time limit", "paper", "headline"
    );
    let mut line = |name: &str, observation, action, step: f64, steps: usize, paper: bool, headline: bool| {
        let seconds = step * steps as f64;
        let limit = format!("{steps} = {} s", (1e6 * seconds).round() / 1e6);
        let mark = |yes| if yes { "yes" } else { "" };
        let text = format!(
            "{name:<32}  {observation:>12}  {action:>7}  {step:>10} s  {limit:>13}  {:>5}  {:>8}",
            mark(paper),
            mark(headline)
        );
        let _ = writeln!(out, "{}", text.trim_end());
    };
    for task in suite::tasks() {
        let name = format!("control/{}", task.name);
        let (step, steps) = (task.control_timestep, task.episode_steps);
        line(&name, task.observation, task.action, step, steps, task.paper, task.headline);
    }
    for task in examples::tasks() {
        line(task.name, task.observation, task.action, task.control_timestep, task.episode_steps, false, false);
    }
    out += "\ntime limit: steps of an episode, and their length in the task's time\n\
            paper: the text of the MPO paper names the task or its domain\n\
            headline: one of the 18 tasks that published MPO figures exist for\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors;

    #[test]
    fn every_task_has_its_line_with_sizes() {
        let list = list();
        let cells = |name: &str| -> Vec<&str> {
            let line = list.lines().find(|line| line.split_whitespace().next() == Some(name)).expect("a line");
            line.split_whitespace().skip(1).collect()
        };
        assert_eq!(cells("control/cheetah-run"), ["17", "6", "0.01", "s", "1000", "=", "10", "s", "yes"]);
        assert_eq!(cells("control/walker-run")[4..], ["1000", "=", "25", "s", "yes", "yes"]);
        assert_eq!(cells("example/pendulum"), ["3", "1", "0.05", "s", "200", "=", "10", "s"]);
        assert_eq!(list.matches("control/").count(), suite::tasks().len());
        assert_eq!(list.matches("example/").count(), examples::tasks().len());
        let headlines = list.lines().filter(|line| line.starts_with("control/") && line.len() > 95).count();
        assert_eq!(headlines, 18, "{list}");
    }

    #[test]
    fn the_headline_tasks_are_those_with_published_figures() {
        for task in suite::tasks() {
            assert_eq!(task.headline, !anchors::series(task.name, "mpo").is_empty(), "{}", task.name);
        }
    }
}
