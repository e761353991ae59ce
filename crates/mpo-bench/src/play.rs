//! `mpo play`: a film or a picture of one episode, drawn without a window or a graphics card.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context as _, ensure};
use mpo_envs::{Environment, StepType, render::Renderer};

use crate::{cli::PlayOptions, output, pictures::Picture};

/// Longest side of a film that the GIF format can say.
const LARGEST: usize = u16::MAX as usize;
/// Seconds that a frame is shown, at least: most viewers slow down what is faster.
const SHORTEST_FRAME: f64 = 0.04;

/// Runs `mpo play`: one episode of the policy's mean actions, as a GIF in real time, or its last moment as a PNG.
///
/// # Errors
/// If the directory is no run or holds no good checkpoint, the task draws no pictures, an episode fails, or a file cannot
/// be written.
pub fn command(options: &PlayOptions) -> anyhow::Result<()> {
    let (width, height) = options.size;
    ensure!(width <= LARGEST && height <= LARGEST, "a picture has at most {LARGEST} pixels a side");
    let (config, mut actor) = mpo_agent::load_policy(&options.run)?;
    let mut environment = mpo_envs::load(&config.task, options.seed)?;
    let interval = environment.spec().control_timestep;
    let stride = (SHORTEST_FRAME / interval).round().max(1.0) as usize;
    let steps = (options.seconds / interval).round() as usize;

    let create = |path: &Path| Film::create(path, options.size, stride as f64 * interval);
    let mut film = options.gif.as_deref().map(create).transpose()?;
    let mut observation = environment.reset()?.observation.to_vec();
    let mut total = 0.0;
    let mut played = 0;
    let mut shoot = |environment: &mut dyn Environment| match &mut film {
        Some(film) => film.add(environment, &config.task),
        None => Ok(()),
    };
    shoot(environment.as_mut())?;
    while played < steps {
        let action = actor.act_mean(&observation)?;
        let step = environment.step(action)?;
        total += step.reward;
        observation.copy_from_slice(step.observation);
        let last = step.step_type == StepType::Last;
        played += 1;
        if played % stride == 0 {
            shoot(environment.as_mut())?;
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
        output::save(path, &Picture::take(environment.as_mut(), &config.task, options.size)?.png()?)?;
        files.push(format!("{}: the last moment", path.display()));
    }
    output::print(&format!("{}\n{played} steps, reward {total:.1} of at most {played}\n", files.join("\n")))
}

/// A GIF that grows by frames.
struct Film {
    encoder: gif::Encoder<BufWriter<File>>,
    renderer: Renderer,
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
        Ok(Self { encoder, renderer: Renderer::new(width, height), size, delay, frames: 0 })
    }

    fn add(&mut self, environment: &mut dyn Environment, task: &str) -> anyhow::Result<()> {
        let scene = environment.scene(0).with_context(|| format!("{task} draws no pictures"))?;
        let mut frame = gif::Frame::from_rgb_speed(self.size.0, self.size.1, self.renderer.frame(&scene), 10);
        frame.delay = self.delay;
        self.encoder.write_frame(&frame).context("cannot write a frame of the film")?;
        self.frames += 1;
        Ok(())
    }
}
