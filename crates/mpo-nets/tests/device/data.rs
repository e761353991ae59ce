//! Batches, learners of both kinds, and how far their states are apart.

use mpo_nets::{
    BatchView, Covariance, GradientReducer, InitialNetworks, KlSplit, LearnerConfig, LearnerStep, NetsError,
    NetworkConfig, Precision, UpdateStats, cpu_learner,
    cuda::{Device, DeviceLearner, Emulator, Model, Pace},
    networks_for,
    noise::Noise,
};
use safetensors::SafeTensors;

/// Windows of different lengths over random states.
pub(crate) struct Data {
    pub(crate) lengths: Vec<u32>,
    pub(crate) observations: Vec<f32>,
    pub(crate) actions: Vec<f32>,
    pub(crate) rewards: Vec<f32>,
    pub(crate) discounts: Vec<f32>,
    pub(crate) log_probs: Vec<f32>,
}

impl Data {
    pub(crate) fn new(observation: usize, action: usize, windows: u32, seed: u64) -> Self {
        let lengths: Vec<u32> = (0..windows).map(|w| 1 + (w + seed as u32) % 5).collect();
        let transitions: usize = lengths.iter().map(|&n| n as usize).sum();
        let draw = |stream, len| {
            let mut values = vec![0.0; len];
            Noise::new(10 * seed + stream).fill(&mut values);
            values
        };
        let actions: Vec<f32> = draw(1, transitions * action).iter().map(|a| 0.6 * a).collect();
        let rewards = actions.chunks_exact(action).map(|a| 1.0 - (a[0].clamp(-1.0, 1.0) - 0.3).abs()).collect();
        Self {
            observations: draw(2, (transitions + lengths.len()) * observation),
            rewards,
            discounts: (0..transitions).map(|t| if t % 7 == 0 { 0.0 } else { 1.0 }).collect(),
            // Around the density of such actions under a policy of deviation 1/2.
            log_probs: draw(3, transitions).iter().map(|x| 0.3 * x - 0.9 * action as f32).collect(),
            lengths,
            actions,
        }
    }

    pub(crate) fn view(&self) -> BatchView<'_> {
        BatchView {
            lengths: &self.lengths,
            observations: &self.observations,
            actions: &self.actions,
            rewards: &self.rewards,
            discounts: &self.discounts,
            log_probs: &self.log_probs,
            ..BatchView::default()
        }
    }
}

/// A kind of learner, on the CPU and on an emulated device, with its batches.
pub(crate) trait Kind: std::fmt::Debug + Sync {
    fn cpu(&self, seed: u64) -> Box<dyn LearnerStep>;

    /// `None`, with a word, where there is no C++ compiler.
    fn device(&self, seed: u64) -> Option<DeviceLearner>;

    /// One update on `windows` windows drawn from `seed`, together with others.
    fn update(
        &self,
        learner: &mut dyn LearnerStep,
        workers: &mut dyn GradientReducer,
        windows: u32,
        seed: u64,
    ) -> UpdateStats;
}

impl Kind for Case {
    fn cpu(&self, seed: u64) -> Box<dyn LearnerStep> {
        self.cpu(seed)
    }

    fn device(&self, seed: u64) -> Option<DeviceLearner> {
        self.device(seed)
    }

    fn update(
        &self,
        learner: &mut dyn LearnerStep,
        workers: &mut dyn GradientReducer,
        windows: u32,
        seed: u64,
    ) -> UpdateStats {
        learner.update_with(&self.data(windows, seed).view(), workers).expect("finite")
    }
}

/// Settings that a device learner is compiled for.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) observation: usize,
    pub(crate) action: usize,
    pub(crate) network: NetworkConfig,
    pub(crate) config: LearnerConfig,
}

impl Case {
    /// Networks of 32 units, three numbers in, one out.
    pub(crate) fn small() -> Self {
        let network = NetworkConfig { policy_hidden: [32, 32], critic_hidden: [32, 32], ..NetworkConfig::default() };
        let config = LearnerConfig { target_period: 3, ..LearnerConfig::default() };
        Self { observation: 3, action: 1, network, config }
    }

