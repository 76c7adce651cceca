//! The heads of a segment's records: what a start needs of them, a tenth of the segment or less.
//!
//! For each frame: where its first record lies, `u32`; bytes of the heads of its records, `u32`; and these one after the
//! other, each as [`RecordHead`] has it. Records lie in a frame without a gap, so that one place tells the others.

use std::{io, ops::Range};

use bytes::Bytes;

use super::{
    frame, index,
    place::{RecordPlace, SegmentId},
    segment::{self, HEAD_BYTES, SegmentFile},
    storage::{Storage, StorageFile},
    window::Window,
};
use crate::log::{RecordHead, ReplayVisitor, contract::counts_as_live, record::RecordError};

/// The head of a record that cannot be read: from the segment's index, or from what can be read of its frame. Both have checksums,
/// so it is as it was written.
pub(super) fn head_at<S: Storage>(
    storage: &S,
    segment: &SegmentFile<S::File>,
    extent: &SegmentExtent,
    offset: u64,
) -> Option<Bytes> {
    let indexed = index::read(storage, &segment.name, extent);
    let heads = indexed.or_else(|| Heads::up_to(segment, extent, offset, |_| ()).ok())?;
    heads.at(offset)
}

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
pub(super) struct SegmentExtent {
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

/// The first frame of some: where its first record lies, the heads of its records, and the frames after it.
fn split_frame(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (fields, after) = bytes.split_first_chunk::<FRAME_BYTES>()?;
    let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| fields[at + index]));
    let (heads, rest) = after.split_at_checked(u32_at(4) as usize)?;
    Some((u32_at(0), heads, rest))
}

impl SegmentExtent {
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

    /// Those of a segment whose frames all have to be there; frames in which contents of messages are not what was written, or
    /// cannot be read, are told by where they begin.
    pub(super) fn of<F: StorageFile>(
        segment: &SegmentFile<F>,
        extent: &SegmentExtent,
        partial: impl FnMut(u64),
    ) -> Result<Self, HeadsError> {
        Self::up_to(segment, extent, u64::MAX, partial)
    }

    /// The same, up to the frame that goes over a place.
    fn up_to<F: StorageFile>(
        segment: &SegmentFile<F>,
        extent: &SegmentExtent,
        place: u64,
        mut partial: impl FnMut(u64),
    ) -> Result<Self, HeadsError> {
        let mut heads = Self::default();
        let mut window = Window::new(segment);
        let mut offset = HEAD_BYTES;
        for number in extent.frames() {
            if offset > place {
                break;
            }
            let damaged = || HeadsError::Damaged(offset);
            let mark = extent.head.mark;
            if offset >= segment.bytes {
                return Err(damaged());
            }
            let frame = window.frame_but_contents(offset, mark)?;
            let (head, records, is_whole) =
                frame.filter(|(head, ..)| head.number == number).ok_or_else(damaged)?;
            if !is_whole {
                partial(offset);
            }
            heads
                .add(offset + frame::HEAD_BYTES as u64, records)
                .map_err(|error| HeadsError::Record(offset, error))?;
            offset += head.frame_bytes();
        }
        Ok(heads)
    }

    /// The head of the record that lies at an offset of the segment.
    fn at(&self, offset: u64) -> Option<Bytes> {
        // The last frame that begins before it.
        let (mut at, mut heads) = self.frames().take_while(|(first, _)| *first <= offset).last()?;
        while at <= offset && !heads.is_empty() {
            let (_, extent) = RecordHead::decode_first(heads).ok()?;
            if at == offset {
                return heads.get(..extent.head).map(Bytes::copy_from_slice);
            }
            at += extent.record as u64;
            heads = &heads[extent.head..];
        }
        None
    }

    /// The heads of the records of the frame that begins at `offset`, and the frame's bytes.
    pub(super) fn of_frame(&self, offset: u64, extent: &SegmentExtent) -> Option<(&[u8], u64)> {
        let begins = |first_record: u64| first_record - frame::HEAD_BYTES as u64;
        let mut frames = self.frames().skip_while(|(first, _)| begins(*first) < offset);
        let (_, heads) = frames.next().filter(|(first, _)| begins(*first) == offset)?;
        let end = frames.next().map_or(extent.end, |(first, _)| begins(first));
        Some((heads, end - offset))
    }

    /// Of each frame, where its first record lies, and the heads of its records.
    pub(super) fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (offset, heads, after) = split_frame(rest)?;
            rest = after;
            Some((offset.into(), heads))
        })
    }

    /// Tells them all. The error's offset is that of the frame's first record in the segment.
    pub(super) fn visit(&self, segment: SegmentId, visit: &mut ReplayVisitor<'_>) -> Result<(), HeadsError> {
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let (offset, mut heads, after) =
                split_frame(rest).ok_or(HeadsError::Record(0, RecordError::Truncated))?;
            let mut place = RecordPlace::start(segment, offset.into());
            let broken = |error| HeadsError::Record(offset.into(), error);
            while !heads.is_empty() {
                let (head, extent) = RecordHead::decode_first(heads).map_err(broken)?;
                place.length = extent.record;
                visit(place.into(), &head);
                place.offset += extent.record as u64;
                heads = &heads[extent.head..];
            }
            rest = after;
        }
        Ok(())
    }
}
