//! The program on real MuJoCo: killed and resumed, and what it says of damaged, foreign or full places.
//!
//! Skipped where MuJoCo is not installed, unless `MPO_REQUIRE_MUJOCO` is set, as `cargo xtask test` does.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use mpo_envs::assets::Assets;
use tempfile::TempDir;

/// Small networks and few updates: what is tested is the run, not its learning.
const SMALL: [&str; 10] = [
    "network.policy_hidden=[32,32]",
    "network.critic_hidden=[32,32]",
    "learner.action_samples=2",
    "replay.capacity=20000",
    "training.warmup_steps=500",
    "training.updates_per_step=0.2",
    "training.evaluation_period=2000",
    "training.evaluation_episodes=1",
    "training.checkpoint_period=1000",
    "replay.sequences=4",
];

fn mujoco() -> bool {
    match Assets::locate() {
        Ok(_) => true,
        Err(error) => {
            assert!(std::env::var_os("MPO_REQUIRE_MUJOCO").is_none(), "{error}");
            false
        }
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_mpo"))
}

fn train(directory: &Path, steps: u32) -> Command {
    let mut command = Command::new(program());
    command.args(["train", "control/cartpole-swingup", "--seed", "7", "--run"]).arg(directory);
    command.args(["--steps", &steps.to_string()]);
    for setting in SMALL {
        command.args(["--set", setting]);
    }
    command
}

fn resume(directory: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["train", "--resume"]).arg(directory);
    command
}

