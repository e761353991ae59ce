//! The buffer: its lanes, and what they hold.

use std::sync::Arc;

use crate::error::ReplayError;
use crate::layout::TransitionLayout;
use crate::memory::Memory;
use crate::record::{Header, RecordLayout};
use crate::ring::Ring;
use crate::sync::{AtomicBool, Ordering};
use crate::writer::TrajectoryWriter;

/// Trajectories of several actors, written and sampled at the same time without locks.
///
/// The buffer is divided into *lanes*, one for each actor. A lane is a [`Ring`] that keeps the newest
/// `capacity + 1` states: `capacity` transitions of one long episode, and one fewer for each further episode that begins
/// among them, since its first state takes a place and has no transition. The memory is taken once, at construction, and
/// the operating system hands out its pages as they are first written.
///
/// A `ReplayBuffer` is a handle: a clone shares the contents. All methods take `&self`, from any thread.
///
/// # Memory ordering
///
/// A lane has one writer, which bumps a counter `reserve` before it writes a record and a counter `head` after it. A
/// sampler reads `head`, copies, and accepts the copy only if `reserve` shows that the oldest record of the copy has not
/// been overwritten since; [`Ring`] has the argument in full. All words are atomics, so that a copy that loses the
/// race is stale or mixed but never undefined behaviour, and the crate needs no `unsafe`.
///
/// # Determinism
///
/// While nobody writes, a batch is a function of the contents and of the generator's state. With writers running,
/// each draw is made from the contents at that moment.
#[derive(Clone, Debug)]
pub struct ReplayBuffer {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: TransitionLayout,
    pub(crate) records: RecordLayout,
    pub(crate) capacity: usize,
    pub(crate) lanes: Box<[Lane]>,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) ring: Ring,
    /// Whether a live writer holds the lane.
    pub(crate) claimed: AtomicBool,
}

/// A lane's contents at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Records that may be sampled as the end of a transition: `first..head`, some of which are FIRST.
    pub(crate) first: u64,
    pub(crate) head: u64,
    /// Transitions ever pushed up to `first` (exclusive) and up to `head`.
    pub(crate) evicted: u64,
    pub(crate) inserted: u64,
}

impl Contents {
    pub(crate) fn candidates(&self) -> u64 {
        self.head - self.first
    }

    pub(crate) fn transitions(&self) -> u64 {
        self.inserted.saturating_sub(self.evicted)
    }
}

impl ReplayBuffer {
    /// An empty buffer of `lanes` lanes, each for `capacity` transitions of `layout` (a [`crate::Layout`] or a
    /// [`TransitionLayout`]).
    ///
    /// # Panics
    /// If `capacity` or `lanes` is 0, if frames have 0 bytes or a stack has 0 frames, or if the sizes overflow the address space.
    #[must_use]
    pub fn new(layout: impl Into<TransitionLayout>, capacity: usize, lanes: usize) -> Self {
        Self::new_in(layout, capacity, lanes, &Memory::Heap)
            .unwrap_or_else(|error| panic!("the heap is not mapped, so that this cannot happen: {error}"))
    }

    /// [`new`](Self::new) with the records in memory of another kind.
    ///
    /// # Errors
    /// [`ReplayError::Memory`] if the memory cannot be mapped, or the disk has too little room.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn new_in(
        layout: impl Into<TransitionLayout>,
        capacity: usize,
        lanes: usize,
        memory: &Memory,
    ) -> Result<Self, ReplayError> {
        let layout = layout.into();
        assert!(capacity > 0, "a replay buffer needs room for at least one transition per lane");
        assert!(lanes > 0, "a replay buffer needs at least one lane");
        assert!(
            layout.frames.is_none_or(|frames| frames.bytes > 0 && frames.stack > 0),
            "a stack of frames needs at least one frame of one byte"
        );
        let lanes: Result<_, _> = (0..lanes).map(|_| Lane::new(&layout, capacity, memory)).collect();
        Ok(Self::from_lanes(layout, capacity, lanes?))
    }

    pub(crate) fn from_lanes(layout: TransitionLayout, capacity: usize, lanes: Box<[Lane]>) -> Self {
        let records = RecordLayout::new(&layout);
        Self { shared: Arc::new(Shared { layout, records, capacity, lanes }) }
    }

    /// What a transition consists of.
    #[must_use]
    pub fn layout(&self) -> TransitionLayout {
        self.shared.layout
    }

    /// Room for transitions in each lane.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Number of lanes.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.shared.lanes.len()
    }

    /// Bytes that the records take once every lane is full.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.shared.lanes.iter().map(|lane| lane.ring.memory()).sum()
    }

    /// The writer of lane `lane`, which continues after the lane's last transition: if that one did not end its
    /// episode, `push` may go on with it.
    ///
    /// # Errors
    /// [`ReplayError::LaneOutOfRange`]; [`ReplayError::LaneTaken`] while another writer of the lane is alive.
    pub fn writer(&self, lane: usize) -> Result<TrajectoryWriter, ReplayError> {
        let lanes = self.lanes();
        let claimed = &self.shared.lanes.get(lane).ok_or(ReplayError::LaneOutOfRange { lane, lanes })?.claimed;
        // Acquire joins the release of the previous writer's drop: its last records are then this thread's to continue.
        claimed
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| ReplayError::LaneTaken { lane })?;
        Ok(TrajectoryWriter::resume(Arc::clone(&self.shared), lane))
    }

    /// Transitions stored now, in all lanes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lanes.iter().map(|lane| self.shared.contents(lane).transitions() as usize).sum()
    }

    /// Whether no transition is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Transitions ever pushed, in all lanes, those that have been overwritten included.
    #[must_use]
    pub fn inserted(&self) -> u64 {
        self.shared.lanes.iter().map(|lane| self.shared.contents(lane).inserted).sum()
    }
}

impl Shared {
    /// What `lane` holds now.
    pub(crate) fn contents(&self, lane: &Lane) -> Contents {
        let ring = &lane.ring;
        loop {
            let head = ring.head();
            if head == 0 {
                return Contents { first: 0, head: 0, evicted: 0, inserted: 0 };
            }
            let oldest = self.oldest_state(ring, head);
            let evicted = Header::load(ring.record(oldest)).transitions;
            let inserted = Header::load(ring.record(head - 1)).transitions;
            // A refusal means that the writer completed a record since `head` was read: the loop is lock-free.
            if ring.is_intact(oldest) {
                return Contents { first: oldest + 1, head, evicted, inserted };
            }
        }
    }

    /// The oldest state from which a transition may start: one whose whole stack of frames is stored. `head` is not 0.
    fn oldest_state(&self, ring: &Ring, head: u64) -> u64 {
        let kept = ring.oldest(head);
        if kept == 0 { 0 } else { (kept + self.layout.history() as u64).min(head - 1) }
    }
}

impl Lane {
    pub(crate) fn new(layout: &TransitionLayout, capacity: usize, memory: &Memory) -> Result<Self, ReplayError> {
        // One more state than transitions, and before the oldest state the frames that its stack shows.
        let kept = capacity + 1 + layout.history();
        let ring = Ring::new_in(kept, RecordLayout::new(layout).words(), memory)?;
        Ok(Self { ring, claimed: AtomicBool::new(false) })
    }
}
