//! The log on disk: segment files of frames, each frame one group commit.

mod batch;
mod commit;
mod compaction;
mod contents;
mod damage;
mod error;
mod frame;
mod frame_search;
mod heads;
mod helper;
mod index;
mod indexing;
pub mod inspection;
mod jobs;
mod older_logs;
mod open;
mod pace;
mod place;
mod readers;
mod reclaim;
mod recovery;
mod replay;
mod reserve;
mod rotation;
mod scan;
mod segment;
mod snapshot;
mod spares;
pub mod storage;
mod sweep;
mod synced;
mod tail;
mod verifier;
mod window;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use batch::OpenBatch;
use commit::Progress;
pub use error::OpenError;
use helper::Helper;
use indexing::Indexer;
use jobs::{SyncJob, SyncReport, WriteJob, WriteReport};
pub use older_logs::OlderLogs;
pub use open::SoundLog;
use pace::Pace;
use place::{RecordPlace, SegmentId};
use readers::{Readers, Reading};
use reclaim::Freeing;
use replay::Replay;
use scan::Scanning;
use segment::{Head, SegmentFile};
pub use snapshot::{CopyError, LogSnapshot, Part};
use spares::Spares;
use storage::{Folder, Storage};
use synced::Synced;
pub(crate) use verifier::{BrokenFrame, SegmentVerifier};

use super::{
    AppendError, BatchNumber, Log, LogError, LogStats, Position, Purpose, Read, Record, ReplayVisitor,
    Replayed, Scanned, Sync, UnreadRecord, contract::counts_as_live,
};

/// Limit of a read on the worker thread, if the bytes are in memory: copying and checking them takes some 50 µs. Longer
/// records are read by a reader thread, so that no message delays the others of its worker.
const READ_NOW_BYTES_MAX: usize = 256 * 1024;

/// Maximum length of a segment: offsets have 32 bits, and some are left for the record that starts there.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 2 << 30;

/// Whether this is the file `synced` of a log.
pub(crate) fn is_synced_name(name: &str) -> bool {
    name == synced::NAME
}

/// Whether this is the name of a log's segment, exactly as [`segment::name`] formats it.
pub(crate) fn is_segment_name(name: &str) -> bool {
    segment::number(name).is_some_and(|number| segment::name(number) == name)
}

/// Options of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment file.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        // Large enough that recycling is rare, and small enough that three fit easily into a small volume.
        Self { segment_bytes: 64 << 20 }
    }
}

struct Segment<F> {
    file: Arc<SegmentFile<F>>,
    head: Head,
    /// Where its last frame ends.
    end: u64,
    /// Bytes of its records that are still needed.
    live: u64,
    /// Number of its messages that have an idempotency key, gone or not: the keys may be copied without the messages.
    keys: u64,
    /// Whether it has an index, or will probably have one soon.
    is_indexed: bool,
}

impl<F> Segment<F> {
    /// A segment without needed records.
    fn new(file: Arc<SegmentFile<F>>, head: Head, end: u64) -> Self {
        Self { file, head, end, live: 0, keys: 0, is_indexed: false }
    }
}

/// A log on disk. One owner appends and commits; after any failure the log is unusable.
pub struct DiskLog<S: Storage = Folder> {
    storage: S,
    segments: BTreeMap<u64, Segment<S::File>>,
    spares: Spares<S>,
    segment_bytes: u64,
    live_bytes: u64,
    /// Bytes that the owner has reserved for later records of stored messages.
    promised: u64,
    /// Bytes of keys that were copied from the oldest segment without their messages.
    keys_copied: u64,
    /// Whether the owner scans an older log.
    walks_older: bool,
    batch: OpenBatch,
    /// Random; the heads of all segments have it.
    log_id: u64,
    next_frame: u64,
    newest_batch: BatchNumber,
    progress: Progress<S::File>,
    pace: Pace,
    /// Writes batches.
    writer: Helper<WriteJob<S::File>, WriteReport>,
    /// Syncs batches, and frees segments.
    syncer: Helper<SyncJob<S::File>, SyncReport>,
    /// Read records that are not in memory.
    readers: Readers,
    /// Writes indexes.
    indexer: Indexer<S::File>,
    /// The file `synced`.
    synced: Arc<Synced<S::File>>,
    /// The replay of earlier owners' records.
    replay: Replay,
    scanning: Option<Scanning>,
    /// The segment that is being freed.
    freeing: Option<Freeing<S::File>>,
    /// The outcome of freeing it, until the owner polls.
    freed: Option<Result<(), LogError>>,
    /// The epoch of the oldest segment, once it was scanned to its end.
    walked: Option<u64>,
    /// Segments that a snapshot keeps.
    pins: snapshot::Pins,
    /// Logs before this one, and the first of their segments that is still needed here.
    older: Arc<OlderLogs<S>>,
    older_next: u32,
    /// Bytes that this owner needs of each of their segments.
    older_live: Vec<u64>,
    poisoned: bool,
    /// The first error, until the owner has taken it.
    failure: Option<LogError>,
}

