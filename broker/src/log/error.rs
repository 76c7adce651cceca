//! What goes wrong with a log that is open.

use std::{io, path::PathBuf};

use bytes::Bytes;

use super::{RecordHead, record::RecordError};

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

/// Why something cannot be read, or why a log is of no use any more.
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
    /// One record cannot be read.
    #[error("failed to read {0}")]
    Unread(Box<UnreadRecord>),
    /// A record is not what was written.
    #[error("{} has at offset {offset} no record, where one was written", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
    },
    /// Something whole is no record that this version knows.
    #[error("{} has at offset {offset} what this version cannot read: {source}", file.display())]
    Record {
        /// The file.
        file: PathBuf,
        /// Where its frame begins.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// Somebody else has opened the log since.
    #[error(
        "another broker has taken the log over: the file 'lock' of the data folder was removed or replaced, or does not keep others away"
    )]
    Fenced,
    /// The log failed before: after a failed sync nobody knows what is on disk, so nothing is tried again.
    #[error("the log failed before; recovery decides, after a restart")]
    Poisoned,
}

impl LogError {
    /// Whether only what was read is concerned: others may be read, and the log is written as before.
    pub fn is_of_one_record(&self) -> bool {
        matches!(
            self,
            Self::Io { action: "read", .. } | Self::Damaged { .. } | Self::Record { .. } | Self::Unread(_)
        )
    }

    /// Whether the disk gives an error, which may concern all of it. One that gives other bytes than were written gives them.
    pub fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Unread(record) => matches!(record.why, Unread::Disk(_)),
            error => matches!(error, Self::Io { .. }),
        }
    }

    /// What is known of a record that cannot be read.
    pub fn head(&self) -> Option<RecordHead<'_>> {
        let Self::Unread(record) = self else { return None };
        RecordHead::decode_first(record.head.as_ref()?).ok().map(|(head, _)| head)
    }

    /// The same, as it lies in the log.
    pub fn head_bytes(&self) -> Option<Bytes> {
        let Self::Unread(record) = self else { return None };
        record.head.clone()
    }
}

/// A record that cannot be read: where it lies, and what is known of it all the same.
#[derive(Debug, thiserror::Error)]
#[error("{} at offset {offset}: {why}", file.display())]
pub struct UnreadRecord {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub why: Unread,
    /// Its head as it was written, if it is known.
    pub head: Option<Bytes>,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The disk gives an error.
    #[error("{0}")]
    Disk(io::Error),
    /// The disk gives other bytes than were written.
    #[error("it is not what was written")]
    Altered,
}