    /// The walker's networks as the control suite's default has them.
    pub(crate) fn walker() -> Self {
        let network = NetworkConfig::default();
        Self { observation: 24, action: 6, network, ..Self::small() }
    }

    /// Several dimensions, full covariance, in the paper's split.
    pub(crate) fn full() -> Self {
        let mut case = Self { observation: 15, action: 4, ..Self::small() };
        case.network.covariance = Covariance::Full;
        case.config.kl_split = KlSplit::Exact;
        case
    }

    /// The last 8 of 20 numbers with a torso of their own, for policies of either covariance.
    pub(crate) fn two_torsos() -> Self {
        Self { observation: 20, action: 4, ..Self::small() }
    }

    /// Layers that are no whole tiles, on tensor cores.
    pub(crate) fn tensor_cores() -> Self {
        let mut case = Self::walker();
        case.network.critic_hidden = [200, 200];
        case.config.target_precision = Precision::Tf32;
        case
    }

    pub(crate) fn networks(&self, seed: u64) -> InitialNetworks {
        let (network, config) = (&self.network, &self.config);
        let made = match (self.observation, self.action) {
            (3, 1) => networks_for!(3, 1, network, config, seed),
            (15, 4) => networks_for!(15, 4, network, config, seed),
            (20, 4) => networks_for!(12 + 8, 4, network, config, seed),
            (24, 6) => networks_for!(24, 6, network, config, seed),
            (67, 21) => networks_for!(67, 21, network, config, seed),
            other => panic!("no networks of {other:?} in these tests"),
        };
        made.expect("sound settings")
    }

    pub(crate) fn cpu(&self, seed: u64) -> Box<dyn LearnerStep> {
        cpu_learner(self.networks(seed), &self.network, &self.config, seed)
    }

    pub(crate) fn model(&self, seed: u64) -> Model {
        Model::new(self.networks(seed), &self.network, &self.config).expect("settings that a device takes")
    }

    /// The learner on the emulated device; `None`, with a word, where there is no C++ compiler.
    pub(crate) fn device(&self, seed: u64) -> Option<DeviceLearner> {
        let model = self.model(seed);
        let device = emulator(&model)?;
        Some(DeviceLearner::alone(model, device, Pace { stats: 1 }, seed).expect("the emulation has room"))
    }

    pub(crate) fn data(&self, windows: u32, seed: u64) -> Data {
        Data::new(self.observation, self.action, windows, seed)
    }
}

/// The emulated device; `None`, with a word, where there is no C++ compiler and none is required.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn emulator(model: &Model) -> Option<Box<dyn Device>> {
    match Emulator::new(model) {
        Ok(device) => Some(Box::new(device)),
        Err(error @ NetsError::Device { .. }) if std::env::var_os("MPO_REQUIRE_EMULATION").is_none() => {
            assert!(!error.to_string().contains("refused"), "{error}");
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Of windows' packed states, of `width` numbers each: those with a transition, then those that end the windows.
pub(crate) fn gathered<T: Copy>(states: &[T], width: usize, lengths: &[u32]) -> Vec<T> {
    let rows: Vec<&[T]> = states.chunks_exact(width).collect();
    let (mut first, mut last, mut at) = (Vec::new(), Vec::new(), 0);
    for &length in lengths {
        let end = at + length as usize;
        rows[at..end].iter().for_each(|row| first.extend_from_slice(row));
        last.extend_from_slice(rows[end]);
        at = end + 1;
    }
    first.extend(last);
    first
}

/// The arrays of a checkpoint, in the order of their names.
pub(crate) fn arrays(bytes: &[u8]) -> Vec<(String, Vec<f32>)> {
    let tensors = SafeTensors::deserialize(bytes).expect("a checkpoint");
    let mut arrays: Vec<(String, Vec<f32>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let numbers = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            (name, numbers)
        })
        .collect();
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    arrays
}

/// `|a - b| / |b|` in the Euclidean norm.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |terms: &mut dyn Iterator<Item = f64>| terms.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut b.iter().map(|b| f64::from(*b)));
    if difference == 0.0 { 0.0 } else { difference / size.max(f64::MIN_POSITIVE) }
}
