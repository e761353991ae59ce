//! The crate's one error type.

use std::io;
use std::path::PathBuf;

/// Why a replay operation did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// No transition is stored yet: `begin` alone stores a state but no transition.
    #[error("the replay buffer holds no transition in any of its {lanes} lanes: push at least one before sampling")]
    Empty {
        /// Lanes that were looked at.
        lanes: usize,
    },
    /// A lane number outside the buffer.
    #[error("lane {lane} does not exist: the buffer was made with {lanes} lanes, numbered from 0")]
    LaneOutOfRange {
        /// The lane asked for.
        lane: usize,
        /// Lanes of the buffer.
        lanes: usize,
    },
    /// The lane already has a live writer.
    #[error("lane {lane} already has a writer: drop that writer first, or give each actor its own lane")]
    LaneTaken {
        /// The lane asked for.
        lane: usize,
    },
    /// Writers overwrote a window, attempt after attempt, before it could be copied.
    #[error(
        "lane {lane} overwrote a window of {steps} steps in each of {attempts} attempts to copy it: \
         its capacity of {capacity} transitions is too small for the rate of its writer, enlarge it"
    )]
    Overrun {
        /// The lane of the last attempt.
        lane: usize,
        /// Attempts made.
        attempts: u32,
        /// Length of the window asked for.
        steps: usize,
        /// Transitions per lane.
        capacity: usize,
    },
    /// A lane stores fewer transitions than were asked for.
    #[error(
        "lane {lane} stores {stored} transitions, {wanted} were asked for: push more before asking, or enlarge the \
         capacity, in which the first state of every episode takes a place too"
    )]
    TooFew {
        /// The lane.
        lane: usize,
        /// Transitions that it stores.
        stored: u64,
        /// Transitions asked for.
        wanted: usize,
    },
    /// Memory for the records could not be mapped.
    #[error(
        "could not map {bytes} bytes for the records of a lane ({place}): is there as much memory or disk space, on a \
         file system that can set space aside?"
    )]
    Memory {
        /// Bytes of one lane.
        bytes: usize,
        /// The directory of the file, or the kind of memory.
        place: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A table that is not in the set.
    #[error("there is no table {name:?}: the tables are {known:?}")]
    UnknownTable {
        /// The table asked for.
        name: String,
        /// The tables of the set.
        known: Vec<String>,
    },
    /// A file could not be written or read, or is refused.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ReplayError>,
    },
    /// Reading or writing failed.
    #[error("could not {action} the replay buffer: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The stream does not start with the magic bytes.
    #[error("not a saved replay buffer: it starts with {found:02x?}, expected {expected:02x?}")]
    NotReplay {
        /// First bytes of the stream.
        found: [u8; 8],
        /// The magic bytes.
        expected: [u8; 8],
    },
    /// The stream was written by another version of the format.
    #[error(
        "the saved replay buffer has format version {found}, this build reads version {expected}: save it again with this build"
    )]
    Version {
        /// Version in the stream.
        found: u32,
        /// Version that this build writes and reads.
        expected: u32,
    },
    /// The stream ended early.
    #[error(
        "the saved replay buffer is cut short: it ends inside {section}, so the save did not finish or the copy is partial"
    )]
    Truncated {
        /// The part that was being read.
        section: Section,
    },
    /// A part's checksum does not match its bytes.
    #[error("the saved replay buffer is damaged in {section}: checksum {computed:08x}, recorded {recorded:08x}")]
    Checksum {
        /// The damaged part.
        section: Section,
        /// CRC-32 of the bytes read.
        computed: u32,
        /// CRC-32 in the stream.
        recorded: u32,
    },
    /// A part has an intact checksum but impossible contents.
    #[error("the saved replay buffer is inconsistent in {section}: {field} is {value}")]
    Inconsistent {
        /// The part concerned.
        section: Section,
        /// The field concerned.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A saved buffer has another shape than the one asked for.
    #[error(
        "the saved replay buffer has {field} {found}, expected {expected}: it was saved by a run of another configuration"
    )]
    Mismatch {
        /// The field concerned: a part of the layout, the capacity, or the number of lanes.
        field: &'static str,
        /// Value in the stream.
        found: u64,
        /// Value asked for.
        expected: u64,
    },
}

/// A part of a saved buffer, for error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Section {
    /// Magic, version, layout, capacity, lanes.
    Header,
    /// The records of one lane.
    Lane(u64),
    /// The names of a set of tables.
    Tables,
    /// The priorities of a buffer's transitions.
    Priorities,
    /// The end mark.
    End,
}

impl std::fmt::Display for Section {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => formatter.write_str("the header"),
            Self::Lane(lane) => write!(formatter, "lane {lane}"),
            Self::Tables => formatter.write_str("the names of the tables"),
            Self::Priorities => formatter.write_str("the priorities"),
            Self::End => formatter.write_str("the end mark"),
        }
    }
}
