//! Workers on batches of their own, against one learner on all of them.

use super::super::{
    BatchView, LearnerStep,
    build::train,
    off_policy::{OffPolicyLearner, Sampled},
};
use super::*;
use crate::{
    Algorithm, Covariance, Cpu, Critic, LayerNormTorso, LearnerConfig, Network, NetworkConfig, Perceptron, PolicyKind,
    initial_parameters, noise::Noise,
};

const OBS: usize = 3;
const ACT: usize = 2;
const SAMPLES: usize = 16;

/// A batch whose windows end with terminations: the values of the states behind them, whose noise has no place of its own in
/// the joined batch, are of no account.
#[derive(Clone, Default)]
struct Data {
    lengths: Vec<u32>,
    observations: Vec<f32>,
    actions: Vec<f32>,
    rewards: Vec<f32>,
    discounts: Vec<f32>,
    log_probs: Vec<f32>,
}

impl Data {
    fn new(stream: u64, lengths: &[u32]) -> Self {
        let transitions = lengths.iter().sum::<u32>() as usize;
        let draw = |part, len| {
            let mut values = vec![0.0; len];
            Noise::new(10 * stream + part).fill(&mut values);
            values
        };
        let ends = |&length: &u32| (1..=length).map(move |t| if t == length { 0.0 } else { 1.0 });
        Self {
            observations: draw(1, (transitions + lengths.len()) * OBS),
            actions: draw(2, transitions * ACT),
            rewards: draw(3, transitions),
            discounts: lengths.iter().flat_map(ends).collect(),
            log_probs: draw(4, transitions).iter().map(|x| 0.3 * x - 2.0).collect(),
            lengths: lengths.to_vec(),
        }
    }

    fn join(parts: &[Self]) -> Self {
        let mut joined = Self::default();
        for part in parts {
            joined.lengths.extend(&part.lengths);
            joined.observations.extend(&part.observations);
            joined.actions.extend(&part.actions);
            joined.rewards.extend(&part.rewards);
            joined.discounts.extend(&part.discounts);
            joined.log_probs.extend(&part.log_probs);
        }
        joined
    }

    fn view(&self) -> BatchView<'_> {
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

fn learner(algorithm: Algorithm, covariance: Covariance, critics: usize) -> OffPolicyLearner<Network> {
    type Policy<const HEAD: usize> = Perceptron<OBS, HEAD, 32, 32, LayerNormTorso, f32, Cpu>;
    let policy = if algorithm == Algorithm::Ddpg { PolicyKind::Deterministic } else { PolicyKind::Gaussian };
    let hidden = [32, 32];
    let network =
        NetworkConfig { covariance, policy, policy_hidden: hidden, critic_hidden: hidden, ..NetworkConfig::default() };
    let config =
        LearnerConfig { algorithm, critics, action_samples: SAMPLES, target_period: 2, ..LearnerConfig::default() };
    let policy = match (policy, covariance) {
        (PolicyKind::Deterministic, _) => initial_parameters::<Policy<ACT>>(0),
        (_, Covariance::Diagonal) => initial_parameters::<Policy<{ 2 * ACT }>>(0),
        (_, Covariance::Full) => initial_parameters::<Policy<{ ACT + ACT * (ACT + 1) / 2 }>>(0),
    };
    let critics = (1..=critics as u64).map(initial_parameters::<Critic<OBS, ACT, 32, 32, LayerNormTorso, f32, Cpu>>);
    let networks = train((policy, critics.collect()), &config, |layout| Network::from_layout(layout, network.torso));
    OffPolicyLearner::new(networks, Sampled::new((OBS, ACT), &network, &config), &config, 3)
}

/// Keeps what a worker brings, and goes no further.
struct Taken(Vec<f32>);

impl GradientReducer for Taken {
    fn workers(&self) -> usize {
        2
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        self.0 = values.to_vec();
        Err(NetsError::Workers { reason: "only looking".to_owned() })
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        Ok(count)
    }
}

/// Gives every worker the same mean.
struct Given<'a>(&'a [f32]);

