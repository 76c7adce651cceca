//! A cut through the log while it is written: which bytes of which files are the log at one moment, for whoever copies them.
//!
//! Bytes that were written never change until their segment is given back, so a copy needs only that: what is not copied
//! yet is pinned, and given back later. A disk that is full matters more than a copy: then the pins are torn out, and the
//! copy has failed.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use super::{
    DiskLog, segment,
    segment::SegmentFile,
    storage::{Folder, Storage, StorageFile},
    synced::{self, SyncPoint},
};

/// The log at one moment: all that was written by then, and nothing else.
pub struct LogSnapshot<S: Storage = Folder> {
    /// Segments, the oldest first; copied in this order, each is given back as soon as it can be.
    pub parts: Vec<Part<S>>,
    /// Files that tell how far the logs of these segments go: the names of the log's folder and the file, and the bytes.
    pub synced_files: Vec<(String, Vec<u8>)>,
}

/// What belongs to a cut of one segment.
pub struct Part<S: Storage = Folder> {
    file: Arc<SegmentFile<S::File>>,
    folder: PathBuf,
    /// Bytes from the beginning of the file that belong to the cut.
    pub bytes: u64,
    /// Bytes of the whole file. What follows is room for frames to come.
    pub file_bytes: u64,
    /// None is needed for what never changes.
    pin: Option<Pin>,
}

/// Why a part cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk was full, and the log took its segments back.
    #[error(
        "the disk is full, and the log has taken the segments back that were not copied yet: make room, and try again"
    )]
    TornOut,
    /// The disk cannot read.
    #[error("failed to read {}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A file of a log, by the names of the log's folder and the file.
pub(super) fn name_in(folder: &Path, file: &str) -> String {
    format!("{}/{file}", folder.file_name().unwrap_or_default().display())
}

impl<S: Storage> Part<S> {
    /// The name of the log's folder, and the file's in it.
    pub fn name(&self) -> String {
        name_in(&self.folder, &self.file.name)
    }

    /// Reads some of the part. Blocks on the disk.
    pub fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), CopyError> {
        let read = self.file.file.read_at(bytes, offset);
        // Looked at afterwards: what was read while the pin held was not overwritten by then.
        if self.pin.as_ref().is_some_and(|pin| !pin.holds()) {
            return Err(CopyError::TornOut);
        }
        read.map_err(|source| CopyError::Io { file: self.folder.join(&self.file.name), source })
    }
}

impl<S: Storage> DiskLog<S> {
    /// All that is written by now.
    pub fn snapshot(&mut self) -> LogSnapshot<S> {
        let written = self.segments.iter().filter(|(_, segment)| segment.end > segment::HEAD_BYTES);
        let parts = written.map(|(epoch, segment)| Part {
            file: segment.file.clone(),
            folder: self.storage.path().to_owned(),
            bytes: segment.end,
            file_bytes: segment.file.bytes,
            pin: Some(self.pins.pin(*epoch)),
        });
        let (next_frame, (epoch, end)) = (self.progress.written, self.progress.at);
        let first_frame = self.segments.values().next().map_or(next_frame, |first| first.head.first_frame);
        // The copy ends there, in order.
        let mark =
            SyncPoint { first_frame, next_frame, epoch, end, closed: true, ..self.synced.sync_point() };
        let synced_files = vec![(name_in(self.storage.path(), synced::NAME), synced::bytes_of(&mark))];
        LogSnapshot { parts: parts.collect(), synced_files }
    }

    /// All that is left of older logs.
    pub fn snapshot_older(&self) -> LogSnapshot<S> {
        let parts = (0..self.older.count()).filter_map(|index| {
            let segment = self.older.segment(index);
            let file = segment.file()?;
            let file_bytes = file.bytes;
            Some(Part {
                file,
                folder: self.older.log(index).path().to_owned(),
                bytes: segment.extent.end,
                file_bytes,
                pin: None,
            })
        });
        LogSnapshot { parts: parts.collect(), synced_files: self.older.synced_files() }
    }

    /// Whether a segment must stay as it is for now. On a full disk it need not: whoever copies it is told.
    pub(super) fn is_pinned(&self, epoch: u64) -> bool {
        if self.is_scarce() {
            self.pins.tear_out();
        }
        self.pins.hold(epoch)
    }
}

/// Which segments are pinned.
#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<Pinned>>);

#[derive(Debug, Default)]
struct Pinned {
    /// How many hold each epoch.
    epochs: BTreeMap<u64, u32>,
    /// Pins of before have been torn out.
    torn_out: u64,
    waker: Option<Waker>,
}

/// Holds a segment for as long as it lives, or until it is torn out.
#[derive(Debug)]
struct Pin {
    pins: Pins,
    epoch: u64,
    /// How often pins had been torn out when it was set.
    set_at: u64,
}

impl Pins {
    fn pin(&self, epoch: u64) -> Pin {
        let mut pinned = self.lock();
        *pinned.epochs.entry(epoch).or_default() += 1;
        Pin { pins: self.clone(), epoch, set_at: pinned.torn_out }
    }

    fn hold(&self, epoch: u64) -> bool {
        self.lock().epochs.contains_key(&epoch)
    }

    fn tear_out(&self) {
        let mut pinned = self.lock();
        if !pinned.epochs.is_empty() {
            tracing::warn!(
                "the disk is full: a backup under way is given up, because the log needs its segments"
            );
            pinned.epochs.clear();
            pinned.torn_out += 1;
        }
    }

    /// Wakes whoever asks when the next pin goes.
    pub(super) fn wake(&self, context: &Context<'_>) {
        self.lock().waker = Some(context.waker().clone());
    }

    fn lock(&self) -> MutexGuard<'_, Pinned> {
        // Counts cannot be left half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    fn holds(&self) -> bool {
        self.pins.lock().torn_out == self.set_at
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.pins.lock();
        if pinned.torn_out == self.set_at
            && let Some(count) = pinned.epochs.get_mut(&self.epoch)
        {
            *count -= 1;
            if *count == 0 {
                pinned.epochs.remove(&self.epoch);
            }
        }
        if let Some(waker) = pinned.waker.take() {
            drop(pinned);
            waker.wake();
        }
    }
}
