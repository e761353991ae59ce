//! The learners that feed on a replay: one evaluation of the policy, then one of several ways to improve it.

use super::{
    BatchView, LearnerStep, UpdateStats,
    build::Initial,
    check_finite,
    duals::Duals,
    evaluation::{Evaluated, Evaluation},
    improvement::{Bounded, Deterministic, Improvement, PolicyGradient},
    trained::Trained,
};
use crate::{
    Algorithm, GaussianHead, LearnerConfig, NetsError, NetworkConfig, Threads,
    checkpoint::{Reader, Writer},
    noise::Noise,
};

/// An off-policy learner with run-time sizes; made by [`cpu_learner`](crate::cpu_learner) from statically-shaped networks.
#[derive(Debug)]
pub(super) struct OffPolicyLearner {
    gradient_clip: f32,
    target_period: u64,
    policy: Trained,
    critic: Trained,
    duals: Duals,
    noise: Noise,
    updates: u64,
    evaluation: Evaluation,
    improvement: Box<dyn Improvement>,
}

impl OffPolicyLearner {
    /// # Panics
    /// If the algorithm is on-policy.
    pub(super) fn new(
        policy: Initial,
        critic: Initial,
        (observation, action): (usize, usize),
        network: &NetworkConfig,
        config: &LearnerConfig,
        seed: u64,
    ) -> Self {
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
        let threads = Threads::new(config.threads);
        Self {
            gradient_clip: config.gradient_clip,
            target_period: config.target_period,
            policy: Trained::new("policy", policy, network, config.policy_learning_rate, &threads),
            critic: Trained::new("critic", critic, network, config.critic_learning_rate, &threads),
            duals: Duals::new(&duals, config.dual_learning_rate),
            noise: Noise::new(seed),
            updates: 0,
            evaluation: Evaluation::new(evaluated, observation, head, network, config),
            improvement,
        }
    }
}

impl LearnerStep for OffPolicyLearner {
    fn update(&mut self, batch: &BatchView<'_>) -> Result<UpdateStats, NetsError> {
        let Self { policy, critic, duals, evaluation, .. } = self;
        let mut stats = UpdateStats::default();
        evaluation.begin(batch);
        evaluation.sample(policy, critic, &mut self.noise);
        evaluation.evaluate(batch, critic);
        (stats.critic_loss, stats.q_mean) = evaluation.critic_gradient(critic);
        stats.target_mean = evaluation.target_mean();
        self.improvement.gradient(evaluation, policy, critic, duals, &mut stats);

        let (policy_norm, critic_norm) = (policy.norm(self.gradient_clip), critic.norm(self.gradient_clip));
        (stats.policy_grad_norm, stats.critic_grad_norm) = (policy_norm.norm, critic_norm.norm);
        check_finite(self.updates + 1, &stats, duals.gradient.iter().sum())?;

        policy.step(policy_norm);
        critic.step(critic_norm);
        duals.step();
        self.updates += 1;
        if self.updates.is_multiple_of(self.target_period) {
            policy.copy_to_target();
            critic.copy_to_target();
        }
        Ok(stats)
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn flops(&self, transitions: usize, windows: usize) -> usize {
        let states = transitions + windows;
        let (policy, critic) = (&self.policy.network, &self.critic.network);
        let samples = self.evaluation.samples();
        policy.forward_flops(states)
            + critic.evaluate_actions_flops(states, samples)
            + critic.forward_flops(transitions)
            + critic.training_flops(transitions)
            + policy.training_flops(transitions)
    }

    fn policy_parameters(&self) -> &[f32] {
        &self.policy.parameters
    }

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.policy.save(&mut writer);
        self.critic.save(&mut writer);
        self.duals.save(&mut writer);
        writer.number("noise.position", self.noise.position());
        writer.number("updates", self.updates);
        writer.finish()
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), NetsError> {
        let reader = Reader::new(bytes)?;
        // All is read and checked before anything is changed.
        let (policy, critic) = (self.policy.read(&reader)?, self.critic.read(&reader)?);
        let duals = self.duals.read(&reader)?;
        let (position, updates) = (reader.number("noise.position")?, reader.number("updates")?);
        self.policy.put(policy);
        self.critic.put(critic);
        self.duals.put(duals);
        self.noise.seek(position);
        self.updates = updates;
        Ok(())
    }
}
