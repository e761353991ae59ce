//! `mpo play`: a film or a picture of one episode, drawn without a window, and without a graphics card unless one is
//! asked for. Games show their own screen, and environments of frames what the agent sees.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context as _, ensure};
use mpo_envs::{Environment, Progress, StepType};

use crate::{
    atari,
    cli::PlayOptions,
    output,
    pictures::{Artist, Canvas, Picture},
};

/// Longest side of a film that the GIF format can say.
const LARGEST: usize = u16::MAX as usize;
/// Seconds that a frame is shown, at least: most viewers slow down what is faster.
const SHORTEST_FRAME: f64 = 0.04;
/// Sides of a drawn picture, if none are asked for.
const DRAWN: (usize, usize) = (320, 240);
/// Rows that a screen or frame is enlarged to, about.
const ROWS: usize = 420;

/// Runs `mpo play`: one episode of the policy's mean or most probable actions, as a GIF in real time, or its last moment as a
/// PNG.
///
/// # Errors
/// If the directory is no run or holds no good checkpoint, the task draws no pictures, EGL is asked for and cannot be
/// used, an episode fails, or a file cannot be written.
pub fn command(options: &PlayOptions) -> anyhow::Result<()> {
    if let Some((width, height)) = options.size {
        ensure!(width <= LARGEST && height <= LARGEST, "a picture has at most {LARGEST} pixels a side");
    }
    let (config, mut actor) = mpo_agent::load_policy(&options.run)?;
    let artist = Artist::new(options.renderer, options.size.unwrap_or(DRAWN))?;
    let mut environment = artist.load(&config.task, options.seed)?;
    let interval = environment.spec().control_timestep;
    let stride = (SHORTEST_FRAME / interval).round().max(1.0) as usize;
    let steps = (options.seconds / interval).round() as usize;

    let first = environment.reset()?;
    actor.observe(&first)?;
    let mut frame = first.frame.to_vec();
    let mut camera = Camera::new(&artist, environment.as_mut(), options)?;
    let create = |path: &Path| Film::create(path, camera.size, stride as f64 * interval);
    let mut film = options.gif.as_deref().map(create).transpose()?;
    let mut total = 0.0;
    let mut played = 0;
    let mut shoot = |environment: &mut dyn Environment, frame: &[u8]| match &mut film {
        Some(film) => film.add(&camera.shoot(environment, frame, &config.task)?.pixels),
        None => Ok(()),
    };
    shoot(environment.as_mut(), &frame)?;
    while played < steps {
        let step = environment.step(actor.act_mean()?)?;
        total += step.reward;
        actor.observe(&step)?;
        frame.copy_from_slice(step.frame);
        let last = step.step_type == StepType::Last;
        played += 1;
        if played % stride == 0 || last {
            shoot(environment.as_mut(), &frame)?;
        }
        if last {
            break;
        }
    }
    let mut files = Vec::new();
    if let (Some(film), Some(path)) = (&film, &options.gif) {
        files.push(format!("{}: {} frames", path.display(), film.frames));
    }
    if let Some(path) = &options.png {
        camera.refine(&artist)?;
        output::save(path, &camera.shoot(environment.as_mut(), &frame, &config.task)?.png()?)?;
        files.push(format!("{}: the last moment", path.display()));
    }
    output::print(&format!(
        "{}\n{}{}\n",
        files.join("\n"),
        artist.note,
        outcome(&config.task, played, total, environment.progress())
    ))
}

/// What the episode came to.
fn outcome(task: &str, played: usize, total: f64, progress: Option<Progress>) -> String {
    if let Some(Progress { distance, obstacles }) = progress {
        return format!("{played} steps, reward {total:.1}, {distance:.1} m, obstacles passed: {obstacles}");
    }
    if atari::is_game(task) {
        let frames = atari::FRAMES_PER_STEP * played as u64;
        return format!("{played} steps of the agent, {frames} frames of the game, score {total}");
    }
    format!("{played} steps, reward {total:.1} of at most {played}")
}

