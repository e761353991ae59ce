//! The learners that feed on a replay: one evaluation of the policy, then one of several ways to improve it.

use super::{
    Alone, BatchView, GradientReducer, LearnerStep, UpdateStats, check_finite,
    duals::Duals,
    evaluation::{Evaluated, Evaluation},
    improvement::{Bounded, Deterministic, Improvement, PolicyGradient},
    reduction::{Fingerprint, FlatGradient},
    trained::{StateNetwork, Trained},
};
use crate::{
    Algorithm, GaussianHead, LearnerConfig, NetsError, Network, NetworkConfig,
    checkpoint::{Reader, Writer},
    noise::Noise,
};

/// What an off-policy learner does with a batch, up to the optimisers' steps.
pub(super) trait Objective<N: StateNetwork>: std::fmt::Debug + Send {
    /// Fills all networks' gradients and the dual variables'. There is at least one critic.
    fn gradient(
        &mut self,
        batch: &BatchView<'_>,
        policy: &mut Trained<N>,
        critics: &mut [Trained<N>],
        duals: &mut Duals,
        noise: &mut Noise,
    ) -> UpdateStats;

    /// Floating-point operations of its products, for [`LearnerStep::flops`].
    fn flops(&self, policy: &N, critics: &[Trained<N>], transitions: usize, windows: usize) -> usize;
}

/// Over continuous actions: one evaluation of the policy by samples, then one of several ways to improve it.
#[derive(Debug)]
pub(super) struct Sampled {
    evaluation: Evaluation,
    improvement: Box<dyn Improvement>,
}

impl Sampled {
    /// The objective of `config.algorithm`, and the dual variables that it starts from.
    ///
    /// # Panics
    /// If the algorithm is on-policy.
    pub(super) fn new(
        (observation, action): (usize, usize),
        network: &NetworkConfig,
        config: &LearnerConfig,
    ) -> (Self, Vec<f32>) {
        let head = GaussianHead::of(action, network);
        let (evaluated, improvement, duals): (_, Box<dyn Improvement>, _) = match config.algorithm {
            Algorithm::Mpo | Algorithm::MpoJointKl => {
                (Evaluated::Target, Box::new(Bounded::new(&head, config)), Bounded::initial_duals(config))
            }
            Algorithm::MpoParametric => {
                (Evaluated::Online, Box::new(Bounded::new(&head, config)), Bounded::initial_duals(config))
            }
            Algorithm::Epg | Algorithm::ActorCritic => {
                (Evaluated::Online, Box::new(PolicyGradient::new(&head, config)), Vec::new())
            }
            Algorithm::Ddpg => (Evaluated::TargetMean, Box::new(Deterministic::new(&head)), Vec::new()),
            Algorithm::Ppo => panic!("PPO learns from its own policy's data"),
        };
        (Self { evaluation: Evaluation::new(evaluated, observation, head, network, config), improvement }, duals)
    }
}

impl Objective<Network> for Sampled {
    fn gradient(
        &mut self,
        batch: &BatchView<'_>,
        policy: &mut Trained,
        critics: &mut [Trained],
        duals: &mut Duals,
        noise: &mut Noise,
    ) -> UpdateStats {
        let evaluation = &mut self.evaluation;
        let mut stats = UpdateStats::default();
        evaluation.begin(batch);
        evaluation.sample(policy, critics, noise);
        evaluation.evaluate(batch, critics);
        for critic in &mut *critics {
            evaluation.critic_gradient(critic, &mut stats);
        }
        stats.share_critics(critics.len());
        stats.target_mean = evaluation.target_mean();
        self.improvement.gradient(evaluation, policy, &mut critics[0], duals, &mut stats);
        stats
    }

    fn flops(&self, policy: &Network, critics: &[Trained], transitions: usize, windows: usize) -> usize {
        let samples = self.evaluation.samples();
        let others: usize =
            critics[1..].iter().map(|critic| critic_flops(&critic.network, samples, transitions, windows)).sum();
        sampled_flops(policy, &critics[0].network, samples, transitions, windows) + others
    }
}

/// Floating-point operations of the products of an update by sampled actions, with one critic.
pub(crate) fn sampled_flops(
    policy: &Network,
    critic: &Network,
    samples: usize,
    transitions: usize,
    windows: usize,
) -> usize {
    let states = transitions + windows;
    policy.forward_flops(states)
        + critic_flops(critic, samples, transitions, windows)
        + policy.training_flops(transitions)
}

