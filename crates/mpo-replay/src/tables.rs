//! Several buffers under names.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::buffer::ReplayBuffer;
use crate::checked::{Sink, Source};
use crate::error::{ReplayError, Section};

const MAGIC: [u8; 8] = *b"MPOTABLE";

/// Buffers of different layouts, capacities or purposes (say demonstrations beside experience), saved as one.
///
/// ```
/// use mpo_replay::{Layout, ReplayBuffer, Tables};
///
/// let layout = Layout { observation: 3, action: 1 };
/// let mut tables = Tables::new();
/// tables.insert("experience", ReplayBuffer::new(layout, 1_000, 4));
/// tables.insert("demonstrations", ReplayBuffer::new(layout, 100, 1));
/// let mut bytes = Vec::new();
/// tables.save(&mut bytes)?;
///
/// let loaded = Tables::load(&mut &bytes[..])?;
/// assert_eq!(loaded.get("experience")?.lanes(), 4);
/// assert_eq!(
///     loaded.get("experiences").unwrap_err().to_string(),
///     r#"there is no table "experiences": the tables are ["demonstrations", "experience"]"#,
/// );
/// # Ok::<(), mpo_replay::ReplayError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tables {
    tables: BTreeMap<String, ReplayBuffer>,
}

impl Tables {
    /// No tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `buffer` under `name`, and returns the one that it replaces.
    pub fn insert(&mut self, name: impl Into<String>, buffer: ReplayBuffer) -> Option<ReplayBuffer> {
        self.tables.insert(name.into(), buffer)
    }

    /// The buffer under `name`.
    ///
    /// # Errors
    /// [`ReplayError::UnknownTable`], which lists the names.
    pub fn get(&self, name: &str) -> Result<&ReplayBuffer, ReplayError> {
        self.tables.get(name).ok_or_else(|| ReplayError::UnknownTable {
            name: name.to_owned(),
            known: self.tables.keys().cloned().collect(),
        })
    }

    /// Names and buffers, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ReplayBuffer)> {
        self.tables.iter().map(|(name, buffer)| (name.as_str(), buffer))
    }

    /// Writes all tables; each as [`ReplayBuffer::save`] does.
    ///
    /// # Errors
    /// [`ReplayError::Io`] if `writer` fails.
    pub fn save<W: Write + ?Sized>(&self, writer: &mut W) -> Result<(), ReplayError> {
        let mut sink = Sink::new(writer);
        sink.write(&MAGIC)?;
        sink.put(self.tables.len() as u64);
        sink.flush()?;
        for name in self.tables.keys() {
            sink.put(name.len() as u64);
            sink.flush()?;
            sink.extend(name.as_bytes());
            sink.flush()?;
        }
        self.tables.values().try_for_each(|table| table.save(writer))
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// Those of [`ReplayBuffer::load`].
    pub fn load<R: Read + ?Sized>(reader: &mut R) -> Result<Self, ReplayError> {
        /// Longer names are taken for damage before memory is taken for them.
        const LONGEST: u64 = 1 << 16;
        let mut source = Source::new(reader, Section::Tables);
        let found = source.bytes()?;
        if found != MAGIC {
            return Err(ReplayError::NotReplay { found, expected: MAGIC });
        }
        let [count] = source.checked_words()?;
        let mut names = Vec::new();
        for _ in 0..count {
            let [len] = source.checked_words()?;
            if len > LONGEST {
                return Err(source.inconsistent("the length of a name", len));
            }
            let mut name = vec![0; len as usize];
            source.checked_bytes(&mut name)?;
            let name = String::from_utf8(name).map_err(|error| {
                source.inconsistent("the valid length of a name", error.utf8_error().valid_up_to() as u64)
            })?;
            names.push(name);
        }
        let tables = names.into_iter().map(|name| Ok((name, ReplayBuffer::load(reader)?)));
        Ok(Self { tables: tables.collect::<Result<_, ReplayError>>()? })
    }
}
