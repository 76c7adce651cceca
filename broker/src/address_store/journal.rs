//! The journal: every change since the snapshot, one entry for each, synced before the change is visible.
//!
//! After the sync an empty entry is appended without one, the mark. It tells later that the entry before it was synced, so that
//! damage to the newest change is not taken for the torn tail of a write that nobody was promised.

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
use crate::data_folder::{
    durable::{self, ReplaceError},
    plain_file,
};

/// The format of the store's files.
pub(super) const FORMAT: u32 = 1;

/// The payload of one entry, in the journal and in the snapshot.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Record {
    /// The first entry.
    Head(Head),
    /// Changes that were made at once, all or none.
    Changes(Vec<Change>),
    /// The last entry of a snapshot.
    End,
}

/// The first entry of a file. Fields that it does not know must not keep a version from reading `format`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    /// [`FORMAT`] of the version that wrote the file.
    pub(super) format: u32,
    /// Which snapshot this is, or which one the journal follows.
    pub(super) generation: u64,
    /// Which address store the file is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
}

/// What a journal does to its file; a trait so that tests can make it fail.
pub(super) trait JournalFile: Send {
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns once everything appended is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file.
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

/// A journal that is open for changes.
pub(super) struct Journal {
    pub(super) file: Box<dyn JournalFile>,
    bytes: u64,
    next_sequence: u64,
    /// The last entry is a change whose mark could not be written yet.
    lacks_mark: bool,
}

/// Why an entry was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is there.
    NotWritten(io::Error),
    /// Nobody knows whether it is there.
    Failed(io::Error),
}

impl Journal {
    /// Makes an empty journal for a snapshot, in place of another.
    pub(super) fn create(path: &Path, generation: u64, id: Option<String>) -> Result<Self, ReplaceError> {
        let mut head = Vec::new();
        frame::encode(0, &payload(&Record::Head(Head { format: FORMAT, generation, id })), &mut head);
        let bytes = durable::replace(path, 0o600, |file| file.write_all(&head))?;
        let file = open_for_append(path).map_err(|source| ReplaceError { replaced: true, source })?;
        Ok(Self { file: Box::new(file), bytes, next_sequence: 1, lacks_mark: false })
    }

    /// Continues a journal from its end: cuts off what lies behind, and syncs the rest.
    pub(super) fn go_on(path: &Path, end: JournalEnd, is_torn: bool) -> Result<Self, OpenError> {
        let io = |action| move |source| OpenError::Io { action, path: path.to_owned(), source };
        let mut file = open_for_append(path).map_err(io("cannot open"))?;
        let JournalEnd { bytes, next_sequence, lacks_mark, .. } = end;
        if is_torn {
            file.truncate(bytes).map_err(io("cannot cut the torn tail off"))?;
        }
        // The page cache may hold what the disk never got.
        file.sync().map_err(io("cannot sync"))?;
        Ok(Self { file: Box::new(file), bytes, next_sequence, lacks_mark })
    }

    /// Its length.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends one entry and returns once it is on disk.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        if self.lacks_mark {
            self.mark_synced()?;
        }
        self.write(payload)?;
        self.lacks_mark = true;
        self.file.sync().map_err(AppendError::Failed)
    }

    /// Appends the empty entry that tells that the one before it was synced. The next change follows it: a change without
    /// one can only be the last, torn by a power cut, and not damage.
    pub(super) fn mark_synced(&mut self) -> Result<(), AppendError> {
        self.write(&payload(&Record::Changes(Vec::new())))?;
        self.lacks_mark = false;
        Ok(())
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        let mut bytes = Vec::new();
        frame::encode(self.next_sequence, payload, &mut bytes);
        if let Err(error) = self.file.append(&bytes) {
            // Part of it may be there; it was never synced, so it may go again.
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

/// The payload of an entry.
pub(super) fn payload(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("a record has only JSON's own types")
}

/// The record of an entry, which must be the next in its file.
pub(super) fn record(frame: &Frame, sequence: u64) -> Result<Record, String> {
    if frame.sequence != sequence {
        return Err(format!("entry {} stands where entry {sequence} should", frame.sequence));
    }
    serde_json::from_slice(&frame.payload).map_err(|error| {
        format!("the entry is whole and this version cannot read it, a later one may: {error}")
    })
}

/// What the first entry of a file must be.
pub(super) fn head(path: &Path, record: Record) -> Result<Head, OpenError> {
    match record {
        Record::Head(head) if head.format > FORMAT => {
            Err(OpenError::Newer { path: path.to_owned(), found: head.format, supported: FORMAT })
        }
        Record::Head(head) => Ok(head),
        _ => Err(damaged(path, 0, "the file does not begin with its head".into())),
    }
}

fn damaged(path: &Path, offset: u64, reason: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset, reason }
}

fn open_for_append(path: &Path) -> io::Result<File> {
    let file = plain_file::open_with(path, OpenOptions::new().read(true).append(true))?;
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}