/// What a critic takes of them.
fn critic_flops(critic: &Network, samples: usize, transitions: usize, windows: usize) -> usize {
    critic.evaluate_actions_flops(transitions + windows, samples)
        + critic.forward_flops(transitions)
        + critic.training_flops(transitions)
}

/// An off-policy learner with run-time sizes; made by [`cpu_learner`](crate::cpu_learner) and
/// [`pixel_learner`](crate::pixel_learner) from statically-shaped networks.
#[derive(Debug)]
pub(super) struct OffPolicyLearner<N: StateNetwork> {
    gradient_clip: f32,
    target_period: u64,
    pub(super) policy: Trained<N>,
    /// One, or two that begin apart.
    pub(super) critics: Vec<Trained<N>>,
    pub(super) duals: Duals,
    pub(super) noise: Noise,
    updates: u64,
    objective: Box<dyn Objective<N>>,
    flat: FlatGradient,
}

impl<N: StateNetwork> OffPolicyLearner<N> {
    /// `duals` are the dual variables of `objective` at the start.
    pub(super) fn new(
        (policy, critics): (Trained<N>, Vec<Trained<N>>),
        (objective, duals): (impl Objective<N> + 'static, Vec<f32>),
        config: &LearnerConfig,
        seed: u64,
    ) -> Self {
        Self {
            gradient_clip: config.gradient_clip,
            target_period: config.target_period,
            policy,
            critics,
            duals: Duals::new(&duals, config.dual_learning_rate),
            noise: Noise::new(seed),
            updates: 0,
            objective: Box::new(objective),
            flat: FlatGradient::default(),
        }
    }
}

impl<N: StateNetwork> LearnerStep for OffPolicyLearner<N> {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        self.update_with(batch, &mut Alone)
    }

    fn update_with(
        &mut self,
        batch: &BatchView<'_>,
        workers: &mut dyn GradientReducer,
    ) -> Result<UpdateStats, NetsError> {
        let Self { policy, critics, duals, .. } = self;
        let mut stats = self.objective.gradient(batch, policy, critics, duals, &mut self.noise);
        let (first, others) = critics.split_at_mut(1);
        let second = others.first_mut().map_or(&mut [][..], |critic| &mut critic.gradient);
        let parts = &mut [&mut first[0].gradient[..], second, &mut policy.gradient, &mut duals.gradient];
        self.flat.reduce(workers, batch.rewards.len(), parts, &mut stats)?;

        stats.policy_grad_norm = policy.norm(self.gradient_clip);
        let norms = critics.iter_mut().map(|critic| critic.norm(self.gradient_clip));
        stats.critic_grad_norm = norms.sum::<f32>() / critics.len() as f32;
        check_finite(self.updates + 1, &stats, duals.gradient.iter().sum())?;

        policy.step();
        critics.iter_mut().for_each(Trained::step);
        duals.step();
        self.updates += 1;
        if self.updates.is_multiple_of(self.target_period) {
            policy.copy_to_target();
            critics.iter_mut().for_each(Trained::copy_to_target);
        }
        Ok(stats)
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        self.objective.flops(&self.policy.network, &self.critics, transitions, windows)
    }

    fn policy_parameters(&self) -> &[f32] {
        &self.policy.parameters
    }

    fn fingerprint(&self) -> u64 {
        let policy = self.policy.fingerprint(Fingerprint::new());
        let networks = self.critics.iter().fold(policy, |hash, critic| critic.fingerprint(hash));
        self.duals.fingerprint(networks).add_number(self.updates).finish()
    }

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.policy.save(&mut writer);
        self.critics.iter().for_each(|critic| critic.save(&mut writer));
        self.duals.save(&mut writer);
        writer.number("noise.position", self.noise.position());
        writer.number("updates", self.updates);
        writer.finish()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        let reader = Reader::new(bytes)?;
        // All is read and checked before anything is changed.
        let policy = self.policy.read(&reader)?;
        let critics = self.critics.iter().map(|critic| critic.read(&reader)).collect::<Result<Vec<_>, _>>()?;
        let duals = self.duals.read(&reader)?;
        let (position, updates) = (reader.number("noise.position")?, reader.number("updates")?);
        self.policy.put(policy);
        self.critics.iter_mut().zip(critics).for_each(|(critic, saved)| critic.put(saved));
        self.duals.put(duals);
        self.noise.seek(position);
        self.updates = updates;
        Ok(())
    }
}
