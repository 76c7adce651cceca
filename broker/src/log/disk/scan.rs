//! Scanning the log part by part. Reader threads read the parts; while the owner processes one part, the next one is
//! being read.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    DiskLog, LogError,
    contents::{self, Content},
    frame,
    heads::SegmentExtent,
    index,
    place::{RecordPlace, SegmentId},
    readers::{self, Reading},
    segment,
    storage::{Storage, StorageFile},
};
use crate::log::{Log, Position, Record, RecordHead, Scanned, record::RecordError};

/// A part of a segment that is being read.
pub(super) struct Scanning {
    range: ReadRange,
    part: oneshot::Receiver<Result<Part, LogError>>,
}

/// A range to read: frames of one segment, about `max_bytes` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ReadRange {
    segment: SegmentId,
    offset: u64,
    /// The end of the last frame, at the latest.
    end: u64,
    max_bytes: usize,
}

struct Part {
    /// Each record with its position.
    records: Vec<(Position, Bytes)>,
    /// Records of messages with damaged contents.
    broken: Vec<(Position, Bytes)>,
    /// The end of the last frame.
    end: u64,
}

impl<S: Storage> DiskLog<S> {
    /// Reads the records from `from` up to `below` or the end, in one segment at a time.
    pub(super) fn poll_part(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>> {
        if self.poisoned {
            return Poll::Ready(Err(self.failure()));
        }
        let begins = RecordPlace::from(from);
        self.walks_older = matches!(begins.segment, SegmentId::Older(_)) && self.older.count() > 0;
        let Some(range) = self.ask(begins, below, max_bytes) else {
            return Poll::Ready(Ok(Scanned { records: Vec::new(), broken: Vec::new(), next: None }));
        };
        let mut scanning = match self.scanning.take().filter(|scanning| scanning.range == range) {
            Some(scanning) => scanning,
            None => self.begin_scan(range),
        };
        let Poll::Ready(part) = Pin::new(&mut scanning.part).poll(context) else {
            self.scanning = Some(scanning);
            return Poll::Pending;
        };
        let Part { records, broken, end } = match part.unwrap_or(Err(LogError::Poisoned)) {
            Ok(part) => part,
            // The log can still be written.
            Err(error) if error.is_of_one_record() => return Poll::Ready(Err(error)),
            Err(error) => {
                self.poison_by(error);
                return Poll::Ready(Err(self.failure()));
            }
        };
        let next = RecordPlace::start(range.segment, end);
        let ahead = self.ask(next, below, max_bytes);
        self.scanning = ahead.map(|ahead| self.begin_scan(ahead));
        Poll::Ready(Ok(Scanned { records, broken, next: ahead.map(|_| next.into()) }))
    }

    /// The next range to read; nothing at the end.
    fn ask(&mut self, from: RecordPlace, below: Option<Position>, max_bytes: usize) -> Option<ReadRange> {
        let below = below.map_or(RecordPlace::own(u64::MAX, 0), RecordPlace::from);
        let part = |segment, end: u64| {
            let offset = if segment == from.segment { from.offset } else { 0 }.max(segment::HEAD_BYTES);
            let begin = RecordPlace::start(segment, offset);
            let end = if segment == below.segment { end.min(below.offset) } else { end };
            (offset < end).then_some((begin < below).then_some(ReadRange { segment, offset, end, max_bytes }))
        };
        if let SegmentId::Older(first) = from.segment {
            for index in first..self.older.count() {
                if let Some(range) = part(SegmentId::Older(index), self.older.segment(index).extent.end) {
                    return range;
                }
            }
        }
        let first = if let SegmentId::Own(epoch) = from.segment { epoch } else { 0 };
        let epochs: Vec<u64> = self.segments.range(first..).map(|(epoch, _)| *epoch).collect();
        for epoch in epochs {
            if let Some(range) = part(SegmentId::Own(epoch), self.segments[&epoch].end) {
                return range;
            }
            if self.is_sealed(epoch) && self.segments.keys().next() == Some(&epoch) {
                self.walked = Some(epoch);
            }
        }
        None
    }

    fn begin_scan(&self, range: ReadRange) -> Scanning {
        let extent = self.extent_of(range.segment);
        let (storage, file) = self.place_of(range.segment);
        let (storage, reading) = (storage.clone(), Reading::of(&file));
        let (answer, part) = oneshot::channel();
        self.readers.give(move || {
            let part = read_part(&reading, extent.head.mark, range, storage.path()).or_else(|error| {
                let by_index =
                    error.is_of_one_record().then(|| read_by_index(&storage, &reading, &extent, range));
                by_index.flatten().ok_or(error)
            });
            drop(reading);
            // The caller may have given up.
            let _ = answer.send(part);
        });
        Scanning { range, part }
    }
}

/// Reads the first frame of a range from the segment's index, because the frame itself is damaged.
fn read_by_index<S: Storage>(
    storage: &S,
    segment: &Reading<S::File>,
    extent: &SegmentExtent,
    ReadRange { segment: place, offset, .. }: ReadRange,
) -> Option<Part> {
    let indexed = index::read(storage, &segment.name, extent)?;
    let (heads, length) = indexed.of_frame(offset, extent)?;
    let mut bytes = vec![0; length as usize];
    // Unreadable bytes are zeros, which are not a valid message.
    let _ = readers::read_around(segment, &mut bytes, offset);
    let bytes = Bytes::from(bytes);
    let mut part = Part { records: Vec::new(), broken: Vec::new(), end: offset + length };
    let mut heads_at = 0;
    contents::each_indexed_record(heads, &bytes, offset, |at, length, content| {
        let position = RecordPlace { segment: place, offset: at, length }.into();
        let head = Bytes::copy_from_slice(&heads[heads_at..]);
        match content {
            Content::Unread(_) => part.broken.push((position, head)),
            Content::Whole(Record::Message { .. }) => {
                let from = (at - offset) as usize;
                part.records.push((position, bytes.slice(from..from + length)));
            }
            Content::Whole(_) => part.records.push((position, head.slice(..length))),
        }
        heads_at += RecordHead::decode_first(&heads[heads_at..]).map_or(0, |(_, extent)| extent.head);
    })
    .ok()?;
    Some(part)
}

/// Reads whole frames: those within the limit of bytes, or a single longer one. Ends before a damaged frame, and fails
/// if the first one is damaged.
fn read_part<F: StorageFile>(
    file: &Reading<F>,
    mark: u64,
    range: ReadRange,
    folder: &Path,
) -> Result<Part, LogError> {
    let ReadRange { offset, end, max_bytes, .. } = range;
    let read = |length: u64| {
        let mut bytes = vec![0; length as usize];
        readers::read_around(file, &mut bytes, offset)
            .map_err(|error| readers::failed(file, folder, error))?;
        Ok::<_, LogError>(Bytes::from(bytes))
    };
    let mut bytes = read((max_bytes as u64).max(frame::HEAD_BYTES as u64).min(end - offset))?;
    let damaged = |offset| LogError::Damaged { file: folder.join(&file.name), offset };
    let first = frame::frame_bytes(&bytes).filter(|first| *first <= end - offset);
    let first = first.ok_or_else(|| damaged(offset))?;
    if first > bytes.len() as u64 {
        bytes = read(first)?;
    }
    let mut part = Part { records: Vec::new(), broken: Vec::new(), end: offset };
    loop {
        let rest = bytes.slice((part.end - offset) as usize..);
        if frame::frame_bytes(&rest).is_none_or(|whole| whole > rest.len() as u64) {
            return Ok(part);
        }
        let place = RecordPlace::start(range.segment, part.end + frame::HEAD_BYTES as u64);
        let frame_bytes = match frame::parse(&rest, mark) {
            Some((head, records)) => {
                split(&rest.slice_ref(records), place, &mut part.records).map_err(|source| {
                    LogError::Record { file: folder.join(&file.name), offset: part.end, source }
                })?;
                head.frame_bytes()
            }
            None => {
                let Some((head, records)) = frame::parse_but_contents(&rest, mark) else {
                    return if part.end > offset { Ok(part) } else { Err(damaged(offset)) };
                };
                sort_out(&rest.slice_ref(records), place, &mut part);
                head.frame_bytes()
            }
        };
        part.end += frame_bytes;
    }
}

/// Sorts the records of a partial frame into intact and damaged ones.
fn sort_out(records: &Bytes, start: RecordPlace, part: &mut Part) {
    // The heads are intact, so all of them can be decoded.
    let _ = contents::each_record(records, start.offset, |offset, length, content| {
        let from = (offset - start.offset) as usize;
        let into = if let Content::Whole(_) = content { &mut part.records } else { &mut part.broken };
        into.push((RecordPlace { offset, length, ..start }.into(), records.slice(from..from + length)));
    });
}

/// Splits the records of a frame, which start at `start`, with their positions.
fn split(records: &Bytes, start: RecordPlace, into: &mut Vec<(Position, Bytes)>) -> Result<(), RecordError> {
    let mut at = 0;
    while at < records.len() {
        let (_, length) = Record::decode_first(&records[at..])?;
        let place = RecordPlace { offset: start.offset + at as u64, length, ..start };
        into.push((place.into(), records.slice(at..at + length)));
        at += length;
    }
    Ok(())
}
