//! Giving segments back: the owner walks the oldest, copies what is still needed, and frees it.
//!
//! Segments leave from the oldest end only. A settle comes after every copy of its message, because copies are made of
//! live messages only; so as long as any copy is in the log, its settle is as well.

use super::{
    DiskLog, LogError, Position, Segment, compaction, frame,
    segment::{self, blank},
    storage::{Storage, StorageFile},
};
use crate::log::Record;

/// Where a walk through the oldest segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    epoch: u64,
    offset: u64,
}

/// Records' bytes with where they lie, and where to go on.
pub type Scanned = (Vec<(Position, Vec<u8>)>, Option<Cursor>);

impl<S: Storage> DiskLog<S> {
    /// Whether the oldest segment should be walked and freed.
    pub fn reclaim_wanted(&self) -> bool {
        let oldest = self.segments.values().next().expect("a log always has a segment");
        compaction::wanted(compaction::Use {
            total: self.stats().total_bytes,
            used: self.segments.values().map(|segment| segment.end - segment::HEAD_BYTES).sum(),
            live: self.live_bytes,
            oldest_live: oldest.live,
            segment: self.segment_bytes,
            room: self.active().file.bytes.saturating_sub(self.group.end())
                + self.spares.len() as u64 * self.segment_bytes,
            sealed: self.is_sealed(oldest.head.epoch),
            scarce: self.spares.are_scarce(),
        })
    }

    /// Whether all that will ever be in a segment is written.
    fn is_sealed(&self, epoch: u64) -> bool {
        epoch < self.group.first_epoch()
    }

    /// Reads the records of the oldest segment, about `max_bytes` of them, from its beginning or from `from` on. No cursor
    /// comes back at its end.
    pub fn scan_oldest(&mut self, from: Option<Cursor>, max_bytes: usize) -> Result<Scanned, LogError> {
        let (epoch, segment) = self.segments.iter().next().expect("a log always has a segment");
        let epoch = *epoch;
        let mut offset = match from {
            Some(cursor) if cursor.epoch == epoch => cursor.offset,
            _ => segment::HEAD_BYTES,
        };
        let end = segment.end;
        let (mut records, mut read) = (Vec::new(), 0);
        while offset < end && read < max_bytes {
            let (frame_bytes, bytes) = self.read_frame(epoch, offset)?;
            let mut at = 0;
            while at < bytes.len() {
                let (_, length) =
                    Record::decode_first(&bytes[at..]).map_err(|_| self.damaged(epoch, offset))?;
                let start = offset + (frame::HEAD_BYTES + at) as u64;
                let position = Position { epoch: epoch as u32, offset: start as u32, length: length as u32 };
                records.push((position, bytes[at..at + length].to_vec()));
                at += length;
            }
            offset += frame_bytes;
            read += frame_bytes as usize;
        }
        let cursor = (offset < end).then_some(Cursor { epoch, offset });
        if cursor.is_none() && self.is_sealed(epoch) {
            self.walked = Some(epoch);
        }
        Ok((records, cursor))
    }

    /// A frame's whole length and its records.
    pub(super) fn read_frame(&self, epoch: u64, offset: u64) -> Result<(u64, Vec<u8>), LogError> {
        let Segment { file: segment, head, .. } = &self.segments[&epoch];
        let failed = |error| self.failed("read", &segment.name, error);
        let damaged = || self.damaged(epoch, offset);
        let mut length = [0; 4];
        segment.file.read_at(&mut length, offset).map_err(failed)?;
        let length = frame::HEAD_BYTES as u64 + u64::from(u32::from_le_bytes(length));
        if offset + length > segment.bytes {
            return Err(damaged());
        }
        let mut bytes = vec![0; length as usize];
        segment.file.read_at(&mut bytes, offset).map_err(failed)?;
        let (head, _) = frame::parse(&bytes, head.mark).ok_or_else(damaged)?;
        bytes.drain(..frame::HEAD_BYTES);
        Ok((head.frame_bytes(), bytes))
    }

    fn damaged(&self, epoch: u64, offset: u64) -> LogError {
        LogError::Damaged { file: self.storage.path().join(&self.segments[&epoch].file.name), offset }
    }

    /// Frees the oldest segment, after it was walked to its end and what was copied from it is on disk.
    pub fn free_oldest(&mut self) -> Result<(), LogError> {
        self.act(|log| {
            let oldest = log.segments.keys().next().copied();
            assert!(
                log.walked.is_some() && log.walked == oldest,
                "only a sealed segment that was walked to its end is freed"
            );
            assert!(log.group_is_empty() && !log.needs_sync(), "copies are on disk before the originals go");
            let (_, segment) = log.segments.pop_first().expect("it was there a moment ago");
            log.walked = None;
            log.live_bytes -= segment.live;
            let name = segment.file.name.clone();
            blank(&segment.file)
                .and_then(|()| log.spares.give_back(&log.storage, segment.file))
                .map_err(|error| log.failed("free", &name, error))
        })
    }
}
