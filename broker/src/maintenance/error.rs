//! Errors of the maintenance commands.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::backup::BackupError;
use crate::{address_store, backup::ArchiveError, data_folder::DataFolderError, log};

/// Why a command failed. The folder that it read is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    #[error(transparent)]
    Log(#[from] log::OpenError),
    #[error("channel {channel} not found in {folder}, which has: {known}")]
    UnknownChannel { folder: String, channel: String, known: String },
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{} is an incomplete or invalid backup: {source}; nothing was restored", file.display())]
    InvalidBackup { file: PathBuf, source: ArchiveError },
    /// The volume has too little room for the restored folder.
    #[error(
        "{} is on a volume with {available} bytes available, and the backup's segments need {needed} more; nothing was restored; free space",
        path.display()
    )]
    NoRoomToRestore {
        path: PathBuf,
        /// Missing bytes.
        needed: u64,
        available: u64,
    },
    /// The volume has too little room for the salvaged log.
    #[error(
        "cannot write to the new folder's log: {0}; free at least the size of the damaged folder, and try again"
    )]
    NoRoom(log::AppendError),
    /// The volume has too little room to create the salvaged log.
    #[error(
        "the new folder is on a full volume: its log needs at least four segments of {segment_bytes} bytes; free at least the size of \
         the damaged folder, or name a folder on another volume"
    )]
    NoRoomForLog { segment_bytes: u64 },
    #[error(transparent)]
    Write(#[from] log::LogError),
    /// The salvaged folder differs from the damaged one.
    #[error(
        "{read} messages were read, but only {written} from the copy; nothing was created; the disk under the new folder is faulty \
         (see dmesg), or this is a bug of Restante; salvage onto another disk"
    )]
    SalvageMismatch {
        /// Messages read from the damaged folder.
        read: u64,
        /// Messages in the copy.
        written: u64,
    },
    #[error("{} is not empty; name a folder that does not exist, or name a place for this one (--move-old-to)", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} (--move-old-to) already exists; choose another name for the old folder", path.display())]
    OldIsThere { path: PathBuf },
    #[error(
        "{} (--move-old-to) is the temporary name of the new folder; choose another name for the old folder",
        path.display()
    )]
    OldIsUnfinished { path: PathBuf },
    /// The parent of the old folder's new path is unusable.
    #[error("{} {how}, and the old folder cannot move there (--move-old-to); create it, or choose another place", path.display())]
    CannotMoveOld { path: PathBuf, how: &'static str },
    /// A rename cannot move a folder to another volume.
    #[error(
        "{} is on another volume than {}, and a folder moves only within its volume; choose another place for the old folder (--move-old-to)",
        old.display(),
        path.display()
    )]
    OtherVolume { old: PathBuf, path: PathBuf },
    #[error("{} is a dangling link; create the folder that it points to, or name another folder", path.display())]
    DanglingLink { path: PathBuf },
    /// The name is too long with its temporary suffix.
    #[error(
        "the name of {} is too long: its temporary name has .unfinished appended; choose a shorter name, and rename the folder \
         afterwards",
        path.display()
    )]
    NameTooLong { path: PathBuf },
    #[error("another restante-broker is creating {}; wait until it ends, or choose another name for the new folder", path.display())]
    InProgress { path: PathBuf },
    /// The temporary name belongs to something that no maintenance command created.
    #[error(
        "{} already exists and was not created by restante-broker; rename it, or choose another name for the new folder",
        path.display()
    )]
    UnfinishedIsThere { path: PathBuf },
    /// The new folder, or the old folder's new place, is inside a folder that must not change.
    #[error("{} is inside {}, which must not change; name a folder outside of it", path.display(), outer.display())]
    Inside { path: PathBuf, outer: PathBuf },
    #[error("{} does not end with a name; name the folder to create", path.display())]
    NoName { path: PathBuf },
    /// A mount point, which a rename cannot replace.
    #[error("{} is a mount point; name a folder in it, such as {}/data", path.display(), path.display())]
    MountPoint { path: PathBuf },
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl MaintenanceError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
