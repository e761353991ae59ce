//! Environments from models of one's own: the examples, and what is said of models that do not work.

use std::fs;
use std::path::Path;

use mpo_envs::mjcf::{Mjcf, Observation, Task};
use mpo_envs::mujoco::{Fault, Physics};
use mpo_envs::{EnvError, Environment, RandomState, StepType, examples};

mod common;

const CART: &str = r#"
<mujoco>
  <worldbody>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/>
      <geom name="cart" type="box" size="0.1 0.1 0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="push" joint="rail" ctrlrange="-1 1" ctrllimited="true" gear="GEAR"/>
  </actuator>
</mujoco>
"#;

fn cart(gear: &str) -> String {
    CART.replace("GEAR", gear)
}

/// Drive the cart to the right; more than a metre from the start is the end.
struct Drive {
    rail: usize,
}

impl Drive {
    fn find(physics: &Physics) -> Result<Self, EnvError> {
        Ok(Self { rail: physics.joint_position("rail")? })
    }
}

impl Task for Drive {
    fn initialize_episode(&mut self, physics: &mut Physics, random: &mut RandomState) -> Result<(), Fault> {
        physics.qpos_mut()[self.rail] = random.uniform(-0.1, 0.1);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("position").extend(physics.qpos()).part("velocity").extend(physics.qvel());
    }

    fn reward(&self, physics: &Physics) -> f64 {
        physics.qpos()[self.rail]
    }

    fn terminates(&self, physics: &Physics) -> bool {
        physics.qpos()[self.rail] > 1.0
    }
}

/// Sees nothing.
struct Blind;
impl Task for Blind {
    fn initialize_episode(&mut self, _: &mut Physics, _: &mut RandomState) -> Result<(), Fault> {
        Ok(())
    }
    fn observe(&self, _: &Physics, _: &mut Observation) {}
    fn reward(&self, _: &Physics) -> f64 {
        0.0
    }
}

fn message(result: Result<Box<dyn Environment>, EnvError>) -> String {
    result.err().expect("the model does not work").to_string()
}

#[test]
fn the_examples_have_the_sizes_that_are_listed_and_can_be_continued() {
    for info in examples::tasks() {
        if info.name == "example/arm" && !common::mujoco_is_here() || info.discrete_actions.is_some() {
            continue;
        }
        let mut environment = mpo_envs::load(info.name, 3).expect("an example");
        let spec = environment.spec().clone();
        assert_eq!((spec.observation_len(), spec.action_len()), (info.observation, info.action), "{}", info.name);
        assert!((spec.control_timestep - info.control_timestep).abs() < 1e-12, "{}", info.name);
        assert_eq!(spec.episode_steps, info.episode_steps, "{}", info.name);

        // An episode by the time limit, and the next one, which a restored environment has too.
        let action = vec![0.5; info.action];
        let first = environment.reset().expect("a reset").observation.to_vec();
        for step in 1..=info.episode_steps {
            let step_type = if step == info.episode_steps { StepType::Last } else { StepType::Mid };
            let answer = environment.step(&action).expect("a step");
            assert_eq!((answer.step_type, answer.discount), (step_type, 1.0), "{} at step {step}", info.name);
            assert!((0.0..=1.0).contains(&answer.reward), "{}: reward {}", info.name, answer.reward);
        }
        let mut restored = mpo_envs::load(info.name, 99).expect("an example");
        restored.restore_state(&environment.save_state()).expect("a state of the same task");
        let second = environment.step(&action).expect("a new episode").observation.to_vec();
        assert_ne!(first, second, "{} always starts alike", info.name);
        assert_eq!(restored.reset().expect("a reset").observation, second, "{}", info.name);

        environment.step(&action).expect("a step");
        let mut bad = action;
        bad[0] = f64::NAN;
        let error = environment.step(&bad).expect_err("a bad action").to_string();
        assert!(error.contains(info.name) && error.contains("action[0] is NaN"), "{error}");
        assert_eq!(environment.reset().expect("a reset").step_type, StepType::First);
    }
}

#[test]
fn a_model_of_ones_own_from_a_file_with_an_included_one() {
    if !common::mujoco_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("options.xml", "<mujoco><option timestep=\"0.004\"/></mujoco>");
    let text = cart("50").replace("<mujoco>", "<mujoco><include file=\"options.xml\"/>");
    let file = folder.path().join("cart.xml");
    write("cart.xml", &text);
    let model = Mjcf::file("own/cart", &file).control_timestep(0.02).episode_seconds(0.3);
    let mut environment = model.environment(0, Drive::find).expect("a cart");
    let spec = environment.spec().clone();
    let parts: Vec<_> = spec.observation.iter().map(|part| (part.name.as_str(), part.len)).collect();
    assert_eq!(parts, [("position", 1), ("velocity", 1)]);
    assert_eq!((spec.action_minimum, spec.action_maximum), (vec![-1.0], vec![1.0]));
    assert_eq!(spec.episode_steps, 15);
    assert!((spec.control_timestep - 0.02).abs() < 1e-12, "five physics steps of the included file's 0.004 s");

    // 50 N on 1 kg: a metre within 0.2 s or a little more, and that is a termination, not the time limit.
    environment.reset().expect("a reset");
    let mut steps = 0;
    loop {
        let step = environment.step(&[1.0]).expect("a step");
        steps += 1;
        let beyond = step.observation[0] > 1.0;
        let expected = if beyond { (StepType::Last, 0.0) } else { (StepType::Mid, 1.0) };
        assert_eq!((step.step_type, step.discount), expected, "step {steps}");
        if beyond {
            break;
        }
    }
    assert!((9..=12).contains(&steps), "{steps}");
    assert_eq!(environment.step(&[0.0]).expect("a new episode").step_type, StepType::First);
}

