//! The store on disk: a snapshot, and a journal of the changes since.
//!
//! Each journal names the generation of the snapshot that it follows. A snapshot is written with the next generation
//! and renamed into place; then the journal is replaced. A crash between the two leaves a journal of the previous
//! generation, whose changes are all in the snapshot.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use super::{
    contents::{Change, Contents},
    error::{ApplyError, OpenError},
    inspection::{self, InspectedStore, JournalEnd},
    journal::{AppendError, Journal},
    snapshot,
};
use crate::{
    files::durable::{self, ReplaceError},
    first_failure::FirstFailure,
    log::disk::storage::Guard,
};

/// Upper limit of a change in the journal, in bytes. A larger one is written as a new snapshot, which costs about as
/// much and needs no memory.
pub(super) const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Below this size of the journal, no snapshot is written.
const JOURNAL_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// Above this size of the journal, a snapshot is always due.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(crate) const JOURNAL: &str = "journal";
pub(super) const SNAPSHOT: &str = "snapshot";

pub(super) struct Disk {
    folder: PathBuf,
    /// The id of the address store.
    id: Option<String>,
    generation: u64,
    /// Nothing until [`Self::begin`].
    journal: Option<Journal>,
    /// The end of the journal that was read, if it has the current generation, and the offset of a torn change after
    /// it.
    found: Option<(JournalEnd, Option<u64>)>,
    /// Length of the journal at which the next snapshot is due.
    snapshot_due_bytes: u64,
    /// Checked before each change: this process must still own the folder.
    guard: Option<Arc<dyn Guard>>,
    failed: CancellationToken,
    failure: FirstFailure,
}

impl Disk {
    /// Reads both files without changing them.
    pub(super) fn read(folder: &Path) -> Result<(Self, Contents), OpenError> {
        let InspectedStore { contents, id, snapshot, journal, cut_at, .. } =
            inspection::inspect(folder)?.require_undamaged(folder)?;
        let generation = snapshot.map_or(0, |snapshot| snapshot.generation);
        let disk = Self {
            folder: folder.to_owned(),
            id,
            generation,
            journal: None,
            // The snapshot contains all changes of a journal of an earlier generation.
            found: journal.filter(|end| end.generation == generation).map(|end| (end, cut_at)),
            snapshot_due_bytes: due_bytes(snapshot.map_or(0, |snapshot| snapshot.bytes)),
            guard: None,
            failed: CancellationToken::new(),
            failure: FirstFailure::default(),
        };
        Ok((disk, contents))
    }

