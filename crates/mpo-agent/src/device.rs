//! Where learners run: on the processor, or on a CUDA device.

use std::fmt;
use std::hash::Hasher as _;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use mpo_nets::cuda::{self, Cuda, Device, Model, Pace, Place, Population};
use mpo_nets::{LearnerConfig, LearnerStep, NetsError, NetworkConfig};

use crate::config::{Config, Reduction};
use crate::shapes::{CpuLearners, LearnerFactory, Shape, initial_networks};
use crate::{AgentError, Workers};

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// The first CUDA device, or an error.
    Cuda,
    /// The first CUDA device where there is one that can make these updates, else the processor.
    Auto,
}

impl DeviceChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Cuda, Self::Auto];

    /// The name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Auto => "auto",
        }
    }

    /// Decides for runs of these settings, of which at most `together` train side by side. Nothing runs on a device yet.
    ///
    /// # Errors
    /// [`AgentError::Learner`] when `cuda` was asked for and there is no device, or it cannot make one of the runs' updates.
    pub fn resolve(self, configs: &[&Config], together: usize) -> Result<Chosen, AgentError> {
        if self == Self::Cpu {
            return Ok(Chosen { learners: None, note: None });
        }
        let fits = || -> Result<cuda::Card, NetsError> {
            for config in configs {
                if config.task.starts_with("atari/") {
                    cuda::supports_frames(&config.learner)?;
                } else {
                    cuda::supports(&config.network, &config.learner)?;
                }
            }
            cuda::card()
        };
        match (fits(), self) {
            (Ok(card), _) => {
                let note = format!("learning on {} ({})", card.name, card.architecture);
                Ok(Chosen { learners: Some(DeviceLearners::cuda(together)), note: Some(note) })
            }
            (Err(error), Self::Auto) => {
                Ok(Chosen { learners: None, note: Some(format!("learning on the processor: {error}")) })
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|choice| choice.name() == name).ok_or("a device is cpu, cuda or auto")
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was decided.
#[derive(Clone, Debug)]
pub struct Chosen {
    learners: Option<DeviceLearners>,
    /// What to tell the user: which card it is, or why it is none.
    pub note: Option<String>,
}

impl Chosen {
    /// Whether learners run on a device.
    #[must_use]
    pub fn on_device(&self) -> bool {
        self.learners.is_some()
    }

    /// The same for one of several workers, on all of whom this is called: every process of a host takes a card of its own, as far as
    /// there are so many, and where all workers have NCCL and none shares its card they meet by it. Otherwise, and in the order of ranks, gradients
    /// travel by way of the hosts.
    ///
    /// # Errors
    /// [`AgentError::Learner`] when some workers have a device and others have none, NCCL fails, or another worker is gone.
    pub fn among(self, workers: &mut dyn Workers, reduction: Reduction) -> Result<Self, AgentError> {
        let (rank, count) = (workers.rank(), workers.workers());
        if count == 1 {
            return Ok(self);
        }
        let host = host();
        let own = [self.on_device().into(), host];
        let all = workers.all(own)?;
        if all.iter().any(|[on_device, _]| *on_device != own[0]) {
            let reason = "some workers have a device to learn on and others have none: use --device cpu".to_owned();
            return Err(NetsError::Workers { reason }.into());
        }
        if !self.on_device() {
            return Ok(self);
        }
        let (before, cards) = (all[..rank].iter().filter(|[_, other]| *other == host).count(), cuda::cards()?);
        let ordinal = before % cards;
        // NCCL refuses two processes on one card.
        let meets = !workers.any(reduction != Reduction::AllReduce || before >= cards || !Place::possible())?;
        let place = if meets {
            let drawn = if rank == 0 { Place::draw()? } else { Default::default() };
            Some(Place { rank, workers: count, identity: workers.of_first(drawn)? })
        } else {
            None
        };
        let way = if meets { "between cards by NCCL" } else { "by way of the hosts" };
        let learners = DeviceLearners::on(1, move |model| {
            let mut device = Cuda::on(ordinal, model)?;
            place.iter().try_for_each(|place| device.join(place))?;
            Ok(Box::new(device))
        });
        let note = self.note.map(|note| format!("{note}; {count} workers, whose gradients meet {way}"));
        Ok(Self { learners: Some(learners), note })
    }

    /// The factory of learners there; those of all runs share it.
    #[must_use]
    pub fn learners(&self) -> Box<dyn LearnerFactory> {
        match &self.learners {
            Some(learners) => Box::new(learners.clone()),
            None => Box::new(CpuLearners),
        }
    }
}

/// The model that a device learner of a control-suite task would be, for compiling its kernels ahead.
///
/// # Errors
/// [`AgentError::UnsupportedShape`] for a task that is none of the suite's; [`AgentError::Learner`] for settings that no device
/// takes.
pub fn device_model(config: &Config) -> Result<Model, AgentError> {
    let name = config.task.trim_start_matches("control/");
    let task = mpo_envs::suite::tasks().iter().find(|task| task.name == name);
    let (observation, action) = task.map_or((0, 0), |task| (task.observation, task.action));
    let (network, learner) = (&config.network, &config.learner);
    let initial = initial_networks(Shape::vector(observation, action), network, learner, 0)?;
    Ok(Model::new(initial, network, learner)?)
}

/// A number for this host, by its name.
fn host() -> u64 {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(&name);
    hasher.finish()
}

type Open = Arc<dyn Fn(&Model) -> Result<Box<dyn Device>, NetsError> + Send + Sync>;

/// Makes learners on a device. Runs that differ in the seed, KL bounds, learning rates, discount, lambda, clip or target period, and in
/// nothing else of the learner, share a [`Population`], whose updates are one launch.
/// An update waits for the batches of all of them, so a run that has ended must be dropped.
#[derive(Clone)]
pub struct DeviceLearners {
    open: Open,
    together: usize,
    /// By the text that their kernels are compiled from.
    populations: Arc<Mutex<Vec<(String, Population)>>>,
}

impl DeviceLearners {
    /// On the first CUDA device, for at most `together` runs at a time.
    #[must_use]
    pub fn cuda(together: usize) -> Self {
        Self::on(together, |model| Ok(Box::new(Cuda::new(model)?)))
    }

    /// On devices that `open` opens, one for each set of settings.
    #[must_use]
    pub fn on(
        together: usize,
        open: impl Fn(&Model) -> Result<Box<dyn Device>, NetsError> + Send + Sync + 'static,
    ) -> Self {
        Self { open: Arc::new(open), together: together.max(1), populations: Arc::default() }
    }
}

impl fmt::Debug for DeviceLearners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLearners").field("together", &self.together).finish_non_exhaustive()
    }
}

