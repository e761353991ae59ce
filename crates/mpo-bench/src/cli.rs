//! What the program's command line accepts.

use std::{ops::Range, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use mpo_agent::{Algorithm, DeviceChoice, Profile};

/// Maximum a posteriori policy optimisation: train, evaluate, and reproduce the paper's tables.
#[derive(Debug, Parser)]
#[command(name = "mpo", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train an agent on one task, or go on with an interrupted run
    Train(TrainOptions),
    /// Train, and take the run up again from its newest checkpoint whenever it fails or hangs
    Supervise(SuperviseOptions),
    /// Play episodes with a run's newest checkpoint, without exploration
    Eval(EvalOptions),
    /// Film an episode of a run's newest policy, or take a picture of it
    Play(PlayOptions),
    /// List the tasks
    Tasks(TasksOptions),
    /// Draw learning curves, one panel per task
    Plot(PlotOptions),
    /// Tabulate final returns beside published ones
    Table(TableOptions),
    /// Train every task and seed of an experiment file, then tabulate and draw
    Experiment(ExperimentOptions),
    /// Measure the return of uniformly random actions, as CSV
    Random(RandomOptions),
    /// Check the CUDA learner on this machine's card: agreement, rates, training, in one report
    GpuCheck(GpuCheckOptions),
}

/// `mpo train`
#[derive(Args, Debug)]
pub struct TrainOptions {
    /// Task, as `mpo tasks` lists it: control/cheetah-run, atari/pong
    #[arg(required_unless_present = "resume")]
    pub task: Option<String>,
    /// Go on with this run from its newest checkpoint
    #[arg(long, value_name = "DIR", conflicts_with_all = ["task", "run", "profile", "algorithm", "config", "set", "seed", "seeds", "steps", "jobs"])]
    pub resume: Option<PathBuf>,
    /// Run directory to make [default: runs/TASK/seed-N, of another algorithm than mpo
    /// runs/ALGORITHM/TASK/seed-N; with --seeds, seed-N inside DIR]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Named settings to start from: default or paper
    #[arg(long, default_value_t = Profile::Default)]
    pub profile: Profile,
    /// Learning algorithm, short for --set learner.algorithm=NAME [default: the settings' own, mpo]
    #[arg(long, value_name = "NAME", value_parser = algorithm())]
    pub algorithm: Option<Algorithm>,
    /// TOML file of settings, over the profile
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over profile and file: learner.policy_learning_rate=3e-4
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Seed of every random stream [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A run for every seed from A up to, not including, B
    #[arg(long, value_name = "A..B", value_parser = parse_seeds, conflicts_with = "seed")]
    pub seeds: Option<Range<u64>>,
    /// Environment steps to train for
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// How many of the runs train side by side [default: 1, on a CUDA device all]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub jobs: Option<usize>,
    /// Where the learner runs: cpu, cuda, or auto, a card where there is one
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
    /// Train together with the other processes of an MPI job, as in mpirun -np 4 mpo train TASK --distributed
    #[arg(long, conflicts_with_all = ["seeds", "jobs"])]
    pub distributed: bool,
    /// How the processes' gradients become one [default: the settings' own]
    #[arg(long, value_enum, value_name = "NAME", requires = "distributed", conflicts_with = "resume")]
    pub reduction: Option<ReductionName>,
}

/// How the gradients of several processes become one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ReductionName {
    /// MPI's all-reduce: the fastest
    AllReduce,
    /// A sum in the order of ranks: the same bits in every run of the same seed
    RankOrder,
}

impl ReductionName {
    /// The value of the setting `training.reduction`.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::AllReduce => "all_reduce",
            Self::RankOrder => "rank_order",
        }
    }
}