impl<S: Storage> DiskLog<S> {
    /// Ready when enough spare segments are ready, or no more are coming.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.spares.poll_enough(context)
    }

    /// The log's id, random since its creation.
    pub fn id(&self) -> u64 {
        self.log_id
    }

    /// The logs before this one.
    pub fn older(&self) -> &OlderLogs<S> {
        &self.older
    }

    fn append_to_batch(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let length = record.encoded_len();
        let longest = self.longest_record();
        if length as u64 > longest {
            return Err(AppendError::TooLarge(longest));
        }
        if !self.admits(purpose, length) {
            return Err(AppendError::Full);
        }
        if !self.batch.has_room(length, self.active_bytes()) {
            self.rotate()?;
        }
        let (epoch, offset) = self.batch.append(record);
        let position = RecordPlace { segment: SegmentId::Own(epoch), offset, length }.into();
        if counts_as_live(record) {
            self.count(epoch, record, length as u64);
            if purpose == Purpose::Copy && is_key_alone(record) {
                self.keys_copied += length as u64;
            }
        }
        Ok(position)
    }

    /// Counts a record as needed.
    fn count(&mut self, epoch: u64, record: &Record<'_>, length: u64) {
        let segment = self.segments.get_mut(&epoch).expect("a needed record is in a segment in use");
        segment.live += length;
        segment.keys += u64::from(record.key().is_some() && !is_key_alone(record));
        self.live_bytes += length;
    }

    /// The storage and the file of a segment.
    fn place_of(&self, segment: SegmentId) -> (&S, Arc<SegmentFile<S::File>>) {
        match segment {
            SegmentId::Own(epoch) => (&self.storage, self.segments[&epoch].file.clone()),
            SegmentId::Older(index) => {
                let file = self.older.segment(index).file();
                (self.older.log(index), file.expect("an older segment exists until every worker has left it"))
            }
        }
    }

    fn active(&self) -> &Segment<S::File> {
        self.segments.values().next_back().expect("a log always has a segment")
    }

    /// Bytes of the segment in which the open batch ends.
    fn active_bytes(&self) -> u64 {
        self.active().file.bytes
    }
}

