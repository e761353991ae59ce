//! The falling object: what is in a frame, who wins, what is refused.
#![allow(clippy::float_cmp, reason = "rewards and discounts are whole numbers")]

use mpo_envs::{EnvError, StepType, TimeStep, examples};

/// Rows, columns and greys of the frame's first pixels of each thing, and its step type and reward.
fn seen(step: &TimeStep<'_>, side: usize) -> (StepType, f64, Option<usize>, Option<usize>) {
    let first = |grey: u8| step.frame.iter().position(|&pixel| pixel == grey);
    assert_eq!(step.frame.len(), side * side);
    (step.step_type, step.reward, first(255), first(128))
}

/// The best action, read from the frame alone: towards the object's column.
fn wise(step: &TimeStep<'_>, side: usize) -> f64 {
    let (_, _, object, paddle) = seen(step, side);
    let cell = side / 12;
    let column = |pixel: Option<usize>| pixel.expect("it is drawn until the last step") % side / cell;
    1.0 + (column(object) as f64 - column(paddle) as f64 - 1.0).clamp(-1.0, 1.0)
}

#[test]
fn it_has_the_sizes_that_are_listed() {
    let info = examples::tasks().iter().find(|info| info.name == "example/catch").expect("a row");
    let environment = mpo_envs::load("example/catch", 0).expect("it needs nothing");
    let spec = environment.spec();
    assert_eq!((spec.frame, spec.discrete_actions), (info.frame, info.discrete_actions));
    assert_eq!((spec.observation_len(), spec.action_len()), (info.observation, info.action));
    assert_eq!((spec.control_timestep, spec.episode_steps), (info.control_timestep, info.episode_steps));
    assert_eq!((spec.action_minimum[0], spec.action_maximum[0]), (0.0, 2.0));
}

#[test]
fn whoever_follows_the_object_always_catches_it_and_chance_does_not() {
    for side in [12, 36, 84] {
        let mut environment = examples::catch(1, side, 2);
        let mut sums = [0.0, 0.0];
        for episode in 0..400 {
            let start = environment.reset().expect("a reset");
            assert_eq!((start.step_type, start.reward, start.discount), (StepType::First, 0.0, 1.0));
            let mut action = wise(&start, side);
            let mut steps = 0;
            loop {
                let played = if episode % 2 == 0 { action } else { f64::from((episode * 7 + steps * 5) % 3) };
                let step = environment.step(&[played]).expect("a step");
                steps += 1;
                if step.step_type == StepType::Last {
                    assert_eq!((step.discount, steps), (0.0, 11));
                    sums[episode as usize % 2] += step.reward;
                    break;
                }
                assert_eq!((step.step_type, step.reward, step.discount), (StepType::Mid, 0.0, 1.0));
                action = wise(&step, side);
            }
        }
        assert_eq!(sums[0], 200.0, "side {side}");
        assert!((-150.0..-40.0).contains(&sums[1]), "by chance {} of 200 at side {side}", sums[1]);
    }
}

#[test]
fn the_object_falls_a_cell_a_step_and_the_paddle_stays_in_the_grid() {
    let mut environment = examples::catch(0, 36, 4);
    let (_, _, object, _) = seen(&environment.reset().expect("a reset"), 36);
    let column = object.expect("it is drawn") % 36;
    for (row, action) in (1..).zip([0.0; 10]) {
        let step = environment.step(&[action]).expect("a step");
        let (_, _, object, paddle) = seen(&step, 36);
        assert_eq!(object, Some(row * 3 * 36 + column));
        assert_eq!(paddle.expect("it is drawn") / 36, 33);
        assert_eq!(step.frame.iter().map(|&pixel| usize::from(pixel == 128)).sum::<usize>(), 27);
        assert_eq!(step.frame.iter().map(|&pixel| usize::from(pixel == 255)).sum::<usize>(), 9);
    }
    let paddle = environment.step(&[0.0]).expect("a step").frame.iter().position(|&pixel| pixel == 128);
    assert!(paddle.is_some_and(|pixel| pixel % 36 < 6), "eleven steps to the left lead to the edge: {paddle:?}");
}

#[test]
fn an_action_that_there_is_not_is_an_error_and_the_next_step_starts_anew() {
    let mut environment = examples::catch(0, 36, 4);
    for bad in [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
        environment.reset().expect("a reset");
        let error = environment.step(&[bad]).expect_err("no such action");
        assert!(matches!(error, EnvError::NoSuchAction { task: "example/catch", count: 3, .. }), "{error:?}");
        assert!(error.to_string().ends_with(&format!("action[0] is {bad}")), "{error}");
        assert_eq!(environment.step(&[1.0]).expect("a new episode").step_type, StepType::First);
    }
}

#[test]
fn a_restored_environment_goes_on_alike() {
    let mut environment = examples::catch(5, 36, 4);
    environment.reset().expect("a reset");
    let mut restored = examples::catch(6, 36, 4);
    restored.restore_state(&environment.save_state()).expect("a state of the same task");
    let expected = environment.reset().expect("a reset").frame.to_vec();
    let step = restored.step(&[1.0]).expect("the first step starts an episode");
    assert!(step.step_type == StepType::First && step.frame == expected);
    for _ in 0..100 {
        let expected = environment.reset().expect("a reset").frame.to_vec();
        assert!(restored.reset().expect("a reset").frame == expected, "another episode");
    }
    assert!(matches!(restored.restore_state(b"?"), Err(EnvError::InvalidState { task: "example/catch", .. })));
}
