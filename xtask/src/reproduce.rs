//! `cargo xtask reproduce`: from a bare checkout to an experiment of the paper.

use crate::{process, setup};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The experiments that can be reproduced.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Experiment {
    /// MPO from proprioceptive observations on the control suite's tasks.
    ControlSuite(ControlSuite),
    /// MPO from the screens of five Atari games, beside the paper's table.
    Atari(Atari),
    /// MPO and PPO on courses that a walker and a humanoid run over: the paper's Figure 3.
    Parkour(Parkour),
}

/// How much of the experiment on courses to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Parkour {
    /// How much compute to spend: see REPRODUCING.md.
    #[arg(long, value_enum, default_value_t = ParkourPreset::Quick)]
    preset: ParkourPreset,
    /// Only the terrains whose name matches: flat, hurdles, gaps, platforms, terrain, slalom, mixed, curriculum, or 'p*'.
    #[arg(long, value_name = "GLOB")]
    terrain: Option<String>,
    /// Only one of the two bodies.
    #[arg(long, value_enum)]
    body: Option<Body>,
    #[command(flatten)]
    how: How,
}

/// Who runs.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Body {
    /// 9 degrees of freedom in a plane, 6 torques.
    Walker,
    /// 28 degrees of freedom, 21 torques.
    Humanoid,
}

/// Named numbers of samples.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ParkourPreset {
    /// The walker on two terrains, 250,000 steps each, one seed: to show that MPO learns.
    Quick,
    /// The walker and the humanoid on the most telling terrains, three million steps each, one seed.
    Standard,
    /// Every terrain, three seeds of 60 million steps each, as the paper has it.
    Paper,
}

impl ParkourPreset {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }
}

impl Experiment {
    fn how(&self) -> &How {
        match self {
            Self::ControlSuite(options) => &options.how,
            Self::Atari(options) => &options.how,
            Self::Parkour(options) => &options.how,
        }
    }
}

/// How much of the experiment on games to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Atari {
    /// How much compute to spend: see REPRODUCING.md.
    #[arg(long, value_enum, default_value_t = AtariPreset::Quick)]
    preset: AtariPreset,
    /// Only the games whose name matches, such as pong or 'b*'.
    #[arg(long, value_name = "GLOB")]
    games: Option<String>,
    #[command(flatten)]
    how: How,
}

/// Named amounts of frames.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AtariPreset {
    /// 80,000 frames of each game, one seed, within 20 minutes on two cores: shows that everything works, not that it learns.
    Quick,
    /// 10 million frames of each game, one seed: a day or two.
    Standard,
    /// 200 million frames of each game, three seeds, as published scores are: months on two cores.
    Paper,
}

impl AtariPreset {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }
}

/// How much of the control suite's experiment to run.
#[derive(Debug, clap::Args)]
pub(crate) struct ControlSuite {
    /// How much compute to spend: see REPRODUCING.md.
    #[arg(long, value_enum, default_value_t = Preset::Quick)]
    preset: Preset,
    /// A figure of the paper that compares learners, in place of MPO's table: 2 (seven learners on three tasks) or 4 (four
    /// learners on all tasks).
    #[arg(long, value_name = "N", value_parser = clap::builder::PossibleValuesParser::new(FIGURES))]
    figure: Option<String>,
    /// Only the tasks whose name matches, such as 'cartpole-*'; 'humanoid-*' has presets of its own.
    #[arg(long, value_name = "GLOB")]
    tasks: Option<String>,
    #[command(flatten)]
    how: How,
}

/// What all experiments take.
#[derive(Debug, Default, clap::Args)]
struct How {
    /// Seeds 0 to N-1 of each task, in place of the preset's number.
    #[arg(long, value_name = "N")]
    seeds: Option<u32>,
    /// Say what would be trained and about how long that would take, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Where the runs go; finished ones there are not run again, interrupted ones are resumed.
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
    /// Runs at a time; the default is one per processor.
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Train one run after another, each by N processes of an MPI job: see docs/distributed.md.
    #[arg(long, value_name = "N", conflicts_with_all = ["jobs", "dry_run"])]
    workers: Option<u32>,
    /// What starts them, words apart by spaces, in place of `mpirun -np N`.
    #[arg(long, value_name = "COMMAND", requires = "workers")]
    launcher: Option<String>,
    /// Where the learners run: cpu, cuda, or auto, a card where there is one.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(["cpu", "cuda", "auto"]))]
    device: Option<String>,
}

/// The figures that there are experiments for.
const FIGURES: [&str; 2] = ["2", "4"];

/// Named amounts of compute. What they are of a figure is said in `experiments/figure-N/`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Preset {
    /// Four tasks, one seed, briefly: shows that everything works and that MPO learns.
    Quick,
    /// Twelve tasks, three seeds, a quarter of a million steps each.
    Standard,
    /// All 28 tasks with the paper's settings, ten seeds and a million steps: days to weeks.
    Paper,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }
}

