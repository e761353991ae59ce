//! Every task can be seen.

use mpo_envs::render::Renderer;
use mpo_envs::suite;

mod common;

#[test]
fn every_task_has_a_picture_that_follows_its_state() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut renderer = Renderer::new(64, 48);
    for info in suite::tasks() {
        let mut environment = suite::load(info.name, 0).expect("a task");
        environment.reset().expect("a reset");
        let scene = environment.scene(0).expect("a scene");
        let first = renderer.frame(&scene).to_vec();
        assert_eq!(first.len(), 3 * 64 * 48);
        let colors: std::collections::HashSet<_> = first.as_chunks::<3>().0.iter().collect();
        assert!(colors.len() > 20, "{} shows {} colours only", info.name, colors.len());
        for _ in 0..20 {
            environment.step(&vec![1.0; info.action]).expect("a step");
        }
        let scene = environment.scene(0).expect("a scene");
        assert_ne!(renderer.frame(&scene), first, "{} does not move", info.name);
        // There is always a camera: a free one looks on when the index is beyond the model's.
        let free = environment.scene(99).expect("a scene");
        assert_ne!(free.camera, scene.camera, "{}", info.name);
    }
}

#[test]
fn taking_a_picture_does_not_change_the_episode() {
    if !common::mujoco_is_here() {
        return;
    }
    let [mut seen, mut unseen] = [0, 0].map(|seed| suite::load("humanoid-walk", seed).expect("a task"));
    seen.reset().expect("a reset");
    unseen.reset().expect("a reset");
    for _ in 0..20 {
        seen.scene(0).expect("a scene");
        let seen = seen.step(&[0.3; 21]).expect("a step");
        let unseen = unseen.step(&[0.3; 21]).expect("a step");
        assert_eq!(seen, unseen);
    }
}

#[test]
fn the_swimmers_target_stands_in_its_light() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut environment = suite::load("swimmer-swimmer6", 0).expect("a task");
    for _ in 0..2 {
        environment.reset().expect("a reset");
        let physics = environment.physics().expect("a simulation");
        let target = physics.geom_xpos()[physics.geom("target").expect("a target")];
        assert_eq!(physics.light_pos_mut()[0][..2], target[..2]);
    }
}
