//! Why a command of data care cannot be carried out.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::backup::BackupError;
use crate::{address_store, backup::ArchiveError, data_folder::DataFolderError, log};

/// Why it cannot be carried out. The folder that was read is as it was.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The data folder cannot be had.
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    /// The address store cannot be read at all.
    #[error(transparent)]
    AddressStore(#[from] address_store::OpenError),
    /// The log cannot be read at all.
    #[error(transparent)]
    Log(#[from] log::OpenError),
    /// There is no such channel.
    #[error("{folder} has no channel {channel}: it has {known}")]
    NoChannel {
        /// The folder.
        folder: String,
        /// The channel that was asked for.
        channel: String,
        /// Those that there are.
        known: String,
    },
    /// No backup was taken.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// What should be restored is no backup.
    #[error("{} is no whole backup: {source}. Nothing was restored", file.display())]
    NoBackup {
        /// What should be restored.
        file: PathBuf,
        /// What is wrong with it.
        source: ArchiveError,
    },
    /// There is no room for a restored folder.
    #[error(
        "{} is on a volume with {available} bytes, and the backup's segments need {needed} more: make room. Nothing was restored",
        path.display()
    )]
    NoRoomToRestore {
        /// The folder.
        path: PathBuf,
        /// Bytes that are missing.
        needed: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// There is no room for a copy.
    #[error(
        "the new folder's log takes no more: {0}. Make room for as much as the damaged folder takes, and try again"
    )]
    NoRoom(log::AppendError),
    /// There is no room to begin a copy.
    #[error(
        "the new folder is on a volume that is full: its log alone begins with four segments of {segment_bytes} bytes. Make room for as \
         much as the damaged folder takes, or name a folder on another volume"
    )]
    NoRoomToBegin {
        /// Bytes of a segment.
        segment_bytes: u64,
    },
    /// The new folder's log cannot be written.
    #[error(transparent)]
    Write(#[from] log::LogError),
    /// The copy is not what was read.
    #[error(
        "{read} messages were read, and of the copy {written} can be read back: nothing was made. Either the disk under the new folder is \
         at fault, which dmesg tells, or Restante is: salvage onto another disk"
    )]
    NotSalvaged {
        /// Messages that were read.
        read: u64,
        /// Messages in the copy.
        written: u64,
    },
    /// Something is there already.
    #[error("{} is not empty: name a folder that does not exist, or say where this one goes (--move-old-to)", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The place for the old folder is taken.
    #[error("{} is there already, and the old folder is to have that name (--move-old-to): choose another", path.display())]
    OldIsThere {
        /// The path.
        path: PathBuf,
    },
    /// The place for the old folder is where the new one is made.
    #[error(
        "{} is what the new folder is called while it is being made, and the old folder is to have that name (--move-old-to): choose \
         another",
        path.display()
    )]
    OldIsUnfinished {
        /// The path.
        path: PathBuf,
    },
    /// There is no folder for the old folder.
    #[error("{} {}, and the old folder is to go there (--move-old-to): make it, or choose another", path.display(), how)]
    NoPlaceForOld {
        /// The folder in which the old one is to be.
        path: PathBuf,
        /// What is wrong with it.
        how: &'static str,
    },
    /// The old folder cannot go to another volume in one piece.
    #[error(
        "{} is on another volume than {}, and a folder moves only within its volume: choose another for the old folder (--move-old-to)",
        old.display(),
        path.display()
    )]
    OtherVolume {
        /// Where it should go.
        old: PathBuf,
        /// Where it is.
        path: PathBuf,
    },
    /// A link in the place of the folder.
    #[error("{} is a link that leads nowhere: make the folder that it should lead to, or name another", path.display())]
    LeadsNowhere {
        /// The link.
        path: PathBuf,
    },
    /// The name is too long with what is put behind it.
    #[error(
        "the name of {} is too long: while the folder is being made, .unfinished is behind it. Choose a shorter one, and rename the folder \
         afterwards",
        path.display()
    )]
    NameTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Another command makes a folder of that name.
    #[error("another restante-broker is making {}: wait for its end, or choose another name for the new folder", path.display())]
    BeingMade {
        /// The path.
        path: PathBuf,
    },
    /// Something is there that no attempt left.
    #[error(
        "{} is there already, and no attempt of restante-broker left it: rename it, or choose another name for the new folder",
        path.display()
    )]
    UnfinishedIsThere {
        /// The path.
        path: PathBuf,
    },
    /// The new folder, or the place for the old one, is in a folder that must not change.
    #[error("{} is in {}, which stays as it is: name a folder beside it", path.display(), outer.display())]
    Inside {
        /// The path.
        path: PathBuf,
        /// The folder that it is in.
        outer: PathBuf,
    },
    /// A path without a last name.
    #[error("{} does not end with a name: name the folder that is to be made", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// A folder that cannot be replaced.
    #[error("{} is where a volume is mounted: name a folder in it, such as {}/data", path.display(), path.display())]
    MountPoint {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was found out cannot be told.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

impl MaintenanceError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
