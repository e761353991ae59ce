//! From const-generic shapes and settings to a learner with run-time sizes.

use std::iter;

use dfdx::{
    nn::{BuildModule, TensorCollection},
    tensor::Cpu,
};

use super::{
    LearnerStep,
    off_policy::{OffPolicyLearner, Sampled},
    ppo::{GaussianActions, PpoLearner},
    trained::{StateNetwork, Trained},
};
use crate::{
    Algorithm, Branch, Covariance, Critic, GaussianHead, LayerNormTorso, Layout, LearnerConfig, NetsError, Network,
    NetworkConfig, Perceptron, PlainTorso, PolicyKind, Threads, Torso, TorsoKind,
};

/// A layout and the parameters' initial values.
pub(crate) type Initial = (Layout, Vec<f32>);

/// The widths for which networks are compiled, policy then critic: the paper's for the control suite and for the humanoid and
/// parkour, and the tests'.
macro_rules! widths {
    ($config:expr, $build:ident :: <$obs:ident, $part:ident, $act:ident, $diagonal:ident, $full:ident>; $(([$p1:literal, $p2:literal], [$c1:literal, $c2:literal])),* $(,)?) => {
        match ($config.policy_hidden, $config.critic_hidden) {
            $(([$p1, $p2], [$c1, $c2]) => $build::<$obs, $part, $act, $diagonal, $full, $p1, $p2, $c1, $c2>,)*
            (policy, critic) => {
                return Err(NetsError::Widths {
                    policy,
                    critic,
                    compiled: concat!($("[", $p1, ", ", $p2, "] + [", $c1, ", ", $c2, "]; "),*),
                });
            }
        }
    };
}

/// A learner's networks at the beginning of training, drawn from their types: run-time sizes from here on.
#[derive(Clone, Debug)]
pub struct InitialNetworks {
    pub(crate) observation: usize,
    pub(crate) action: usize,
    pub(crate) policy: Initial,
    pub(crate) critics: Vec<Initial>,
}

/// The networks of a learner of `config.algorithm` for a policy of `ACT` actions over `OBS` numbers of an observation and, behind them,
/// `PART` of another kind, which have a torso of their own, as wide as that of the others ([`Branched`](crate::Branched)). With `PART` 0
/// there is one torso.
///
/// `DIAGONAL` and `FULL` are the head's sizes for the two covariances; [`networks_for!`](crate::networks_for) computes them.
/// Parameters are drawn from `seed`.
///
/// # Errors
/// [`NetsError::Setting`] or [`NetsError::Widths`].
pub fn initial_networks<
    const OBS: usize,
    const PART: usize,
    const ACT: usize,
    const DIAGONAL: usize,
    const FULL: usize,
>(
    network: &NetworkConfig,
    config: &LearnerConfig,
    seed: u64,
) -> Result<InitialNetworks, NetsError> {
    const { assert!(DIAGONAL == 2 * ACT && FULL == ACT + ACT * (ACT + 1) / 2, "sizes of the head") };
    network.validate()?;
    config.validate()?;
    check_policy(network, config.algorithm)?;
    let initialise = widths!(network, initialise::<OBS, PART, ACT, DIAGONAL, FULL>;
        ([100, 100], [200, 200]),
        ([200, 200], [300, 300]),
        ([32, 32], [32, 32]),
    );
    let device = Cpu::seed_from_u64(seed);
    let (policy, critic) = initialise(network, config.algorithm, &device);
    // Drawn after the first from the same stream, so that it does not depend on whether there is a second.
    let others = (1..config.critics()).map(|_| initialise(network, config.algorithm, &device).1);
    let critics = iter::once(critic).chain(others).collect();
    Ok(InitialNetworks { observation: OBS + PART, action: ACT, policy, critics })
}

