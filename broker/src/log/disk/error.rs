//! What goes wrong with a log.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::log::record::RecordError;

/// Why a log cannot be opened. What it holds is as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system refuses something.
    #[error("failed to open the log in {}: {what}: {source}", folder.display())]
    Io {
        /// The log's folder.
        folder: PathBuf,
        /// The file or action.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no room for the segments that a log needs to begin with.
    #[error(
        "failed to open the log in {}: the volume is full, and the log needs room for a segment of {segment_bytes} \
         bytes: make room or enlarge the volume ({source})",
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
    /// A newer version wrote the log.
    #[error("{} has version {version} of the log's format, which this version does not know: run the newer one", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// Records that were on disk are not there any more.
    #[error(
        "{} is damaged at offset {offset}: frame {frame} was on disk and cannot be read any more. Nothing was changed. \
         Restore the data folder from a backup; or, to go on without its messages, move the folder away and start with \
         an empty one",
        file.display()
    )]
    Damaged {
        /// The file in which the damage begins.
        file: PathBuf,
        /// Where in the file.
        offset: u64,
        /// The number of the frame.
        frame: u64,
    },
    /// The head of a segment cannot be read.
    #[error(
        "{} is damaged at offset 0: its head cannot be read, and so nothing in it. Nothing was changed. Restore the data \
         folder from a backup; or, to go on without its messages, move the folder away and start with an empty one",
        file.display()
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
    Twice {
        /// The one.
        file: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A whole frame holds something that is no record.
    #[error("{} has at offset {offset} what this version cannot read: {source}", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// Where its frame begins.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
}

impl OpenError {
    pub(super) fn io(folder: &Path, what: &str, source: io::Error) -> Self {
        Self::Io { folder: folder.to_owned(), what: what.to_owned(), source }
    }
}

/// Why a record was not appended. The open group is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// There is no room but the reserve.
    #[error("the log's disk is full")]
    Full,
    /// The record does not fit a segment, which takes at most so many bytes.
    #[error("a record of the log has at most {0} bytes: enlarge the segments")]
    TooLarge(u64),
    /// The log failed before.
    #[error("the log failed before")]
    Poisoned,
}

/// Why a log is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A write, read or sync failed.
    #[error("failed to {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A record is not what was written.
    #[error("{} has at offset {offset} no record, where one was written", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
    },
    /// The log failed before: after a failed sync nobody knows what is on disk, so nothing is tried again.
    #[error("the log failed before; recovery decides, after a restart")]
    Poisoned,
}
