//! What the paper says of its figures, in our words, one row per claim. [`super::verdict`] decides them.

use mpo_agent::Algorithm::{self, ActorCritic, Ddpg, Epg, Mpo, MpoJointKl, MpoParametric, Ppo};

use super::evidence::Measure;

/// A statement about a figure that its panels bear out or contradict.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Number of the figure in the paper.
    pub figure: u8,
    /// The statement.
    pub says: &'static str,
    /// What is compared in each panel.
    pub comparison: Comparison,
    /// The part of the panels that must bear it out; 0 asks for one panel.
    pub share: f64,
}

/// What is compared in a panel.
#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    /// The subject is level with or above every one of the others.
    NotBelow {
        /// Who is claimed to do well.
        subject: Algorithm,
        /// Those that it is held against.
        others: &'static [Algorithm],
        /// In what.
        measure: Measure,
    },
    /// The subject is below the other.
    Below {
        /// Who is claimed to be below.
        subject: Algorithm,
        /// The one that it is held against.
        other: Algorithm,
        /// In what.
        measure: Measure,
    },
    /// The subject is above the other.
    Above {
        /// Who is claimed to be above.
        subject: Algorithm,
        /// The one that it is held against.
        other: Algorithm,
        /// In what.
        measure: Measure,
    },
    /// The two are level.
    Level {
        /// One.
        subject: Algorithm,
        /// The other.
        other: Algorithm,
        /// In what.
        measure: Measure,
    },
    /// The subject needs at least `factor` times the other's steps to 90 % of the other's final return.
    Slower {
        /// Who is claimed to be slow.
        subject: Algorithm,
        /// The one that it is held against.
        other: Algorithm,
        /// How many times.
        factor: f64,
    },
    /// The subject ends at less than `share` of what the other gains over the random policy.
    Fails {
        /// Who is claimed to fail.
        subject: Algorithm,
        /// The one that it is held against.
        other: Algorithm,
        /// Part of the other's gain.
        share: f64,
    },
}

/// Every claim.
pub static CLAIMS: [Claim; 11] = [
    Claim {
        figure: 2,
        says: "MPO with separate bounds on mean and covariance learns at least as fast as every other learner.",
        comparison: Comparison::NotBelow {
            subject: Mpo,
            others: &[MpoParametric, MpoJointKl, Epg, ActorCritic, Ddpg, Ppo],
            measure: Measure::Area,
        },
        share: 1.0,
    },
    Claim {
        figure: 2,
        says: "Under a single bound on the whole KL, MPO learns more slowly.",
        comparison: Comparison::Below { subject: MpoJointKl, other: Mpo, measure: Measure::Area },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "Under a single bound on the whole KL, the policy's deviation shrinks too early.",
        comparison: Comparison::Below { subject: MpoJointKl, other: Mpo, measure: Measure::Deviation },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "A parametric variational distribution does about as well as the non-parametric one.",
        comparison: Comparison::Level { subject: MpoParametric, other: Mpo, measure: Measure::Area },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "The expected policy gradient, which has no bound on the KL, is less stable: it falls further back.",
        comparison: Comparison::Above { subject: Epg, other: Mpo, measure: Measure::Fall },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "The actor-critic with a single action per state learns more slowly than MPO.",
        comparison: Comparison::Below { subject: ActorCritic, other: Mpo, measure: Measure::Area },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "DDPG makes less of the same number of steps than MPO.",
        comparison: Comparison::Below { subject: Ddpg, other: Mpo, measure: Measure::Area },
        share: 0.6,
    },
    Claim {
        figure: 2,
        says: "PPO makes less of the same number of steps than MPO.",
        comparison: Comparison::Below { subject: Ppo, other: Mpo, measure: Measure::Area },
        share: 0.6,
    },
    Claim {
        figure: 4,
        says: "After equally many steps MPO is the best or level with the best on nearly every task.",
        comparison: Comparison::NotBelow { subject: Mpo, others: &[Epg, Ddpg, Ppo], measure: Measure::Final },
        share: 0.9,
    },
    Claim {
        figure: 4,
        says: "PPO needs more steps than MPO by an order of magnitude or more.",
        comparison: Comparison::Slower { subject: Ppo, other: Mpo, factor: 10.0 },
        share: 0.6,
    },
    Claim {
        figure: 4,
        says: "DDPG fails on some tasks that MPO learns.",
        comparison: Comparison::Fails { subject: Ddpg, other: Mpo, share: 0.5 },
        share: 0.0,
    },
];
