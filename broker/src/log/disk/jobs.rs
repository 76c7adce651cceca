//! What committing a group does to the disk: planned where the log is, done by whoever has the time to wait for it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    batch::OpenFrame,
    index,
    segment::{Head, SegmentFile, blank},
    storage::{Storage, StorageFile},
    synced::{OnDisk, Synced},
};
use crate::log::{BatchNumber, LogError};

/// One group's way into the page cache. Its steps are done in order, up to the first that fails.
pub(super) struct WriteJob<F> {
    pub(super) number: BatchNumber,
    pub(super) steps: Vec<WriteStep<F>>,
}

/// One step.
pub(super) enum WriteStep<F> {
    /// A segment is full: what was written to it is on disk before the next begins, so that only one is ever unsynced.
    Finish(Arc<SegmentFile<F>>, OnDisk),
    /// Takes a segment into use.
    Begin(Arc<SegmentFile<F>>, Head),
    /// Writes a frame.
    Frame(Arc<SegmentFile<F>>, Arc<OpenFrame>),
}

/// What puts on disk all that was written so far, or gives a segment back.
pub(super) enum SyncJob<F> {
    /// Syncs the one segment of which something may be unsynced: then so much is on disk.
    Sync(Arc<SegmentFile<F>>, OnDisk),
    /// Makes a segment a spare; or removes it as well, when there are enough. The log begins with another frame then.
    Free { file: Arc<SegmentFile<F>>, keep: bool, first_frame: u64 },
    /// Leaves a segment of an older log.
    Leave(Box<dyn FnOnce() + Send>),
}

/// How a group's writing went.
pub(super) type WriteReport = (BatchNumber, Result<(), LogError>);

/// How it went.
pub(super) enum SyncReport {
    /// How long the sync took.
    Synced(Result<Duration, LogError>),
    /// Whether the segment was given back.
    Freed(Result<(), LogError>),
}

impl<F: StorageFile> WriteJob<F> {
    /// Does it.
    pub(super) fn perform<S: Storage<File = F>>(self, storage: &S, synced: &Synced<F>) -> WriteReport {
        (self.number, self.steps.into_iter().try_for_each(|step| step.perform(storage, synced)))
    }
}

impl<F: StorageFile> WriteStep<F> {
    fn perform<S: Storage<File = F>>(self, storage: &S, synced: &Synced<F>) -> Result<(), LogError> {
        let folder = storage.path();
        let (action, file, outcome) = match &self {
            Self::Finish(file, on_disk) => {
                file.file.sync_data().map_err(|error| failed(folder, "sync", &file.name, error))?;
                synced.update(|mark| mark.reach(*on_disk))?;
                return synced.sync();
            }
            // Whoever has another broker beside it takes no more of the folder.
            Self::Begin(file, head) => {
                ("begin", file, storage.is_ours().and_then(|()| head.write(&file.file)))
            }
            Self::Frame(file, frame) => ("write", file, file.file.write_at(&frame.bytes, frame.offset)),
        };
        outcome.map_err(|error| failed(folder, action, &file.name, error))
    }
}

impl<F: StorageFile> SyncJob<F> {
    /// Does it, and waits for the disk.
    pub(super) fn perform<S: Storage<File = F>>(self, storage: &S, synced: &Synced<F>) -> SyncReport {
        match self {
            Self::Sync(file, on_disk) => {
                let began = Instant::now();
                let done = file.file.sync_data();
                let took = began.elapsed();
                let failed = |error| failed(storage.path(), "sync", &file.name, error);
                let told = done.map_err(failed).and_then(|()| synced.update(|mark| mark.reach(on_disk)));
                // What is on disk in a folder that was moved away is acknowledged by nobody: another one may be in its place.
                let told = told.and_then(|()| storage.is_in_place().map_err(failed));
                SyncReport::Synced(told.map(|()| took))
            }
            Self::Leave(leave) => {
                leave();
                SyncReport::Freed(Ok(()))
            }
            Self::Free { file, keep, first_frame } => {
                // Before the segment goes, or a crash in between would make it look lost.
                let told = synced.update(|mark| mark.first_frame = first_frame).and_then(|()| synced.sync());
                if let Err(error) = told {
                    return SyncReport::Freed(Err(error));
                }
                let mut freed = index::remove(storage, &file.name).and_then(|()| blank(&file));
                if !keep {
                    freed =
                        freed.and_then(|()| storage.remove(&file.name)).and_then(|()| storage.sync_folder());
                }
                SyncReport::Freed(freed.map_err(|error| failed(storage.path(), "free", &file.name, error)))
            }
        }
    }
}

fn failed(folder: &Path, action: &'static str, name: &str, source: io::Error) -> LogError {
    let file: PathBuf = folder.join(name);
    LogError::Io { action, file, source }
}
