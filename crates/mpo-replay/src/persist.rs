//! Saving and loading a whole buffer.
//!
//! All numbers are little-endian; every checksum is CRC-32 (IEEE) of the bytes of its part.
//!
//! ```text
//! header   magic [8], version u32, observation, frame bytes, stack, kind of action, action, capacity, lanes (u64 each),
//!          checksum u32
//! lane     blocks: first record u64, records u64 (at least 1), checksum u32, the records' words, checksum u32
//!          end:    head u64, 0 u64, checksum u32
//! end      mark [8]
//! ```
//!
//! Records keep their numbers, so that a restored lane continues where the saved one was. Where a writer overtook the
//! save, there is a gap in the numbers, and what lies before the last gap had been overwritten: it is not restored.

use std::io::{Read, Write};

use crate::buffer::{Lane, ReplayBuffer};
use crate::checked::{Sink, Source};
use crate::error::{ReplayError, Section};
use crate::layout::{ActionLayout, Frames, TransitionLayout};
use crate::memory::Memory;
use crate::ring::Ring;
use crate::sync::Ordering;

const MAGIC: [u8; 8] = *b"MPOREPLY";
const END: [u8; 8] = *b"REPLYEND";
const VERSION: u32 = 1;

/// Words of a block, about: a block is validated as a whole, so it should be copied in some microseconds.
const BLOCK_WORDS: usize = 8192;

/// The shape of a saved buffer.
struct Header {
    layout: TransitionLayout,
    capacity: usize,
    lanes: usize,
}

impl ReplayBuffer {
    /// Writes the whole contents to `writer`, in many small pieces: give it a buffered or an in-memory one.
    ///
    /// Writers may go on meanwhile. Each lane is then saved as it was at one moment, less what was overwritten before it
    /// was copied; the lanes' moments differ.
    ///
    /// # Errors
    /// [`ReplayError::Io`] if `writer` fails.
    pub fn save<W: Write + ?Sized>(&self, writer: &mut W) -> Result<(), ReplayError> {
        let mut sink = Sink::new(writer);
        sink.write(&MAGIC)?;
        sink.write(&VERSION.to_le_bytes())?;
        let (layout, capacity, lanes) = (self.layout(), self.capacity(), self.lanes());
        for field in (Header { layout, capacity, lanes }).fields() {
            sink.put(field);
        }
        sink.flush()?;
        for lane in &self.shared.lanes {
            save_lane(&lane.ring, &mut sink)?;
        }
        sink.write(&END)
    }

    /// Reads a buffer that [`save`](Self::save) wrote. Sampling it with the same generator gives the same batches as
    /// sampling the saved one, also after further transitions have been pushed to both.
    ///
    /// # Errors
    /// [`ReplayError::Io`] if `reader` fails; [`ReplayError::NotReplay`], [`ReplayError::Version`],
    /// [`ReplayError::Truncated`], [`ReplayError::Checksum`] or [`ReplayError::Inconsistent`] for what is wrong with the
    /// bytes.
    pub fn load<R: Read + ?Sized>(reader: &mut R) -> Result<Self, ReplayError> {
        Self::load_in(reader, &Memory::Heap)
    }

    /// [`load`](Self::load) into memory of another kind.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`ReplayError::Memory`].
    pub fn load_in<R: Read + ?Sized>(reader: &mut R, memory: &Memory) -> Result<Self, ReplayError> {
        let mut source = Source::new(reader, Section::Header);
        let header = Header::read(&mut source)?;
        Self::load_lanes(&mut source, &header, memory)
    }

    /// [`load`](Self::load) for a caller who knows which shape the buffer must have, and takes no memory for another one.
    ///
    /// ```
    /// use mpo_replay::{Layout, ReplayBuffer};
    ///
    /// let mut bytes = Vec::new();
    /// ReplayBuffer::new(Layout { observation: 17, action: 6 }, 100, 1).save(&mut bytes)?;
    /// let error = ReplayBuffer::load_matching(&mut &bytes[..], Layout { observation: 24, action: 6 }, 100, 1).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the saved replay buffer has observation size 17, expected 24: it was saved by a run of another configuration",
    /// );
    /// # Ok::<(), mpo_replay::ReplayError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`ReplayError::Mismatch`].
    pub fn load_matching<R: Read + ?Sized>(
        reader: &mut R,
        layout: impl Into<TransitionLayout>,
        capacity: usize,
        lanes: usize,
    ) -> Result<Self, ReplayError> {
        let mut source = Source::new(reader, Section::Header);
        let header = Header::read(&mut source)?;
        let expected = Header { layout: layout.into(), capacity, lanes };
        for ((field, found), expected) in Header::NAMES.into_iter().zip(header.fields()).zip(expected.fields()) {
            if found != expected {
                return Err(ReplayError::Mismatch { field, found, expected });
            }
        }
        Self::load_lanes(&mut source, &header, &Memory::Heap)
    }

