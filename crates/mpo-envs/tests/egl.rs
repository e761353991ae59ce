//! MuJoCo's own renderer, where the system has EGL. Elsewhere these tests are skipped with a note.

use mpo_envs::mjcf::{Mjcf, Observation, Task};
use mpo_envs::mujoco::{EglRenderer, Fault, Physics};
use mpo_envs::render::Renderer;
use mpo_envs::{EnvError, Environment, RandomState, suite};

mod common;

/// A renderer for frames of this size, unless MuJoCo or EGL is missing.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn renderer(width: usize, height: usize) -> Option<EglRenderer> {
    if !common::mujoco_is_here() {
        return None;
    }
    match EglRenderer::new(width, height) {
        Ok(renderer) => Some(renderer),
        Err(missing @ EnvError::EglMissing { .. }) => {
            eprintln!("skipped: {missing}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

struct Still;

impl Task for Still {
    fn initialize_episode(&mut self, _: &mut Physics, _: &mut RandomState) -> Result<(), Fault> {
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").extend(physics.qpos());
    }

    fn reward(&self, _: &Physics) -> f64 {
        0.0
    }
}

/// Shapes of pure colours, without symmetry, in front of a tilted camera that is carried along.
const SHAPES: &str = r#"<mujoco>
  <visual><headlight specular="0 0 0"/></visual>
  <worldbody>
    <light pos="0 -2 4" specular="0 0 0"/>
    <geom type="sphere" pos="-.9 0 .7" size=".4" rgba="1 0 0 1"/>
    <geom type="box" pos=".8 .3 .6" size=".3 .4 .2" euler="20 0 30" rgba="0 1 0 1"/>
    <geom type="capsule" fromto="-.9 0 -.5 0 .4 -.8" size=".15" rgba="0 0 1 1"/>
    <geom type="cylinder" fromto=".3 0 -.3 .9 0 -.6" size=".2" rgba="1 1 0 1"/>
    <geom type="ellipsoid" pos="0 0 .2" size=".1 .3 .25" rgba="0 1 1 1"/>
    <body pos="0 -4 .5">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom type="sphere" size=".01" contype="0" conaffinity="0"/>
      <camera xyaxes="1 0 .1 -.1 .1 1"/>
    </body>
  </worldbody>
  <actuator><motor joint="rail"/></actuator>
</mujoco>"#;

fn shapes() -> Box<dyn Environment> {
    let mut shapes = Mjcf::text("test/shapes", SHAPES).environment(0, |_| Ok(Still)).expect("a model");
    shapes.reset().expect("a reset");
    shapes
}

fn frame(renderer: &mut EglRenderer, environment: &mut dyn Environment, camera: usize) -> Vec<u8> {
    renderer.frame(environment.physics().expect("a simulation"), camera).expect("a frame").to_vec()
}

/// Which of the shapes a pixel shows, by its pure colour: none where all three are more or less there, as in the ray
/// caster's sky, or too dark to tell.
fn kind(pixel: [u8; 3]) -> Option<[bool; 3]> {
    let most = pixel.into_iter().max().expect("three colours");
    let kind = pixel.map(|colour| colour > most / 3);
    (most > 40 && kind != [true; 3]).then_some(kind)
}

#[test]
fn it_sees_what_the_ray_caster_sees() {
    for (width, height) in [(160, 120), (101, 75), (64, 97)] {
        let Some(mut egl) = renderer(width, height) else { return };
        let (mut cpu, mut shapes) = (Renderer::new(width, height), shapes());
        // There is no such camera as the last: a free one looks on.
        for (camera, place) in [(0, 0.0), (0, 0.5), (1, 0.0)] {
            shapes.physics().expect("a simulation").qpos_mut()[0] = place;
            let ours = frame(&mut egl, shapes.as_mut(), camera);
            let scene = shapes.scene(camera).expect("a scene");
            let pixels = ours.as_chunks::<3>().0.iter().zip(cpu.frame(&scene).as_chunks::<3>().0);
            let kinds: Vec<_> = pixels.map(|(ours, cpu)| (kind(*ours), kind(*cpu))).collect();
            let shown = kinds.iter().filter(|(ours, _)| ours.is_some()).count();
            let equal = kinds.iter().filter(|(ours, cpu)| ours.is_some() && ours == cpu).count();
            let unequal = kinds.iter().filter(|(ours, cpu)| ours != cpu).count();
            // They differ along edges, which OpenGL smooths, and where a shade comes near to the limit above.
            let case = format!("{width} x {height}, camera {camera} at {place}: {equal} of {shown}, {unequal} differ");
            assert!(shown * 40 > width * height, "{case}");
            assert!(equal * 20 > shown * 19 && unequal * 10 < shown, "{case}");
        }
    }
}

#[test]
fn one_renderer_draws_many_models_in_turn() {
    let Some(mut shared) = renderer(48, 32) else { return };
    for _ in 0..2 {
        for name in ["swimmer-swimmer6", "cartpole-balance"] {
            let mut environment = suite::load_textured(name, 3).expect("a task");
            environment.reset().expect("a reset");
            let alone = frame(&mut renderer(48, 32).expect("another renderer"), environment.as_mut(), 0);
            assert!(alone.iter().collect::<std::collections::HashSet<_>>().len() > 20, "an empty picture of {name}");
            assert_eq!(frame(&mut shared, environment.as_mut(), 0), alone, "{name}");
        }
    }
}

#[test]
fn every_thread_may_have_its_own() {
    let Some(mut here) = renderer(48, 32) else { return };
    let expected = frame(&mut here, shapes().as_mut(), 0);
    let draw = || (0..2).map(|_| frame(&mut renderer(48, 32).expect("a renderer"), shapes().as_mut(), 0)).collect();
    let frames: Vec<Vec<Vec<u8>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(draw)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    assert!(frames.concat().iter().all(|frame| *frame == expected), "a frame differs");
    assert_eq!(frame(&mut here, shapes().as_mut(), 0), expected);
}

#[test]
fn neither_pictures_nor_textures_change_the_episode() {
    let Some(mut egl) = renderer(32, 24) else { return };
    let mut seen = suite::load_textured("humanoid-walk", 0).expect("a task");
    let mut unseen = suite::load("humanoid-walk", 0).expect("a task");
    seen.reset().expect("a reset");
    unseen.reset().expect("a reset");
    let mut last = Vec::new();
    for _ in 0..5 {
        let next = frame(&mut egl, seen.as_mut(), 0);
        assert_ne!(next, last, "nothing moves");
        last = next;
        assert_eq!(seen.step(&[0.3; 21]).expect("a step"), unseen.step(&[0.3; 21]).expect("a step"));
    }
}

#[test]
fn a_size_that_opengl_refuses_is_an_error() {
    if renderer(1, 1).is_none() {
        return;
    }
    let error = EglRenderer::new(10, 1_000_000).expect_err("no driver draws this").to_string();
    assert!(error.contains("10 x 1000000 pixels") && error.contains("ask for fewer"), "{error}");
}

#[test]
#[should_panic(expected = "0 x 10 pixels has none")]
fn a_frame_has_pixels() {
    let _ = EglRenderer::new(0, 10);
}
