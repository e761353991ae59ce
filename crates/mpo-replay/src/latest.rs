//! The newest transitions in the order in which they were pushed: what an on-policy learner trains on.

use crate::batch::Batch;
use crate::buffer::{ReplayBuffer, Shared};
use crate::error::ReplayError;
use crate::record::Header;
use crate::sample::{ATTEMPTS, Rows, Start};

impl ReplayBuffer {
    /// Fills `batch` with the newest `transitions` transitions of *each* lane: those of lane 0 in the order in which they
    /// were pushed, then those of lane 1, and so on.
    ///
    /// They come as packed windows of up to `steps` transitions. A window ends after `steps` transitions, where its episode
    /// ends, or with the newest transition; the next one goes on right behind it, so that every one of the
    /// `transitions * lanes` transitions is in exactly one window. The state between two windows of an episode is in both:
    /// as the one's last and the other's first.
    ///
    /// No generator is involved: while nobody writes, the batch is a function of the contents. With writers running, a
    /// lane is taken as it was at one moment, and taken anew if it was overtaken meanwhile.
    ///
    /// ```
    /// use mpo_replay::{Batch, Layout, ReplayBuffer};
    ///
    /// let buffer = ReplayBuffer::new(Layout { observation: 1, action: 1 }, 100, 1);
    /// let mut writer = buffer.writer(0)?;
    /// for step in 0..10_u8 {
    ///     if !writer.in_episode() {
    ///         writer.begin(&[f32::from(step)]);
    ///     }
    ///     writer.push(&[0.0], -1.0, f32::from(step), 1.0, &[f32::from(step) + 1.0], step % 5 == 4);
    /// }
    /// let mut batch = Batch::new();
    /// buffer.latest(8, 3, &mut batch)?;
    /// assert_eq!(batch.rewards, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    /// assert_eq!(batch.lengths, [3, 3, 2]);
    /// # Ok::<(), mpo_replay::ReplayError>(())
    /// ```
    ///
    /// # Errors
    /// [`ReplayError::TooFew`] if a lane stores fewer than `transitions`. [`ReplayError::Overrun`] if a writer kept
    /// overwriting the transitions faster than they were copied. The batch is then empty.
    ///
    /// # Panics
    /// If `transitions` or `steps` is 0.
    pub fn latest(&self, transitions: usize, steps: usize, batch: &mut Batch) -> Result<(), ReplayError> {
        assert!(
            transitions > 0 && steps > 0,
            "the newest {transitions} transitions in windows of {steps}: both must be at least 1"
        );
        let layout = &self.shared.layout;
        let most = transitions * self.lanes();
        // Episodes of one step make windows of one transition.
        batch.open(layout, most, most);
        let mut rows = Rows::default();
        let mut lanes = 0..self.lanes();
        let result = lanes.try_for_each(|lane| self.shared.copy_latest(lane, transitions, steps, batch, &mut rows));
        if result.is_err() {
            rows = Rows::default();
        }
        batch.close(layout, rows.windows, rows.transitions);
        result
    }
}

impl Shared {
    fn copy_latest(
        &self,
        lane: usize,
        wanted: usize,
        steps: usize,
        batch: &mut Batch,
        rows: &mut Rows,
    ) -> Result<(), ReplayError> {
        let before = *rows;
        for _ in 0..ATTEMPTS {
            *rows = before;
            if self.try_latest(lane, wanted, steps, batch, rows)? {
                return Ok(());
            }
            batch.redrawn += 1;
        }
        Err(ReplayError::Overrun { lane, attempts: ATTEMPTS, steps: wanted, capacity: self.capacity })
    }

    /// Whether all the windows were valid when they had been copied.
    fn try_latest(
        &self,
        lane: usize,
        wanted: usize,
        steps: usize,
        batch: &mut Batch,
        rows: &mut Rows,
    ) -> Result<bool, ReplayError> {
        let ring = &self.lanes[lane].ring;
        let contents = self.contents(&self.lanes[lane]);
        let stored = contents.transitions();
        if stored < wanted as u64 {
            return Err(ReplayError::TooFew { lane, stored, wanted });
        }
        let goal = rows.transitions + wanted;
        let mut index = self.record_of(lane, contents, contents.inserted - wanted as u64 + 1);
        while rows.transitions < goal {
            // First states lead from one episode to the next. A lane that was overtaken may seem to have nothing else left.
            while index < contents.head && Header::load(ring.record(index)).first {
                index += 1;
            }
            if index == contents.head || !self.copy(Start::new(ring, lane, index, contents.head), steps, batch, rows) {
                return Ok(false);
            }
            index += u64::from(batch.lengths[rows.windows - 1]);
        }
        Ok(true)
    }
}