    fn load_lanes<R: Read + ?Sized>(
        source: &mut Source<'_, R>,
        header: &Header,
        memory: &Memory,
    ) -> Result<Self, ReplayError> {
        let Header { layout, capacity, lanes } = *header;
        let lanes: Result<Box<[Lane]>, ReplayError> = (0..lanes)
            .map(|number| {
                source.section = Section::Lane(number as u64);
                let mut lane = Lane::new(&layout, capacity, memory)?;
                load_lane(&mut lane.ring, source)?;
                Ok(lane)
            })
            .collect();
        let lanes = lanes?;
        source.section = Section::End;
        let mark = source.bytes::<8>()?;
        if mark != END {
            return Err(source.inconsistent("the mark", u64::from_le_bytes(mark)));
        }
        Ok(Self::from_lanes(layout, capacity, lanes))
    }
}

impl Header {
    const NAMES: [&str; 7] = [
        "observation size",
        "frame bytes",
        "stack depth",
        "kind of action",
        "action size",
        "capacity per lane",
        "lane count",
    ];

    fn fields(&self) -> [u64; 7] {
        let Frames { bytes, stack } = self.layout.frames.unwrap_or(Frames { bytes: 0, stack: 0 });
        let (kind, action) = match self.layout.action {
            ActionLayout::Continuous(len) => (0, len as u64),
            ActionLayout::Discrete(actions) => (1, u64::from(actions)),
        };
        [
            self.layout.observation as u64,
            bytes as u64,
            stack as u64,
            kind,
            action,
            self.capacity as u64,
            self.lanes as u64,
        ]
    }

    fn read<R: Read + ?Sized>(source: &mut Source<'_, R>) -> Result<Self, ReplayError> {
        let found = source.bytes()?;
        if found != MAGIC {
            return Err(ReplayError::NotReplay { found, expected: MAGIC });
        }
        let found = u32::from_le_bytes(source.bytes()?);
        if found != VERSION {
            return Err(ReplayError::Version { found, expected: VERSION });
        }
        let fields = source.checked_words::<7>()?;
        let [observation, bytes, stack, kind, action, capacity, lanes] = fields;
        let impossible = |at: usize| source.inconsistent(Self::NAMES[at], fields[at]);
        let size = |at: usize| usize::try_from(fields[at]).map_err(|_| impossible(at));
        let frames = match (bytes, stack) {
            (0, 0) => None,
            (0, _) => return Err(impossible(1)),
            (_, 0) => return Err(impossible(2)),
            _ => Some(Frames { bytes: size(1)?, stack: size(2)? }),
        };
        let action = match kind {
            0 => ActionLayout::Continuous(size(4)?),
            1 => ActionLayout::Discrete(u32::try_from(action).map_err(|_| impossible(4))?),
            _ => return Err(impossible(3)),
        };
        if capacity == 0 {
            return Err(impossible(5));
        }
        if lanes == 0 {
            return Err(impossible(6));
        }
        // Refuses sizes whose product overflows, before any memory is taken.
        let row = [observation, bytes.div_ceil(8), fields[4], 4].into_iter().try_fold(0_u64, u64::checked_add);
        let states = stack.checked_add(capacity).and_then(|states| states.checked_add(2));
        row.zip(states)
            .and_then(|(row, states)| row.checked_mul(states)?.checked_mul(lanes)?.checked_mul(8))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| impossible(5))?;
        let layout = TransitionLayout { observation: size(0)?, frames, action };
        Ok(Self { layout, capacity: size(5)?, lanes: size(6)? })
    }
}

fn block_records(record_words: usize) -> u64 {
    (BLOCK_WORDS / record_words).max(1) as u64
}

fn save_lane<W: Write + ?Sized>(ring: &Ring, sink: &mut Sink<'_, W>) -> Result<(), ReplayError> {
    let mut payload = Vec::new();
    let mut head = ring.head();
    let mut next = ring.oldest(head);
    while next < head {
        let count = block_records(ring.record_words()).min(head - next);
        payload.clear();
        for record in ring.records_from(next).take(count as usize) {
            payload.extend(record.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()));
        }
        if ring.is_intact(next) {
            sink.put(next);
            sink.put(count);
            sink.flush()?;
            sink.bytes.append(&mut payload);
            sink.flush()?;
            next += count;
        } else {
            // The writer overtook: go on with what is stored now, and follow it if nothing of the first view is left.
            let now = ring.head();
            next = ring.oldest(now);
            if next >= head {
                head = now;
            }
        }
    }
    sink.put(head);
    sink.put(0);
    sink.flush()
}

fn load_lane<R: Read + ?Sized>(ring: &mut Ring, source: &mut Source<'_, R>) -> Result<(), ReplayError> {
    let words = ring.record_words();
    let mut payload = Vec::new();
    let (mut floor, mut next) = (0, 0);
    loop {
        let [first, count] = source.checked_words()?;
        if count == 0 {
            if first != next {
                return Err(source.inconsistent("the head", first));
            }
            ring.restore(floor, next);
            return Ok(());
        }
        if first < next {
            return Err(source.inconsistent("the first record of a block", first));
        }
        if count > block_records(words) {
            return Err(source.inconsistent("the number of records of a block", count));
        }
        if first > next {
            floor = first;
        }
        next = first
            .checked_add(count)
            .filter(|end| *end < u64::MAX)
            .ok_or_else(|| source.inconsistent("the first record of a block", first))?;
        payload.resize(count as usize * words * 8, 0);
        source.checked_bytes(&mut payload)?;
        let mut values = payload.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        for record in ring.records_from(first).take(count as usize) {
            for (word, value) in record.iter().zip(&mut values) {
                word.store(value, Ordering::Relaxed);
            }
        }
    }
}