impl LearnerFactory for DeviceLearners {
    fn make(
        &self,
        shape: Shape,
        network: &NetworkConfig,
        learner: &LearnerConfig,
        seed: u64,
    ) -> Result<Box<dyn LearnerStep>, AgentError> {
        let model = match shape.pixels {
            Some(pixels) => Model::frames(&pixels, network, learner, seed)?,
            None => Model::new(initial_networks(shape, network, learner, seed)?, network, learner)?,
        };
        let source = model.source();
        let population = {
            let mut populations = self.populations.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, population)) = populations.iter().find(|(of, _)| *of == source) {
                population.clone()
            } else {
                let open = self.open.clone();
                let population = Population::new(self.together, Pace::default(), move |model| open(model));
                populations.push((source, population.clone()));
                population
            }
        };
        Ok(Box::new(population.join(model, seed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    #[test]
    fn a_task_that_no_device_takes_is_an_error_or_falls_back_and_says_so() {
        let sets =
            [("task", "atari/pong"), ("learner.algorithm", "ppo")].map(|(key, value)| (key.into(), value.into()));
        let game = Config::resolve(Profile::Default, None, &sets).expect("sound settings");
        let error = DeviceChoice::Cuda.resolve(&[&game], 1).expect_err("PPO");
        let cause = std::error::Error::source(&error).expect("the learner's own").to_string();
        assert!(cause.contains("with --device cpu it may be ppo"), "{cause}");
        let chosen = DeviceChoice::Auto.resolve(&[&game], 1).expect("the processor is always there");
        assert!(!chosen.on_device());
        assert!(chosen.note.expect("a word").starts_with("learning on the processor: `learner.algorithm` is ppo"));
        let quiet = DeviceChoice::Cpu.resolve(&[&game], 1).expect("the processor");
        assert!(quiet.note.is_none() && !quiet.on_device());
    }

    #[test]
    fn workers_agree_on_where_they_learn_or_all_say_that_they_do_not() {
        let outcome = |on_device: [bool; 2]| {
            let threads = crate::LocalWorkers::new(2).into_iter().zip(on_device).map(|(mut workers, on_device)| {
                std::thread::spawn(move || {
                    let learners = on_device.then(|| DeviceLearners::cuda(1));
                    Chosen { learners, note: None }.among(&mut workers, Reduction::AllReduce)
                })
            });
            threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
        };
        assert!(outcome([false, false]).into_iter().all(|chosen| chosen.is_ok_and(|chosen| !chosen.on_device())));
        for chosen in outcome([true, false]) {
            let error = chosen.expect_err("one has a card, one has none");
            let cause = std::error::Error::source(&error).expect("the learner's own").to_string();
            assert!(cause.contains("others have none: use --device cpu"), "{cause}");
        }
    }

    #[test]
    fn names_are_their_own() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
