//! Why a log on disk does not open.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use super::damage::{Damage, DamageKind};
use crate::log::LogError;

/// Why a log cannot be opened. What it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refuses something.
    #[error("failed to open the log: cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system gives no thread.
    #[error(
        "failed to open the log in {}: the system gives no thread: {source}. Raise the limit of processes (pids) or of memory",
        folder.display()
    )]
    Thread {
        /// The log's folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no room for the segments that a log needs to begin with.
    #[error(
        "failed to open the log in {}: the volume is full, and a log needs room for four segments of {segment_bytes} bytes: \
         make room, enlarge the volume, or start with a smaller --segment-size ({source})",
        folder.display()
    )]
    Full {
        /// The log's folder.
        folder: PathBuf,
        /// Bytes of a segment.
        segment_bytes: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no room for a log beside those of another number of cores.
    #[error(
        "failed to begin the log in {}: the volume has no room for a log for each core beside the logs that are there, which \
         take segments of {segment_bytes} bytes: start with the number of cores of before (--cores), or enlarge the volume \
         ({source})",
        folder.display()
    )]
    NoRoomBeside {
        /// The log's folder.
        folder: PathBuf,
        /// Bytes of a segment.
        segment_bytes: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// Another version wrote the log.
    #[error(
        "{} has version {version} of the log's format, and this version reads version {known}: start the broker that wrote it{}",
        file.display(),
        if version > known { ", or a later one" } else { "" }
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
        /// The one that this version reads.
        known: u32,
    },
    /// Records that were on disk are not there any more.
    #[error(
        "{} is damaged at offset {offset}: {}. Nothing was changed. {}",
        file.display(),
        describe(what, *frame),
        advice(file.parent().unwrap_or(file))
    )]
    Damaged {
        /// The file in which the damage begins.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// The number of the first frame that is lost, if one is.
        frame: Option<u64>,
        /// What is wrong with it.
        what: DamageKind,
    },
    /// A segment's file is not there any more.
    #[error(
        "the log in {} lacks the file of a segment: frames {} to {} were on disk in it. Nothing was changed. Put the file back; or \
         {}",
        folder.display(),
        frames.start,
        frames.end - 1,
        advice(folder)
    )]
    FileMissing {
        /// The log's folder.
        folder: PathBuf,
        /// The numbers of the frames that are lost.
        frames: Range<u64>,
    },
    /// Another broker has opened the log at the same time.
    #[error(
        "another broker has opened the log in {} at the same moment: only one may run on a data folder, and the file 'lock' \
         in it, which keeps them apart, must not be removed",
        folder.display()
    )]
    InUse {
        /// The log's folder.
        folder: PathBuf,
    },
    /// The head of a segment cannot be read.
    #[error(
        "{} is damaged at offset 0: its head cannot be read. Nothing was changed. {}",
        file.display(),
        advice(file.parent().unwrap_or(file))
    )]
    DamagedHead {
        /// The file.
        file: PathBuf,
    },
    /// Two files are the same segment.
    #[error(
        "{} and {} are the same segment of the log: move the one that is a copy out of the folder",
        file.display(), other.display()
    )]
    Duplicate {
        /// The one.
        file: PathBuf,
        /// The other.
        other: PathBuf,
    },
}

/// What is wrong, with the frame where it begins.
fn describe(what: &DamageKind, frame: Option<u64>) -> String {
    match (what, frame) {
        (DamageKind::Frames, Some(frame)) => format!("frame {frame} was on disk and cannot be read any more"),
        (what, Some(frame)) => format!("{what} (from frame {frame} on)"),
        (what, None) => what.to_string(),
    }
}

/// What to do about a damaged log, whose folder lies in the data folder.
fn advice(log: &Path) -> String {
    let folder = log.parent().unwrap_or(log).display();
    format!(
        "restante-broker check {folder} tells all that is damaged and what can be saved; restore makes a new folder from a \
         backup, and salvage one of everything that can be read"
    )
}

impl OpenError {
    /// Of damage that was found in a log's folder.
    pub(super) fn of_damage(folder: &Path, damage: &Damage) -> Self {
        let Damage { file, from, frames, what, .. } = damage;
        if let (DamageKind::File, Some(frames)) = (what, frames) {
            return Self::FileMissing { folder: folder.to_owned(), frames: frames.clone() };
        }
        let frame = frames.as_ref().map(|frames| frames.start);
        Self::Damaged { file: folder.join(file), offset: *from, frame, what: what.clone() }
    }

    /// Of what went wrong with the file that tells what is on disk.
    pub(super) fn of_synced_file(folder: &Path, error: LogError) -> Self {
        match error {
            LogError::Io { action, file, source } => Self::Io { action, path: file, source },
            _ => Self::InUse { folder: folder.to_owned() },
        }
    }

    /// Of a file of a log's folder, whatever was tried.
    pub(super) fn io(folder: &Path, file: &str, source: io::Error) -> Self {
        Self::Io { action: "use", path: folder.join(file), source }
    }

    /// Of the folder itself.
    pub(super) fn of_folder(action: &'static str, folder: &Path, source: io::Error) -> Self {
        Self::Io { action, path: folder.to_owned(), source }
    }
}