    /// Prepares the store for changes: creates a missing journal, or cuts off a change that a crash interrupted.
    /// Otherwise it writes nothing.
    pub(super) fn begin(&mut self) -> Result<(), OpenError> {
        if self.journal.is_some() {
            return Ok(());
        }
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { action, path, source }
        };
        let path = self.folder.join(JOURNAL);
        self.journal = Some(match self.found {
            Some((end, cut_at)) => {
                if let Some(offset) = cut_at {
                    tracing::warn!(path = %path.display(), offset, "cut off a change of the addresses that a crash interrupted");
                }
                Journal::resume(&path, end, cut_at.is_some())?
            }
            None => {
                let folder = &self.folder;
                fs::create_dir_all(folder).map_err(io("cannot create the folder", folder))?;
                durable::sync_folder_of(folder).map_err(io("cannot sync the folder of", folder))?;
                Journal::create(&path, self.generation, self.id.clone())
                    .map_err(|error| io("cannot write", &path)(error.source))?
            }
        });
        Ok(())
    }

    /// The id of the address store from its files; a new store has none.
    pub(super) fn id(&self) -> Option<String> {
        self.id.clone()
    }

    /// Sets the id for all files that are written from now on.
    pub(super) fn set_id(&mut self, id: String) {
        self.id = Some(id);
    }

    /// Makes every later change fail if another process may write here.
    pub(super) fn keep(&mut self, guard: Arc<dyn Guard>) {
        self.guard = Some(guard);
    }

    /// Cancelled when the disk has failed: only a restart can find out what is stored.
    pub(super) fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// The first failure of the disk.
    pub(super) fn failure(&self) -> FirstFailure {
        self.failure.clone()
    }

    /// The journal. Panics before [`Self::begin`].
    pub(super) fn journal(&mut self) -> &mut Journal {
        self.journal.as_mut().expect("the store is ready for changes")
    }

    /// Persists a change. `whole` yields the contents of the store after it.
    pub(super) fn commit<W: Iterator<Item = Change>>(
        &mut self,
        changes: impl Iterator<Item = Change>,
        whole: impl FnOnce() -> W,
    ) -> Result<(), ApplyError> {
        match encode(changes) {
            Some(Batch::Empty) => Ok(()),
            Some(Batch::Payload(payload)) => self.append_payload(&payload),
            None => self.write_snapshot(whole()),
        }
    }

    /// The open files, and the length of their valid part. Files are replaced and never modified, except that the
    /// journal grows at its end.
    pub(super) fn files(&self) -> Result<Vec<(&'static str, fs::File, u64)>, OpenError> {
        let mut files = Vec::new();
        // A new store has no snapshot yet.
        if let Some((file, bytes)) = self.open(SNAPSHOT)? {
            files.push((SNAPSHOT, file, bytes));
        }
        if let Some(journal) = &self.journal {
            let (file, _) =
                self.open(JOURNAL)?.ok_or_else(|| self.unread(JOURNAL, io::ErrorKind::NotFound.into()))?;
            files.push((JOURNAL, file, journal.bytes()));
        }
        Ok(files)
    }

    fn open(&self, name: &str) -> Result<Option<(fs::File, u64)>, OpenError> {
        inspection::open(&self.folder.join(name)).map_err(|error| self.unread(name, error))
    }

    fn unread(&self, name: &str, source: io::Error) -> OpenError {
        OpenError::Io { action: "cannot read", path: self.folder.join(name), source }
    }

    /// Whether the journal is longer than the limit.
    pub(super) fn is_snapshot_due(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| journal.bytes() >= self.snapshot_due_bytes)
    }

    /// Writes a snapshot of the store, and starts a new journal. If the disk has no room, the journal continues, and
    /// the next attempt follows when it has grown by the same amount.
    pub(super) fn compact(&mut self, whole: impl Iterator<Item = Change>) {
        if let Err(error) = self.write_snapshot(whole) {
            self.snapshot_due_bytes = self.journal().bytes() + due_bytes(0);
            tracing::warn!(%error, folder = %self.folder.display(), "cannot write a snapshot of the addresses");
        }
    }

    #[cfg(test)]
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    #[cfg(test)]
    pub(super) fn make_snapshot_due(&mut self) {
        self.snapshot_due_bytes = 0;
    }

    fn append_payload(&mut self, payload: &[u8]) -> Result<(), ApplyError> {
        self.is_ours()?;
        match self.journal().append(payload) {
            Ok(()) => {}
            Err(AppendError::NotWritten(error)) => return Err(self.not_written(JOURNAL, error)),
            Err(AppendError::Failed(error)) => return Err(self.fail(JOURNAL, &error)),
        }
        // The change is on disk with or without its mark.
        if let Err(AppendError::Failed(error)) = self.journal().mark_synced() {
            self.fail(JOURNAL, &error);
        }
        Ok(())
    }

    /// A second broker would use the same sequence numbers, and would cut off or replace this broker's changes.
    fn is_ours(&mut self) -> Result<(), ApplyError> {
        let ours = self.guard.as_ref().map_or(Ok(()), |guard| guard.is_ours());
        ours.map_err(|error| self.fail("", &error))
    }

    fn write_snapshot(&mut self, whole: impl Iterator<Item = Change>) -> Result<(), ApplyError> {
        self.is_ours()?;
        let generation = self.generation + 1;
        let bytes = match snapshot::write(&self.folder.join(SNAPSHOT), generation, self.id.clone(), whole) {
            Ok(bytes) => bytes,
            Err(ReplaceError { replaced: false, source }) => return Err(self.not_written(SNAPSHOT, source)),
            Err(ReplaceError { replaced: true, source }) => return Err(self.fail(SNAPSHOT, &source)),
        };
        // From here on the old journal is void: writing to it would lose every change.
        match Journal::create(&self.folder.join(JOURNAL), generation, self.id.clone()) {
            Ok(journal) => self.journal = Some(journal),
            Err(error) => return Err(self.fail(JOURNAL, &error.source)),
        }
        self.generation = generation;
        self.snapshot_due_bytes = due_bytes(bytes);
        Ok(())
    }

    fn fail(&mut self, name: &str, error: &io::Error) -> ApplyError {
        let path = if name.is_empty() { self.folder.clone() } else { self.folder.join(name) };
        self.failure
            .record(format_args!("failed to write a change of the addresses to {}: {error}", path.display()));
        self.failed.cancel();
        tracing::error!(%error, path = %path.display(), "the disk failed during a change of the addresses");
        ApplyError::Failed
    }

    fn not_written(&self, name: &str, source: io::Error) -> ApplyError {
        match durable::is_full(&source) {
            true => ApplyError::Full(source),
            false => ApplyError::NotWritten { file: self.folder.join(name), source },
        }
    }
}

fn due_bytes(snapshot_bytes: u64) -> u64 {
    snapshot_bytes.clamp(JOURNAL_BYTES_MIN, JOURNAL_BYTES_MAX)
}

enum Batch {
    Empty,
    Payload(Vec<u8>),
}

/// Encodes changes as the payload of one entry; nothing if they exceed the limit of the journal.
fn encode(changes: impl Iterator<Item = Change>) -> Option<Batch> {
    const BEGIN: &[u8] = br#"{"changes":["#;
    let mut payload = BEGIN.to_vec();
    for change in changes {
        if payload.len() > BEGIN.len() {
            payload.push(b',');
        }
        serde_json::to_writer(&mut payload, &change).expect("a change has only JSON's own types");
        if payload.len() > BATCH_BYTES_MAX {
            return None;
        }
    }
    if payload.len() == BEGIN.len() {
        return Some(Batch::Empty);
    }
    payload.extend_from_slice(b"]}");
    Some(Batch::Payload(payload))
}