impl<S: Storage> Log for DiskLog<S> {
    fn append(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, AppendError> {
        self.append_to_batch(record, purpose)
    }

    fn has_room(&mut self, purpose: Purpose, bytes: usize) -> bool {
        self.admits(purpose, bytes)
    }

    fn promise(&mut self, bytes: u64) {
        self.promised = bytes;
        self.spares.keep_for(bytes);
    }

    fn longest_record(&self) -> u64 {
        self.segment_bytes - segment::HEAD_BYTES - frame::HEAD_BYTES as u64 - frame::ALIGNMENT
    }

    fn current_part(&self) -> u64 {
        self.batch.epoch()
    }

    fn part_of(at: Position) -> u64 {
        match RecordPlace::from(at).segment {
            SegmentId::Own(epoch) => epoch,
            // Counted down, so that they do not collide with epochs.
            SegmentId::Older(index) => u64::MAX - u64::from(index),
        }
    }

    fn open_bytes(&self) -> usize {
        self.batch.bytes()
    }

    fn batch_is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    fn takes_batch(&self) -> bool {
        self.progress.writing.is_none() && (!self.batch.has_rotated() || self.spares.has_enough())
    }

    fn poll_takes_batch(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.progress.writing.is_some() { Poll::Pending } else { self.poll_spares(context) }
    }

    fn commit(&mut self, sync: Sync) -> BatchNumber {
        self.begin_commit(sync)
    }

    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(BatchNumber, Result<Sync, LogError>)> {
        self.poll_news(context)
    }

    fn needs_sync(&self) -> bool {
        !self.progress.covers(self.next_frame)
    }

    fn read(&mut self, at: Position) -> Result<Read, LogError> {
        let place @ RecordPlace { offset, length, .. } = at.into();
        if let SegmentId::Own(epoch) = place.segment {
            let in_memory = self.batch.read(epoch, offset, length);
            if let Some(bytes) = in_memory.or_else(|| self.progress.read(epoch, offset, length)) {
                return Ok(Read::Here(Bytes::copy_from_slice(bytes)));
            }
        }
        let (storage, segment) = self.place_of(place.segment);
        if length <= READ_NOW_BYTES_MAX
            && let Some(bytes) = readers::read_now(&segment, place)
        {
            return Ok(Read::Here(bytes));
        }
        let (storage, reading, extent) =
            (storage.clone(), Reading::of(&segment), self.extent_of(place.segment));
        let (answer, coming) = oneshot::channel();
        self.readers.give(move || {
            let read = readers::read(&reading, place).map_err(|why| {
                let file = storage.path().join(&reading.name);
                let head = heads::head_at(&storage, &reading, &extent, offset);
                LogError::Unread(Box::new(UnreadRecord { file, offset, why, head }))
            });
            drop(reading);
            // The caller may have given up.
            let _ = answer.send(read);
        });
        Ok(Read::Coming(coming))
    }

    fn release(&mut self, at: Position) {
        let RecordPlace { segment, length, .. } = at.into();
        match segment {
            SegmentId::Own(epoch) => {
                if let Some(segment) = self.segments.get_mut(&epoch) {
                    segment.live -= length as u64;
                    self.live_bytes -= length as u64;
                }
            }
            SegmentId::Older(index) => {
                if let Some(live) = self.older_live.get_mut(index as usize) {
                    *live = live.saturating_sub(length as u64);
                }
            }
        }
    }

    fn hold(&mut self, at: Position) {
        let RecordPlace { segment, length, .. } = at.into();
        if let SegmentId::Older(index) = segment
            && let Some(live) = self.older_live.get_mut(index as usize)
        {
            *live += length as u64;
        }
    }

    fn failure(&mut self) -> LogError {
        self.failure.take().unwrap_or(LogError::Poisoned)
    }

    fn close(&mut self) -> Result<(), LogError> {
        let is_settled = self.batch.is_empty() && self.progress.is_over() && !self.needs_sync();
        if self.poisoned || !is_settled {
            return Ok(());
        }
        self.poison();
        self.synced.update(|mark| mark.closed = true).and_then(|()| self.synced.sync())
    }

    fn stats(&self) -> LogStats {
        let total_bytes = self.segments.values().map(|segment| segment.file.bytes).sum();
        // Bytes that are no longer needed are room as well, once the rest of their segment is copied.
        let not_live = u64::saturating_sub(total_bytes, self.live_bytes);
        LogStats {
            segments: self.segments.len() as u64,
            total_bytes,
            live_bytes: self.live_bytes,
            spares: self.spares.len() as u64,
            is_disk_full: self.is_disk_full(),
            room_bytes: self.spares.room_bytes().map(|room| room + not_live),
        }
    }

    fn has_older(&self) -> bool {
        self.older.held().0 > 0
    }

    fn reclaim_wanted(&self) -> Option<Range<Position>> {
        self.oldest_worth_freeing().or_else(|| self.older_worth_leaving())
    }

    fn poll_replay(
        &mut self,
        visit: &mut ReplayVisitor<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Replayed, LogError>> {
        self.poll_segment(visit, context)
    }

    fn poll_scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>> {
        self.poll_part(from, below, max_bytes, context)
    }

    fn poll_free(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        self.poll_freed(below, copies, context)
    }
}

/// Whether a record is an idempotency key without its message.
fn is_key_alone(record: &Record<'_>) -> bool {
    matches!(record, Record::Key { .. })
}

#[cfg(test)]
pub(crate) mod gate;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
