//! From sizes of frames and actions to a learner from pixels.

use super::{
    LearnerStep,
    build::{Initial, initial, train},
    categorical::{DiscreteActions, ExactMpo},
    off_policy::OffPolicyLearner,
    ppo::PpoLearner,
};
use crate::{
    Algorithm, ConvolutionalTorso, Cpu, Head, Layout, LearnerConfig, NetsError, NetworkConfig, PixelNetwork,
    PixelShape, PixelTorso, pixels::features,
};

/// The frames and torsos for which networks are compiled: stack, height, width; channels, features and units.
macro_rules! frames {
    ($shape:expr, $torso:expr; $(($stack:literal, $height:literal, $width:literal, $kind:ident, $c1:literal, $c2:literal, $c3:literal, $features:literal, $units:literal)),* $(,)?) => {
        match (($shape.stack, $shape.height, $shape.width), $torso) {
            $((($stack, $height, $width), PixelTorso::$kind) => {
                initialise::<$stack, $height, $width, $c1, $c2, $c3, $features, $units>
            })*
            _ => return Err(NetsError::Pixels {
                shape: *$shape,
                torso: $torso,
                compiled: concat!($($stack, "x", $height, "x", $width, " ", stringify!($kind), "; "),*),
            }),
        }
    };
}

/// The heads that are compiled: one output for a value, and 2 to 18 actions.
macro_rules! heads {
    ($outputs:expr, $device:expr; $($count:literal),*) => {
        match $outputs {
            $($count => initial::<Head<UNITS, $count, f32, Cpu>>($device),)*
            outputs => unreachable!("{outputs} outputs"),
        }
    };
}

/// Draws a network's parameters from a device's stream.
type Initialise = fn(outputs: usize, device: &Cpu) -> Initial;

/// The tensors of a [`Convolutional`](crate::Convolutional) network, torso and head compiled apart: all of their products would
/// take a minute.
fn initialise<
    const STACK: usize,
    const HEIGHT: usize,
    const WIDTH: usize,
    const C1: usize,
    const C2: usize,
    const C3: usize,
    const FEATURES: usize,
    const UNITS: usize,
>(
    outputs: usize,
    device: &Cpu,
) -> Initial {
    const { assert!(features(HEIGHT, WIDTH, C3) == FEATURES, "what the last convolution leaves of the frames") };
    let torso = initial::<ConvolutionalTorso<STACK, C1, C2, C3, FEATURES, UNITS, f32, Cpu>>(device);
    let head = head::<UNITS>(outputs, device);
    (Layout::join(&[("torso", &torso.0), ("head", &head.0)]), [torso.1, head.1].concat())
}

fn head<const UNITS: usize>(outputs: usize, device: &Cpu) -> Initial {
    heads!(outputs, device; 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
}

/// The network type of these sizes.
fn compiled(shape: &PixelShape, config: &NetworkConfig) -> Result<Initialise, NetsError> {
    let found: Initialise = frames!(shape, config.pixel_torso;
        (4, 84, 84, Dqn, 32, 64, 64, 3136, 512),
        (4, 84, 84, Small, 8, 16, 16, 784, 64),
        (2, 36, 36, Dqn, 32, 64, 64, 64, 512),
        (3, 36, 36, Dqn, 32, 64, 64, 64, 512),
        (4, 36, 36, Dqn, 32, 64, 64, 64, 512),
        (2, 36, 36, Small, 8, 16, 16, 16, 64),
        (3, 36, 36, Small, 8, 16, 16, 16, 64),
        (4, 36, 36, Small, 8, 16, 16, 16, 64),
    );
    if (2..=18).contains(&shape.actions) {
        return Ok(found);
    }
    Err(NetsError::Pixels { shape: *shape, torso: config.pixel_torso, compiled: "these frames" })
}

/// The CPU learner of `config.algorithm` from stacks of frames to one of `shape.actions` discrete actions: MPO with exact
/// expectations over the actions, or PPO. Policy and critic are separate networks; the critic's output is one value per action,
/// PPO's one value.
///
/// MPO keeps the policy within one bound, `KL(pi' || pi) <= epsilon_mean`, whose multiplier begins at `initial_alpha_mean`;
/// `action_samples` and what concerns covariances have no use. Parameters are drawn from `seed`.
///
/// ```
/// use mpo_nets::{NetworkConfig, PixelShape, PixelTorso, pixel_learner};
///
/// let shape = PixelShape { stack: 2, height: 36, width: 36, actions: 3 };
/// let network = NetworkConfig { pixel_torso: PixelTorso::Small, ..NetworkConfig::default() };
/// let learner = pixel_learner(&shape, &network, &Default::default(), 0)?;
/// assert_eq!(learner.updates(), 0);
/// # Ok::<(), mpo_nets::NetsError>(())
/// ```
///
/// # Errors
/// [`NetsError::Setting`] for a setting out of range or an algorithm that needs continuous actions; [`NetsError::Pixels`] for
/// sizes that are not compiled in.
pub fn pixel_learner(
    shape: &PixelShape,
    network: &NetworkConfig,
    config: &LearnerConfig,
    seed: u64,
) -> Result<Box<dyn LearnerStep>, NetsError> {
    let networks = train(pixel_networks(shape, network, config, seed)?, config, |layout| {
        PixelNetwork::from_layout(layout, shape.height, shape.width)
    });
    Ok(if config.algorithm == Algorithm::Ppo {
        Box::new(PpoLearner::new(networks, shape.state_len(), DiscreteActions::new(shape.actions), config, seed))
    } else {
        Box::new(OffPolicyLearner::new(networks, ExactMpo::new(shape, config), config, seed))
    })
}

/// A learner's policy and critics at the beginning of training.
pub(crate) fn pixel_networks(
    shape: &PixelShape,
    network: &NetworkConfig,
    config: &LearnerConfig,
    seed: u64,
) -> Result<(Initial, Vec<Initial>), NetsError> {
    config.validate()?;
    let values = match config.algorithm {
        Algorithm::Mpo => shape.actions,
        Algorithm::Ppo => 1,
        other => {
            let (key, value) = ("learner.algorithm", other.name().to_owned());
            return Err(NetsError::Setting { key, value, must: "mpo or ppo where actions are discrete" });
        }
    };
    let initialise = compiled(shape, network)?;
    let device = Cpu::seed_from_u64(seed);
    let policy = initialise(shape.actions, &device);
    Ok((policy, (0..config.critics()).map(|_| initialise(values, &device)).collect()))
}

/// A policy network's places, for actors, who take their parameters from a learner.
pub(crate) fn pixel_policy_network(shape: &PixelShape, config: &NetworkConfig) -> Result<PixelNetwork, NetsError> {
    let (layout, _) = compiled(shape, config)?(shape.actions, &Cpu::default());
    Ok(PixelNetwork::from_layout(&layout, shape.height, shape.width))
}