/// The CPU learner of `config.algorithm` that begins with `initial`, which must have been drawn for the same settings. The noise
/// of the sampled actions is that of `seed`.
#[must_use]
pub fn cpu_learner(
    initial: InitialNetworks,
    network: &NetworkConfig,
    config: &LearnerConfig,
    seed: u64,
) -> Box<dyn LearnerStep> {
    let InitialNetworks { observation, action, policy, critics } = initial;
    let networks = train((policy, critics), config, |layout| Network::from_layout(layout, network.torso));
    if config.algorithm == Algorithm::Ppo {
        let actions = GaussianActions::new(GaussianHead::of(action, network));
        return Box::new(PpoLearner::new(networks, observation, actions, config, seed));
    }
    let objective = Sampled::new((observation, action), network, config);
    Box::new(OffPolicyLearner::new(networks, objective, config, seed))
}

/// Policy and critics with what training them takes; they share threads.
pub(super) fn train<N: StateNetwork>(
    (policy, critics): (Initial, Vec<Initial>),
    config: &LearnerConfig,
    network: impl Fn(&Layout) -> N,
) -> (Trained<N>, Vec<Trained<N>>) {
    let threads = Threads::new(config.threads);
    let trained = |name, initial: Initial, rate| {
        Trained::new(name, network(&initial.0), initial, rate, config.target_precision, &threads)
    };
    let names = if config.algorithm == Algorithm::Ppo { ["value", ""] } else { ["critic", "critic_2"] };
    let critics =
        names.into_iter().zip(critics).map(|(name, critic)| trained(name, critic, config.critic_learning_rate));
    (trained("policy", policy, config.policy_learning_rate), critics.collect())
}

/// A deterministic policy has no density: the algorithm and the policy must suit each other.
fn check_policy(network: &NetworkConfig, algorithm: Algorithm) -> Result<(), NetsError> {
    let (policy, must) = match algorithm {
        Algorithm::Ddpg => (PolicyKind::Deterministic, "\"deterministic\" for ddpg"),
        _ => (PolicyKind::Gaussian, "\"gaussian\", except for ddpg"),
    };
    if network.policy == policy {
        return Ok(());
    }
    let given = match network.policy {
        PolicyKind::Gaussian => "gaussian",
        PolicyKind::Deterministic => "deterministic",
    };
    Err(NetsError::Setting { key: "network.policy", value: given.to_owned(), must })
}

/// [`initial_networks`] with the head's sizes computed: `networks_for!(24, 6, &network, &learner, seed)`, or, with a torso of their own for
/// the last 50 of 70 numbers, `networks_for!(20 + 50, 6, &network, &learner, seed)`.
#[macro_export]
macro_rules! networks_for {
    ($observation:literal + $part:literal, $action:literal, $network:expr, $learner:expr, $seed:expr) => {
        $crate::initial_networks::<$observation, $part, $action, { 2 * $action }, { $action * ($action + 3) / 2 }>(
            $network, $learner, $seed,
        )
    };
    ($observation:literal, $action:literal, $network:expr, $learner:expr, $seed:expr) => {
        $crate::networks_for!($observation + 0, $action, $network, $learner, $seed)
    };
}

/// The CPU learner of networks of these sizes: `learner_for!(24, 6, &network, &learner, seed)`; sizes are those of
/// [`networks_for!`](crate::networks_for).
///
/// ```
/// let learner = mpo_nets::learner_for!(3, 1, &Default::default(), &Default::default(), 0)?;
/// assert_eq!(learner.updates(), 0);
/// # Ok::<(), mpo_nets::NetsError>(())
/// ```
#[macro_export]
macro_rules! learner_for {
    ($observation:literal $(+ $part:literal)?, $action:literal, $network:expr, $learner:expr, $seed:expr) => {
        $crate::networks_for!($observation $(+ $part)?, $action, $network, $learner, $seed)
            .map(|initial| $crate::cpu_learner(initial, $network, $learner, $seed))
    };
}

fn initialise<
    const OBS: usize,
    const PART: usize,
    const ACT: usize,
    const DIAGONAL: usize,
    const FULL: usize,
    const P1: usize,
    const P2: usize,
    const C1: usize,
    const C2: usize,
>(
    config: &NetworkConfig,
    algorithm: Algorithm,
    device: &Cpu,
) -> (Initial, Initial) {
    let build = match config.torso {
        Torso::LayerNorm => with_torso::<OBS, ACT, DIAGONAL, FULL, P1, P2, C1, C2, LayerNormTorso>,
        Torso::Plain => with_torso::<OBS, ACT, DIAGONAL, FULL, P1, P2, C1, C2, PlainTorso>,
    };
    let (policy, critic) = build(config, algorithm, device);
    (with_branch::<PART, P1, P2>(policy, device), with_branch::<PART, C1, C2>(critic, device))
}

