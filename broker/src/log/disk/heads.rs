//! The heads of a segment's records: what a start needs of them, a tenth of the segment or less.
//!
//! For each frame: where its first record lies, `u32`; bytes of the heads of its records, `u32`; and these one after the
//! other, each as [`RecordHead`] has it. Records lie in a frame without a gap, so that one place tells the others.

use std::{io, ops::Range};

use super::{
    frame,
    place::{In, Place},
    segment::{self, HEAD_BYTES, SegmentFile},
    storage::StorageFile,
    window::Window,
};
use crate::log::{RecordHead, Tell, contract::counts_as_live, record::RecordError};

/// Bytes before the heads of a frame.
const FRAME_BYTES: usize = 8;

/// The heads of some of a segment's frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heads {
    /// As they lie in an index.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the records that are needed until they are released.
    pub(super) needed: u64,
}

/// Which part of a segment counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) head: segment::Head,
    /// The number after its last frame.
    pub(super) next_frame: u64,
    /// Where that frame ends.
    pub(super) end: u64,
}

/// Why a segment has no heads.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadsError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A frame is not what was written.
    #[error("it is damaged at offset {0}")]
    Damaged(u64),
    /// A whole frame has something that is no record.
    #[error("its frame at offset {0}: {1}")]
    Record(u64, RecordError),
}

impl Extent {
    /// The numbers of its frames.
    pub(super) fn frames(&self) -> Range<u64> {
        self.head.first_frame..self.next_frame
    }
}

impl Heads {
    /// Adds those of a frame's records, which begin at `offset`.
    pub(super) fn add(&mut self, offset: u64, records: &[u8]) -> Result<(), RecordError> {
        self.bytes.extend_from_slice(&(offset as u32).to_le_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut rest = records;
        while !rest.is_empty() {
            let (head, extent) = RecordHead::decode_first(rest)?;
            let (record, after) = rest.split_at_checked(extent.record).ok_or(RecordError::Truncated)?;
            self.bytes.extend_from_slice(&record[..extent.head]);
            self.needed += if counts_as_live(&head.record) { extent.record as u64 } else { 0 };
            rest = after;
        }
        let length = (self.bytes.len() - length_at - 4) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// Those of a segment whose frames all have to be there.
    pub(super) fn of<F: StorageFile>(segment: &SegmentFile<F>, extent: &Extent) -> Result<Self, HeadsError> {
        let mut heads = Self::default();
        let mut window = Window::new(segment);
        let mut offset = HEAD_BYTES;
        for number in extent.frames() {
            let damaged = || HeadsError::Damaged(offset);
            let mark = extent.head.mark;
            if offset >= segment.bytes {
                return Err(damaged());
            }
            let frame = window.frame_or_around(offset, mark)?;
            let (head, records) = frame.filter(|(head, _)| head.number == number).ok_or_else(damaged)?;
            heads
                .add(offset + frame::HEAD_BYTES as u64, records)
                .map_err(|error| HeadsError::Record(offset, error))?;
            offset += head.frame_bytes();
        }
        Ok(heads)
    }

    /// Tells them all. The error's offset is that of the frame's first record in the segment.
    pub(super) fn tell(&self, segment: In, tell: &mut Tell<'_>) -> Result<(), HeadsError> {
        let mut rest = self.bytes.as_slice();
        while let Some((fields, after)) = rest.split_first_chunk::<FRAME_BYTES>() {
            let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| fields[at + index]));
            let mut place = Place::start(segment, u32_at(0).into());
            let broken = |error| HeadsError::Record(u32_at(0).into(), error);
            let (mut heads, after) =
                after.split_at_checked(u32_at(4) as usize).ok_or(broken(RecordError::Truncated))?;
            while !heads.is_empty() {
                let (head, extent) = RecordHead::decode_first(heads).map_err(broken)?;
                place.length = extent.record;
                tell(place.into(), &head);
                place.offset += extent.record as u64;
                heads = &heads[extent.head..];
            }
            rest = after;
        }
        Ok(())
    }
}