/// `mpo supervise`
#[derive(Args, Debug)]
pub struct SuperviseOptions {
    /// Run directory to make, or to go on with
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// What starts the processes of a distributed run, words apart by spaces: --launcher 'mpirun -np 4'
    #[arg(long, value_name = "COMMAND")]
    pub launcher: Option<String>,
    /// How many times a failed run is taken up again
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub restarts: u32,
    /// Seconds without a finished episode, after the first, that count as a failure
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = parse_seconds)]
    pub patience: f64,
    /// What `mpo train` shall be told, but --run, --resume and --distributed: control/cheetah-run --steps 100000
    #[arg(last = true, required = true, value_name = "TRAIN ARGUMENTS")]
    pub arguments: Vec<String>,
}

/// `mpo eval`
#[derive(Args, Debug)]
pub struct EvalOptions {
    /// Run directory
    pub run: PathBuf,
    /// Episodes to play
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = parse_count)]
    pub episodes: usize,
    /// Seed of the environment
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// `mpo play`
#[derive(Args, Debug)]
pub struct PlayOptions {
    /// Run directory
    pub run: PathBuf,
    /// Film to write
    #[arg(long, value_name = "FILE", required_unless_present = "png")]
    pub gif: Option<PathBuf>,
    /// Picture to write of the last moment
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// How long to play, in seconds of the task's time
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// Pixels [default: 320x240; of a game's screen, or of frames, several per pixel]
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    pub size: Option<(usize, usize)>,
    /// Seed of the environment
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u32,
    /// What draws
    #[arg(long, value_enum, value_name = "NAME", default_value_t = RendererName::Cpu)]
    pub renderer: RendererName,
}

/// `mpo tasks`
#[derive(Args, Debug)]
pub struct TasksOptions {
    /// Also list every Atari game with its number of actions
    #[arg(long)]
    pub atari: bool,
    /// Also take a picture of every task: DIR/TASK.png each, and all in DIR/contact-sheet.png and DIR/parkour.png
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// What draws
    #[arg(long, value_enum, value_name = "NAME", default_value_t = RendererName::Cpu, requires = "pictures")]
    pub renderer: RendererName,
}

/// What draws pictures.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum RendererName {
    /// A ray caster that needs nothing, and draws the same pixels on every machine
    Cpu,
    /// MuJoCo's own renderer, with textures and meshes, through the system's EGL
    Egl,
    /// The one through EGL where that works, else the ray caster
    Auto,
}

/// `mpo plot`
#[derive(Args, Debug)]
pub struct PlotOptions {
    /// Run directories, or folders of them
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Figure to write: FILE.svg or FILE.png
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Title above the panels
    #[arg(long)]
    pub title: Option<String>,
    /// Last step of the curves; the end of longer runs is a star
    #[arg(long, value_name = "STEP")]
    pub until: Option<u64>,
    /// Draw parkour's returns over training episodes in place of environment steps
    #[arg(long)]
    pub trajectories: bool,
}

/// `mpo table`
#[derive(Args, Debug)]
pub struct TableOptions {
    /// Which published table to stand beside
    pub suite: Suite,
    /// Run directories, or folders of them
    #[arg(required = true, value_name = "RUNS")]
    pub runs: Vec<PathBuf>,
    /// Also write the table as CSV; a second one, of courses or games, goes to FILE with -parkour or -atari in its name
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Also write the table as Markdown
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Suites that published figures exist for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Suite {
    /// The control suite's tasks, and whatever is neither a course nor a game
    ControlSuite,
    /// Parkour's courses
    Parkour,
    /// Atari games
    Atari,
    /// All of them, a table each
    All,
}

/// `mpo experiment`
#[derive(Args, Debug)]
pub struct ExperimentOptions {
    /// Experiment file, as experiments/control-suite/quick.toml
    pub file: PathBuf,
    /// Folder for the runs, TASK/seed-N or ALGORITHM/TASK/seed-N each, and for the tables and figures
    #[arg(long, value_name = "DIR")]
    pub runs: PathBuf,
    /// How many runs train side by side [default: one per processor]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub jobs: Option<usize>,
    /// Train one run after another, each together with the other processes of an MPI job, as in mpirun -np 4 mpo experiment
    #[arg(long, conflicts_with_all = ["jobs", "dry_run"])]
    pub distributed: bool,
    /// Seeds per task, in place of the file's
    #[arg(long, value_name = "N", value_parser = parse_seed_count)]
    pub seeds: Option<u64>,
    /// Only the tasks whose name matches, as 'cartpole-*' or 'atari/b*'
    #[arg(long, value_name = "GLOB")]
    pub tasks: Option<String>,
    /// Say what would be trained and for how long, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Where the learners run: cpu, cuda, or auto, a card where there is one
    #[arg(long, value_name = "NAME", default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
}

/// `mpo random`
#[derive(Args, Debug)]
pub struct RandomOptions {
    /// Tasks [default: the control suite's]
    #[arg(value_name = "TASK")]
    pub tasks: Vec<String>,
    /// Episodes per task
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = parse_count)]
    pub episodes: usize,
    /// Seed of the environment and of the actions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u32,
}

