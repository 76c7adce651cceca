//! Going through the log, part by part, each read by a thread; while the owner looks at one part, the next is being read.

use std::{
    future::Future,
    ops::Range,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    DiskLog, LogError, frame,
    place::{In, Place},
    readers::{self, Reading},
    segment,
    storage::{Storage, StorageFile},
};
use crate::log::{Position, Record, Scanned, contract::counts_as_live, record::RecordError};

/// Records of owners before, of which nobody has counted yet which are needed: from a segment's epoch and offset up to others.
pub(super) type Uncounted = Range<(u64, u64)>;

/// Part of a segment that is being read.
pub(super) struct Scanning {
    /// What was asked for.
    asked: Asked,
    part: oneshot::Receiver<Result<Part, LogError>>,
}

/// What to read: frames of one segment, about so many bytes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    segment: In,
    offset: u64,
    /// Where the last of them ends, at the latest.
    end: u64,
    max_bytes: usize,
}

/// What was read.
struct Part {
    /// Each record with where it lies.
    records: Vec<(Position, Bytes)>,
    /// Each frame's offset, and the bytes of its records that are needed until they are released.
    frames: Vec<(u64, u64)>,
    /// Where the last frame ends.
    end: u64,
}

impl<S: Storage> DiskLog<S> {
    /// Reads the records from `from` on, up to `below` or the end, of one segment at a time.
    pub(super) fn poll_part(
        &mut self,
        from: Position,
        below: Option<Position>,
        max_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<Scanned, LogError>> {
        if self.poisoned {
            return Poll::Ready(Err(LogError::Poisoned));
        }
        let Some(asked) = self.ask(from.into(), below, max_bytes) else {
            return Poll::Ready(Ok(Scanned { records: Vec::new(), next: None }));
        };
        let mut scanning = match self.scanning.take().filter(|scanning| scanning.asked == asked) {
            Some(scanning) => scanning,
            None => self.begin_scan(asked),
        };
        let Poll::Ready(part) = Pin::new(&mut scanning.part).poll(context) else {
            self.scanning = Some(scanning);
            return Poll::Pending;
        };
        let Part { records, frames, end } = match part.unwrap_or(Err(LogError::Poisoned)) {
            Ok(part) => part,
            Err(error) => {
                self.poison();
                return Poll::Ready(Err(error));
            }
        };
        if let In::Own(epoch) = asked.segment {
            self.count(epoch, frames);
        }
        let next = Place::start(asked.segment, end);
        let ahead = self.ask(next, below, max_bytes);
        self.scanning = ahead.map(|ahead| self.begin_scan(ahead));
        Poll::Ready(Ok(Scanned { records, next: ahead.map(|_| next.into()) }))
    }

    /// What is to be read next; nothing at the end.
    fn ask(&mut self, from: Place, below: Option<Position>, max_bytes: usize) -> Option<Asked> {
        let below = below.map_or(Place::own(u64::MAX, 0), Place::from);
        let part = |segment, end: u64| {
            let offset = if segment == from.segment { from.offset } else { 0 }.max(segment::HEAD_BYTES);
            let begin = Place::start(segment, offset);
            let end = if segment == below.segment { end.min(below.offset) } else { end };
            (offset < end).then_some((begin < below).then_some(Asked { segment, offset, end, max_bytes }))
        };
        if let In::Older(first) = from.segment {
            for index in first..self.older.count() {
                if let Some(asked) = part(In::Older(index), self.older.segment(index).end) {
                    return asked;
                }
            }
        }
        let first = if let In::Own(epoch) = from.segment { epoch } else { 0 };
        let epochs: Vec<u64> = self.segments.range(first..).map(|(epoch, _)| *epoch).collect();
        for epoch in epochs {
            if let Some(asked) = part(In::Own(epoch), self.segments[&epoch].end) {
                return asked;
            }
            if self.is_sealed(epoch) && self.segments.keys().next() == Some(&epoch) {
                self.walked = Some(epoch);
            }
        }
        None
    }

    fn begin_scan(&self, asked: Asked) -> Scanning {
        let (file, mark, folder) = match asked.segment {
            In::Own(epoch) => {
                let segment = &self.segments[&epoch];
                (Some(segment.file.clone()), segment.head.mark, self.storage.path().to_owned())
            }
            In::Older(index) => {
                let segment = self.older.segment(index);
                (segment.file(), segment.mark, self.older.folder(index))
            }
        };
        let reading = Reading::of(&file.expect("what is asked for is still needed"));
        let (answer, part) = oneshot::channel();
        self.readers.give(move || {
            let part = read_part(&reading, mark, asked, &folder);
            drop(reading);
            // Whoever asked may have given up.
            let _ = answer.send(part);
        });
        Scanning { asked, part }
    }

    /// Takes account of records of owners before, each frame once.
    fn count(&mut self, epoch: u64, frames: Vec<(u64, u64)>) {
        for (offset, needed) in frames {
            if self.uncounted.contains(&(epoch, offset)) {
                self.uncounted.start = (epoch, offset + 1);
                self.live_bytes += needed;
                self.segments.entry(epoch).and_modify(|segment| segment.live += needed);
            }
        }
    }
}

/// Reads whole frames: as many as are in so many bytes, or one that is longer.
fn read_part<F: StorageFile>(
    file: &Reading<F>,
    mark: u64,
    asked: Asked,
    folder: &Path,
) -> Result<Part, LogError> {
    let Asked { offset, end, max_bytes, .. } = asked;
    let read = |length: u64| {
        let mut bytes = vec![0; length as usize];
        file.file.read_at(&mut bytes, offset).map_err(|error| readers::failed(file, folder, error))?;
        Ok::<_, LogError>(Bytes::from(bytes))
    };
    let mut bytes = read((max_bytes as u64).max(frame::HEAD_BYTES as u64).min(end - offset))?;
    let damaged = |offset| LogError::Damaged { file: folder.join(&file.name), offset };
    let first = frame::frame_bytes(&bytes).filter(|first| *first <= end - offset);
    let first = first.ok_or_else(|| damaged(offset))?;
    if first > bytes.len() as u64 {
        bytes = read(first)?;
    }
    let mut part = Part { records: Vec::new(), frames: Vec::new(), end: offset };
    loop {
        let rest = bytes.slice((part.end - offset) as usize..);
        if frame::frame_bytes(&rest).is_none_or(|whole| whole > rest.len() as u64) {
            return Ok(part);
        }
        let (head, records) = frame::parse(&rest, mark).ok_or_else(|| damaged(part.end))?;
        let place = Place::start(asked.segment, part.end + frame::HEAD_BYTES as u64);
        let needed = split(&rest.slice_ref(records), place, &mut part.records)
            .map_err(|source| LogError::Record { file: folder.join(&file.name), offset: part.end, source })?;
        part.frames.push((part.end, needed));
        part.end += head.frame_bytes();
    }
}

/// The records of a frame, which begin at `start`: each with its place. Returns the bytes of those that are needed.
fn split(records: &Bytes, start: Place, into: &mut Vec<(Position, Bytes)>) -> Result<u64, RecordError> {
    let (mut at, mut needed) = (0, 0);
    while at < records.len() {
        let (record, length) = Record::decode_first(&records[at..])?;
        needed += if counts_as_live(&record) { length as u64 } else { 0 };
        let place = Place { offset: start.offset + at as u64, length, ..start };
        into.push((place.into(), records.slice(at..at + length)));
        at += length;
    }
    Ok(needed)
}
