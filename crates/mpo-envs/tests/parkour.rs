//! What holds for every task of parkour, its episodes, and what it refuses.

use mpo_envs::parkour::{self, Body, Parkour, Ranges, Terrain};
use mpo_envs::render::Renderer;
use mpo_envs::{EnvError, Environment, Progress, StepType};

#[path = "common/actions.rs"]
mod actions;
mod common;
#[path = "common/trajectory.rs"]
mod trajectory;
use actions::SplitMix64;
use trajectory::trajectory;

/// Puts the torso at so many metres along the course and beside its centre, standing and at rest.
fn stand_at(environment: &mut Parkour, x: f64, y: f64) {
    let physics = environment.physics().expect("a simulation");
    let walker = physics.qpos().len() == 9;
    physics.qvel_mut().fill(0.0);
    let qpos = physics.qpos_mut();
    qpos.fill(0.0);
    if walker {
        qpos[..2].copy_from_slice(&[x, 1.27]);
    } else {
        qpos[..4].copy_from_slice(&[x, y, 1.32, 1.0]);
    }
    physics.after_reset().expect("no warning");
}

#[test]
fn every_task_has_the_shape_that_the_table_says() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        assert_eq!(mpo_envs::full_name(info.name).expect("a task"), info.name);
        let mut environment = mpo_envs::load(info.name, 0).expect("a task");
        let spec = environment.spec().clone();
        let parts: Vec<_> = spec.observation.iter().map(|part| (part.name.as_str(), part.len)).collect();
        assert_eq!(parts, [("proprioception", info.parts[0]), ("terrain", info.parts[1])], "{}", info.name);
        assert_eq!(spec.action_minimum, vec![-1.0; info.action], "{}", info.name);
        assert_eq!(spec.action_maximum, vec![1.0; info.action], "{}", info.name);
        assert!((spec.control_timestep - info.control_timestep).abs() < 1e-12, "{}", info.name);
        assert_eq!(spec.episode_steps, info.episode_steps, "{}", info.name);
        let first = environment.reset().expect("a reset");
        assert_eq!(first.observation.len(), info.observation(), "{}", info.name);
        assert!(first.observation.iter().all(|number| number.abs() < 10.0), "{}: {first:?}", info.name);
        let physics = environment.physics().expect("a simulation");
        let (freedom, torques) = if info.body == Body::Walker { (9, 6) } else { (28, 21) };
        assert_eq!((physics.qvel().len(), physics.ctrl().len()), (freedom, torques), "{}", info.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_courses_and_episodes_and_another_seed_others() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        let [mut first, mut second, mut other] = [7, 7, 8].map(|seed| mpo_envs::load(info.name, seed).expect("a task"));
        for episode in 0..2 {
            let expected = trajectory(first.as_mut(), 100, episode);
            assert_eq!(expected, trajectory(second.as_mut(), 100, episode), "{}", info.name);
            assert_ne!(expected, trajectory(other.as_mut(), 100, episode), "{}", info.name);
        }
    }
}

/// Places, sizes and bounds of all boxes.
fn boxes(environment: &mut Parkour) -> Vec<f64> {
    let physics = environment.physics().expect("a simulation");
    [physics.body_pos().as_flattened(), physics.body_quat().as_flattened(), physics.geom_size().as_flattened()].concat()
}

#[test]
fn courses_differ_from_episode_to_episode() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks().iter().filter(|info| info.terrain != Terrain::Flat) {
        let mut environment = Parkour::load(info.name, 0).expect("a task");
        let mut courses: Vec<Vec<f64>> = Vec::new();
        for _ in 0..3 {
            environment.reset().expect("a reset");
            courses.push(boxes(&mut environment));
        }
        assert!(courses[0] != courses[1] && courses[1] != courses[2], "{}", info.name);
    }
}

#[test]
fn a_restored_environment_continues_identically() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        let mut original = Parkour::load(info.name, 3).expect("a task");
        trajectory(&mut original, 70, 0);
        let state = original.save_state();
        let mut restored = Parkour::load(info.name, 99).expect("a task");
        // The restored one has a past of its own, which must not show.
        trajectory(&mut restored, 30, 1);
        restored.restore_state(&state).expect("a state of the same task");
        assert_eq!(restored.save_state(), state, "{}", info.name);
        for episode in 2..4 {
            let expected = trajectory(&mut original, 70, episode);
            assert_eq!(expected, trajectory(&mut restored, 70, episode), "{}", info.name);
            assert_eq!(boxes(&mut original), boxes(&mut restored), "{}", info.name);
        }
    }
    let foreign = Parkour::load("parkour/walker-gaps", 0).expect("a task").save_state();
    let mut environment = Parkour::load("parkour/walker-hurdles", 0).expect("a task");
    assert!(matches!(environment.restore_state(&foreign), Err(EnvError::InvalidState { .. })));
}

