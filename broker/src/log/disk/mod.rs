//! The log on disk: segment files of frames, each frame one group commit.

mod compaction;
mod error;
mod frame;
mod group;
mod open;
mod reclaim;
mod recovery;
mod segment;
mod spares;
pub mod storage;
mod tail;

use std::{collections::BTreeMap, io};

pub use error::{AppendError, LogError, OpenError};
use group::Group;
pub use reclaim::{Cursor, Scanned};
use segment::{Head, SegmentFile};
use spares::Spares;
use storage::{Folder, Storage, StorageFile};

use super::{Record, Sync};

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

/// Where a record lies. Ordered as the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The segment's epoch. 32 bits of 64 MiB segments are 256 PiB of writes.
    epoch: u32,
    /// Where in the segment.
    offset: u32,
    /// Bytes of the record.
    length: u32,
}

#[cfg(test)]
impl Position {
    /// Some place; which one is told by its number.
    pub(crate) fn for_test(number: u32) -> Self {
        Self { epoch: 1, offset: number, length: 1 }
    }
}

/// What a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Segments in use.
    pub segments: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Bytes of the records that are still needed.
    pub live_bytes: u64,
    /// Segments ready for use.
    pub spares: u64,
}

/// A segment in use.
struct Segment<F> {
    file: SegmentFile<F>,
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
    /// All frames before this are on disk.
    synced: u64,
    /// The oldest segment, once it was walked to its end.
    walked: Option<u64>,
    poisoned: bool,
}

impl<S: Storage> DiskLog<S> {
    /// Appends a record to the open group, if there is room beyond the reserve.
    pub fn append(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.append_to_group(record, false)
    }

    /// Appends a record that must have room even on a full disk: all that helps to empty it.
    pub fn append_reserved(&mut self, record: &Record<'_>) -> Result<Position, AppendError> {
        self.append_to_group(record, true)
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
        let position = Position { epoch: epoch as u32, offset: offset as u32, length: length as u32 };
        if counts_as_live(record) {
            self.live_bytes += length as u64;
            self.active_mut().live += length as u64;
        }
        Ok(position)
    }

    /// The rest of the group goes to a new segment. Its head is written when the group is committed.
    fn rotate(&mut self, spare: SegmentFile<S::File>) {
        // The frame in the old segment, if there is one, has the number before.
        let first_frame = self.next_frame + self.group.frames();
        // The mark is drawn when the head is written.
        let head = Head { epoch: self.group.epoch() + 1, first_frame, mark: 0 };
        self.group.rotate(head.epoch);
        self.segments.insert(head.epoch, Segment { file: spare, head, end: segment::HEAD_BYTES, live: 0 });
    }

    /// Bytes of the open group.
    pub fn open_bytes(&self) -> usize {
        self.group.bytes()
    }

    /// Whether nothing was appended since the last commit.
    pub fn group_is_empty(&self) -> bool {
        self.group.is_empty()
    }

    /// Whether something was written and not yet synced.
    pub fn needs_sync(&self) -> bool {
        self.synced < self.next_frame
    }

    /// Writes the open group, and syncs it if `sync` says so.
    pub fn commit(&mut self, sync: Sync) -> Result<(), LogError> {
        self.act(|log| log.write_group())?;
        match sync {
            Sync::Now => self.sync(),
            Sync::Later => Ok(()),
        }
    }

