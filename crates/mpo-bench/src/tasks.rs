//! `mpo tasks`.

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;
use mpo_envs::{Environment, atari as emulator, examples, parkour, suite};

use crate::{
    atari,
    cli::{RendererName, TasksOptions},
    courses, output,
    pictures::{self, Artist, Picture},
};

/// Pixels of a task's own picture, and of its place on the sheet.
const SIZE: (usize, usize) = (320, 240);
const SMALL: (usize, usize) = (128, 96);
/// The start state that is shown.
const SEED: u32 = 1;
/// Metres before the first obstacle of a course at which a runner is shown.
const BEFORE: f64 = 0.9;

/// Runs `mpo tasks`: one line per task with its sizes, of games a few words or, with `--atari`, all; with `--pictures` also what
/// each of the suite and of parkour looks like.
///
/// # Errors
/// If standard output or a picture cannot be written, or, for pictures, a task cannot be loaded or EGL cannot be used.
pub fn command(options: &TasksOptions) -> anyhow::Result<()> {
    output::print(&list())?;
    output::print(&games(options.atari))?;
    options.pictures.as_deref().map_or(Ok(()), |folder| take_pictures(folder, options.renderer))
}

/// Writes a picture of each of the suite's tasks and of each course, and a contact sheet of either.
fn take_pictures(folder: &Path, renderer: RendererName) -> anyhow::Result<()> {
    let artist = Artist::new(renderer, SIZE)?;
    let (mut canvas, mut small_canvas) = (artist.fine_canvas(SIZE)?, artist.fine_canvas(SMALL)?);
    let control = suite::tasks().iter().map(|task| task.name).collect::<Vec<_>>();
    let parkour = parkour::tasks().iter().map(|task| task.name).collect();
    for (name, tasks) in [("contact-sheet.png", control), ("parkour.png", parkour)] {
        let mut small = Vec::new();
        for task in tasks {
            let mut environment = artist.load(task, SEED)?;
            environment.reset()?;
            if courses::is_course(task) {
                approach(environment.as_mut(), task)?;
            }
            let picture = Picture::take(&mut canvas, environment.as_mut(), task)?;
            output::save(&folder.join(format!("{}.png", task.replace('/', "-"))), &picture.png()?)?;
            small.push((courses::title(task), Picture::take(&mut small_canvas, environment.as_mut(), task)?));
        }
        let sheet = folder.join(name);
        output::save(&sheet, &pictures::sheet(&small)?.png()?)?;
        output::print(&format!("\n{} pictures, all of them in {}\n", small.len(), sheet.display()))?;
    }
    output::print(&artist.note)
}

/// Puts a runner before the first obstacle, which is out of sight from the start.
fn approach(environment: &mut dyn Environment, task: &str) -> anyhow::Result<()> {
    let info = parkour::find(task)?;
    let physics = environment.physics().with_context(|| format!("{task} has no simulation"))?;
    // The first position is the one along the track, of both bodies.
    physics.qpos_mut()[0] = parkour::Ranges::of(info.body).run_up - BEFORE;
    physics.after_reset().ok().with_context(|| format!("{task} cannot be simulated before its first obstacle"))
}

fn list() -> String {
    let mut out = format!(
        "{:<32}  {:>12}  {:>7}  {:>12}  {:>13}  {:>5}  {:>8}\n",
        "task", "observations", "actions", "control step", "time limit", "paper", "headline"
    );
    let mut line =
        |name: &str, observation: &str, action: &str, step: f64, steps: usize, paper: bool, headline: bool| {
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
        let (observation, action) = (task.observation.to_string(), task.action.to_string());
        line(&name, &observation, &action, step, steps, task.paper, task.headline);
    }
    for task in parkour::tasks() {
        let [body, terrain] = task.parts;
        let (step, steps) = (task.control_timestep, task.episode_steps);
        line(task.name, &format!("{body} + {terrain}"), &task.action.to_string(), step, steps, false, false);
    }
    for task in examples::tasks() {
        let observation = match task.frame {
            Some(frame) => format!("{}x{}x{}", frame.stack, frame.height, frame.width),
            None => task.observation.to_string(),
        };
        let action = task.discrete_actions.map_or(task.action.to_string(), |count| format!("1 of {count}"));
        line(task.name, &observation, &action, task.control_timestep, task.episode_steps, false, false);
    }
    out += "\nobservations: numbers, of courses those of the body + of the terrain, or frames x rows x columns of pixels\n\
            actions: numbers, or one of so many\n\
            time limit: steps of an episode, and their length in the task's time\n\
            paper: the text of the MPO paper names the task or its domain\n\
            headline: one of the 18 tasks that published MPO figures exist for\n";
    out
}

/// Columns of the list of games, and the width of each.
const COLUMNS: usize = 4;
const COLUMN: usize = 28;

/// The block on Atari games.
fn games(all: bool) -> String {
    let games = emulator::games();
    let paper: Vec<&str> = atari::HEADLINE.iter().map(|&(task, _)| task).collect();
    let mut out = format!(
        "\n{} Atari games, 4x84x84 observations, a step of {} frames\nthe paper's: {}\n",
        games.len(),
        atari::FRAMES_PER_STEP,
        paper.join(", ")
    );
    if !all {
        return out + "mpo tasks --atari lists them; cargo xtask setup atari makes them playable\n";
    }
    for row in games.chunks(COLUMNS) {
        let mut line = String::new();
        for game in row {
            let _ = write!(line, "{:<COLUMN$}", format!("{} {}", game.name, game.actions));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out + "with the number of actions; cargo xtask setup atari makes them playable\n"
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
        assert_eq!(cells("example/catch")[..4], ["4x36x36", "1", "of", "3"]);
        assert_eq!(list.matches("control/").count(), suite::tasks().len());
        assert_eq!(list.matches("example/").count(), examples::tasks().len());
        assert_eq!(cells("parkour/walker-gaps"), ["20", "+", "50", "6", "0.02", "s", "1000", "=", "20", "s"]);
        assert_eq!(list.matches("parkour/").count(), parkour::tasks().len());
        let headlines = list.lines().filter(|line| line.starts_with("control/") && line.len() > 95).count();
        assert_eq!(headlines, 18, "{list}");
    }

    #[test]
    fn games_are_told_in_short_or_all_of_them() {
        let short = games(false);
        assert!(short.lines().count() == 4 && short.contains("atari/qbert"), "{short}");
        let all = games(true);
        for game in emulator::games() {
            let cell = format!("{} {}", game.name, game.actions);
            assert!(cell.len() < COLUMN, "{cell} needs a wider column");
            assert!(all.lines().any(|line| format!("{line}  ").contains(&format!("{cell}  "))), "{cell}:\n{all}");
        }
        assert!(all.lines().all(|line| line.chars().count() <= 130), "{all}");
    }

    #[test]
    fn the_headline_tasks_are_those_with_published_figures() {
        for task in suite::tasks() {
            assert_eq!(task.headline, !anchors::series(task.name, "mpo").is_empty(), "{}", task.name);
        }
    }
}
