//! The journal: all changes since the snapshot, one entry each, synced before the change is visible.
//!
//! After the sync an empty entry, the mark, is appended without a sync. The mark shows that the entry before it was
//! synced. Without it, damage to the newest change would look like the torn tail of a write that was never
//! acknowledged.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    contents::Change,
    error::OpenError,
    frame::{self, Frame},
    inspection::JournalEnd,
};
use crate::files::{
    durable::{self, ReplaceError},
    plain_file,
};

pub(super) const FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Record {
    Head(Head),
    /// Changes that are applied together.
    Changes(Vec<Change>),
    /// The last entry of a snapshot.
    End,
}

/// The first entry of a file. A later version may add fields; this one must still be able to read `format`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// [`FORMAT`] of the version that wrote the file.
    pub(super) format: u32,
    /// The generation of this snapshot, or of the snapshot that the journal follows.
    pub(super) generation: u64,
    /// The id of the address store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
}

/// The journal's operations on its file: a trait, so that tests can make them fail.
pub(super) trait JournalFile: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all appended bytes are on disk.
    fn sync(&mut self) -> io::Result<()>;
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

impl JournalFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

pub(super) struct Journal {
    pub(super) file: Box<dyn JournalFile>,
    bytes: u64,
    next_sequence: u64,
    /// Whether the last entry is a change without its mark.
    lacks_mark: bool,
}

#[derive(Debug)]
pub(super) enum AppendError {
    /// The file contains nothing of the entry.
    NotWritten(io::Error),
    /// It is unknown whether the file contains the entry.
    Failed(io::Error),
}

impl Journal {
    /// Creates an empty journal for a snapshot, replacing an earlier one.
    pub(super) fn create(path: &Path, generation: u64, id: Option<String>) -> Result<Self, ReplaceError> {
        let mut head = Vec::new();
        frame::encode(0, &payload(&Record::Head(Head { format: FORMAT, generation, id })), &mut head);
        let bytes = durable::replace(path, 0o600, |file| file.write_all(&head))?;
        let file = open_for_append(path).map_err(|source| ReplaceError { replaced: true, source })?;
        Ok(Self { file: Box::new(file), bytes, next_sequence: 1, lacks_mark: false })
    }

    /// Continues a journal from its end: cuts off what follows, and syncs the rest.
    pub(super) fn resume(path: &Path, end: JournalEnd, is_torn: bool) -> Result<Self, OpenError> {
        let io = |action| move |source| OpenError::Io { action, path: path.to_owned(), source };
        let mut file = open_for_append(path).map_err(io("cannot open"))?;
        let JournalEnd { bytes, next_sequence, lacks_mark, .. } = end;
        if is_torn {
            file.truncate(bytes).map_err(io("cannot cut off the torn tail of"))?;
        }
        // The page cache may hold bytes that never reached the disk.
        file.sync().map_err(io("cannot sync"))?;
        Ok(Self { file: Box::new(file), bytes, next_sequence, lacks_mark })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends one entry, and returns when it is on disk.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        if self.lacks_mark {
            self.mark_synced()?;
        }
        self.write(payload)?;
        self.lacks_mark = true;
        self.file.sync().map_err(AppendError::Failed)
    }

    /// Appends the mark: an empty entry, which shows that the entry before it was synced. Every change is written after
    /// the mark of the change before it. So only the last entry can lack its mark, and damage to such an entry is a
    /// write that a power cut tore.
    pub(super) fn mark_synced(&mut self) -> Result<(), AppendError> {
        self.write(&payload(&Record::Changes(Vec::new())))?;
        self.lacks_mark = false;
        Ok(())
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        let mut bytes = Vec::new();
        frame::encode(self.next_sequence, payload, &mut bytes);
        if let Err(error) = self.file.append(&bytes) {
            // A part of the entry may be in the file. It was never synced, so it can be removed.
            return Err(match self.file.truncate(self.bytes) {
                Ok(()) => AppendError::NotWritten(error),
                Err(_) => AppendError::Failed(error),
            });
        }
        self.bytes += bytes.len() as u64;
        self.next_sequence += 1;
        Ok(())
    }
}

pub(super) fn payload(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has only JSON's own types")
}

/// Decodes the record of an entry, which must have the next sequence of its file.
pub(super) fn record(frame: &Frame, sequence: u64) -> Result<Record, String> {
    if frame.sequence != sequence {
        return Err(format!("entry {} is in the place of entry {sequence}", frame.sequence));
    }
    serde_json::from_slice(&frame.payload).map_err(|error| {
        format!("the entry is intact, but this version cannot read it; a later one may: {error}")
    })
}

/// The head of a file, which must be its first entry.
pub(super) fn head(path: &Path, record: Record) -> Result<Head, OpenError> {
    match record {
        Record::Head(head) if head.format > FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found: head.format, supported: FORMAT })
        }
        Record::Head(head) => Ok(head),
        _ => Err(damaged(path, 0, "the file does not start with its head".into())),
    }
}

fn damaged(path: &Path, offset: u64, reason: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset, reason }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    let file = plain_file::open_with(path, OpenOptions::new().read(true).append(true))?;
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}
