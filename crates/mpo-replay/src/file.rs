//! Checkpoint files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::error::{ReplayError, Section};

/// Has `save` write a file, which takes the name `path` only once it is whole and on the disk. A process that is killed, or
/// a disk that is full, leaves the previous file under that name as it was; what was written so far stays behind as
/// `path` with `.partial` appended and is overwritten by the next attempt.
///
/// Whatever writes itself to a stream can go into one file, one after the other: buffers, [`Tables`](crate::Tables),
/// [`Priorities`](crate::Priorities). [`load_file`] reads them in the same order.
///
/// ```
/// use mpo_replay::{Layout, Priorities, ReplayBuffer, load_file, save_file};
///
/// # let directory = tempfile::tempdir().expect("a directory for temporary files");
/// # let path = directory.path().join("replay");
/// let buffer = ReplayBuffer::new(Layout { observation: 3, action: 1 }, 1_000, 1);
/// let priorities = Priorities::new(&buffer, 0.6);
/// save_file(&path, |writer| {
///     buffer.save(writer)?;
///     priorities.save(writer)
/// })?;
/// let (buffer, priorities) = load_file(&path, |reader| {
///     let buffer = ReplayBuffer::load(reader)?;
///     let priorities = Priorities::load(reader, &buffer)?;
///     Ok((buffer, priorities))
/// })?;
/// # Ok::<(), mpo_replay::ReplayError>(())
/// ```
///
/// # Errors
/// [`ReplayError::File`], which names the file and holds what `save` or the operating system said.
pub fn save_file(
    path: impl AsRef<Path>,
    save: impl FnOnce(&mut dyn Write) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let path = path.as_ref();
    write_and_rename(path, save).map_err(|source| named(path, source))
}

/// Has `load` read the file `path` to its end.
///
/// # Errors
/// [`ReplayError::File`], which names the file and holds what `load` or the operating system said;
/// [`ReplayError::Inconsistent`] in it, if `load` left bytes unread.
pub fn load_file<T>(
    path: impl AsRef<Path>,
    load: impl FnOnce(&mut dyn Read) -> Result<T, ReplayError>,
) -> Result<T, ReplayError> {
    let path = path.as_ref();
    read_to_the_end(path, load).map_err(|source| named(path, source))
}

fn named(path: &Path, source: ReplayError) -> ReplayError {
    ReplayError::File { path: path.to_owned(), source: Box::new(source) }
}

fn write_and_rename(
    path: &Path,
    save: impl FnOnce(&mut dyn Write) -> Result<(), ReplayError>,
) -> Result<(), ReplayError> {
    let failed = |source| ReplayError::Io { action: "write", source };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut writer = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(failed)?);
    save(&mut writer)?;
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)?;
    // The name itself has to reach the disk too. Where a directory cannot be opened (Windows), the system sees to it.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(directory) = File::open(directory) {
        directory.sync_all().map_err(failed)?;
    }
    Ok(())
}

fn read_to_the_end<T>(
    path: &Path,
    load: impl FnOnce(&mut dyn Read) -> Result<T, ReplayError>,
) -> Result<T, ReplayError> {
    let failed = |source| ReplayError::Io { action: "read", source };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let loaded = load(&mut reader)?;
    let rest = std::io::copy(&mut reader, &mut std::io::sink()).map_err(failed)?;
    if rest > 0 {
        let field = "the number of bytes behind it";
        return Err(ReplayError::Inconsistent { section: Section::End, field, value: rest });
    }
    Ok(loaded)
}
