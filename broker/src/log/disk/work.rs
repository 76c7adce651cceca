//! What committing a group does to the disk: planned where the log is, done by whoever has the time to wait for it.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    group::OpenFrame,
    segment::{Head, SegmentFile},
    storage::StorageFile,
};
use crate::log::{GroupNumber, LogError};

/// One group's way to the disk. Its steps are done in order, up to the first that fails.
pub(super) struct Work<F> {
    pub(super) number: GroupNumber,
    pub(super) steps: Vec<Step<F>>,
    /// What is synced at the end: the one segment of which something may be unsynced.
    pub(super) sync: Option<Arc<SegmentFile<F>>>,
}

/// One step.
pub(super) enum Step<F> {
    /// A segment is full: what was written to it is on disk before the next begins, so that only one is ever unsynced.
    Finish(Arc<SegmentFile<F>>),
    /// Takes a segment into use.
    Begin(Arc<SegmentFile<F>>, Head),
    /// Writes a frame.
    Write(Arc<SegmentFile<F>>, Arc<OpenFrame>),
}

/// How it went.
pub(super) struct Done {
    pub(super) number: GroupNumber,
    /// How long the last sync took, if there was one.
    pub(super) outcome: Result<Option<Duration>, LogError>,
}

impl<F: StorageFile> Work<F> {
    /// Does it, and waits for the disk.
    pub(super) fn perform(self, folder: &Path) -> Done {
        let outcome = self.try_perform(folder);
        Done { number: self.number, outcome }
    }

    fn try_perform(&self, folder: &Path) -> Result<Option<Duration>, LogError> {
        let failed = |action, file: &SegmentFile<F>, source: io::Error| LogError::Io {
            action,
            file: folder.join(&file.name),
            source,
        };
        for step in &self.steps {
            match step {
                Step::Finish(file) => file.file.sync_data().map_err(|error| failed("sync", file, error))?,
                Step::Begin(file, head) => {
                    head.write(&file.file).map_err(|error| failed("begin", file, error))?
                }
                Step::Write(file, frame) => file
                    .file
                    .write_at(&frame.bytes, frame.offset)
                    .map_err(|error| failed("write", file, error))?,
            }
        }
        let Some(file) = &self.sync else { return Ok(None) };
        let started = Instant::now();
        file.file.sync_data().map_err(|error| failed("sync", file, error))?;
        Ok(Some(started.elapsed()))
    }
}
