//! The open batch: the records since the last commit, encoded at their final offsets.

use super::frame::{ALIGNMENT, HEAD_BYTES};
use crate::log::Record;

#[derive(Debug)]
pub(super) struct OpenFrame {
    pub(super) epoch: u64,
    /// Offset in the segment.
    pub(super) offset: u64,
    /// Room for the head, then the records.
    pub(super) bytes: Vec<u8>,
    /// Whether the frame is the first of a new segment.
    pub(super) rotated: bool,
}

/// The frames of the open batch: one, or more if the batch crosses the end of a segment.
#[derive(Debug)]
pub(super) struct OpenBatch {
    closed: Vec<OpenFrame>,
    current: OpenFrame,
    /// A buffer for reuse.
    spare: Vec<u8>,
}

impl OpenFrame {
    fn new(epoch: u64, offset: u64, mut bytes: Vec<u8>, rotated: bool) -> Self {
        bytes.clear();
        bytes.resize(HEAD_BYTES, 0);
        Self { epoch, offset, bytes, rotated }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.len() == HEAD_BYTES
    }

    pub(super) fn read(&self, epoch: u64, offset: u64, length: usize) -> Option<&[u8]> {
        let start = offset.checked_sub(self.offset).filter(|_| epoch == self.epoch)? as usize;
        self.bytes.get(start..start + length)
    }
}

impl OpenBatch {
    /// An empty batch at the end of a segment.
    pub(super) fn new(epoch: u64, offset: u64) -> Self {
        Self {
            closed: Vec::new(),
            current: OpenFrame::new(epoch, offset, Vec::new(), false),
            spare: Vec::new(),
        }
    }

    /// The epoch of the segment where the batch ends.
    pub(super) fn epoch(&self) -> u64 {
        self.current.epoch
    }

    /// The epoch of the segment where the batch starts, which also has the bytes written before.
    pub(super) fn first_epoch(&self) -> u64 {
        self.closed.first().unwrap_or(&self.current).epoch
    }

    /// The offset in its segment at which the batch ends.
    pub(super) fn end(&self) -> u64 {
        self.current.offset + self.current.bytes.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_empty() && self.closed.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.closed.iter().map(|frame| frame.bytes.len()).sum::<usize>() + self.current.bytes.len()
            - HEAD_BYTES
    }

    /// Whether the batch crosses the end of a segment.
    pub(super) fn has_rotated(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The number of frames of the batch.
    pub(super) fn frames(&self) -> u64 {
        self.closed.iter().chain([&self.current]).filter(|frame| !frame.is_empty()).count() as u64
    }

    /// Whether a record of this length fits the current segment.
    pub(super) fn has_room(&self, length: usize, segment_bytes: u64) -> bool {
        (self.end() + length as u64).next_multiple_of(ALIGNMENT) <= segment_bytes
    }

    /// Appends a record. Returns the epoch of its segment and its offset.
    pub(super) fn append(&mut self, record: &Record<'_>) -> (u64, u64) {
        let offset = self.end();
        record.encode(&mut self.current.bytes);
        (self.current.epoch, offset)
    }

    /// Continues in a new segment.
    pub(super) fn rotate(&mut self, epoch: u64) {
        let next = OpenFrame::new(epoch, super::segment::HEAD_BYTES, Vec::new(), true);
        self.closed.push(std::mem::replace(&mut self.current, next));
    }

    /// Takes the frames for writing, in order. The caller calls [`Self::begin`] next.
    pub(super) fn take(&mut self) -> Vec<OpenFrame> {
        let next = OpenFrame::new(self.current.epoch, 0, std::mem::take(&mut self.spare), false);
        let mut frames = std::mem::take(&mut self.closed);
        frames.push(std::mem::replace(&mut self.current, next));
        frames
    }

    /// Starts the next batch at an offset.
    pub(super) fn begin(&mut self, offset: u64) {
        self.current.offset = offset;
    }

    /// Reuses the buffer of a written frame.
    pub(super) fn reuse(&mut self, frame: OpenFrame) {
        self.spare = frame.bytes;
    }

    pub(super) fn read(&self, epoch: u64, offset: u64, length: usize) -> Option<&[u8]> {
        self.closed.iter().chain([&self.current]).find_map(|frame| frame.read(epoch, offset, length))
    }
}
