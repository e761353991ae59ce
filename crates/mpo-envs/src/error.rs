//! What can go wrong with an environment.

use std::path::PathBuf;

/// Failure to find, load or advance an environment. Every message names the thing and the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// No task bears the name.
    #[error("unknown task `{name}`; the nearest is `{nearest}` (all names: `suite::tasks()`, or `mpo tasks`)")]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// The known task with the smallest edit distance.
        nearest: &'static str,
    },
    /// A file of MuJoCo or `dm_control` is not where it is looked for.
    #[error("{what} not found at `{}`: run `cargo xtask setup`, or set {variable}", path.display())]
    AssetMissing {
        /// The missing thing, in words.
        what: &'static str,
        /// The path that was tried.
        path: PathBuf,
        /// The environment variable that overrides the path.
        variable: &'static str,
    },
    /// There is no folder in which the cache could lie.
    #[error("no cache folder: none of MPO_CACHE, XDG_CACHE_HOME and HOME is set; set MPO_CACHE, or {variable}")]
    NoCacheFolder {
        /// The environment variable that overrides the path.
        variable: &'static str,
    },
    /// The file is there, but it is no MuJoCo library that this machine can load.
    #[error("cannot load the MuJoCo library `{}`: run `cargo xtask setup`, or set MPO_MUJOCO_LIBRARY", path.display())]
    LibraryUnloadable {
        /// The file that was tried.
        path: PathBuf,
        /// What the dynamic loader said.
        source: libloading::Error,
    },
    /// The library is a MuJoCo of another version, whose structures are laid out differently.
    #[error(
        "`{}` is MuJoCo {found}, but this program needs MuJoCo {expected}: run `cargo xtask setup`, or set MPO_MUJOCO_LIBRARY",
        path.display()
    )]
    LibraryVersion {
        /// The library file.
        path: PathBuf,
        /// Its version, "major.minor.patch".
        found: String,
        /// The version that the bindings were made from.
        expected: String,
    },
    /// A model file could not be read.
    #[error("cannot read the model file `{}`", path.display())]
    ModelFile {
        /// The file that was tried.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// MuJoCo refused the model, or the model is not the one that the task was written for.
    #[error("the model `{model}` is not usable: {reason}")]
    InvalidModel {
        /// The model's file name.
        model: String,
        /// MuJoCo's message, or what was missing.
        reason: String,
    },
    /// The simulation became invalid; the next `reset` starts afresh.
    #[error(
        "task `{task}` became invalid at simulation time {time} s: MuJoCo warns of {warning}; reset the environment"
    )]
    Diverged {
        /// The task's name.
        task: &'static str,
        /// Simulation time in seconds before the failed step.
        time: f64,
        /// MuJoCo's warnings, separated by commas.
        warning: String,
    },
    /// An action holds a NaN or an infinity. Nothing was simulated.
    #[error("task `{task}` was given a non-finite action at simulation time {time} s: action[{index}] is {value}")]
    NonFiniteAction {
        /// The task's name.
        task: &'static str,
        /// Simulation time in seconds.
        time: f64,
        /// The first offending component.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// An action of an environment of discrete actions is the index of none. Nothing was simulated.
    #[error("task `{task}` has {count} actions, numbered from 0, and action[0] is {action}")]
    NoSuchAction {
        /// The task's name.
        task: &'static str,
        /// What was given.
        action: f64,
        /// How many actions there are.
        count: usize,
    },
    /// Rejection sampling of a start state without collisions gave up.
    #[error("task `{task}` found no collision-free start state in {attempts} attempts; reset the environment again")]
    NoFreeState {
        /// The task's name.
        task: &'static str,
        /// How many states were drawn.
        attempts: usize,
    },
    /// An environment of a vector failed. The others have made their step; this one starts a new episode at the next.
    #[error("environment {index} of {count} failed; it starts a new episode at the next step")]
    InVector {
        /// Its index in the vector, from 0.
        index: usize,
        /// How many environments the vector has.
        count: usize,
        /// What failed.
        source: Box<EnvError>,
    },
    /// The system gives no more threads.
    #[error("cannot start a thread for environments: use fewer threads")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no EGL to draw through. Only [`EglRenderer`](crate::mujoco::EglRenderer) asks for it.
    #[error(
        "MuJoCo's own renderer cannot draw here: {reason}; install a driver for the graphics card, or Debian's packages \
         libegl1 and libgl1-mesa-dri to draw in software, or draw by the ray caster (`--renderer cpu`), which needs none"
    )]
    EglMissing {
        /// What is missing.
        reason: String,
    },
    /// EGL is there, but not for this picture.
    #[error(
        "MuJoCo's own renderer cannot draw {width} x {height} pixels: {reason}; ask for fewer, or draw by the ray caster \
         (`--renderer cpu`)"
    )]
    EglPicture {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// What OpenGL objects to.
        reason: String,
    },
    /// ALE's library or the ROM files are not where they are looked for.
    #[error("{what} not found at `{}`: run `cargo xtask setup atari`, or set {variable}", path.display())]
    AtariMissing {
        /// The missing thing, in words.
        what: &'static str,
        /// The path that was tried.
        path: PathBuf,
        /// The environment variable that overrides the path.
        variable: &'static str,
    },
    /// The file is there, but it is no library that this machine can load.
    #[error("cannot load ALE's library `{}`: run `cargo xtask setup atari`, or set MPO_ALE_LIBRARY", path.display())]
    AleUnloadable {
        /// The file that was tried.
        path: PathBuf,
        /// What the dynamic loader said.
        source: libloading::Error,
    },
    /// The library is not the one that this program's set-up builds.
    #[error(
        "`{}` is {found}, and this program needs the library that `cargo xtask setup atari` builds of ALE {expected}: run \
         it, or set MPO_ALE_LIBRARY",
        path.display()
    )]
    AleVersion {
        /// The library file.
        path: PathBuf,
        /// What it says of itself.
        found: String,
        /// ALE's release that the games are of.
        expected: &'static str,
    },
    /// A file is no game.
    #[error(
        "the ROM file `{}` cannot be played: {reason}; `cargo xtask setup atari` brings every game's file, \
         and MPO_ATARI_ROMS names another folder of them",
        path.display()
    )]
    Rom {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The emulator failed; the next `reset` starts afresh.
    #[error("the emulator failed in task `{task}`: {reason}; reset the environment")]
    Emulator {
        /// The task's name.
        task: &'static str,
        /// What it said.
        reason: String,
    },
    /// No terrain of parkour bears the name.
    #[error("unknown terrain `{name}`; the nearest is `{nearest}`")]
    UnknownTerrain {
        /// What was asked for.
        name: String,
        /// The known terrain with the smallest edit distance.
        nearest: &'static str,
    },
    /// No course of parkour is like this.
    #[error("no course can be drawn with this `{quantity}`: {reason}")]
    ImpossibleCourse {
        /// The field of [`Ranges`](crate::parkour::Ranges), or `terrain`.
        quantity: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A course of parkour would be made of more boxes than there can be.
    #[error(
        "a course of {length} m may need {boxes} boxes, and a pool has at most {most}: make it shorter, or its obstacles \
         longer or farther apart"
    )]
    CourseTooLong {
        /// The course's length in metres.
        length: f64,
        /// Most boxes that it may need.
        boxes: usize,
        /// Most boxes of a pool.
        most: usize,
    },
    /// Saved bytes do not belong to this environment.
    #[error("cannot restore the state of task `{task}`: {reason}")]
    InvalidState {
        /// The task's name.
        task: &'static str,
        /// What does not fit.
        reason: String,
    },
}