/// `mpo gpu-check`
#[derive(Args, Debug)]
pub struct GpuCheckOptions {
    /// Folder for the report, gpu-check.md and gpu-check.json
    #[arg(long, value_name = "DIR", default_value = "gpu-check")]
    pub out: PathBuf,
    /// Seconds that all may take: parts for which too few are left are skipped
    #[arg(long, value_name = "S", default_value_t = 510)]
    pub seconds: u64,
    /// The agreement of one setting and one update in place of all
    #[arg(long)]
    pub quick: bool,
    /// Nothing but the agreement
    #[arg(long)]
    pub agreement_only: bool,
    /// Print the launches of one update, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Runs side by side in the dry run
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_count, requires = "dry_run")]
    pub runs: usize,
    /// Put the kernels into the cache for cards of this architecture, such as `sm_90`, and stop
    #[arg(long, value_name = "ARCHITECTURE", conflicts_with = "dry_run")]
    pub compile: Option<String>,
}

/// Names of algorithms; a misspelt one is answered with the nearest and with all.
fn algorithm() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::name)).try_map(|name| {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name).ok_or("no algorithm has this name")
    })
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("a setting is KEY=VALUE, for example replay.capacity=100000".to_owned()),
    }
}

fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let range = text.split_once("..").and_then(|(first, last)| {
        let end = match last.strip_prefix('=') {
            Some(last) => last.parse::<u64>().ok()?.checked_add(1)?,
            None => last.parse().ok()?,
        };
        Some(first.parse().ok()?..end)
    });
    range.filter(|range| !range.is_empty()).ok_or_else(|| "seeds are A..B with A below B, for example 0..5".to_owned())
}

fn parse_count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&count| count > 0).ok_or_else(|| "give a whole number from 1".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|&seconds: &f64| seconds.is_finite() && seconds > 0.0)
        .ok_or_else(|| "give a number of seconds above 0".to_owned())
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let sides =
        text.split_once('x').and_then(|(width, height)| Some((parse_count(width).ok()?, parse_count(height).ok()?)));
    sides.ok_or_else(|| "give pixels as WIDTHxHEIGHT, for example 320x240".to_owned())
}

fn parse_seed_count(text: &str) -> Result<u64, String> {
    parse_count(text).map(|count| count as u64)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seeds_are_a_range_that_holds_something() {
        assert_eq!(parse_seeds("0..5"), Ok(0..5));
        assert_eq!(parse_seeds("3..=3"), Ok(3..4));
        for wrong in ["5", "5..5", "5..2", "a..b", "0..=18446744073709551615"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong} was accepted");
        }
    }

    #[test]
    fn a_setting_has_a_key_and_may_have_an_equals_sign_in_its_value() {
        assert_eq!(parse_setting("a.b = c=d"), Ok(("a.b".to_owned(), "c=d".to_owned())));
        assert!(parse_setting("a.b").is_err());
        assert!(parse_setting("=3").is_err());
    }
}
