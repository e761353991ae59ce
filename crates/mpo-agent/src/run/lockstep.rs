//! Workers in step: how far all of them have played, and what is due then.
//!
//! A *round* is one episode of every worker. While it lasts, they meet after every few steps of their own: there they learn how many
//! steps all have played since they last met, and make the same updates, each on a batch of its own. Whose episode has ended plays
//! no more, but keeps coming until the last one's has. A run of one worker meets itself after every step.

use mpo_nets::Demand;
use mpo_replay::ReplayBuffer;

use super::training::ONE_UPDATE;
use crate::AgentError;
use crate::actor::Actor;
use crate::checkpoint::Counters;
use crate::config::{TrainingConfig, updates_in_millionths};
use crate::distributed::Workers;
use crate::environment_loop::Episode;
use crate::learner::Learner;
use crate::records::StatisticsSum;

/// Steps of its own between two meetings where no update asks for one.
const IDLE_STEPS: u64 = 1000;

/// One worker's view of a round.
pub(super) struct Round<'a> {
    pub(super) workers: &'a mut dyn Workers,
    pub(super) learner: &'a mut Learner,
    pub(super) replay: &'a ReplayBuffer,
    pub(super) counters: &'a mut Counters,
    pub(super) training: &'a TrainingConfig,
    pub(super) statistics: StatisticsSum,
    /// Steps of its own since the last meeting.
    played: u64,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        workers: &'a mut dyn Workers,
        learner: &'a mut Learner,
        replay: &'a ReplayBuffer,
        counters: &'a mut Counters,
        training: &'a TrainingConfig,
    ) -> Self {
        Self { workers, learner, replay, counters, training, statistics: StatisticsSum::default(), played: 0 }
    }

    /// Counts a step of this worker's episode, and meets the others when it is time.
    pub(super) fn step(&mut self, actor: &mut Actor) -> Result<(), AgentError> {
        self.played += 1;
        if self.learner.demand() != Demand::Replay {
            self.counters.collected += 1;
        }
        if self.played < self.steps_apart() {
            return Ok(());
        }
        let before = self.counters.step;
        self.meet(true)?;
        // The period is in steps of each.
        let refresh = self.training.policy_refresh_steps * self.workers.workers() as u64;
        if refresh > 0 && self.counters.step / refresh > before / refresh {
            actor.load(self.learner.policy_parameters());
        }
        Ok(())
    }

    /// Keeps meeting the others until everybody's episode has ended; then everybody's episodes, in the order of ranks.
    pub(super) fn finish(&mut self, own: Episode) -> Result<Vec<Episode>, AgentError> {
        while self.meet(false)? {}
        // An on-policy round changes the policy, so it comes between episodes.
        if let Demand::OnPolicy { transitions } = self.learner.demand() {
            let collected: u64 = self.workers.all([self.counters.collected])?.iter().flatten().sum();
            if collected >= (transitions * self.workers.workers()) as u64 {
                let own = std::mem::take(&mut self.counters.collected) as usize;
                self.statistics.add(&self.learner.update_on_newest(self.replay, own, &mut *self.workers)?);
            }
        }
        let episodes = self.workers.all([own.episode_return.to_bits(), own.length])?;
        // Of training, returns and lengths are recorded; how far an episode got, of evaluations alone.
        let episode = |[sum, length]: [u64; 2]| Episode { episode_return: f64::from_bits(sum), length, progress: None };
        Ok(episodes.into_iter().map(episode).collect())
    }

    /// Steps of its own that a worker plays between two meetings: as many as an update is due after.
    fn steps_apart(&self) -> u64 {
        let rate = updates_in_millionths(self.training.updates_per_step);
        match self.workers.workers() {
            1 => 1,
            _ if rate == 0 || self.learner.demand() != Demand::Replay => IDLE_STEPS,
            _ => ONE_UPDATE.div_ceil(rate).min(IDLE_STEPS),
        }
    }

    /// Adds up the steps of all and makes the updates that are due; says whether anybody's episode goes on.
    fn meet(&mut self, acting: bool) -> Result<bool, AgentError> {
        let all = self.workers.all([std::mem::take(&mut self.played), acting.into()])?;
        let played: u64 = all.iter().map(|[played, _]| played).sum();
        self.counters.step += played;
        if self.learner.demand() == Demand::Replay {
            let learning = played.min(self.counters.step.saturating_sub(self.training.warmup_steps));
            self.counters.update_credit += learning * updates_in_millionths(self.training.updates_per_step);
            // The settings' ratio is that of each worker's steps to the updates, in which all take part.
            let price = ONE_UPDATE * self.workers.workers() as u64;
            while self.counters.update_credit >= price {
                self.counters.update_credit -= price;
                self.statistics.add(&self.learner.update_with(self.replay, &mut *self.workers)?);
            }
        }
        Ok(all.iter().any(|&[_, acting]| acting != 0))
    }
}