/// Takes pictures of an environment, in the way that it offers.
struct Camera {
    look: Look,
    size: (usize, usize),
}

enum Look {
    /// The game's own screen.
    Screen,
    /// The agent's frames.
    Frame,
    /// What a renderer makes of the simulation.
    Drawn(Canvas),
}

impl Camera {
    /// A camera for `environment`, which has been reset.
    fn new(artist: &Artist, environment: &mut dyn Environment, options: &PlayOptions) -> anyhow::Result<Self> {
        let enlarged = |width: usize, height: usize| {
            let factor = (ROWS as f64 / height as f64).round().max(1.0) as usize;
            options.size.unwrap_or((factor * width, factor * height))
        };
        if let Some(screen) = environment.screen() {
            return Ok(Self { look: Look::Screen, size: enlarged(screen.width, screen.height) });
        }
        if let Some(spec) = environment.spec().frame {
            return Ok(Self { look: Look::Frame, size: enlarged(spec.width, spec.height) });
        }
        let size = options.size.unwrap_or(DRAWN);
        Ok(Self { look: Look::Drawn(artist.canvas(size)?), size })
    }

    /// Smooths the edges of what is drawn from now on.
    fn refine(&mut self, artist: &Artist) -> anyhow::Result<()> {
        if let Look::Drawn(canvas) = &mut self.look {
            *canvas = artist.fine_canvas(self.size)?;
        }
        Ok(())
    }

    /// The present state of `environment`, whose newest frame is `frame`.
    fn shoot(&mut self, environment: &mut dyn Environment, frame: &[u8], task: &str) -> anyhow::Result<Picture> {
        let nothing = || format!("{task} shows no picture");
        Ok(match &mut self.look {
            Look::Screen => Picture::of_screen(environment.screen().with_context(nothing)?).resized(self.size),
            Look::Frame => Picture::of_frame(environment.spec().frame.with_context(nothing)?, frame).resized(self.size),
            Look::Drawn(canvas) => Picture::take(canvas, environment, task)?,
        })
    }
}

/// A GIF that grows by frames.
struct Film {
    encoder: gif::Encoder<BufWriter<File>>,
    size: (u16, u16),
    /// Hundredths of a second per frame.
    delay: u16,
    frames: usize,
}

impl Film {
    fn create(path: &Path, (width, height): (usize, usize), seconds_per_frame: f64) -> anyhow::Result<Self> {
        let write = || format!("cannot write {}", path.display());
        let file = BufWriter::new(File::create(path).with_context(write)?);
        let size = (width as u16, height as u16);
        let mut encoder = gif::Encoder::new(file, size.0, size.1, &[]).with_context(write)?;
        encoder.set_repeat(gif::Repeat::Infinite).with_context(write)?;
        let delay = (100.0 * seconds_per_frame).round() as u16;
        Ok(Self { encoder, size, delay, frames: 0 })
    }

    fn add(&mut self, pixels: &[u8]) -> anyhow::Result<()> {
        let mut frame = gif::Frame::from_rgb_speed(self.size.0, self.size.1, pixels, 10);
        frame.delay = self.delay;
        self.encoder.write_frame(&frame).context("cannot write a frame of the film")?;
        self.frames += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_game_has_a_score_a_task_a_reward_and_a_course_a_distance() {
        assert_eq!(outcome("atari/pong", 10, -3.0, None), "10 steps of the agent, 40 frames of the game, score -3");
        assert_eq!(outcome("control/walker-walk", 10, 3.0, None), "10 steps, reward 3.0 of at most 10");
        let progress = Some(Progress { distance: 12.34, obstacles: 2 });
        let course = outcome("parkour/walker-gaps", 10, 3.0, progress);
        assert_eq!(course, "10 steps, reward 3.0, 12.3 m, obstacles passed: 2");
    }
}
