//! Why a data folder cannot be had, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    durable,
    os_error::{self, Misplaced},
};

/// Why a data folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// Another broker has it.
    #[error(
        "the data folder {path} is in use by {holder}: stop that broker, choose another folder (--data-dir), or give it \
         longer to end than {waited_seconds} s (--lock-wait)",
        path = path.display(),
        holder = holder.map_or_else(|| "another broker".into(), |pid| format!("the broker with process id {pid}")),
        waited_seconds = waited.as_secs(),
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other broker's process id, as it wrote it down; in another container it means another process.
        holder: Option<u32>,
        /// How long this broker waited.
        waited: Duration,
    },
    /// A broker has it, and what is looked at must not change meanwhile.
    #[error(
        "the data folder {path} is in use by {holder}: stop it first. To take a copy of a folder in use, ask its broker: \
         restante-broker backup",
        path = path.display(),
        holder = holder.map_or_else(|| "a broker".into(), |pid| format!("the broker with process id {pid}")),
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The broker's process id, as it wrote it down; in another container it means another process.
        holder: Option<u32>,
    },
    /// Two locks of one file do not exclude each other here.
    #[error(
        "the file system of {path} has no working locks (flock), so nothing would keep two brokers from writing the same \
         files: use a local disk or a block volume, not a network share",
        path = path.display()
    )]
    NoLocks {
        /// The lock file.
        path: PathBuf,
    },
    /// Something else than a folder has the name.
    #[error(
        "{path} is not a folder, or one of the folders above it is not: name another folder (a broker by --data-dir), or move it away",
        path = path.display()
    )]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// What is to be looked at is no folder.
    #[error(
        "{path} is no folder, and so no data folder; of a backup, restante-broker restore makes one",
        path = path.display()
    )]
    NoFolderToInspect {
        /// The path.
        path: PathBuf,
    },
    /// Something that no broker wrote stands in the place of a file or folder of it.
    #[error(
        "cannot {action} {path}: {misplaced}. Nothing was changed. restante-broker check tells all that is wrong with the folder, \
         and salvage makes a new one of everything that can be read",
        path = path.display()
    )]
    Misplaced {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What stands there.
        misplaced: Misplaced,
    },
    /// No folder can be made there.
    #[error("cannot make the folder {path}: {source}. Choose another (--data-dir)", path = path.display())]
    CannotCreate {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Nothing of a broker's is there.
    #[error("{path} is no data folder: none of restante.json, addresses and log is in it", path = path.display())]
    NoDataFolder {
        /// The folder.
        path: PathBuf,
    },
    /// This user may not write there.
    #[error(
        "cannot {action} {path}: {source}. The broker keeps messages there and must be able to write: mount the volume \
         read-write, and let the user that runs the broker own the folder",
        path = path.display()
    )]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "cannot {action} {path}: {source}. Make room on the disk or raise its quota, and start again",
        path = path.display()
    )]
    Full {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Anything else that the operating system refused.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not what a broker writes.
    #[error("{path} is damaged: {reason}. If it cannot be put right: restante-broker restore makes a folder from a backup, \
         and salvage one of everything that can be read", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are a broker's folders and not the file that says whose they are.
    #[error(
        "{path} is missing although {left} is there: put the file back, or let restante-broker salvage make a new folder of all \
         that is there. Nothing was changed",
        path = path.display()
    )]
    VersionMissing {
        /// The file.
        path: PathBuf,
        /// What is there.
        left: &'static str,
    },
    /// A later version wrote it.
    #[error(
        "the data folder {path} has format {found}, and this broker reads up to {supported}: start the version that wrote \
         it, or a later one",
        path = path.display()
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that this version reads.
        supported: u32,
    },
}

/// Does one thing to a file or folder, and says which if it fails.
pub(super) fn step<T>(
    action: &'static str,
    path: &Path,
    act: impl FnOnce() -> io::Result<T>,
) -> Result<T, DataFolderError> {
    act().map_err(|error| io_error(action, path, error))
}

/// Tells apart what people can do something about.
pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> DataFolderError {
    let path = path.to_owned();
    match os_error::misplaced(&source).cloned() {
        Some(misplaced) => DataFolderError::Misplaced { action, path, misplaced },
        None if os_error::is_denied(&source) => DataFolderError::ReadOnly { action, path, source },
        None if durable::is_full(&source) => DataFolderError::Full { action, path, source },
        None => DataFolderError::Io { action, path, source },
    }
}