/// Sets up, builds `mpo`, and becomes `mpo experiment`.
///
/// # Errors
/// When the set-up or the build fails; a failure of the experiment is its own exit code.
pub(crate) fn run(experiment: &Experiment) -> Result<()> {
    // A dry run needs set-up and build, too: it estimates the time from short trials.
    let mut command = match experiment {
        Experiment::ControlSuite(options) => {
            setup::ensure()?;
            control_suite(options)
        }
        Experiment::Atari(options) => {
            setup::atari::ensure()?;
            atari(options)
        }
        Experiment::Parkour(options) => {
            setup::ensure()?;
            parkour(options)
        }
    };
    let mut build = process::cargo(["build", "--release", "--package", "mpo-bench"]);
    if experiment.how().workers.is_some() {
        build.args(["--features", "mpi"]);
    }
    process::run(&mut build)?;
    become_child(&mut command)
}

fn control_suite(options: &ControlSuite) -> Command {
    let humanoid = |tasks: &String| tasks.trim_start_matches("control/").starts_with("humanoid");
    let experiment = match &options.figure {
        Some(figure) => format!("figure-{figure}"),
        // Three tasks of which the smaller presets have none, and which need more steps.
        None if options.tasks.as_ref().is_some_and(humanoid) => "humanoid".to_owned(),
        None => "control-suite".to_owned(),
    };
    command(&experiment, options.preset.name(), options.tasks.clone(), &options.how)
}

fn atari(options: &Atari) -> Command {
    let task = |glob: &String| if glob.starts_with("atari/") { glob.clone() } else { format!("atari/{glob}") };
    command("atari", options.preset.name(), options.games.as_ref().map(task), &options.how)
}

fn parkour(options: &Parkour) -> Command {
    let body = options.body.map(|body| match body {
        Body::Walker => "walker",
        Body::Humanoid => "humanoid",
    });
    let terrain = options.terrain.as_deref();
    let tasks = (body.is_some() || terrain.is_some())
        .then(|| format!("parkour/{}-{}", body.unwrap_or("*"), terrain.unwrap_or("*")));
    command("parkour", options.preset.name(), tasks, &options.how)
}

/// `mpo experiment` on a preset's file, by the processes of an MPI job where several workers are asked for.
fn command(experiment: &str, preset: &str, tasks: Option<String>, how: &How) -> Command {
    let runs = how.runs.as_deref().map_or_else(|| format!("runs/{experiment}-{preset}").into(), from_root);
    let program = process::target().join("release").join(format!("mpo{}", std::env::consts::EXE_SUFFIX));
    let mut command = match how.workers {
        None => Command::new(program),
        Some(workers) => {
            let launcher = how.launcher.clone().unwrap_or_else(|| format!("mpirun -np {workers}"));
            let mut words = launcher.split_whitespace();
            let mut command = Command::new(words.next().unwrap_or("mpirun"));
            command.args(words).arg(program);
            command
        }
    };
    command.current_dir(process::root()).arg("experiment").arg(format!("experiments/{experiment}/{preset}.toml"));
    command.arg("--runs").arg(runs);
    if let Some(tasks) = tasks {
        command.args(["--tasks", &tasks]);
    }
    if let Some(seeds) = how.seeds {
        command.args(["--seeds", &seeds.to_string()]);
    }
    if let Some(jobs) = how.jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    if let Some(device) = &how.device {
        command.args(["--device", device]);
    }
    if how.dry_run {
        command.arg("--dry-run");
    }
    if how.workers.is_some() {
        command.arg("--distributed");
    }
    command
}

/// A path that was typed in the user's folder, as seen from the workspace's root.
fn from_root(typed: &Path) -> PathBuf {
    let absolute = std::path::absolute(typed).unwrap_or_else(|_| typed.to_path_buf());
    absolute.strip_prefix(process::root()).map(Path::to_path_buf).unwrap_or(absolute)
}

/// Replaces this process by the command, so that signals and the exit code are the experiment's own:
/// Ctrl-C lets it write its checkpoints, and nothing stands between it and whoever started it.
#[cfg(unix)]
fn become_child(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let shown = process::show(command);
    println!("$ {shown}");
    let error = command.exec();
    bail!("cannot start `{shown}`: {error}")
}

