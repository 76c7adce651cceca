//! Jobs that write batches, sync them and free segments. The log plans them; the worker thread or a helper thread
//! performs them.

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

/// Writes a batch into the page cache. The steps are performed in order, up to the first that fails.
pub(super) struct WriteJob<F> {
    pub(super) number: BatchNumber,
    pub(super) steps: Vec<WriteStep<F>>,
}

pub(super) enum WriteStep<F> {
    /// Syncs a full segment before the next one is started, so that only one segment can have unsynced bytes.
    Finish(Arc<SegmentFile<F>>, OnDisk),
    /// Starts to use a segment.
    Begin(Arc<SegmentFile<F>>, Head),
    Frame(Arc<SegmentFile<F>>, Arc<OpenFrame>),
}

/// Syncs the log or frees a segment.
pub(super) enum SyncJob<F> {
    /// Syncs the only segment with unsynced bytes, and records what is then on disk.
    Sync(Arc<SegmentFile<F>>, OnDisk),
    /// Turns a segment into a spare, or removes it if there are enough. The log then starts with another frame.
    Free { file: Arc<SegmentFile<F>>, keep: bool, first_frame: u64 },
    /// Leaves a segment of an older log.
    Leave(Box<dyn FnOnce() + Send>),
}

/// The outcome of writing a batch.
pub(super) type WriteReport = (BatchNumber, Result<(), LogError>);

/// The outcome of a sync job.
pub(super) enum SyncReport {
    /// The duration of the sync.
    Synced(Result<Duration, LogError>),
    /// The outcome of freeing the segment.
    Freed(Result<(), LogError>),
}

impl<F: StorageFile> WriteJob<F> {
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
            // If another broker may use the folder, no further segment is started.
            Self::Begin(file, head) => {
                ("start", file, storage.is_ours().and_then(|()| head.write(&file.file)))
            }
            Self::Frame(file, frame) => ("write", file, file.file.write_at(&frame.bytes, frame.offset)),
        };
        outcome.map_err(|error| failed(folder, action, &file.name, error))
    }
}

impl<F: StorageFile> SyncJob<F> {
    /// Performs the job, waiting for the disk.
    pub(super) fn perform<S: Storage<File = F>>(self, storage: &S, synced: &Synced<F>) -> SyncReport {
        match self {
            Self::Sync(file, on_disk) => {
                let began = Instant::now();
                let done = file.file.sync_data();
                let took = began.elapsed();
                let failed = |error| failed(storage.path(), "sync", &file.name, error);
                let outcome = done.map_err(failed).and_then(|()| synced.update(|mark| mark.reach(on_disk)));
                // Nothing is acknowledged from a folder that was moved away: another folder may be in its place.
                let outcome = outcome.and_then(|()| storage.is_in_place().map_err(failed));
                SyncReport::Synced(outcome.map(|()| took))
            }
            Self::Leave(leave) => {
                leave();
                SyncReport::Freed(Ok(()))
            }
            Self::Free { file, keep, first_frame } => {
                // Before the segment is freed: otherwise a crash in between would make it look lost.
                let outcome =
                    synced.update(|mark| mark.first_frame = first_frame).and_then(|()| synced.sync());
                if let Err(error) = outcome {
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
