//! Reading a segment from one end to the other without having all of it in memory.

use std::{io, ops::Range};

use super::{
    frame,
    readers::read_around,
    segment::{HEAD_BYTES, SegmentFile},
    storage::StorageFile,
};
use crate::log::{RecordHead, record};

/// Bytes that are read at once: they stay in the processor's cache until they were looked at.
const READ_BYTES: usize = 1 << 20;

/// Part of a segment that is in memory.
pub(super) struct Window<'a, F> {
    segment: &'a SegmentFile<F>,
    /// Where in the segment `bytes` begin.
    base: u64,
    bytes: Vec<u8>,
    /// Places that the disk cannot read.
    unreadable: Vec<Range<u64>>,
}

impl<'a, F: StorageFile> Window<'a, F> {
    pub(super) fn new(segment: &'a SegmentFile<F>) -> Self {
        Self { segment, base: 0, bytes: Vec::new(), unreadable: Vec::new() }
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
            self.unreadable.extend(read_around(self.segment, &mut self.bytes[kept..], from)?);
        }
        Ok(&self.bytes[(offset - self.base) as usize..])
    }

    /// The whole frame that begins at `offset`, if one does: its head and its records.
    pub(super) fn frame(&mut self, offset: u64, mark: u64) -> io::Result<Option<(frame::Head, &[u8])>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        // The mark alone tells most places apart, and what a wrong head says of a length is not worth reading.
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        match frame::frame_bytes(head).filter(|bytes| has_mark && *bytes <= room) {
            Some(bytes) => Ok(frame::parse(self.at(offset, bytes as usize)?, mark)),
            None => Ok(None),
        }
    }

    /// The frame that begins at `offset` and holds bodies of messages that the disk cannot read: everything else in it can be.
    pub(super) fn frame_around(
        &mut self,
        offset: u64,
        mark: u64,
    ) -> io::Result<Option<(frame::Head, &[u8])>> {
        let room = self.segment.bytes - offset;
        let head = self.at(offset, frame::HEAD_BYTES)?;
        let has_mark = head.get(frame::MARK) == Some(&mark.to_le_bytes());
        let Some(bytes) = frame::frame_bytes(head).filter(|bytes| has_mark && *bytes <= room) else {
            return Ok(None);
        };
        self.at(offset, bytes as usize)?;
        let holes = self.unreadable.iter().filter(|hole| hole.start < offset + bytes && offset < hole.end);
        let holes: Vec<_> = holes.cloned().collect();
        let first = offset + frame::HEAD_BYTES as u64;
        let has_head = !holes.is_empty() && holes.iter().all(|hole| hole.start >= first);
        let found = frame::unchecked(self.at(offset, bytes as usize)?, mark).filter(|_| has_head);
        Ok(found.filter(|(_, records)| are_in_contents(&holes, first, records)))
    }

    /// The one or the other.
    pub(super) fn frame_or_around(
        &mut self,
        offset: u64,
        mark: u64,
    ) -> io::Result<Option<(frame::Head, &[u8])>> {
        // A second look only on a disk that cannot read everything.
        let length = frame::frame_bytes(self.at(offset, frame::HEAD_BYTES)?).unwrap_or(0);
        self.at(offset, length.min(self.segment.bytes - offset) as usize)?;
        if !self.unreadable.is_empty() && self.frame(offset, mark)?.is_none() {
            return self.frame_around(offset, mark);
        }
        self.frame(offset, mark)
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

/// Whether what cannot be read of some records, which begin at `first`, is contents of messages and nothing else.
fn are_in_contents(holes: &[Range<u64>], first: u64, records: &[u8]) -> bool {
    let mut at = 0;
    while at < records.len() {
        let Ok((head, extent)) = RecordHead::decode_first(&records[at..]) else { return false };
        let Some(record) = records.get(at..at + extent.record) else { return false };
        let (begins, content) = (first + at as u64, first + (at + extent.head) as u64);
        let is_hit = holes.iter().any(|hole| hole.start < begins + extent.record as u64 && begins < hole.end);
        let in_head = holes.iter().any(|hole| hole.start < content && begins < hole.end);
        if in_head || (is_hit && head.content_bytes == 0) || (!is_hit && !record::is_whole(record)) {
            return false;
        }
        at += extent.record;
    }
    true
}

/// Where frames were written that are not whole: enough for any tail that a power cut tears.
const TRACES_MAX: usize = 4096;

/// Goes through all whole frames of a segment, searching on past damage: each with where it begins; and those of which only
/// contents of messages cannot be read. Returns where others
/// begin and end that are not whole.
pub(super) fn each_frame<F: StorageFile>(
    segment: &SegmentFile<F>,
    mark: u64,
    mut visit: impl FnMut(u64, frame::Head, &[u8], bool),
) -> io::Result<Vec<Range<u64>>> {
    let mut window = Window::new(segment);
    let mut traces = Vec::new();
    let mut offset = Some(HEAD_BYTES);
    while let Some(at) = offset.filter(|at| *at < segment.bytes) {
        let frame_bytes = window.frame(at, mark)?.map(|(head, records)| {
            visit(at, head, records, true);
            head.frame_bytes()
        });
        let frame_bytes = match frame_bytes {
            None => window.frame_around(at, mark)?.map(|(head, records)| {
                visit(at, head, records, false);
                head.frame_bytes()
            }),
            whole => whole,
        };
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
