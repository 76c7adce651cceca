//! Going through the log, part by part, each read by a thread; while the owner looks at one part, the next is being read.

use std::{
    future::Future,
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
use crate::log::{
    Log, Position, Record, RecordHead, Scanned,
    record::{self, RecordError},
};

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
    /// Records of messages whose contents are not what was written.
    broken: Vec<(Position, Bytes)>,
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
            return Poll::Ready(Err(self.failure()));
        }
        let begins = Place::from(from);
        self.walks_older = matches!(begins.segment, In::Older(_)) && self.older.count() > 0;
        let Some(asked) = self.ask(begins, below, max_bytes) else {
            return Poll::Ready(Ok(Scanned { records: Vec::new(), broken: Vec::new(), next: None }));
        };
        let mut scanning = match self.scanning.take().filter(|scanning| scanning.asked == asked) {
            Some(scanning) => scanning,
            None => self.begin_scan(asked),
        };
        let Poll::Ready(part) = Pin::new(&mut scanning.part).poll(context) else {
            self.scanning = Some(scanning);
            return Poll::Pending;
        };
        let Part { records, broken, end } = match part.unwrap_or(Err(LogError::Poisoned)) {
            Ok(part) => part,
            // The log is written as before.
            Err(error) if error.is_of_one_record() => return Poll::Ready(Err(error)),
            Err(error) => {
                self.poison_by(error);
                return Poll::Ready(Err(self.failure()));
            }
        };
        let next = Place::start(asked.segment, end);
        let ahead = self.ask(next, below, max_bytes);
        self.scanning = ahead.map(|ahead| self.begin_scan(ahead));
        Poll::Ready(Ok(Scanned { records, broken, next: ahead.map(|_| next.into()) }))
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
                if let Some(asked) = part(In::Older(index), self.older.segment(index).extent.end) {
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
        let mark = match asked.segment {
            In::Own(epoch) => self.segments[&epoch].head.mark,
            In::Older(index) => self.older.segment(index).extent.head.mark,
        };
        let (storage, file) = self.place_of(asked.segment);
        let (folder, reading) = (storage.path().to_owned(), Reading::of(&file));
        let (answer, part) = oneshot::channel();
        self.readers.give(move || {
            let part = read_part(&reading, mark, asked, &folder);
            drop(reading);
            // Whoever asked may have given up.
            let _ = answer.send(part);
        });
        Scanning { asked, part }
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
        let place = Place::start(asked.segment, part.end + frame::HEAD_BYTES as u64);
        let frame_bytes = match frame::parse(&rest, mark) {
            Some((head, records)) => {
                split(&rest.slice_ref(records), place, &mut part.records).map_err(|source| {
                    LogError::Record { file: folder.join(&file.name), offset: part.end, source }
                })?;
                head.frame_bytes()
            }
            None => {
                let (head, records) = frame::unchecked(&rest, mark).ok_or_else(|| damaged(part.end))?;
                sort_out(&rest.slice_ref(records), place, &mut part).ok_or_else(|| damaged(part.end))?;
                head.frame_bytes()
            }
        };
        part.end += frame_bytes;
    }
}

/// The records of a frame whose checksum does not match: those of messages have checksums of their own. Nothing if that does not
/// explain it: then nobody knows what in it is as it was written.
fn sort_out(records: &Bytes, start: Place, part: &mut Part) -> Option<()> {
    let (mut whole, mut broken, mut at) = (Vec::new(), Vec::new(), 0);
    while at < records.len() {
        let (_, extent) = RecordHead::decode_first(&records[at..]).ok()?;
        let length = extent.record;
        let record = records.get(at..at + length).map(|record| records.slice_ref(record))?;
        let place = Place { offset: start.offset + at as u64, length, ..start };
        let as_written = record::is_whole(&record) && Record::decode_first(&record).is_ok();
        if as_written { &mut whole } else { &mut broken }.push((place.into(), record));
        at += length;
    }
    part.records.append(&mut whole);
    (!broken.is_empty()).then(|| part.broken.append(&mut broken))
}

/// The records of a frame, which begin at `start`: each with its place.
fn split(records: &Bytes, start: Place, into: &mut Vec<(Position, Bytes)>) -> Result<(), RecordError> {
    let mut at = 0;
    while at < records.len() {
        let (_, length) = Record::decode_first(&records[at..])?;
        let place = Place { offset: start.offset + at as u64, length, ..start };
        into.push((place.into(), records.slice(at..at + length)));
        at += length;
    }
    Ok(())
}
