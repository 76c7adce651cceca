//! Opening a log: find out what its files hold, and bring its tail to safety.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    DiskLog, Older, OpenError, Options, Segment,
    commit::Progress,
    cut::Pins,
    group::Group,
    helper::Helper,
    indexing::Indexer,
    pace::Pace,
    readers::Readers,
    recovery::{self, Missing, Survey},
    replay::Replay,
    reserve,
    segment::{self, SegmentFile, blank},
    spares::Spares,
    storage::{Folder, Storage},
    tail::{self, Place},
    work::{Settle, Write},
};
use crate::log::GroupNumber;

/// Segments without which no log begins: the one that it goes on in, the next, and those that pushes leave.
const SEGMENTS_MIN: usize = reserve::SPARES + 2;

impl DiskLog<Folder> {
    /// Opens the log in a folder, or begins one.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let storage = Folder::open(folder).map_err(|error| OpenError::io(folder, "create", error))?;
        Self::open_in(storage, options)
    }
}

impl<S: Storage> DiskLog<S> {
    /// The same on any storage.
    pub fn open_in(storage: S, options: Options) -> Result<Self, OpenError> {
        Self::open_after(Arc::default(), storage, options)
    }

    /// Opens a log that comes after others.
    pub fn open_after(older: Arc<Older<S>>, storage: S, options: Options) -> Result<Self, OpenError> {
        let mut survey = recovery::survey(&storage)?;
        let segment_bytes = tail::segment_bytes(&storage, &survey, options.segment_bytes);
        survey.use_spares_of(segment_bytes);
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
        if survey.segments.is_empty() {
            begin(&storage, &mut survey, segment_bytes, older.count() > 0)?;
        }
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
            Place::Again => return Self::open_after(older, storage, options),
        };
        let newest = survey.segments.keys().next_back().copied().filter(|_| fresh.is_none());
        let mut segments: BTreeMap<u64, Segment<S::File>> = BTreeMap::new();
        for (epoch, (head, file)) in survey.segments {
            let end = ends.get(&epoch).copied();
            match end.or_else(|| (newest == Some(epoch)).then_some(segment::HEAD_BYTES)) {
                Some(end) => {
                    segments.insert(epoch, Segment::new(Arc::new(file), head, end));
                }
                // Nothing in it counts any more.
                None => {
                    blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
                    survey.spares.push(file);
                }
            }
        }
        // One that was made shorter is of no use.
        for shorter in survey.spares.extract_if(.., |spare| spare.bytes < segment_bytes) {
            let removed = storage.remove(&shorter.name);
            removed.map_err(|error| OpenError::io(storage.path(), &shorter.name, error))?;
        }
        segments.extend(fresh.map(|segment| (segment.head.epoch, segment)));
        replenish(&storage, &mut survey.spares, &mut survey.next_file, segment_bytes)?;
        let active = segments.values().next_back().expect("the tail lies in a segment");
        let group = Group::new(active.head.epoch, active.end);
        let progress = Progress::at(end.next_frame, active.file.clone());
        let no_thread = |error| OpenError::io(storage.path(), "start a thread", error);
        let spares = Spares::start(storage.clone(), segment_bytes, survey.spares, survey.next_file)
            .map_err(no_thread)?;
        let folder = storage.path().to_owned();
        let writer = Helper::start("log-writes", move |write: Write<S::File>| write.perform(&folder))
            .map_err(no_thread)?;
        let disk = storage.clone();
        let settler = Helper::start("log-syncs", move |settle: Settle<S::File>| settle.perform(&disk))
            .map_err(no_thread)?;
        let readers = Readers::start().map_err(no_thread)?;
        let indexer = Indexer::start(storage.clone()).map_err(no_thread)?;
        // The tail's copy is read again: it is short, and where it lies is new.
        let written = segments.iter().filter(|(_, segment)| segment.end > segment::HEAD_BYTES);
        let replay = Replay::of(older.count(), written.map(|(epoch, _)| *epoch), survey.heads);
        Ok(Self {
            storage,
            segments,
            spares,
            segment_bytes,
            live_bytes: 0,
            promised: 0,
            keys_copied: 0,
            walks_older: false,
            group,
            next_frame: end.next_frame,
            newest_group: GroupNumber::default(),
            progress,
            pace: Pace::new(),
            writer,
            settler,
            readers,
            indexer,
            replay,
            scanning: None,
            freeing: None,
            freed: None,
            walked: None,
            pins: Pins::default(),
            older_live: vec![0; older.count() as usize],
            older,
            older_next: 0,
            poisoned: false,
        })
    }
}

/// A log has its reserve before it takes anything: others may fill the disk, and then only what is settled empties it. If there
/// is no room for it, nothing has changed.
fn begin<S: Storage>(
    storage: &S,
    survey: &mut Survey<S::File>,
    segment_bytes: u64,
    beside: bool,
) -> Result<(), OpenError> {
    let there = survey.spares.len();
    let made = make_spares(storage, &mut survey.spares, &mut survey.next_file, segment_bytes, SEGMENTS_MIN);
    let Err((number, source)) = made else {
        // The first is taken first.
        survey.spares.reverse();
        return Ok(());
    };
    for spare in survey.spares.drain(there..) {
        storage.remove(&spare.name).map_err(|error| OpenError::io(storage.path(), &spare.name, error))?;
    }
    let folder = storage.path().to_owned();
    Err(match beside {
        _ if !tail::is_full(&source) => OpenError::io(storage.path(), &segment::name(number), source),
        true => OpenError::NoRoomBeside { folder, segment_bytes, source },
        false => OpenError::Full { folder, segment_bytes, source },
    })
}

/// Makes what is missing of the reserve, if the disk has room for it.
fn replenish<S: Storage>(
    storage: &S,
    spares: &mut Vec<SegmentFile<S::File>>,
    next_file: &mut u64,
    segment_bytes: u64,
) -> Result<(), OpenError> {
    match make_spares(storage, spares, next_file, segment_bytes, reserve::SPARES + 1) {
        Ok(()) => Ok(()),
        Err((_, source)) if tail::is_full(&source) => {
            if spares.len() < reserve::SPARES {
                tracing::warn!(
                    folder = %storage.path().display(),
                    segments = spares.len(),
                    "the volume is full, and the log has less room than it keeps for settles: pushes are refused, and settles \
                     are served as far as there is room; enlarge the volume, or make room on it"
                );
            }
            Ok(())
        }
        Err((number, source)) => Err(OpenError::io(storage.path(), &segment::name(number), source)),
    }
}

/// Makes spares until there are so many. At once: their blocks are reserved, and not written.
fn make_spares<S: Storage>(
    storage: &S,
    spares: &mut Vec<SegmentFile<S::File>>,
    next_file: &mut u64,
    segment_bytes: u64,
    count: usize,
) -> Result<(), (u64, io::Error)> {
    while spares.len() < count {
        let number = *next_file;
        *next_file += 1;
        let made = segment::make_spare(storage, number, segment_bytes, &AtomicBool::new(true));
        spares.push(made.map_err(|source| (number, source))?);
    }
    Ok(())
}

pub(super) fn damaged<S: Storage>(storage: &S, survey: &Survey<S::File>, missing: Missing) -> OpenError {
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