#[cfg(not(unix))]
fn become_child(command: &mut Command) -> Result<()> {
    process::run(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ControlSuite {
        ControlSuite { preset: Preset::Quick, figure: None, tasks: None, how: How::default() }
    }

    #[test]
    fn a_preset_names_its_file_and_its_runs() {
        let shown = process::show(&control_suite(&options()));
        assert_eq!(shown, "mpo experiment experiments/control-suite/quick.toml --runs runs/control-suite-quick");
    }

    #[test]
    fn a_figure_has_its_own_file_at_every_preset() {
        for figure in FIGURES {
            for preset in [Preset::Quick, Preset::Standard, Preset::Paper] {
                let options = ControlSuite { preset, figure: Some(figure.to_owned()), ..options() };
                let name = preset.name();
                let file = format!("experiments/figure-{figure}/{name}.toml");
                let expected = format!("mpo experiment {file} --runs runs/figure-{figure}-{name}");
                assert_eq!(process::show(&control_suite(&options)), expected);
                assert!(process::root().join(&file).is_file(), "{file} is missing");
            }
        }
    }

    #[test]
    fn the_humanoid_has_presets_of_its_own() {
        for (preset, tasks) in [(Preset::Quick, "humanoid-*"), (Preset::Standard, "control/humanoid-walk")] {
            let options = ControlSuite { preset, tasks: Some(tasks.to_owned()), ..options() };
            let (name, shown) = (preset.name(), process::show(&control_suite(&options)));
            let file = format!("experiments/humanoid/{name}.toml");
            assert!(
                shown.starts_with(&format!("mpo experiment {file} --runs runs/humanoid-{name} --tasks ")),
                "{shown}"
            );
            assert!(process::root().join(&file).is_file(), "{file} is missing");
        }
        assert!(process::root().join("experiments/humanoid/paper.toml").is_file(), "the paper's preset is missing");
    }

    #[test]
    fn a_folder_is_typed_where_the_user_stands() {
        let here = std::env::current_dir().expect("tests run somewhere");
        assert_eq!(process::root().join(from_root(Path::new("r"))), here.join("r"));
        assert_eq!(from_root(&process::root().join("runs/a")), Path::new("runs/a"));
    }

    #[test]
    fn several_workers_are_a_job_of_a_launcher() {
        let shown = |how| process::show(&control_suite(&ControlSuite { how, ..options() }));
        let program = shown(How::default()).replacen("mpo ", "", 1);
        let four = shown(How { workers: Some(4), ..How::default() });
        assert!(four.starts_with("mpirun -np 4 ") && four.ends_with(&format!("mpo {program} --distributed")), "{four}");
        let slurm = shown(How { workers: Some(4), launcher: Some("srun -n 4".to_owned()), ..How::default() });
        assert!(slurm.starts_with("srun -n 4 ") && slurm.ends_with(&format!("mpo {program} --distributed")), "{slurm}");
    }

    #[test]
    fn every_option_reaches_the_experiment() {
        let how = || How {
            seeds: Some(3),
            dry_run: true,
            runs: Some("/elsewhere".into()),
            jobs: Some(4),
            device: Some("auto".to_owned()),
            ..How::default()
        };
        let options =
            ControlSuite { preset: Preset::Paper, figure: None, tasks: Some("walker-*".to_owned()), how: how() };
        assert_eq!(
            process::show(&control_suite(&options)),
            "mpo experiment experiments/control-suite/paper.toml --runs /elsewhere --tasks 'walker-*' --seeds 3 --jobs 4 --device auto --dry-run"
        );
        let options = Atari { preset: AtariPreset::Paper, games: Some("b*".to_owned()), how: how() };
        assert_eq!(
            process::show(&atari(&options)),
            "mpo experiment experiments/atari/paper.toml --runs /elsewhere --tasks 'atari/b*' --seeds 3 --jobs 4 --device auto --dry-run"
        );
    }

    #[test]
    fn games_are_named_with_or_without_their_suite() {
        for games in ["pong", "atari/pong"] {
            let options = Atari { preset: AtariPreset::Quick, games: Some(games.to_owned()), how: How::default() };
            let shown = process::show(&atari(&options));
            assert!(shown.ends_with("--runs runs/atari-quick --tasks atari/pong"), "{shown}");
        }
    }

    #[test]
    fn courses_are_chosen_by_body_and_terrain() {
        let shown = |body, terrain: Option<&str>| {
            let terrain = terrain.map(str::to_owned);
            let options = Parkour { preset: ParkourPreset::Standard, terrain, body, how: How::default() };
            process::show(&parkour(&options))
        };
        let all = "mpo experiment experiments/parkour/standard.toml --runs runs/parkour-standard";
        assert_eq!(shown(None, None), all);
        for (body, terrain, tasks) in [
            (Some(Body::Walker), None, "'parkour/walker-*'"),
            (Some(Body::Humanoid), Some("slalom"), "parkour/humanoid-slalom"),
            (None, Some("hurdles"), "'parkour/*-hurdles'"),
        ] {
            assert_eq!(shown(body, terrain), format!("{all} --tasks {tasks}"));
        }
    }

    #[test]
    fn every_preset_of_courses_has_a_file() {
        for preset in [ParkourPreset::Quick, ParkourPreset::Standard, ParkourPreset::Paper] {
            let file = process::root().join(format!("experiments/parkour/{}.toml", preset.name()));
            assert!(file.is_file(), "{} is missing", file.display());
        }
    }

    #[test]
    fn every_preset_of_games_has_a_file() {
        for preset in [AtariPreset::Quick, AtariPreset::Standard, AtariPreset::Paper] {
            let options = Atari { preset, games: None, how: How::default() };
            let file = format!("experiments/atari/{}.toml", preset.name());
            assert!(process::show(&atari(&options)).contains(&format!(" {file} ")), "{file}");
            assert!(process::root().join(&file).is_file(), "{file} is missing");
        }
    }
}
