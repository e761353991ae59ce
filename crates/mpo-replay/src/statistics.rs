//! How full a buffer is, and how old its contents are.

use crate::buffer::ReplayBuffer;

/// What a buffer holds at one moment; see [`ReplayBuffer::statistics`].
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// One for each lane.
    pub lanes: Vec<LaneStatistics>,
    /// Transitions stored, in all lanes.
    pub stored: u64,
    /// Transitions ever pushed, in all lanes.
    pub inserted: u64,
    /// Share of the room for states that is taken: 1 once every lane wraps around.
    pub occupancy: f64,
}

/// What a lane holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneStatistics {
    /// Transitions stored.
    pub stored: u64,
    /// Transitions ever pushed.
    pub inserted: u64,
    /// First states among the states stored after the oldest one: episodes that begin within the lane.
    pub episodes: u64,
    /// States written since the oldest stored transition, that one included: its age, as in
    /// [`Batch::ages`](crate::Batch::ages); 0 in an empty lane.
    pub oldest: u64,
}

impl ReplayBuffer {
    /// Occupancy and age of the contents. Each lane is seen at one moment; with writers running the moments differ.
    ///
    /// ```
    /// use mpo_replay::{Layout, ReplayBuffer};
    ///
    /// let buffer = ReplayBuffer::new(Layout { observation: 1, action: 1 }, 9, 2);
    /// let mut writer = buffer.writer(0)?;
    /// writer.begin(&[0.0]);
    /// for _ in 0..20 {
    ///     writer.push(&[0.0], 0.0, 0.0, 1.0, &[0.0], false);
    /// }
    /// let statistics = buffer.statistics();
    /// assert_eq!((statistics.stored, statistics.inserted), (9, 20));
    /// assert_eq!(statistics.occupancy, 0.5);
    /// assert_eq!(statistics.lanes[0].oldest, 9);
    /// # Ok::<(), mpo_replay::ReplayError>(())
    /// ```
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let shared = &self.shared;
        let mut states = 0;
        let lanes: Vec<LaneStatistics> = shared
            .lanes
            .iter()
            .map(|lane| {
                let contents = shared.contents(lane);
                let candidates = contents.candidates();
                let stored = contents.transitions();
                states += if contents.head == 0 { 0 } else { candidates + 1 };
                LaneStatistics {
                    stored,
                    inserted: contents.inserted,
                    episodes: candidates - stored,
                    oldest: candidates,
                }
            })
            .collect();
        let room = (shared.capacity as u64 + 1) * lanes.len() as u64;
        Statistics {
            stored: lanes.iter().map(|lane| lane.stored).sum(),
            inserted: lanes.iter().map(|lane| lane.inserted).sum(),
            occupancy: states as f64 / room as f64,
            lanes,
        }
    }
}