/// The tensors of a [`Branched`](crate::Branched) network, its two halves compiled apart.
fn with_branch<const PART: usize, const H1: usize, const H2: usize>(main: Initial, device: &Cpu) -> Initial {
    if PART == 0 {
        return main;
    }
    let branch = initial::<Branch<PART, H1, H2, f32, Cpu>>(device);
    (Layout::join(&[("main", &main.0), ("branch", &branch.0)]), [main.1, branch.1].concat())
}

fn with_torso<
    const OBS: usize,
    const ACT: usize,
    const DIAGONAL: usize,
    const FULL: usize,
    const P1: usize,
    const P2: usize,
    const C1: usize,
    const C2: usize,
    T: TorsoKind,
>(
    config: &NetworkConfig,
    algorithm: Algorithm,
    device: &Cpu,
) -> (Initial, Initial) {
    let policy = match (config.policy, config.covariance) {
        (PolicyKind::Deterministic, _) => initial::<Perceptron<OBS, ACT, P1, P2, T, f32, Cpu>>(device),
        (_, Covariance::Diagonal) => initial::<Perceptron<OBS, DIAGONAL, P1, P2, T, f32, Cpu>>(device),
        (_, Covariance::Full) => initial::<Perceptron<OBS, FULL, P1, P2, T, f32, Cpu>>(device),
    };
    let critic = match algorithm {
        Algorithm::Ppo => initial::<Perceptron<OBS, 1, C1, C2, T, f32, Cpu>>(device),
        _ => initial::<Critic<OBS, ACT, C1, C2, T, f32, Cpu>>(device),
    };
    (policy, critic)
}

pub(super) fn initial<M: TensorCollection<f32, Cpu, To<f32, Cpu> = M>>(device: &Cpu) -> Initial {
    Layout::flatten(&M::build(device))
}

/// The layout of a network type and its initial parameters, drawn from `seed`: where a learner of your own begins.
///
/// ```
/// use mpo_nets::{Cpu, LayerNormTorso, Perceptron, initial_parameters};
///
/// // A Gaussian policy of 2 actions over 3 observations has a head of 2 means and 2 deviations.
/// type Policy = Perceptron<3, 4, 100, 100, LayerNormTorso, f32, Cpu>;
/// let (layout, parameters) = initial_parameters::<Policy>(0);
/// assert_eq!(layout.entries().last().map(|entry| entry.range.end), Some(parameters.len()));
/// ```
#[must_use]
pub fn initial_parameters<M: TensorCollection<f32, Cpu, To<f32, Cpu> = M>>(seed: u64) -> (Layout, Vec<f32>) {
    initial::<M>(&Cpu::seed_from_u64(seed))
}

/// A policy network's places without its module type, for actors, who take their parameters from a learner. The last `part`
/// numbers of an observation have a torso of their own, if there are any.
pub(crate) fn policy_network(observation: usize, part: usize, head: &GaussianHead, config: &NetworkConfig) -> Network {
    let [h1, h2] = config.policy_hidden;
    let main = Layout::from_shapes(&[
        ("observation", &[h1, observation - part]),
        ("torso.bias", &[h1]),
        ("torso.scale", &[h1]),
        ("torso.shift", &[h1]),
        ("hidden.weight", &[h2, h1]),
        ("hidden.bias", &[h2]),
        ("head.weight", &[head.raw_len(), h2]),
        ("head.bias", &[head.raw_len()]),
    ]);
    if part == 0 {
        return Network::from_layout(&main, config.torso);
    }
    let branch = Layout::from_shapes(&[
        ("observation", &[h1, part]),
        ("torso.bias", &[h1]),
        ("torso.scale", &[h1]),
        ("torso.shift", &[h1]),
        ("hidden", &[h2, h1]),
    ]);
    Network::from_layout(&Layout::join(&[("main", &main), ("branch", &branch)]), config.torso)
}
