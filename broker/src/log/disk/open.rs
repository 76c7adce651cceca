//! Opening a log: find out what its files hold, bring its tail to safety, and tell the owner every record.

use std::{collections::BTreeMap, io, path::Path};

use super::{
    DiskLog, OpenError, Options, Position, Segment, counts_as_live, frame,
    group::Group,
    recovery::{self, Missing, Survey},
    segment::{self, blank},
    spares::Spares,
    storage::{Folder, Storage},
    tail::{self, Place},
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

        survey.tidy(&storage)?;
        let place = tail::place(&storage, &mut survey, segment_bytes, end)?;
        let mut ends = survey.ends();
        let tail = survey.frames.split_off(&end.synced);
        let fresh = match place {
            Place::Fresh(file) => {
                // What is in the fresh segment from then on is void in those before.
                ends = survey.ends();
                Some(tail::copy(&storage, &survey, &tail, end, file)?)
            }
            Place::Same => {
                tail::write_again(&storage, &survey, &tail)?;
                None
            }
        };
        let newest = survey.segments.keys().next_back().copied().filter(|_| fresh.is_none());
        let mut segments: BTreeMap<u64, Segment<S::File>> = BTreeMap::new();
        for (epoch, (head, file)) in survey.segments {
            let end = ends.get(&epoch).copied();
            match end.or_else(|| (newest == Some(epoch)).then_some(segment::HEAD_BYTES)) {
                Some(end) => {
                    segments.insert(epoch, Segment { file, head, end, live: 0 });
                }
                // Nothing in it counts any more.
                None => {
                    blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
                    survey.spares.push(file);
                }
            }
        }
        segments.extend(fresh.map(|segment| (segment.head.epoch, segment)));
        let active = segments.values().next_back().expect("the tail lies in a segment");
        let group = Group::new(active.head.epoch, active.end);
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