impl GradientReducer for Given<'_> {
    fn workers(&self) -> usize {
        2
    }

    fn mean(&mut self, values: &mut [f32]) -> Result<(), NetsError> {
        values.copy_from_slice(self.0);
        Ok(())
    }

    fn least(&mut self, count: usize) -> Result<usize, NetsError> {
        Ok(count)
    }
}

/// The norm of `a - b` over that of `b`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let mut difference = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
    assert_eq!(a.len(), b.len());
    square(&mut difference) / square(&mut b.iter().map(|&b| f64::from(b)))
}

#[test]
fn workers_have_the_gradient_of_one_learner_on_all_their_transitions() {
    // Different numbers of transitions, so that a mean of means would be another one.
    let lengths: [&[u32]; 4] = [&[8, 8, 4, 8], &[5, 3], &[1, 1, 8, 6, 8], &[2, 8, 8, 8, 8, 8]];
    let parts: Vec<Data> = (0..).zip(lengths).map(|(stream, lengths)| Data::new(stream, lengths)).collect();
    let joined = Data::join(&parts);
    for (algorithm, covariance, critics) in [
        (Algorithm::Mpo, Covariance::Diagonal, 1),
        (Algorithm::Mpo, Covariance::Full, 1),
        (Algorithm::Mpo, Covariance::Diagonal, 2),
        (Algorithm::MpoParametric, Covariance::Diagonal, 1),
        (Algorithm::MpoParametric, Covariance::Full, 1),
        (Algorithm::MpoJointKl, Covariance::Full, 1),
        (Algorithm::Epg, Covariance::Diagonal, 1),
        (Algorithm::Ddpg, Covariance::Diagonal, 2),
    ] {
        let mut one = learner(algorithm, covariance, critics);
        let stats = one.update(&joined.view()).expect("finite");
        let mut sum = Vec::new();
        let mut before = 0;
        let mut workers: Vec<_> = parts
            .iter()
            .map(|part| {
                let mut worker = learner(algorithm, covariance, critics);
                // The noise that the joined batch gives to these states: four numbers to a position.
                worker.noise.seek((before * SAMPLES * ACT / 4) as u64);
                before += part.rewards.len();
                let mut taken = Taken(Vec::new());
                worker.update_with(&part.view(), &mut taken).expect_err("it only looks");
                sum.resize(taken.0.len(), 0.0);
                sum.iter_mut().zip(taken.0).for_each(|(sum, value)| *sum += value / parts.len() as f32);
                worker
            })
            .collect();
        for (worker, part) in workers.iter_mut().zip(&parts) {
            let found = worker.update_with(&part.view(), &mut Given(&sum)).expect("finite");
            let name = format!("{} with {covariance:?}, {critics} critics", algorithm.name());
            for (part, a, b) in [
                ("critic", &worker.critics[0].gradient, &one.critics[0].gradient),
                ("the last critic", &worker.critics[critics - 1].gradient, &one.critics[critics - 1].gradient),
                ("policy", &worker.policy.gradient, &one.policy.gradient),
                ("duals", &worker.duals.gradient, &one.duals.gradient),
            ] {
                let error = if b.is_empty() { 0.0 } else { relative(a, b) };
                // Rounding of sums of 94 terms in two orders: the issue asks for 1e-6, found are 1e-7 to 4e-7.
                assert!(error < 1e-6, "{name}: {part} differs by {error:e}");
            }
            let error = (found.critic_loss - stats.critic_loss).abs() / stats.critic_loss;
            assert!(error < 1e-5, "{name}: the loss is {} for {}", found.critic_loss, stats.critic_loss);
        }
        let prints: Vec<u64> = workers.iter().map(LearnerStep::fingerprint).collect();
        assert!(prints.iter().all(|print| *print == prints[0]), "the same bits in all workers");
        assert_ne!(prints[0], learner(algorithm, covariance, critics).fingerprint(), "it sees an update");
    }
}

#[test]
fn a_worker_alone_updates_as_ever() {
    let data = Data::new(5, &[8, 8, 4]);
    let [mut a, mut b] = [0, 1].map(|_| learner(Algorithm::Mpo, Covariance::Full, 1));
    for _ in 0..3 {
        a.update(&data.view()).expect("finite");
        b.update_with(&data.view(), &mut Alone).expect("finite");
    }
    assert_eq!(a.save(), b.save());
}
