//! The snapshot: everything that the store held when the journal was begun. It is written beside the old one and
//! renamed, so it is whole or it is damaged: there is no torn one.

use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::Path,
};

use super::{
    contents::{Change, Contents},
    error::OpenError,
    frame::{self, ReadError},
    journal::{self, FORMAT, Head, Record, damaged},
};
use crate::data_folder::durable::{self, ReplaceError};

/// Changes in one entry: large enough that frames cost nothing, small enough to hold in memory.
const CHANGES_PER_ENTRY: usize = 256;

/// A snapshot that was read.
pub(super) struct Found {
    pub(super) generation: u64,
    pub(super) contents: Contents,
    pub(super) bytes: u64,
}

/// Writes a snapshot and puts it in place of the old one. Returns its length.
pub(super) fn write(
    path: &Path,
    generation: u64,
    mut changes: impl Iterator<Item = Change>,
) -> Result<u64, ReplaceError> {
    durable::replace(path, 0o600, |file| {
        let mut sequence = 0;
        let mut put = |record: Record| {
            let mut bytes = Vec::new();
            frame::encode(sequence, &journal::payload(&record), &mut bytes);
            sequence += 1;
            file.write_all(&bytes)
        };
        put(Record::Head(Head { format: FORMAT, generation }))?;
        loop {
            let batch: Vec<_> = changes.by_ref().take(CHANGES_PER_ENTRY).collect();
            if batch.is_empty() {
                break;
            }
            put(Record::Changes(batch))?;
        }
        put(Record::End)
    })
}

/// Reads the snapshot; nothing if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Found>, OpenError> {
    let io = |source| OpenError::Io { action: "cannot read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io)?,
    };
    let mut from = BufReader::with_capacity(1 << 20, file);
    let mut found = Found { generation: 0, contents: Contents::default(), bytes: 0 };
    for sequence in 0.. {
        let damaged_here = |reason: String| damaged(path, found.bytes, reason);
        let frame = match frame::read(&mut from) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(damaged_here("the file ends before its last entry".into())),
            Err(ReadError::Damaged(reason)) => return Err(damaged_here(reason.into())),
            Err(ReadError::Io(source)) => return Err(io(source)),
        };
        match journal::record(&frame, sequence).map_err(damaged_here)? {
            record if sequence == 0 => found.generation = journal::head(path, record)?.generation,
            Record::Changes(changes) => {
                for change in changes {
                    let applied = found.contents.apply(change);
                    applied.map_err(|reason| damaged(path, found.bytes, reason.into()))?;
                }
            }
            Record::End => {
                found.bytes += frame::encoded_len(frame.payload.len());
                break;
            }
            Record::Head(_) => return Err(damaged_here("a second head".into())),
        }
        found.bytes += frame::encoded_len(frame.payload.len());
    }
    Ok(Some(found))
}
