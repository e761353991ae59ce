//! Parts of a saved file, each followed by the CRC-32 (IEEE) of its bytes.

use std::io::{self, Read, Write};

use crate::error::{ReplayError, Section};

/// Writes checksummed parts.
pub(crate) struct Sink<'a, W: ?Sized> {
    writer: &'a mut W,
    /// The part being built.
    pub(crate) bytes: Vec<u8>,
}

impl<'a, W: Write + ?Sized> Sink<'a, W> {
    pub(crate) fn new(writer: &'a mut W) -> Self {
        Self { writer, bytes: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ReplayError> {
        self.writer.write_all(bytes).map_err(|source| ReplayError::Io { action: "write", source })
    }

    pub(crate) fn put(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }

    /// Ends the part: writes it and its checksum.
    pub(crate) fn flush(&mut self) -> Result<(), ReplayError> {
        let checksum = crc32fast::hash(&self.bytes);
        self.bytes.extend(checksum.to_le_bytes());
        let bytes = std::mem::take(&mut self.bytes);
        self.write(&bytes)?;
        self.bytes = bytes;
        self.bytes.clear();
        Ok(())
    }
}

/// Reads checksummed parts and knows which section it is in.
pub(crate) struct Source<'a, R: ?Sized> {
    reader: &'a mut R,
    pub(crate) section: Section,
}

impl<'a, R: Read + ?Sized> Source<'a, R> {
    pub(crate) fn new(reader: &'a mut R, section: Section) -> Self {
        Self { reader, section }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReplayError> {
        self.reader.read_exact(bytes).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => ReplayError::Truncated { section: self.section },
            _ => ReplayError::Io { action: "read", source },
        })
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ReplayError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn checked_bytes(&mut self, bytes: &mut [u8]) -> Result<(), ReplayError> {
        self.fill(bytes)?;
        let recorded = u32::from_le_bytes(self.bytes()?);
        let computed = crc32fast::hash(bytes);
        if recorded == computed {
            Ok(())
        } else {
            Err(ReplayError::Checksum { section: self.section, computed, recorded })
        }
    }

    pub(crate) fn checked_words<const N: usize>(&mut self) -> Result<[u64; N], ReplayError> {
        let mut bytes = [[0; 8]; N];
        self.checked_bytes(bytes.as_flattened_mut())?;
        Ok(bytes.map(u64::from_le_bytes))
    }

    pub(crate) fn inconsistent(&self, field: &'static str, value: u64) -> ReplayError {
        ReplayError::Inconsistent { section: self.section, field, value }
    }
}
