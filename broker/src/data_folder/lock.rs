//! The lock of a data folder.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::error::{DataFolderError, io_error, step};
use crate::{
    files::{
        os_error::{self, Misplaced},
        plain_file,
    },
    log::disk::storage::Guard,
};

/// Retry interval while another broker has the lock. No system call waits for a lock with a time-out. A delay of this
/// length at a takeover is not noticeable.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// Bytes of the lock file: a process id of at most ten digits, and a line feed.
const FILE_BYTES: u64 = 11;

/// The lock of a data folder, held while the value exists.
#[derive(Debug)]
pub(super) struct Lock {
    /// Closing the file releases the lock.
    _file: File,
    /// Device and inode of the file.
    id: (u64, u64),
    path: PathBuf,
}

impl Guard for Lock {
    fn is_in_place(&self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(there) if id(&there) == self.id => Ok(()),
            Ok(_) => Err(self.lost("is another file than the one that this broker locked")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(self.lost("was removed, or the data folder was moved away"))
            }
            Err(error) => Err(error),
        }
    }

    fn is_ours(&self) -> io::Result<()> {
        self.is_in_place()?;
        match holder(&self.path) {
            Some(pid) if pid == process::id() => Ok(()),
            _ => Err(self.lost("no longer contains this broker's process id")),
        }
    }
}

impl Lock {
    fn lost(&self, how: &str) -> io::Error {
        let path = self.path.display();
        io::Error::other(format!("{path} {how}, so another broker may write here; this broker gives way"))
    }
}

/// A file's identity: device and inode.
fn id(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Acquires the lock, waiting up to `wait`, and writes this process's id into the file.
pub(super) fn acquire(path: &Path, wait: Duration) -> Result<Lock, DataFolderError> {
    acquire_with(path, wait, |file| match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    })
}

/// Locks a folder for an inspection without writing; returns no file if there is no lock file. The second value says
/// what is wrong if something else is in the lock file's place.
pub(super) fn acquire_for_inspection(
    path: &Path,
) -> Result<(Option<File>, Option<Misplaced>), DataFolderError> {
    let file = match plain_file::open(path).map_err(|error| io_error("open", path, error)) {
        Ok(None) => return Ok((None, None)),
        Ok(Some(file)) => file,
        // No broker can have locked this.
        Err(DataFolderError::Misplaced { misplaced, .. }) => return Ok((None, Some(misplaced))),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let folder = path.parent().unwrap_or(path).to_owned();
            return Err(DataFolderError::InUse { path: folder, holder: holder(path) });
        }
        Err(error) => return step("lock", path, || Err(error.into())),
    }
    let length =
        plain_file::check_length(&file, FILE_BYTES).map_err(|error| io_error("inspect", path, error));
    match length {
        Ok(()) => Ok((Some(file), None)),
        Err(DataFolderError::Misplaced { misplaced, .. }) => Ok((Some(file), Some(misplaced))),
        Err(error) => Err(error),
    }
}

/// Like [`acquire`], with a function that tries to lock and returns whether the lock was free.
fn acquire_with(
    path: &Path,
    wait: Duration,
    try_lock: impl Fn(&File) -> io::Result<bool>,
) -> Result<Lock, DataFolderError> {
    let mut file = step("open", path, || open(path))?;
    // Do not overwrite a foreign file with the lock file's name.
    step("use", path, || plain_file::check_length(&file, FILE_BYTES))?;
    let started = Instant::now();
    while !step("lock", path, || try_lock(&file))? {
        let waited = started.elapsed();
        if waited >= wait {
            let folder = path.parent().unwrap_or(path).to_owned();
            return Err(DataFolderError::Locked { path: folder, holder: holder(path), waited });
        }
        thread::sleep(RETRY_EVERY.min(wait - waited));
    }
    // On some network file systems a lock excludes only other machines, or nobody at all.
    let second = step("open", path, || open(path))?;
    if step("lock", path, || try_lock(&second))? {
        return Err(DataFolderError::NoLocks { path: path.to_owned() });
    }
    // In place and with a fixed length, so that a folder on a full disk can still be opened and emptied. Synced, so
    // that a disk that rejects writes is noticed now and not at the first message.
    step("write", path, || {
        writeln!(file, "{:<10}", process::id())?;
        file.sync_all()
    })?;
    let id = step("inspect", path, || Ok(id(&file.metadata()?)))?;
    Ok(Lock { _file: file, id, path: path.to_owned() })
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o644);
    if let Some(file) = plain_file::open_with(path, &mut options)? {
        return Ok(file);
    }
    match options.clone().create_new(true).open(path) {
        // Another broker created it first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            plain_file::open_with(path, &mut options)?.ok_or(error)
        }
        made => made.map_err(|error| os_error::with_missing_right(path, error)),
    }
}

/// The holder's process id, from the lock file.
fn holder(path: &Path) -> Option<u32> {
    String::from_utf8(plain_file::read(path, FILE_BYTES).ok()??).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_working_locks_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = acquire_with(&folder.path().join("lock"), Duration::ZERO, |_| Ok(true)).unwrap_err();
        assert!(matches!(&error, DataFolderError::NoLocks { .. }), "{error}");
        assert!(error.to_string().contains("network share"), "{error}");
    }

    #[test]
    fn a_removed_or_replaced_lock_file_is_reported_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = acquire(&path, Duration::ZERO).unwrap();
        lock.is_ours().unwrap();
        fs::write(&path, "1\n").unwrap();
        assert!(lock.is_ours().unwrap_err().to_string().contains("process id"));
        fs::remove_file(&path).unwrap();
        for inspect in [Lock::is_ours, Lock::is_in_place] {
            assert!(inspect(&lock).unwrap_err().to_string().contains("was removed"));
        }
        let second = acquire(&path, Duration::ZERO).unwrap();
        second.is_ours().unwrap();
        for inspect in [Lock::is_ours, Lock::is_in_place] {
            assert!(inspect(&lock).unwrap_err().to_string().contains("another file"));
        }
    }

    #[test]
    fn a_lock_that_is_released_within_the_wait_is_acquired() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = acquire(&path, Duration::ZERO).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| acquire(&path, Duration::from_secs(60)));
            drop(first);
            assert!(second.join().unwrap().is_ok());
        });
    }
}
