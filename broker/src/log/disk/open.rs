//! Opening a log: find out what its files hold, bring its tail to safety, and tell the owner every record.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    DiskLog, OpenError, Options, Position, Segment, counts_as_live, frame,
    group::Group,
    recovery::{self, Found, Missing, Survey},
    segment::{self, Head, SegmentFile, blank, make_spare},
    spares::Spares,
    storage::{Folder, Storage, StorageFile},
};
use crate::log::Record;

impl DiskLog<Folder> {
    /// Opens the log in a folder, or begins one, and tells every record in it, in order.
    pub fn open(
        folder: &Path,
        options: Options,
        replay: &mut dyn FnMut(Position, Record<'_>),
    ) -> Result<Self, OpenError> {
        let storage = Folder::open(folder).map_err(|error| OpenError::io(folder, "create", error))?;
        Self::open_in(storage, options, replay)
    }
}

impl<S: Storage> DiskLog<S> {
    /// The same on any storage.
    pub fn open_in(
        storage: S,
        options: Options,
        replay: &mut dyn FnMut(Position, Record<'_>),
    ) -> Result<Self, OpenError> {
        let Options { segment_bytes } = options;
        let mut survey = recovery::survey(&storage, segment_bytes)?;
        let first_frame = survey.segments.values().next().map_or(1, |(head, _)| head.first_frame);
        let end = recovery::end(first_frame, &survey.frames)
            .map_err(|missing| damaged(&storage, &survey, missing))?;
        if end.void_frames > 0 {
            tracing::warn!(
                frames = end.void_frames,
                "the log's unsynced tail was torn by a power cut and is cut; nothing in it was acknowledged"
            );
        }
        survey.frames.split_off(&end.next_frame);

        let fresh = fresh_segment(&storage, &mut survey, segment_bytes)?;
        let tail = survey.frames.split_off(&end.synced);
        let active = copy_tail(&storage, &survey, &tail, end.synced, fresh)?;
        let epoch = active.head.epoch;

        let mut segments: BTreeMap<u64, Segment<S::File>> = BTreeMap::new();
        let mut unused = Vec::new();
        for (epoch, (head, file)) in survey.segments {
            match survey
                .frames
                .values()
                .filter(|found| found.epoch == epoch)
                .map(|found| found.offset + found.bytes)
                .max()
            {
                Some(end) => {
                    segments.insert(epoch, Segment { file, head, end, live: 0 });
                }
                // All that it held is in the fresh segment.
                None => unused.push(file),
            }
        }
        for file in unused {
            let name = file.name.clone();
            blank(&file).map_err(|error| OpenError::io(storage.path(), &name, error))?;
            survey.spares.push(file);
        }
        let group = Group::new(epoch, active.end);
        segments.insert(epoch, active);
        let spares = Spares::start(storage.clone(), segment_bytes, survey.spares, survey.next_file)
            .map_err(|error| OpenError::io(storage.path(), "start a thread", error))?;
        let mut log = Self {
            storage,
            segments,
            spares,
            segment_bytes,
            live_bytes: 0,
            group,
            next_frame: end.next_frame,
            synced: end.next_frame,
            walked: None,
            poisoned: false,
        };
        log.replay(replay)?;
        Ok(log)
    }

    /// Tells the owner every record, segment by segment.
    fn replay(&mut self, replay: &mut dyn FnMut(Position, Record<'_>)) -> Result<(), OpenError> {
        let epochs: Vec<_> = self.segments.keys().copied().collect();
        for epoch in epochs {
            let (mut offset, end) = (segment::HEAD_BYTES, self.segments[&epoch].end);
            let mut live = 0;
            while offset < end {
                let file = || self.storage.path().join(&self.segments[&epoch].file.name);
                let (frame_bytes, bytes) = self
                    .read_frame(epoch, offset)
                    .map_err(|error| OpenError::io(self.storage.path(), "replay", io::Error::other(error)))?;
                let mut at = 0;
                while at < bytes.len() {
                    let (record, length) = Record::decode_first(&bytes[at..])
                        .map_err(|source| OpenError::Record { file: file(), offset, source })?;
                    let start = offset + (frame::HEAD_BYTES + at) as u64;
                    let position =
                        Position { epoch: epoch as u32, offset: start as u32, length: length as u32 };
                    live += if counts_as_live(&record) { length as u64 } else { 0 };
                    replay(position, record);
                    at += length;
                }
                offset += frame_bytes;
            }
            self.live_bytes += live;
            self.segments.entry(epoch).and_modify(|segment| segment.live = live);
        }
        Ok(())
    }
}

/// The segment that the log goes on in: a spare, or a new file.
fn fresh_segment<S: Storage>(
    storage: &S,
    survey: &mut Survey<S::File>,
    segment_bytes: u64,
) -> Result<SegmentFile<S::File>, OpenError> {
    // A tail of larger segments, from a start with another size, must fit.
    let bytes = survey.segments.values().map(|(_, file)| file.bytes).max().unwrap_or(0).max(segment_bytes);
    if bytes == segment_bytes
        && let Some(spare) = survey.spares.pop()
    {
        return Ok(spare);
    }
    let number = survey.next_file;
    survey.next_file += 1;
    make_spare(storage, number, bytes).map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            OpenError::Full { folder: storage.path().to_owned(), segment_bytes: bytes, source }
        }
        _ => OpenError::io(storage.path(), &segment::name(number), source),
    })
}

/// Copies the frames that are not known to be on disk into a fresh segment: the page cache may hold what the disk never
/// got. The segment's head comes last; until it is on disk the originals count, and from then on they are void.
fn copy_tail<S: Storage>(
    storage: &S,
    survey: &Survey<S::File>,
    tail: &BTreeMap<u64, Found>,
    synced: u64,
    fresh: SegmentFile<S::File>,
) -> Result<Segment<S::File>, OpenError> {
    let failed = |error| OpenError::io(storage.path(), &fresh.name, error);
    let epoch = survey.segments.keys().next_back().map_or(1, |epoch| epoch + 1);
    let mut end = segment::HEAD_BYTES;
    for (number, found) in tail {
        let mut bytes = vec![0; found.bytes as usize];
        survey.segments[&found.epoch].1.file.read_at(&mut bytes, found.offset).map_err(failed)?;
        let length = frame::parse(&bytes, found.epoch).map_or(0, |(head, _)| head.length as usize);
        bytes.truncate(frame::HEAD_BYTES + length);
        frame::seal(&mut bytes, epoch, *number, synced);
        fresh.file.write_at(&bytes, end).map_err(failed)?;
        end += bytes.len() as u64;
    }
    if !tail.is_empty() {
        fresh.file.sync_data().map_err(failed)?;
    }
    let head = Head { epoch, first_frame: synced };
    head.write(&fresh.file).map_err(failed)?;
    Ok(Segment { file: fresh, head, end, live: 0 })
}

fn damaged<S: Storage>(storage: &S, survey: &Survey<S::File>, missing: Missing) -> OpenError {
    let Missing { number, after } = missing;
    // The frame began a segment, or followed another in the same.
    let begins = survey.segments.values().find(|(head, _)| head.first_frame == number);
    let (name, offset) = match (begins, after) {
        (Some((_, file)), _) => (file.name.clone(), segment::HEAD_BYTES),
        (None, Some(found)) => (survey.segments[&found.epoch].1.name.clone(), found.offset + found.bytes),
        (None, None) => ("the oldest segment".to_owned(), 0),
    };
    OpenError::Damaged { file: storage.path().join(name), offset, frame: number }
}
