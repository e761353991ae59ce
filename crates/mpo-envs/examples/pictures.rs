//! What a picture of 320 x 240 pixels costs by the ray caster and, where the system has EGL, by MuJoCo's own renderer:
//! milliseconds of wall time and of all threads' CPU time per frame, medians of turns.
//!
//! ```text
//! cargo run --release -p mpo-envs --example pictures [TASK...]
//! ```
#![allow(clippy::print_stdout, reason = "a program that measures prints")]

use std::error::Error;
use std::fs;
use std::time::Instant;

use mpo_envs::mujoco::EglRenderer;
use mpo_envs::render::Renderer;
use mpo_envs::{Environment, suite};

const SIZE: [usize; 2] = [320, 240];
const TURNS: usize = 9;
const FRAMES: u32 = 10;

/// CPU seconds of all threads of this process, from the kernel's accounting.
fn cpu_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Something that draws an environment's present state.
type Draw = Box<dyn FnMut(&mut dyn Environment) -> Result<(), Box<dyn Error>>>;

fn sides() -> Vec<(&'static str, Draw)> {
    let [width, height] = SIZE;
    let mut cpu = Renderer::new(width, height);
    let mut sides: Vec<(_, Draw)> = vec![(
        "ray caster",
        Box::new(move |environment| {
            cpu.frame(&environment.scene(0).ok_or("nothing to see")?);
            Ok(())
        }),
    )];
    match EglRenderer::new(width, height) {
        Ok(mut egl) => sides.push((
            "EGL",
            Box::new(move |environment| {
                egl.frame(environment.physics().ok_or("nothing to see")?, 0)?;
                Ok(())
            }),
        )),
        Err(missing) => println!("{missing}"),
    }
    sides
}

fn main() -> Result<(), Box<dyn Error>> {
    let named: Vec<_> = std::env::args().skip(1).collect();
    let tasks = if named.is_empty() { vec!["cheetah-run".to_owned(), "humanoid-run".to_owned()] } else { named };
    let mut sides = sides();
    for task in tasks {
        let mut environment = suite::load_textured(&task, 1)?;
        environment.reset()?;
        let mut times = vec![[Vec::new(), Vec::new()]; sides.len()];
        // The first turn uploads textures and compiles what the driver needs.
        for turn in 0..=TURNS {
            for ((_, draw), [wall_times, cpu_times]) in sides.iter_mut().zip(&mut times) {
                let (wall, cpu) = (Instant::now(), cpu_seconds());
                (0..FRAMES).try_for_each(|_| draw(environment.as_mut()))?;
                if turn > 0 {
                    wall_times.push(1e3 * wall.elapsed().as_secs_f64() / f64::from(FRAMES));
                    cpu_times.push(1e3 * (cpu_seconds() - cpu) / f64::from(FRAMES));
                }
            }
        }
        for ((name, _), side) in sides.iter().zip(&mut times) {
            let [wall, cpu] = side.each_mut().map(|times| {
                times.sort_by(f64::total_cmp);
                times[TURNS / 2]
            });
            println!("{task:<24} {name:<10} {wall:>7.1} ms wall {cpu:>7.1} ms CPU");
        }
    }
    Ok(())
}
