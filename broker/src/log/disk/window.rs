//! Reading a segment from one end to the other without having all of it in memory.

use std::{io, ops::Range};

use super::{
    frame,
    readers::read_around,
    segment::{HEAD_BYTES, SegmentFile},
    storage::StorageFile,
};

/// Bytes that are read at once: they stay in the processor's cache until they were looked at.
const READ_BYTES: usize = 1 << 20;

/// Part of a segment that is in memory.
pub(super) struct Window<'a, F> {
    segment: &'a SegmentFile<F>,
    /// Where in the segment `bytes` begin.
    base: u64,
    /// Zeros stand where the disk cannot read.
    bytes: Vec<u8>,
}

impl<'a, F: StorageFile> Window<'a, F> {
    pub(super) fn new(segment: &'a SegmentFile<F>) -> Self {
        Self { segment, base: 0, bytes: Vec::new() }
    }

    /// What lies from `offset` on: so many bytes and perhaps more, or fewer at the segment's end. Offsets only rise.
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

    /// The whole frame that begins at `offset`, if one does: its head and its records.
    pub(super) fn frame(&mut self, offset: u64, mark: u64) -> io::Result<Option<(frame::Head, &[u8])>> {
        Ok(self.frame_bytes(offset, mark)?.and_then(|bytes| frame::parse(bytes, mark)))
    }

    /// The frame that begins at `offset`, also if contents of messages in it are not what was written, or cannot be read. The last
    /// says whether it is whole.
    pub(super) fn frame_but_contents(
        &mut self,
        offset: u64,
        mark: u64,
    ) -> io::Result<Option<(frame::Head, &[u8], bool)>> {
        let Some(bytes) = self.frame_bytes(offset, mark)? else { return Ok(None) };
        // A second look only where something is wrong.
        let whole = frame::parse(bytes, mark).map(|(head, records)| (head, records, true));
        Ok(whole.or_else(|| {
            let (head, records) = frame::parse_but_contents(bytes, mark)?;
            Some((head, records, false))
        }))
    }

    /// The bytes of what may be a frame at `offset`, and perhaps more.
    fn frame_bytes(&mut self, offset: u64, mark: u64) -> io::Result<Option<&[u8]>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        // The mark alone tells most places apart, and what a wrong head says of a length is not worth reading.
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        match frame::frame_bytes(head).filter(|bytes| has_mark && *bytes <= room) {
            Some(bytes) => Ok(Some(self.at(offset, bytes as usize)?)),
            None => Ok(None),
        }
    }

    /// Bytes of what was once a frame at `offset`, by its mark, whether it is whole or not.
    fn trace(&mut self, offset: u64, mark: u64) -> io::Result<Option<u64>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        Ok(frame::frame_bytes(head).filter(|_| has_mark).map(|bytes| bytes.min(room)))
    }

    /// The next place after `offset` where a frame may begin, by its mark; none up to the end.
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

// Frames and their marks lie at multiples of the same.
const _: () = assert!(frame::ALIGNMENT as usize == frame::MARK.end - frame::MARK.start);

/// Where frames were written that are not whole: enough for any tail that a power cut tears.
const TRACES_MAX: usize = 4096;

/// Goes through all whole frames of a segment, searching on past damage: each with where it begins; and those in which only
/// contents of messages are not what was written, or cannot be read. Returns where others begin and end.
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
