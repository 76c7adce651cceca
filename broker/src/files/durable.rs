//! Atomic replacement of files: after a crash at any moment, either the old file or the new one is there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::plain_file;

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub(crate) struct ReplaceError {
    /// Whether the new file may already be in the old one's place, though not durably.
    pub(crate) replaced: bool,
    pub(crate) source: io::Error,
}

/// Writes a new file as `<path>.tmp`, syncs it, renames it to `path`, and syncs the folder. Returns its length in
/// bytes.
pub(crate) fn replace(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<u64, ReplaceError> {
    let temporary = temporary(path);
    let written = write_whole(&temporary, mode, write).map_err(|source| {
        // The leftover only takes up space. If removal fails, the next attempt overwrites it.
        let _ = fs::remove_file(&temporary);
        ReplaceError { replaced: false, source }
    })?;
    let replaced = fs::rename(&temporary, path).and_then(|()| sync_folder_of(path));
    replaced.map_err(|source| ReplaceError { replaced: true, source })?;
    Ok(written)
}

/// Makes the names in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    // The parent of a bare file name is the empty path, which cannot be opened.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether a disk or a quota is full: an administrator can free space.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn write_whole(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<u64> {
    #[cfg(test)]
    simulated::room()?;
    let file = plain_file::create(path, OpenOptions::new().write(true).mode(mode))?;
    let mut buffer = BufWriter::new(file);
    write(&mut buffer)?;
    buffer.flush()?;
    let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// A disk without space for new files.
#[cfg(test)]
pub(crate) mod simulated {
    use std::{cell::Cell, io};

    thread_local! {
        static IS_FULL: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes this thread's disk full, or not full any more.
    pub(crate) fn fill(is_full: bool) {
        IS_FULL.set(is_full);
    }

    pub(super) fn room() -> io::Result<()> {
        if IS_FULL.get() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(replace(&path, 0o600, |file| file.write_all(b"old")).unwrap(), 3);
        let half = |file: &mut BufWriter<File>| {
            file.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = replace(&path, 0o600, half).unwrap_err();
        assert!(!error.replaced && is_full(&error.source), "{error:?}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert!(!temporary(&path).exists());
    }
}
