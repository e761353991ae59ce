//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::AgentError;
use crate::error::AtPath;

/// Length and SHA-256 of a file's contents.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Writes a new file through `fill`, and returns once it is on the disk.
pub(crate) fn write_synced(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), AgentError>,
) -> Result<Fingerprint, AgentError> {
    let file = File::create(path).at("create", path)?;
    let mut sink = Hashing { inner: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
    fill(&mut sink)?;
    let file = sink.inner.into_inner().map_err(io::IntoInnerError::into_error).at("write", path)?;
    file.sync_all().at("write", path)?;
    Ok(Fingerprint { bytes: sink.bytes, sha256: hex(&sink.hash.finalize()) })
}

/// Replaces `path` by a file of `bytes`: a reader sees the old one or the new one, also after a crash.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), AgentError> {
    let temporary = path.with_extension("tmp");
    write_synced(&temporary, |out| out.write_all(bytes).at("write", &temporary))?;
    fs::rename(&temporary, path).at("write", path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes renames in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), AgentError> {
    File::open(path).and_then(|directory| directory.sync_all()).at("write", path)
}

/// The fingerprint of a file as it is on the disk.
pub(crate) fn fingerprint(path: &Path) -> io::Result<Fingerprint> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(Fingerprint { bytes, sha256: hex(&hash.finalize()) });
        }
        hash.update(&chunk[..count]);
        bytes += count as u64;
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// What [`hex`] wrote, or `None` for anything else.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = pairs.iter().map(|&[a, b]| Some((digit(a)? << 4 | digit(b)?) as u8)).collect();
    if rest.is_empty() { bytes } else { None }
}

/// Hashes what passes through to `inner`.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(data)?;
        self.hash.update(&data[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_the_bytes_on_disk() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("abc");
        let written = write_synced(&path, |out| out.write_all(b"abc").at("write", &path));
        let written = written.expect("the directory is writable");
        // The test vector of FIPS 180-4.
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(written, Fingerprint { bytes: 3, sha256: digest.to_owned() });
        assert_eq!(fingerprint(&path).expect("just written"), written);
    }

    #[test]
    fn hexadecimal_goes_there_and_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!((unhex("0"), unhex("0g")), (None, None));
    }
}
