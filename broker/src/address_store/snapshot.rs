//! The snapshot: the contents of the store when the journal was started. It is written beside the old one and renamed,
//! so it cannot be torn: it is either whole or damaged.

use std::{io::Write, path::Path};

use super::{
    contents::Change,
    frame,
    journal::{self, FORMAT, Head, Record},
};
use crate::files::durable::{self, ReplaceError};

/// Changes per entry: large enough that the frames cost nothing, small enough to hold in memory.
const CHANGES_PER_ENTRY: usize = 256;

/// Writes a snapshot and replaces the old one. Returns its length.
pub(super) fn write(
    path: &Path,
    generation: u64,
    id: Option<String>,
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
        put(Record::Head(Head { format: FORMAT, generation, id }))?;
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