#[test]
fn a_broken_model_is_refused_by_file_element_and_line() {
    if !common::mujoco_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cart.xml");
    let make = |file: &Path| Mjcf::file("own/cart", file).environment(0, Drive::find);

    let error = make(&file).err().expect("no file");
    assert!(matches!(&error, EnvError::ModelFile { path, .. } if path == &file), "{error:?}");

    let refused = |text: &str, parts: &[&str]| {
        fs::write(&file, text).expect("a file");
        let error = message(make(&file));
        for part in [&["cart.xml"], parts].concat() {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    refused(&cart("1").replace("<geom", "<goem"), &["unrecognized element", "goem", "line 6"]);
    refused(&cart("1").replace("type=\"box\"", "type=\"cube\""), &["cube", "geom", "line 6"]);
    refused(&cart("1").replace("joint=\"rail\"", "joint=\"rial\""), &["rial", "push", "line 10"]);
    refused(&cart("1").replace("</body>", ""), &["XML parse error"]);
    refused("", &["cart.xml"]);
}

#[test]
fn what_a_task_asks_for_in_vain_is_named_with_the_nearest() {
    if !common::mujoco_is_here() {
        return;
    }
    let model = || Mjcf::text("own/cart", cart("1").replace("\"rail\"", "\"rails\""));
    assert_eq!(
        message(model().environment(0, Drive::find)),
        "the model `own/cart` is not usable: it has no Joint called `rail` (the nearest is `rails`); \
         name it in the model, or ask for another"
    );
    let asked = |ask: fn(&Physics) -> Result<usize, EnvError>| {
        message(model().environment(0, move |physics| Ok(Drive { rail: ask(physics)? })))
    };
    assert!(asked(|physics| physics.body("card")).contains("no Body called `card` (the nearest is `cart`)"));
    assert!(asked(|physics| physics.geom("wheel")).contains("no Geom called `wheel`"));
    assert!(asked(|physics| physics.site("tip")).contains("no Site called `tip`;"), "there is none to be near");
    assert!(asked(|physics| physics.sensor("speed")).contains("no Sensor called `speed`;"));
    assert!(asked(|physics| physics.joint("a\0b")).contains("no Joint called"));
}

#[test]
fn models_that_cannot_make_an_environment_are_refused() {
    if !common::mujoco_is_here() {
        return;
    }
    let model = |text: &str| Mjcf::text("own/cart", text);
    let error = message(model(&cart("1")).control_timestep(0.003).environment(0, Drive::find));
    assert!(error.contains("physics step of 0.002 s does not divide the control step of 0.003 s"), "{error}");
    for seconds in [0.0, f64::INFINITY, f64::NAN] {
        let error = message(model(&cart("1")).episode_seconds(seconds).environment(0, Drive::find));
        assert!(error.contains("an episode of"), "{error}");
    }
    let text = cart("1");
    let unmoved = format!("{}</mujoco>", &text[..text.find("<actuator>").expect("it has one")]);
    let error = message(model(&unmoved).environment(0, Drive::find));
    assert!(error.contains("no actuators"), "{error}");

    let error = message(model(&cart("1")).environment(0, |_| Ok(Blind)));
    assert!(error.contains("observes nothing"), "{error}");
}

#[test]
fn physics_that_diverges_names_task_and_time_and_can_be_reset() {
    if !common::mujoco_is_here() {
        return;
    }
    let model = Mjcf::text("own/cart", cart("1e15")).control_timestep(0.02);
    let mut environment = model.environment(0, Drive::find).expect("a cart");
    for _ in 0..3 {
        environment.reset().expect("a reset");
        assert_eq!(environment.step(&[0.0]).expect("a step without force").step_type, StepType::Mid);
        let error = environment.step(&[1.0]).expect_err("too strong a motor").to_string();
        let expected = "task `own/cart` became invalid at simulation time 0.02";
        assert!(error.starts_with(expected) && error.contains("MuJoCo warns of mjWARN_BADQ"), "{error}");
    }
    assert_eq!(environment.step(&[0.0]).expect("a new episode").step_type, StepType::First);
}

/// A camera on the cart, and a sensor of where it is: its reading is the only observation.
struct Watched;

impl Task for Watched {
    fn initialize_episode(&mut self, physics: &mut Physics, _: &mut RandomState) -> Result<(), Fault> {
        physics.qvel_mut().fill(1.0);
        Ok(())
    }

    fn observe(&self, physics: &Physics, observation: &mut Observation) {
        observation.part("eye").extend(physics.sensordata()).part("cart").extend(physics.qpos());
    }

    fn reward(&self, _: &Physics) -> f64 {
        0.0
    }
}

/// Other cameras stay behind between pictures; not those that the physics depends on.
#[test]
fn a_camera_with_a_sensor_on_it_moves_with_its_body() {
    if !common::mujoco_is_here() {
        return;
    }
    let sensor = "</worldbody><sensor><framepos objtype=\"camera\" objname=\"eye\"/></sensor>";
    let xml = cart("1").replace("mass=\"1\"/>", "mass=\"1\"/><camera name=\"eye\"/>").replace("</worldbody>", sensor);
    let mut environment = Mjcf::text("own/watched", xml).environment(0, |_| Ok(Watched)).expect("a sound model");
    environment.reset().expect("a reset");
    for _ in 0..5 {
        let [eye, .., cart] = *environment.step(&[0.5]).expect("a step").observation else { panic!("four numbers") };
        assert!(cart > 0.001 && (eye - cart).abs() < 1e-12, "the camera is at {eye}, the cart at {cart}");
    }
}
