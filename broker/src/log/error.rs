//! Errors of an open log.

use std::{io, path::PathBuf};

use bytes::Bytes;

use super::{RecordHead, record::RecordError};

/// Why a record was not appended. The open batch is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Only the reserve is left.
    #[error("the log's disk is full")]
    Full,
    /// The record exceeds the limit of a segment, in bytes.
    #[error("the record exceeds the log's limit of {0} bytes; enlarge the segments")]
    TooLarge(u64),
    #[error("the log failed before")]
    Poisoned,
}

/// Why a read failed, or why the log is unusable.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("failed to {action} {}: {source}", file.display())]
    Io { action: &'static str, file: PathBuf, source: io::Error },
    /// One record is unreadable.
    #[error("failed to read {0}")]
    Unread(Box<UnreadRecord>),
    /// The bytes of a record have changed.
    #[error("{} has no valid record at offset {offset}, where one was written", file.display())]
    Damaged { file: PathBuf, offset: u64 },
    /// An intact frame has a record that this version cannot decode.
    #[error("{} has a record at offset {offset} that this version cannot read: {source}", file.display())]
    Record {
        file: PathBuf,
        /// Where its frame starts.
        offset: u64,
        source: RecordError,
    },
    /// Another owner has opened the log since.
    #[error(
        "another broker has taken over the log: the file 'lock' of the data folder was removed or replaced, or is not effective"
    )]
    Fenced,
    /// The log failed before. After a failed sync it is unknown which bytes are on disk, so the log never retries.
    #[error("the log failed before; a restart recovers it")]
    Poisoned,
}

impl LogError {
    /// Whether the error is limited to the record: other records can be read, and the log can be written.
    pub fn is_of_one_record(&self) -> bool {
        matches!(
            self,
            Self::Io { action: "read", .. } | Self::Damaged { .. } | Self::Record { .. } | Self::Unread(_)
        )
    }

    /// Whether the disk reported an error, which may affect the whole disk. A disk that returns wrong bytes reports
    /// none.
    pub fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Unread(record) => matches!(record.why, Unread::Disk(_)),
            error => matches!(error, Self::Io { .. }),
        }
    }

    /// The head of an unreadable record, if it is known.
    pub fn head(&self) -> Option<RecordHead<'_>> {
        let Self::Unread(record) = self else { return None };
        RecordHead::decode_first(record.head.as_ref()?).ok().map(|(head, _)| head)
    }

    /// The encoded head of an unreadable record, if it is known.
    pub fn head_bytes(&self) -> Option<Bytes> {
        let Self::Unread(record) = self else { return None };
        record.head.clone()
    }
}

/// An unreadable record: its place, and its head if it is known.
#[derive(Debug, thiserror::Error)]
#[error("{} at offset {offset}: {why}", file.display())]
pub struct UnreadRecord {
    pub file: PathBuf,
    pub offset: u64,
    pub why: Unread,
    /// The intact head, if it is known.
    pub head: Option<Bytes>,
}

/// Why a record is unreadable.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The disk reported an error.
    #[error("{0}")]
    Disk(io::Error),
    /// The bytes have changed.
    #[error("its bytes have changed")]
    Altered,
}
