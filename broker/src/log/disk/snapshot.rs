//! A snapshot of the log while it is written: which bytes of which files are the log at one moment, for a copy.
//!
//! Written bytes never change until their segment is freed. So a copy only needs pins: a pinned segment is freed later.
//! A full disk is more important than a copy: then the pins are removed, and the copy fails.

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

/// The log at one moment: all bytes written before, and no others.
pub struct LogSnapshot<S: Storage = Folder> {
    /// Segments, oldest first. In this order, each can be freed right after it is copied.
    pub parts: Vec<Part<S>>,
    /// The contents of the files `synced` of these logs, by the names of the folder and the file.
    pub synced_files: Vec<(String, Vec<u8>)>,
}

/// The part of a snapshot in one segment.
pub struct Part<S: Storage = Folder> {
    file: Arc<SegmentFile<S::File>>,
    folder: PathBuf,
    /// Bytes that belong to the snapshot, from the start of the file.
    pub bytes: u64,
    /// Bytes of the whole file. The rest is room for later frames.
    pub file_bytes: u64,
    /// Files that never change need no pin.
    pin: Option<Pin>,
}

/// Why a part cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The disk was full, and the log needed its segments.
    #[error(
        "the disk is full, and the log reused segments that were not copied yet; free space, and try again"
    )]
    PinsRemoved,
    #[error("failed to read {}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
}

/// The path of a log's file, relative to the data folder.
pub(super) fn name_in(folder: &Path, file: &str) -> String {
    format!("{}/{file}", folder.file_name().unwrap_or_default().display())
}

impl<S: Storage> Part<S> {
    /// The path of the file, relative to the data folder.
    pub fn name(&self) -> String {
        name_in(&self.folder, &self.file.name)
    }

    /// Reads a range of the part. Blocks on the disk.
    pub fn read(&self, bytes: &mut [u8], offset: u64) -> Result<(), CopyError> {
        let read = self.file.file.read_at(bytes, offset);
        // Checked after the read: the bytes were not overwritten if the pin still holds.
        if self.pin.as_ref().is_some_and(|pin| !pin.holds()) {
            return Err(CopyError::PinsRemoved);
        }
        read.map_err(|source| CopyError::Io { file: self.folder.join(&self.file.name), source })
    }
}

impl<S: Storage> DiskLog<S> {
    /// A snapshot of all bytes written so far.
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
        // The copy ends there, as if it had been closed.
        let mark =
            SyncPoint { first_frame, next_frame, epoch, end, closed: true, ..self.synced.sync_point() };
        let synced_files = vec![(name_in(self.storage.path(), synced::NAME), synced::bytes_of(&mark))];
        LogSnapshot { parts: parts.collect(), synced_files }
    }

    /// A snapshot of the rest of the older logs.
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

    /// Whether a segment must not be freed yet. On a full disk this removes the pins, and the copy fails.
    pub(super) fn is_pinned(&self, epoch: u64) -> bool {
        if self.is_disk_full() {
            self.pins.remove_all();
        }
        self.pins.hold(epoch)
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Pins(Arc<Mutex<Pinned>>);

#[derive(Debug, Default)]
struct Pinned {
    /// The number of pins of each epoch.
    epochs: BTreeMap<u64, u32>,
    /// How often all pins were removed.
    removals: u64,
    waker: Option<Waker>,
}

/// Keeps a segment while the value exists, or until all pins are removed.
#[derive(Debug)]
struct Pin {
    pins: Pins,
    epoch: u64,
    /// The count of removals when the pin was set.
    set_at: u64,
}

impl Pins {
    fn pin(&self, epoch: u64) -> Pin {
        let mut pinned = self.lock();
        *pinned.epochs.entry(epoch).or_default() += 1;
        Pin { pins: self.clone(), epoch, set_at: pinned.removals }
    }

    fn hold(&self, epoch: u64) -> bool {
        self.lock().epochs.contains_key(&epoch)
    }

    fn remove_all(&self) {
        let mut pinned = self.lock();
        if !pinned.epochs.is_empty() {
            tracing::warn!(
                "the disk is full: a backup under way is cancelled, because the log needs its segments"
            );
            pinned.epochs.clear();
            pinned.removals += 1;
        }
    }

    /// Registers a waker for the next released pin.
    pub(super) fn wake(&self, context: &Context<'_>) {
        self.lock().waker = Some(context.waker().clone());
    }

    fn lock(&self) -> MutexGuard<'_, Pinned> {
        // A panic cannot leave these counts inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pin {
    fn holds(&self) -> bool {
        self.pins.lock().removals == self.set_at
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pinned = self.pins.lock();
        if pinned.removals == self.set_at
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