fn output(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

/// Asserts exit code 1 and every part of the message.
fn fails(command: &mut Command, parts: &[&str]) {
    let output = output(command);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in parts {
        assert!(message.contains(part), "{command:?} does not say {part:?}:\n{message}");
    }
}

fn finished(directory: &Path, steps: u32) {
    let output = output(&mut train(directory, steps));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn newest_checkpoint(directory: &Path) -> PathBuf {
    let folders = fs::read_dir(directory.join("checkpoints")).expect("a run has checkpoints");
    folders.map(|entry| entry.expect("readable").path()).max().expect("at least one checkpoint")
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn the_same_seed_gives_the_same_bytes_also_when_killed_and_resumed() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let [first, second, killed] = ["first", "second", "killed"].map(|name| folder.path().join(name));
    finished(&first, 6000);
    finished(&second, 6000);

    let mut child = train(&killed, 6000).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    // Not before the third checkpoint is there; wherever the kill then falls, the outcome must be the same.
    while !killed.join("checkpoints/000003000").exists() {
        assert!(child.try_wait().expect("a child").is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("a dead child");
    assert!(!killed.join("done.json").exists(), "the kill came after the end");
    assert!(output(&mut resume(&killed)).status.success());

    for other in [&second, &killed] {
        for file in
            ["metrics.csv", "eval.csv", "checkpoints/000006000/learner.safetensors", "checkpoints/000006000/replay.bin"]
        {
            let read = |directory: &Path| fs::read(directory.join(file)).expect("every run has it");
            assert!(read(&first) == read(other), "{file} of {} differs", other.display());
        }
    }
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused_by_name() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let run = folder.path().join("run");
    finished(&run, 2000);

    // A flipped bit in the newest: the one before it is used, and that is said.
    let newest = newest_checkpoint(&run).join("learner.safetensors");
    let mut bytes = fs::read(&newest).expect("readable");
    let sound = bytes.clone();
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(&newest, &bytes).expect("writable");
    let evaluated = output(Command::new(program()).arg("eval").arg(&run).args(["--episodes", "1"]));
    let said = String::from_utf8_lossy(&evaluated.stderr).into_owned();
    assert!(evaluated.status.success() && said.contains("warning") && said.contains("000002000"), "{said}");
    fs::write(&newest, &sound).expect("writable");

    // A checkpoint of another task.
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).expect("readable");
    fs::write(&config, text.replace("cartpole-swingup", "pendulum-swingup")).expect("writable");
    fails(&mut resume(&run), &["task", "cartpole-swingup", "pendulum-swingup"]);
    fs::write(&config, text).expect("writable");

    // None left that is whole.
    for folder in fs::read_dir(run.join("checkpoints")).expect("a run has checkpoints") {
        fs::write(folder.expect("readable").path().join("replay.bin"), "nonsense").expect("writable");
    }
    fails(Command::new(program()).arg("eval").arg(&run), &["replay.bin", "checkpoint"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("writable");
    fails(&mut train(&file.join("run"), 1000), &["file/run"]);

    // A full disk, as the shell's limit on the size of files makes one: the error names the file, and the checkpoint that was
    // written before stays good.
    let run = folder.path().join("run");
    finished(&run, 2000);
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).expect("readable");
    fs::write(&config, text.replace("steps = 2000", "steps = 4000")).expect("writable");
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec {} train --resume {}", program().display(), run.display());
    fails(Command::new("bash").args(["-c", &limited]), &["checkpoints"]);
    let evaluated = output(Command::new(program()).arg("eval").arg(&run).args(["--episodes", "1"]));
    assert!(evaluated.status.success(), "{}", String::from_utf8_lossy(&evaluated.stderr));
}

#[test]
fn a_library_that_is_not_mujoco_is_named() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let library = folder.path().join("libmujoco.so");
    fs::write(&library, "not a library").expect("writable");
    let mut command = train(&folder.path().join("run"), 1000);
    command.env("MPO_MUJOCO_LIBRARY", &library);
    fails(&mut command, &["libmujoco.so", "cargo xtask setup"]);
}

#[test]
fn physics_that_diverges_is_an_error_with_task_and_time() {
    if !mujoco() {
        return;
    }
    // A cart so strongly driven that the simulation cannot follow.
    let folder = temporary();
    let found = Assets::locate().expect("the files are here");
    fs::create_dir_all(folder.path().join("suite/common")).expect("writable");
    for name in ["common/materials.xml", "common/skybox.xml", "common/visual.xml", "cartpole.xml"] {
        let text = fs::read_to_string(found.suite.join(name)).expect("a file of the suite");
        assert!(name != "cartpole.xml" || text.contains("gear=\"10\""), "the model's drive has another strength");
        fs::write(folder.path().join("suite").join(name), text.replace("gear=\"10\"", "gear=\"1e14\""))
            .expect("writable");
    }
    let mut command = train(&folder.path().join("run"), 1000);
    command.env("MPO_MUJOCO_LIBRARY", &found.library).env("MPO_DM_CONTROL", folder.path());
    fails(&mut command, &["cartpole-swingup", "simulation time", "mjWARN"]);
}

#[test]
fn every_task_has_its_picture_and_its_place_on_the_sheet() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let mut command = Command::new(program());
    assert!(output(command.args(["tasks", "--pictures"]).arg(folder.path())).status.success());
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    let control = mpo_envs::suite::tasks().iter().map(|task| task.name);
    let courses = mpo_envs::parkour::tasks().iter().map(|task| task.name);
    let sheets = ["contact-sheet.png", "parkour.png"];
    let mut expected: Vec<_> = control.chain(courses).map(|name| format!("{}.png", name.replace('/', "-"))).collect();
    expected.extend(sheets.map(str::to_owned));
    expected.sort();
    assert_eq!(names, expected);
    for sheet in sheets {
        let bytes = fs::metadata(folder.path().join(sheet)).expect("it is there").len();
        assert!((20_000..=200_000).contains(&bytes), "{sheet} of {bytes} bytes");
    }
}

#[test]
fn an_arm_from_a_model_of_ones_own_trains_and_plays() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let run = folder.path().join("arm");
    let mut command = Command::new(program());
    command.args(["train", "example/arm", "--steps", "600", "--run"]).arg(&run);
    for setting in SMALL {
        command.args(["--set", setting]);
    }
    let trained = output(&mut command);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let film = folder.path().join("arm.gif");
    let mut command = Command::new(program());
    command.arg("play").arg(&run).arg("--gif").arg(&film).args(["--seconds", "0.1", "--size", "64x48"]);
    assert!(output(&mut command).status.success());
    assert!(film.is_file());
}

#[test]
fn an_episode_can_be_filmed() {
    if !mujoco() {
        return;
    }
    let folder = temporary();
    let run = folder.path().join("run");
    finished(&run, 1000);
    let (film, picture) = (folder.path().join("film.gif"), folder.path().join("picture.png"));
    let mut command = Command::new(program());
    command.arg("play").arg(&run).arg("--gif").arg(&film).arg("--png").arg(&picture);
    command.args(["--seconds", "0.2", "--size", "64x48"]);
    assert!(output(&mut command).status.success());
    let mut reader =
        png::Decoder::new(fs::File::open(&picture).map(std::io::BufReader::new).expect("the picture is there"))
            .read_info()
            .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    assert_eq!((info.width, info.height), (64, 48));
    assert!(pixels.iter().collect::<std::collections::HashSet<_>>().len() > 20, "an empty picture");
    let bytes = fs::read(&film).expect("the film is there");
    assert!(bytes.starts_with(b"GIF89a") && bytes.ends_with(&[0x3b]), "a whole GIF");
    let [width, height] = [6, 8].map(|i| u16::from_le_bytes([bytes[i], bytes[i + 1]]));
    assert_eq!((width, height), (64, 48));

    // Without a list of drivers no EGL finds one.
    let play = |renderer: &str, drivers: bool| {
        let mut command = Command::new(program());
        command.arg("play").arg(&run).arg("--gif").arg(&film).arg("--png").arg(&picture);
        command.args(["--seconds", "0.2", "--size", "64x48", "--renderer", renderer]);
        if !drivers {
            command.env("__EGL_VENDOR_LIBRARY_FILENAMES", "/dev/null");
        }
        command
    };
    let by_rays = fs::read(&picture).expect("the picture is there");
    fails(&mut play("egl", false), &["MuJoCo's own renderer", "libegl1", "libgl1-mesa-dri"]);
    for (drivers, expected) in [(false, "drawn by the ray caster: "), (true, "drawn by ")] {
        let played = output(&mut play("auto", drivers));
        let said = String::from_utf8_lossy(&played.stdout);
        assert!(played.status.success() && said.contains(expected), "{said}");
        let same = fs::read(&picture).expect("the picture is there") == by_rays;
        assert_eq!(same, said.contains("ray caster"), "{said}");
    }
}
