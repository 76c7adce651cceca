//! The heads of a segment's records, which are all that a start needs: a tenth of the segment or less.
//!
//! They are kept in the encoding of an index (`docs/disk-format.md`). Records are adjacent within a frame, so the
//! offset of the first one determines the others.

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

/// The head of an unreadable record, from the segment's index or from the readable part of its frame. Both have
/// checksums, so the head is intact.
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

/// The heads of the records in some of a segment's frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heads {
    /// In the encoding of an index.
    pub(super) bytes: Vec<u8>,
    /// Bytes of the records that are needed until they are released.
    pub(super) needed: u64,
}

/// The valid part of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SegmentExtent {
    pub(super) head: segment::Head,
    /// The number after its last frame.
    pub(super) next_frame: u64,
    /// Where that frame ends.
    pub(super) end: u64,
}

/// Why the heads of a segment are not available.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadsError {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The bytes of a frame have changed.
    #[error("it is damaged at offset {0}")]
    Damaged(u64),
    /// An intact frame has a record that this version cannot decode.
    #[error("its frame at offset {0}: {1}")]
    Record(u64, RecordError),
}

/// Splits off the first frame: the offset of its first record, the heads of its records, and the following frames.
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
    /// Adds the heads of a frame's records, which start at `offset`.
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

    /// The heads of a segment, all of whose frames must exist. `partial` receives the offsets of frames in which
    /// contents of messages are damaged or unreadable.
    pub(super) fn of<F: StorageFile>(
        segment: &SegmentFile<F>,
        extent: &SegmentExtent,
        partial: impl FnMut(u64),
    ) -> Result<Self, HeadsError> {
        Self::up_to(segment, extent, u64::MAX, partial)
    }

    /// The same, up to the frame that contains an offset.
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

    /// The head of the record at an offset of the segment.
    fn at(&self, offset: u64) -> Option<Bytes> {
        // The last frame that starts before it.
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

    /// The heads of the records of the frame at `offset`, and the frame's length.
    pub(super) fn of_frame(&self, offset: u64, extent: &SegmentExtent) -> Option<(&[u8], u64)> {
        let begins = |first_record: u64| first_record - frame::HEAD_BYTES as u64;
        let mut frames = self.frames().skip_while(|(first, _)| begins(*first) < offset);
        let (_, heads) = frames.next().filter(|(first, _)| begins(*first) == offset)?;
        let end = frames.next().map_or(extent.end, |(first, _)| begins(first));
        Some((heads, end - offset))
    }

    /// For each frame the offset of its first record, and the heads of its records.
    pub(super) fn frames(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (offset, heads, after) = split_frame(rest)?;
            rest = after;
            Some((offset.into(), heads))
        })
    }

    /// Visits all heads. An error names the offset of the frame's first record.
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
