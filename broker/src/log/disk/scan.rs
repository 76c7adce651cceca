//! Going through the log, frame by frame.

use std::ops::Range;

use bytes::Bytes;

use super::{
    DiskLog, LogError, Segment, frame,
    place::Place,
    segment,
    storage::{Storage, StorageFile},
};
use crate::log::{Position, Record, Scanned, contract::counts_as_live};

/// Records of owners before, of which nobody has counted yet which are needed: from a segment's epoch and offset up to others.
pub(super) type Uncounted = Range<(u64, u64)>;

impl<S: Storage> DiskLog<S> {
    /// Reads the records from `from` on, up to `below` or the end, about `max_bytes` of them.
    pub(super) fn scan(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
    ) -> Result<Scanned, LogError> {
        let below = below.map_or((u64::MAX, 0), |below| {
            let Place { epoch, offset, .. } = below.into();
            (epoch, offset)
        });
        let from = Place::from(from);
        let epochs: Vec<u64> = self.segments.range(from.epoch..).map(|(epoch, _)| *epoch).collect();
        let (mut records, mut read) = (Vec::new(), 0);
        for epoch in epochs {
            let mut offset = if epoch == from.epoch { from.offset } else { 0 }.max(segment::HEAD_BYTES);
            let end = self.segments[&epoch].end;
            while offset < end {
                if (epoch, offset) >= below {
                    return Ok(Scanned { records, next: None });
                }
                if read >= max_bytes {
                    return Ok(Scanned { records, next: Some(Place::start(epoch, offset).into()) });
                }
                let (frame_bytes, bytes) = self.read_frame(epoch, offset)?;
                self.split(epoch, offset, &Bytes::from(bytes), &mut records)?;
                offset += frame_bytes;
                read += frame_bytes as usize;
            }
            if self.is_sealed(epoch) && self.segments.keys().next() == Some(&epoch) {
                self.walked = Some(epoch);
            }
        }
        Ok(Scanned { records, next: None })
    }

    /// The records of a frame, in their places.
    fn split(
        &mut self,
        epoch: u64,
        offset: u64,
        bytes: &Bytes,
        records: &mut Vec<(Position, Bytes)>,
    ) -> Result<(), LogError> {
        let uncounted = self.uncounted.contains(&(epoch, offset));
        let (mut at, mut live) = (0, 0);
        while at < bytes.len() {
            let (record, length) = Record::decode_first(&bytes[at..]).map_err(|source| LogError::Record {
                file: self.storage.path().join(&self.segments[&epoch].file.name),
                offset,
                source,
            })?;
            live += if counts_as_live(&record) { length as u64 } else { 0 };
            let start = offset + (frame::HEAD_BYTES + at) as u64;
            records.push((Place { epoch, offset: start, length }.into(), bytes.slice(at..at + length)));
            at += length;
        }
        if uncounted {
            self.uncounted.start = (epoch, offset + 1);
            self.live_bytes += live;
            self.segments.entry(epoch).and_modify(|segment| segment.live += live);
        }
        Ok(())
    }

    /// A frame's whole length and its records.
    fn read_frame(&self, epoch: u64, offset: u64) -> Result<(u64, Vec<u8>), LogError> {
        let Segment { file: segment, head, .. } = &self.segments[&epoch];
        let failed = |error| self.failed("read", &segment.name, error);
        let damaged = || LogError::Damaged { file: self.storage.path().join(&segment.name), offset };
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
}