/// A warning of MuJoCo would be an error of the step. The start is calm: nothing is pushed out of the ground.
#[test]
fn ten_thousand_random_steps_of_every_task_raise_no_warning() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        let mut environment = mpo_envs::load(info.name, 5).expect("a task");
        let spec = environment.spec().clone();
        let mut generator = SplitMix64(11);
        let mut action = vec![0.0; info.action];
        let (mut episodes, mut before) = (0, StepType::Last);
        for _ in 0..10_000 {
            generator.action(&spec, &mut action);
            let step = environment.step(&action).expect("a step");
            assert!(step.reward.is_finite() && step.observation.iter().all(|x| x.is_finite()), "{}", info.name);
            assert_eq!(step.step_type == StepType::First, before == StepType::Last, "{}", info.name);
            before = step.step_type;
            episodes += usize::from(before == StepType::First);
        }
        assert!((20..1000).contains(&episodes), "{}: {episodes} episodes", info.name);
    }
}

#[test]
fn a_start_does_not_explode_and_who_does_nothing_falls() {
    if !common::mujoco_is_here() {
        return;
    }
    for info in parkour::tasks() {
        let mut environment = mpo_envs::load(info.name, 1).expect("a task");
        for _ in 0..10 {
            environment.reset().expect("a reset");
            let action = vec![0.0; info.action];
            for step in 1.. {
                let answer = environment.step(&action).expect("a step");
                let (last, discount) = (answer.step_type == StepType::Last, answer.discount);
                assert!(
                    (discount - f64::from(u8::from(!last))).abs() < 1e-12,
                    "{} falls, and that is an end",
                    info.name
                );
                let physics = environment.physics().expect("a simulation");
                let fastest = physics.qvel().iter().map(|speed| speed.abs()).fold(0.0, f64::max);
                assert!(step > 10 || fastest < 8.0, "{}: {fastest} at step {step}", info.name);
                if last {
                    assert!((15..200).contains(&step), "{} falls at step {step}", info.name);
                    break;
                }
            }
        }
    }
}

#[test]
fn the_end_of_the_course_and_the_time_limit_are_no_terminations() {
    if !common::mujoco_is_here() {
        return;
    }
    for body in [Body::Walker, Body::Humanoid] {
        let ranges = Ranges { length: 30.0, ..Ranges::of(body) };
        let mut environment = Parkour::new(body, Terrain::Hurdles, ranges, 0).expect("a task");
        let action = vec![0.0; environment.spec().action_len()];
        environment.reset().expect("a reset");
        for step in 1..=1000 {
            stand_at(&mut environment, 0.0, 0.0);
            let answer = environment.step(&action).expect("a step");
            let expected = if step == 1000 { StepType::Last } else { StepType::Mid };
            assert_eq!((answer.step_type, answer.discount), (expected, 1.0), "{body:?} at step {step}");
        }
        environment.reset().expect("a reset");
        stand_at(&mut environment, 29.9, 0.0);
        assert_eq!(environment.step(&action).expect("a step").step_type, StepType::Mid, "{body:?}");
        stand_at(&mut environment, 30.1, 0.0);
        let answer = environment.step(&action).expect("a step");
        assert_eq!((answer.step_type, answer.discount), (StepType::Last, 1.0), "{body:?}");
        // Nothing but level ground is seen of what follows.
        let seen = &answer.observation[answer.observation.len() - 50..];
        if body == Body::Walker {
            assert!(seen.iter().all(|height| height.abs() < 0.05), "{seen:?}");
        }
        assert_eq!(environment.step(&action).expect("a step").step_type, StepType::First, "{body:?}");
    }
    let mut humanoid = Parkour::load("parkour/humanoid-flat", 0).expect("a task");
    humanoid.reset().expect("a reset");
    stand_at(&mut humanoid, 1.0, 1.9);
    assert_eq!(humanoid.step(&[0.0; 21]).expect("a step").step_type, StepType::Mid);
    stand_at(&mut humanoid, 1.0, -2.1);
    let answer = humanoid.step(&[0.0; 21]).expect("a step");
    assert_eq!((answer.step_type, answer.discount), (StepType::Last, 0.0), "beside the track");
}