    /// Syncs what was written.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if !self.needs_sync() && !self.poisoned {
            return Ok(());
        }
        self.act(|log| {
            // Not the newest segment: the open group may have gone on to that already, and nothing is in it yet.
            let SegmentFile { file, name, .. } = &log.segments[&log.group.first_epoch()].file;
            file.sync_data().map_err(|error| log.failed("sync", name, error))?;
            log.synced = log.next_frame;
            Ok(())
        })
    }

    fn write_group(&mut self) -> Result<(), LogError> {
        for mut frame in self.group.take() {
            if frame.rotated {
                self.begin_segment(frame.epoch)?;
            }
            if frame.is_empty() {
                continue;
            }
            let segment =
                self.segments.get_mut(&frame.epoch).expect("a segment with an open frame is in use");
            frame::seal(&mut frame.bytes, segment.head.mark, self.next_frame, self.synced);
            segment.end = frame.offset + frame.bytes.len() as u64;
            let SegmentFile { file, name, .. } = &self.segments[&frame.epoch].file;
            file.write_at(&frame.bytes, frame.offset).map_err(|error| self.failed("write", name, error))?;
            self.next_frame += 1;
            self.group.reuse(frame);
        }
        let end = self.active().end;
        self.group.begin(end);
        Ok(())
    }

    /// Takes a segment into use: what was written before is on disk by then, so that only one segment is ever unsynced.
    fn begin_segment(&mut self, epoch: u64) -> Result<(), LogError> {
        if let Some((_, previous)) = self.segments.range(..epoch).next_back() {
            previous
                .file
                .file
                .sync_data()
                .map_err(|error| self.failed("sync", &previous.file.name, error))?;
        }
        self.synced = self.next_frame;
        let mark = self.storage.random();
        let segment = self.segments.get_mut(&epoch).expect("a segment with an open frame is in use");
        let begun = mark.and_then(|mark| {
            segment.head.mark = mark;
            segment.head.write(&segment.file.file)
        });
        begun.map_err(|error| self.failed("begin", &self.segments[&epoch].file.name, error))
    }

    /// Reads a record's bytes, committed or not.
    ///
    /// Its shape is checked, not its bits: the checksum is over the whole frame, which may be a thousand times as long.
    /// All checksums are checked when the log is opened, and again when a record is copied.
    pub fn read(&self, at: Position) -> Result<Vec<u8>, LogError> {
        if let Some(bytes) = self.group.read(u64::from(at.epoch), u64::from(at.offset), at.length as usize) {
            return Ok(bytes.to_vec());
        }
        let segment =
            &self.segments.get(&u64::from(at.epoch)).expect("a live record's segment is in use").file;
        let mut bytes = vec![0; at.length as usize];
        segment
            .file
            .read_at(&mut bytes, at.offset.into())
            .map_err(|error| self.failed("read", &segment.name, error))?;
        match Record::decode_first(&bytes) {
            Ok((_, length)) if length == bytes.len() => Ok(bytes),
            _ => Err(LogError::Damaged {
                file: self.storage.path().join(&segment.name),
                offset: at.offset.into(),
            }),
        }
    }

    /// A record is no longer needed. Told once for each.
    pub fn release(&mut self, at: Position) {
        let length = u64::from(at.length);
        if let Some(segment) = self.segments.get_mut(&u64::from(at.epoch)) {
            segment.live -= length;
            self.live_bytes -= length;
        }
    }

    /// What the log holds.
    pub fn stats(&self) -> LogStats {
        LogStats {
            segments: self.segments.len() as u64,
            total_bytes: self.segments.values().map(|segment| segment.file.bytes).sum(),
            live_bytes: self.live_bytes,
            spares: self.spares.len() as u64,
        }
    }

    fn active(&self) -> &Segment<S::File> {
        self.segments.values().next_back().expect("a log always has a segment")
    }

    fn active_mut(&mut self) -> &mut Segment<S::File> {
        self.segments.values_mut().next_back().expect("a log always has a segment")
    }

    /// Does something that, if it fails, leaves the log of no more use.
    fn act<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        act(self).inspect_err(|_| self.poisoned = true)
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> LogError {
        LogError::Io { action, file: self.storage.path().join(name), source }
    }
}

/// Whether a record is needed until its owner releases it. Others are needed only beside such a one.
///
/// A key counts although nobody releases it when it expires: if it did not, segments full of keys would be taken for dead
/// and copied without end until the keys expire. Those that have are left behind when their segment is walked.
fn counts_as_live(record: &Record<'_>) -> bool {
    matches!(
        record,
        Record::Push { .. } | Record::Message { .. } | Record::IdempotencyKey { .. } | Record::Key { .. }
    )
}

#[cfg(test)]
mod tests;
