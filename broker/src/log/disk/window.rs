//! Reading a segment from start to end without keeping all of it in memory.

use std::{io, ops::Range};

use super::{
    frame,
    readers::read_around,
    segment::{HEAD_BYTES, SegmentFile},
    storage::StorageFile,
};

/// Bytes per read: they stay in the processor's cache until they are verified.
const READ_BYTES: usize = 1 << 20;

/// The part of a segment that is in memory.
pub(super) struct Window<'a, F> {
    segment: &'a SegmentFile<F>,
    /// Offset of `bytes` in the segment.
    base: u64,
    /// Contains zeros in the place of unreadable bytes.
    bytes: Vec<u8>,
}

impl<'a, F: StorageFile> Window<'a, F> {
    pub(super) fn new(segment: &'a SegmentFile<F>) -> Self {
        Self { segment, base: 0, bytes: Vec::new() }
    }

    /// The bytes at `offset`: at least the wanted number, or fewer at the segment's end. Offsets must increase.
    fn at(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let wanted = wanted.min((self.segment.bytes - offset) as usize);
        let there = (offset - self.base).min(self.bytes.len() as u64) as usize;
        if self.bytes.len() - there < wanted {
            self.bytes.drain(..there);
            self.base = offset;
            let kept = self.bytes.len();
            let from = offset + kept as u64;
            let more = (wanted - kept).max(READ_BYTES).min((self.segment.bytes - from) as usize);
            self.bytes.resize(kept + more, 0);
            read_around(self.segment, &mut self.bytes[kept..], from)?;
        }
        Ok(&self.bytes[(offset - self.base) as usize..])
    }

    /// The head and the records of the whole frame at `offset`, if there is one.
    pub(super) fn frame(&mut self, offset: u64, mark: u64) -> io::Result<Option<(frame::Head, &[u8])>> {
        Ok(self.frame_bytes(offset, mark)?.and_then(|bytes| frame::parse(bytes, mark)))
    }

    /// The frame at `offset`, even if contents of its messages are damaged or unreadable. The last value says whether
    /// it is whole.
    pub(super) fn frame_but_contents(
        &mut self,
        offset: u64,
        mark: u64,
    ) -> io::Result<Option<(frame::Head, &[u8], bool)>> {
        let Some(bytes) = self.frame_bytes(offset, mark)? else { return Ok(None) };
        // The slower parser runs only for damaged frames.
        let whole = frame::parse(bytes, mark).map(|(head, records)| (head, records, true));
        Ok(whole.or_else(|| {
            let (head, records) = frame::parse_but_contents(bytes, mark)?;
            Some((head, records, false))
        }))
    }

    /// The bytes of a possible frame at `offset`, and perhaps more.
    fn frame_bytes(&mut self, offset: u64, mark: u64) -> io::Result<Option<&[u8]>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        // Comparing the mark first rules out most offsets. A length in an invalid head is not worth reading.
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        match frame::frame_bytes(head).filter(|bytes| has_mark && *bytes <= room) {
            Some(bytes) => Ok(Some(self.at(offset, bytes as usize)?)),
            None => Ok(None),
        }
    }

    /// The length of a frame at `offset` by its mark, even if the frame is not whole.
    fn trace(&mut self, offset: u64, mark: u64) -> io::Result<Option<u64>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        Ok(frame::frame_bytes(head).filter(|_| has_mark).map(|bytes| bytes.min(room)))
    }

    /// The next offset of a possible frame, by its mark; nothing up to the end.
    fn candidate(&mut self, offset: u64, mark: u64) -> io::Result<Option<u64>> {
        let mut mark_at = offset + frame::ALIGNMENT + frame::MARK.start as u64;
        loop {
            let width = frame::MARK.len();
            if mark_at + width as u64 > self.segment.bytes {
                return Ok(None);
            }
            let words = self.at(mark_at, width)?.chunks_exact(width);
            let count = words.len() as u64;
            let found = words.into_iter().position(|word| word == mark.to_le_bytes());
            mark_at += found.map_or(count, |words| words as u64) * width as u64;
            if found.is_some() {
                return Ok(Some(mark_at - frame::MARK.start as u64));
            }
        }
    }
}

// Frames and their marks are aligned to the same size.
const _: () = assert!(frame::ALIGNMENT as usize == frame::MARK.end - frame::MARK.start);

/// Limit of recorded ranges of frames that are not whole: enough for any tail that a power cut can tear.
const TRACES_MAX: usize = 4096;

/// Visits all whole and partial frames of a segment with their offsets, searching past damage. Returns the ranges of
/// other frames.
pub(super) fn each_frame<F: StorageFile>(
    segment: &SegmentFile<F>,
    mark: u64,
    mut visit: impl FnMut(u64, frame::Head, &[u8], bool),
) -> io::Result<Vec<Range<u64>>> {
    let mut window = Window::new(segment);
    let mut traces = Vec::new();
    let mut offset = Some(HEAD_BYTES);
    while let Some(at) = offset.filter(|at| *at < segment.bytes) {
        let frame_bytes = window.frame_but_contents(at, mark)?.map(|(head, records, is_whole)| {
            visit(at, head, records, is_whole);
            head.frame_bytes()
        });
        offset = match frame_bytes {
            Some(bytes) => Some(at + bytes),
            None => {
                let trace = window.trace(at, mark)?.filter(|_| traces.len() < TRACES_MAX);
                traces.extend(trace.map(|bytes| at..at + bytes));
                window.candidate(at, mark)?
            }
        };
    }
    Ok(traces)
}