#[test]
fn progress_tells_distance_and_obstacles_and_ends_with_the_episode() {
    if !common::mujoco_is_here() {
        return;
    }
    let exact = Ranges { spacing: [5.0; 2], hurdle_length: [0.2; 2], ..Ranges::of(Body::Walker) };
    let mut environment = Parkour::new(Body::Walker, Terrain::Hurdles, exact, 0).expect("a task");
    environment.reset().expect("a reset");
    let start = environment.progress().expect("there is a course");
    assert!(start.distance.abs() < 1e-9 && start.obstacles == 0, "{start:?}");
    // Hurdles from 4 m to 4.2 m, from 9.2 m to 9.4 m, from 14.4 m to 14.6 m.
    for (x, obstacles) in [(3.0, 0), (4.1, 0), (4.3, 1), (9.3, 1), (9.5, 2), (20.0, 4)] {
        stand_at(&mut environment, x, 0.0);
        let Progress { distance, obstacles: passed } = environment.progress().expect("there is a course");
        assert!((distance - x).abs() < 1e-9 && passed == obstacles, "at {x}: {distance}, {passed}");
    }
    environment.reset().expect("a reset");
    assert_eq!(environment.progress().expect("there is a course").obstacles, 0);
    assert_eq!(mpo_envs::load("cheetah-run", 0).expect("a task").progress(), None);
}

#[test]
fn reward_is_forward_velocity_less_torques() {
    if !common::mujoco_is_here() {
        return;
    }
    for (body, cap) in [(Body::Walker, 1.5), (Body::Humanoid, 1.0)] {
        let mut environment = Parkour::new(body, Terrain::Flat, Ranges::of(body), 0).expect("a task");
        let mut reward = |velocity: f64, action: f64| {
            environment.reset().expect("a reset");
            stand_at(&mut environment, 0.0, 0.0);
            let physics = environment.physics().expect("a simulation");
            // In the air, where neither the ground nor a fall says anything.
            physics.qpos_mut()[if body == Body::Walker { 1 } else { 2 }] += 0.3;
            physics.qvel_mut()[0] = velocity;
            physics.after_reset().expect("no warning");
            let action = vec![action; environment.spec().action_len()];
            environment.step(&action).expect("a step").reward
        };
        let still = reward(0.0, 0.0);
        assert!((0.05..0.25).contains(&still), "{body:?}: {still}");
        assert!((reward(2.0, 0.0) - still - 0.5).abs() < 0.02, "{body:?}");
        assert!((reward(6.0, 0.0) - still - cap).abs() < 0.05, "{body:?}");
        assert!((reward(-2.0, 0.0) - still + 0.5).abs() < 0.02, "{body:?}");
        // What is beyond the bounds has no effect, and no price either.
        assert_eq!(reward(0.0, 1.0).to_bits(), reward(0.0, 5.0).to_bits(), "{body:?}");
    }
}

#[test]
fn what_cannot_be_run_over_is_refused() {
    let refused = |body, terrain, ranges| Parkour::new(body, terrain, ranges, 0).expect_err("refused").to_string();
    let good = Ranges::of(Body::Walker);
    let error = refused(Body::Walker, Terrain::Hurdles, Ranges { hurdle_height: [0.4, 0.2], ..good });
    let expected =
        "no course can be drawn with this `hurdle_height`: its lower end of 0.4 m is above its upper end of 0.2 m";
    assert_eq!(error, expected);
    let error = refused(Body::Walker, Terrain::Gaps, Ranges { length: 900.0, ..good });
    assert!(error.starts_with("a course of 900 m may need 289 boxes, and a pool has at most 200: make it"), "{error}");
    let error = refused(Body::Walker, Terrain::Slalom, good);
    assert!(error.contains("`terrain`") && error.contains("ask for the humanoid"), "{error}");
    for name in ["parkour/walker-slalom", "parkour/humanoid-hurdels", "parkour/"] {
        let error = mpo_envs::load(name, 0).err().expect("no such task").to_string();
        let expected = format!("unknown task `{name}`; the nearest is `parkour/");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(mpo_envs::full_name(name).expect_err("no such task").to_string(), error);
    }
    let error = "slalon".parse::<Terrain>().expect_err("no such terrain").to_string();
    assert_eq!(error, "unknown terrain `slalon`; the nearest is `slalom`");
}

#[test]
fn body_and_course_are_seen_by_a_camera_that_follows() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut renderer = Renderer::new(64, 48);
    for info in parkour::tasks() {
        let mut environment = Parkour::load(info.name, 1).expect("a task");
        environment.reset().expect("a reset");
        let scene = environment.scene(0).expect("a scene");
        let first = renderer.frame(&scene).to_vec();
        let colors: std::collections::HashSet<_> = first.as_chunks::<3>().0.iter().collect();
        assert!(colors.len() > 20, "{} shows {} colours only", info.name, colors.len());
        stand_at(&mut environment, 12.0, 0.0);
        let later = environment.scene(0).expect("a scene");
        let moved = later.camera.position[0] - scene.camera.position[0];
        assert!((moved - 12.0).abs() < 0.3, "{}: the camera moved {moved} m", info.name);
        // Boxes in the store are not drawn.
        let visible = |solid: &&mpo_envs::render::Solid| solid.position[2] < -50.0;
        assert_eq!(later.solids.iter().filter(visible).count(), 0, "{}", info.name);
    }
}
