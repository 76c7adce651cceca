//! The log on disk: segment files of frames, each frame one group commit.

mod commit;
mod compaction;
mod cut;
mod error;
pub mod examine;
mod frame;
mod group;
mod helper;
mod older;
mod open;
mod pace;
mod place;
mod readers;
mod reclaim;
mod recovery;
mod scan;
mod segment;
mod spares;
pub mod storage;
mod tail;
mod work;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use commit::Progress;
pub use cut::{CopyError, Cut, Part};
pub use error::OpenError;
use group::Group;
use helper::Helper;
pub use older::Older;
use pace::Pace;
use place::{In, Place};
use readers::{Readers, Reading};
use reclaim::Freeing;
use scan::{Scanning, Uncounted};
use segment::{Head, SegmentFile};
use spares::Spares;
use storage::{Folder, Storage};
use work::{Settle, Settled, Write, Written};

use super::{
    AppendError, GroupNumber, Log, LogError, LogStats, Position, Read, Record, Scanned, Sync,
    contract::counts_as_live,
};

/// Whether a log has files of this name: digits, as [`segment::name`] makes them.
pub(crate) fn is_segment_name(name: &str) -> bool {
    segment::number(name).is_some_and(|number| segment::name(number) == name)
}

/// How a log is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment file.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        // Large enough that recycling is rare, small enough that three take little of a small volume.
        Self { segment_bytes: 64 << 20 }
    }
}

/// A segment in use.
struct Segment<F> {
    file: Arc<SegmentFile<F>>,
    head: Head,
    /// Where its last frame ends.
    end: u64,
    /// Bytes of its records that are still needed.
    live: u64,
}

/// A log on disk. One owner appends and commits; after any failure it is of no more use.
pub struct DiskLog<S: Storage = Folder> {
    storage: S,
    segments: BTreeMap<u64, Segment<S::File>>,
    spares: Spares<S>,
    segment_bytes: u64,
    live_bytes: u64,
    group: Group,
    next_frame: u64,
    newest_group: GroupNumber,
    progress: Progress<S::File>,
    pace: Pace,
    /// Writes groups.
    writer: Helper<Write<S::File>, Written>,
    /// Syncs them, and gives segments back.
    settler: Helper<Settle<S::File>, Settled>,
    /// Read what is not in memory.
    readers: Readers,
    scanning: Option<Scanning>,
    /// The segment that is being given back.
    freeing: Option<Freeing<S::File>>,
    /// How that went, until the owner asks.
    freed: Option<Result<(), LogError>>,
    uncounted: Uncounted,
    /// The oldest segment, once it was walked to its end.
    walked: Option<u64>,
    /// Segments that somebody copies.
    pins: cut::Pins,
    /// Logs before this one, and the first of their segments that is still needed here.
    older: Arc<Older<S>>,
    older_next: u32,
    poisoned: bool,
}

impl<S: Storage> DiskLog<S> {
    /// The logs before this one.
    pub fn older(&self) -> &Older<S> {
        &self.older
    }

    fn append_to_group(&mut self, record: &Record<'_>, reserved: bool) -> Result<Position, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let length = record.encoded_len();
        if !self.group.has_room(length, self.active().file.bytes) {
            let longest =
                self.segment_bytes - segment::HEAD_BYTES - frame::HEAD_BYTES as u64 - frame::ALIGNMENT;
            if length as u64 > longest {
                return Err(AppendError::TooLarge(longest));
            }
            let spare = self.spares.take(reserved).ok_or(AppendError::Full)?;
            self.rotate(spare);
        }
        let (epoch, offset) = self.group.append(record);
        let position = Place { segment: In::Own(epoch), offset, length }.into();
        if counts_as_live(record) {
            self.live_bytes += length as u64;
            self.active_mut().live += length as u64;
        }
        Ok(position)
    }

    /// The rest of the group goes to a new segment. Its head is written when the group is committed.
    fn rotate(&mut self, spare: Arc<SegmentFile<S::File>>) {
        // The frame in the old segment, if there is one, has the number before.
        let first_frame = self.next_frame + self.group.frames();
        // The mark is drawn when the head is written.
        let head = Head { epoch: self.group.epoch() + 1, first_frame, mark: 0 };
        self.group.rotate(head.epoch);
        self.segments.insert(head.epoch, Segment { file: spare, head, end: segment::HEAD_BYTES, live: 0 });
    }

    fn active(&self) -> &Segment<S::File> {
        self.segments.values().next_back().expect("a log always has a segment")
    }

    fn active_mut(&mut self) -> &mut Segment<S::File> {
        self.segments.values_mut().next_back().expect("a log always has a segment")
    }
}

impl<S: Storage> Log for DiskLog<S> {
    fn append(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.append_to_group(record, false)
    }

    fn append_reserved(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.append_to_group(record, true)
    }

    fn open_bytes(&self) -> usize {
        self.group.bytes()
    }

    fn group_is_empty(&self) -> bool {
        self.group.is_empty()
    }

    fn takes_group(&self) -> bool {
        self.progress.writing.is_none()
    }

    fn commit(&mut self, sync: Sync) -> GroupNumber {
        self.begin_commit(sync)
    }

    fn poll_commit(&mut self, context: &mut Context<'_>) -> Poll<(GroupNumber, Result<Sync, LogError>)> {
        self.poll_news(context)
    }

    fn needs_sync(&self) -> bool {
        !self.progress.covers(self.next_frame)
    }

    fn read(&mut self, at: Position) -> Result<Read, LogError> {
        let place @ Place { offset, length, .. } = at.into();
        let (segment, folder) = match place.segment {
            In::Own(epoch) => {
                let in_memory = self.group.read(epoch, offset, length);
                if let Some(bytes) = in_memory.or_else(|| self.progress.read(epoch, offset, length)) {
                    return Ok(Read::Here(Bytes::copy_from_slice(bytes)));
                }
                (
                    self.segments.get(&epoch).map(|segment| segment.file.clone()),
                    self.storage.path().to_owned(),
                )
            }
            In::Older(index) => (self.older.segment(index).file(), self.older.folder(index)),
        };
        let segment = segment.expect("a live record's segment is in use");
        if let Some(bytes) = readers::read_now(&segment, place, &folder)? {
            return Ok(Read::Here(bytes));
        }
        let reading = Reading::of(&segment);
        let (answer, coming) = oneshot::channel();
        self.readers.give(move || {
            // Whoever asked may have given up.
            let _ = answer.send(readers::read(&reading, place, &folder));
        });
        Ok(Read::Coming(coming))
    }

    fn release(&mut self, at: Position) {
        let Place { segment, length, .. } = at.into();
        // Older logs are left segment by segment, whatever is needed of them.
        if let In::Own(epoch) = segment
            && let Some(segment) = self.segments.get_mut(&epoch)
        {
            segment.live -= length as u64;
            self.live_bytes -= length as u64;
        }
    }

    fn stats(&self) -> LogStats {
        LogStats {
            segments: self.segments.len() as u64,
            total_bytes: self.segments.values().map(|segment| segment.file.bytes).sum(),
            live_bytes: self.live_bytes,
            spares: self.spares.len() as u64,
        }
    }

    fn has_older(&self) -> bool {
        self.older.held().0 > 0
    }

    fn reclaim_wanted(&self) -> Option<Range<Position>> {
        self.oldest_worth_freeing().or_else(|| self.older_worth_leaving())
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
        copies: GroupNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        self.poll_freed(below, copies, context)
    }
}

#[cfg(test)]
pub(crate) mod gate;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
