//! Errors of opening a data folder, with what to do about them.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::files::{
    durable,
    os_error::{self, Misplaced},
};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    #[error(
        "the data folder {path} is in use by {holder}; stop that broker, choose another folder (--data-dir), or wait longer \
         than {waited_seconds} s for it to end (--lock-wait)",
        path = path.display(),
        holder = holder.map_or_else(|| "another broker".into(), |pid| format!("the broker with process id {pid}")),
        waited_seconds = waited.as_secs(),
    )]
    Locked {
        path: PathBuf,
        /// The other broker's process id from the lock file. In another container it means another process.
        holder: Option<u32>,
        waited: Duration,
    },
    /// A broker uses the folder, which must not change during an inspection.
    #[error(
        "the data folder {path} is in use by {holder}; stop it first; to copy a folder in use, run \
         restante-broker backup",
        path = path.display(),
        holder = holder.map_or_else(|| "a broker".into(), |pid| format!("the broker with process id {pid}")),
    )]
    InUse {
        path: PathBuf,
        /// The broker's process id from the lock file. In another container it means another process.
        holder: Option<u32>,
    },
    /// Two locks on one file do not exclude each other here.
    #[error(
        "the file system of {path} has no working locks (flock), so nothing would keep two brokers from writing the same \
         files; use a local disk or a block volume, not a network share",
        path = path.display()
    )]
    NoLocks { path: PathBuf },
    #[error(
        "{path} or one of its parent folders is not a folder; name another one (for a broker: --data-dir), or move the file away",
        path = path.display()
    )]
    NotAFolder { path: PathBuf },
    #[error(
        "{path} is not a folder and therefore not a data folder; restante-broker restore creates one from a backup",
        path = path.display()
    )]
    NoFolderToInspect { path: PathBuf },
    /// Something that no broker wrote is in the place of a file or folder.
    #[error(
        "cannot {action} {path}: {misplaced}; nothing was changed; restante-broker check lists all damage of the folder, \
         and salvage creates a new one from everything readable",
        path = path.display()
    )]
    Misplaced { action: &'static str, path: PathBuf, misplaced: Misplaced },
    #[error("cannot create the folder {path}: {source}; choose another (--data-dir)", path = path.display())]
    CannotCreate { path: PathBuf, source: io::Error },
    #[error("{path} is not a data folder: it has no restante.json, addresses or log", path = path.display())]
    NoDataFolder { path: PathBuf },
    /// The process has no write access.
    #[error(
        "cannot {action} {path}: {source}; the broker stores messages there and needs write access; mount the volume \
         read-write, and make the broker's user the owner of the folder",
        path = path.display()
    )]
    ReadOnly { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "cannot {action} {path}: {source}; make room on the disk or raise its quota, and start again",
        path = path.display()
    )]
    Full { action: &'static str, path: PathBuf, source: io::Error },
    /// Any other refusal of the operating system.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is damaged: {reason}; if you cannot repair it, restante-broker restore creates a folder from a backup, \
         and salvage from everything readable", path = path.display())]
    Damaged { path: PathBuf, reason: String },
    /// `restante.json` is missing although other parts of a data folder exist.
    #[error(
        "{path} is missing although {left} exists; put the file back, or let restante-broker salvage create a new folder \
         from the rest; nothing was changed",
        path = path.display()
    )]
    VersionMissing {
        path: PathBuf,
        /// The folder that exists.
        left: &'static str,
    },
    #[error(
        "the data folder {path} has format {found}, and this broker reads up to {supported}; start the version that wrote \
         it, or a later one",
        path = path.display()
    )]
    Newer { path: PathBuf, found: u64, supported: u32 },
}

/// Runs an operation on a file or folder, and names both in its error.
pub(super) fn step<T>(
    action: &'static str,
    path: &Path,
    act: impl FnOnce() -> io::Result<T>,
) -> Result<T, DataFolderError> {
    act().map_err(|error| io_error(action, path, error))
}

/// Classifies an error by what an administrator can do about it.
pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataFolderError {
    let path = path.to_owned();
    match os_error::misplaced(&source).cloned() {
        Some(misplaced) => DataFolderError::Misplaced { action, path, misplaced },
        None if os_error::is_denied(&source) => DataFolderError::ReadOnly { action, path, source },
        None if durable::is_full(&source) => DataFolderError::Full { action, path, source },
        None => DataFolderError::Io { action, path, source },
    }
}
