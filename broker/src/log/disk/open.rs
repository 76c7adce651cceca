//! Opening a log: find out what its files hold, and bring its tail to safety.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    DiskLog, OlderLogs, OpenError, Options, Segment,
    batch::OpenBatch,
    commit::Progress,
    damage::{self, TornTail},
    helper::Helper,
    indexing::Indexer,
    jobs::{SyncJob, WriteJob},
    pace::Pace,
    readers::Readers,
    recovery::{self, End, Survey},
    replay::Replay,
    reserve,
    segment::{self, SegmentFile, blank},
    snapshot::Pins,
    spares::Spares,
    storage::{Folder, Storage, StorageFile},
    synced::{self, SyncPoint, SyncPointState, Synced},
    tail::{self, TailPlace},
    window::Window,
};
use crate::{data_folder::durable, log::BatchNumber};

/// Segments without which no log begins: the one that it goes on in, the next, and those that pushes leave.
const SEGMENTS_MIN: usize = reserve::SPARES + 2;

impl DiskLog<Folder> {
    /// Opens the log in a folder, or begins one.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let storage = Folder::open(folder).map_err(|error| OpenError::of_folder("create", folder, error))?;
        Self::open_in(storage, options)
    }
}

/// A log whose files were looked at and are not damaged. Nothing was written yet: of several logs, all are looked at before
/// the first is opened.
pub struct SoundLog<S: Storage> {
    pub(super) storage: S,
    pub(super) survey: Survey<S::File>,
}

impl<S: Storage> SoundLog<S> {
    /// Looks at a log's files, and refuses those that are damaged.
    pub fn inspect(storage: S) -> Result<Self, OpenError> {
        let survey = recovery::survey(&storage)?;
        Ok(Self { storage, survey })
    }

    /// Which log it is; none when nothing is there.
    pub fn id(&self) -> Option<u64> {
        self.survey.log()
    }

    /// Whether anything was ever stored in it that is not given back.
    pub fn holds_frames(&self) -> bool {
        !self.survey.frames.is_empty()
    }

    /// Whether it holds nothing: it is new, or all that it held is copied.
    pub fn is_empty(&self) -> bool {
        self.survey.segments.is_empty()
    }
}

impl<S: Storage> DiskLog<S> {
    /// The same on any storage.
    pub fn open_in(storage: S, options: Options) -> Result<Self, OpenError> {
        Self::open_after(Arc::default(), storage, options)
    }

    /// Opens a log that comes after others.
    pub fn open_after(older: Arc<OlderLogs<S>>, storage: S, options: Options) -> Result<Self, OpenError> {
        Self::open_sound(older, SoundLog::inspect(storage)?, options)
    }

    /// The same once it was looked at.
    pub fn open_sound(
        older: Arc<OlderLogs<S>>,
        sound: SoundLog<S>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let SoundLog { storage, mut survey } = sound;
        let segment_bytes = tail::segment_bytes(&storage, &survey, options.segment_bytes);
        survey.use_spares_of(segment_bytes);
        let end = recovery::end(survey.known(), &survey.frames);
        warn_of_torn_tail(&storage, survey.torn_tail(end.next_frame));
        survey.frames.split_off(&end.next_frame);

        let synced = take_over(&storage, &survey, end)?;
        survey.tidy(&storage)?;
        let is_new = survey.segments.is_empty();
        let begun =
            if is_new { begin(&storage, &mut survey, segment_bytes, older.count() > 0) } else { Ok(()) };
        let place = begun.and_then(|()| tail::choose_place(&storage, &mut survey, segment_bytes, end));
        let place = place.inspect_err(|_| {
            if is_new && survey.sync_point == SyncPointState::Missing {
                // A log that could not begin takes no room.
                let _ = storage.remove(synced::NAME).and_then(|()| storage.sync_folder());
            }
        })?;
        let mut ends = survey.ends();
        let tail = survey.frames.split_off(&end.synced);
        let fresh = match place {
            TailPlace::Fresh(file) => {
                // What is in the fresh segment from then on is void in those before.
                ends = survey.ends();
                Some(tail::copy(&storage, &survey, &tail, end, file, synced.sync_point().log)?)
            }
            TailPlace::Same => {
                tail::write_again(&storage, &survey, &tail)?;
                None
            }
            TailPlace::Again => return Self::open_after(older, storage, options),
        };
        let newest = survey.segments.keys().next_back().copied().filter(|_| fresh.is_none());
        let mut segments: BTreeMap<u64, Segment<S::File>> = BTreeMap::new();
        let mut dead = Vec::new();
        for (epoch, (head, file)) in survey.segments {
            let end = ends.get(&epoch).copied();
            match end.or_else(|| (newest == Some(epoch)).then_some(segment::HEAD_BYTES)) {
                Some(end) => {
                    segments.insert(epoch, Segment::new(Arc::new(file), head, end));
                }
                // Nothing in it counts any more.
                None => dead.push(file),
            }
        }
        segments.extend(fresh.map(|segment| (segment.head.epoch, segment)));
        let first_frame = segments.values().next().map_or(end.next_frame, |first| first.head.first_frame);
        let active = segments.values().next_back().expect("the tail lies in a segment");
        // All of the tail is on disk by now.
        let told = synced.update(|mark| {
            let (epoch, end_of_it) = (active.head.epoch, active.end);
            *mark = SyncPoint { first_frame, next_frame: end.next_frame, epoch, end: end_of_it, ..*mark };
        });
        told.and_then(|()| synced.sync())
            .map_err(|error| OpenError::of_synced_file(storage.path(), error))?;
        for file in dead {
            blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
            survey.spares.push(file);
        }
        // One that was made shorter is of no use.
        for shorter in survey.spares.extract_if(.., |spare| spare.bytes < segment_bytes) {
            let removed = storage.remove(&shorter.name);
            removed.map_err(|error| OpenError::io(storage.path(), &shorter.name, error))?;
        }
        replenish(&storage, &mut survey.spares, &mut survey.next_file, segment_bytes)?;
        let batch = OpenBatch::new(active.head.epoch, active.end);
        let progress = Progress::at(end.next_frame, active);
        let no_thread = |source| OpenError::Thread { folder: storage.path().to_owned(), source };
        let spares = Spares::start(storage.clone(), segment_bytes, survey.spares, survey.next_file)
            .map_err(no_thread)?;
        let synced = Arc::new(synced);
        let (disk, told) = (storage.clone(), synced.clone());
        let writer = Helper::start("log-writes", move |job: WriteJob<S::File>| job.perform(&disk, &told))
            .map_err(no_thread)?;
        let (disk, told) = (storage.clone(), synced.clone());
        let syncer = Helper::start("log-syncs", move |job: SyncJob<S::File>| job.perform(&disk, &told))
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
            batch,
            log_id: synced.sync_point().log,
            next_frame: end.next_frame,
            newest_batch: BatchNumber::default(),
            progress,
            pace: Pace::new(),
            writer,
            syncer,
            readers,
            indexer,
            synced,
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
            failure: None,
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
        _ if !durable::is_full(&source) => OpenError::io(storage.path(), &segment::name(number), source),
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
        Err((_, source)) if durable::is_full(&source) => {
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

/// Tells of what a power cut has torn.
pub(super) fn warn_of_torn_tail(storage: &impl Storage, cut: Option<TornTail>) {
    if let Some(TornTail { file, offset, bytes, void_frames }) = cut {
        tracing::warn!(
            file = %storage.path().join(file).display(),
            offset,
            bytes,
            frames = void_frames,
            "the log's unsynced tail was torn by a power cut and is cut; nothing that was on disk is in it"
        );
    }
}

/// Takes the log over from whoever had it before, once it is known to be sound. Nothing else was written by then.
pub(super) fn take_over<S: Storage>(
    storage: &S,
    survey: &Survey<S::File>,
    end: End,
) -> Result<Synced<S::File>, OpenError> {
    let random = || {
        storage
            .random()
            .map_err(|error| OpenError::of_folder("draw a random number for", storage.path(), error))
    };
    let log = survey.log().map_or_else(random, Ok)?;
    let first_frame = damage::known(survey).start;
    let last = survey.frames.range(..end.synced).next_back().map(|(_, found)| *found);
    let (epoch, end_of_it) = last.map_or((0, 0), |found| (found.epoch, found.offset + found.bytes));
    let next_frame = end.synced;
    let mark =
        SyncPoint { log, owner: random()?, first_frame, next_frame, epoch, end: end_of_it, closed: false };
    let synced = Synced::take(storage, survey.sync_point, mark)
        .map_err(|error| OpenError::of_synced_file(storage.path(), error))?;
    if is_written_on(survey, end).map_err(|(name, error)| OpenError::io(storage.path(), &name, error))? {
        return Err(OpenError::InUse { folder: storage.path().to_owned() });
    }
    Ok(synced)
}

/// Whether somebody has written on behind the log's end since it was looked at: whoever does so after this is told that it
/// was taken over.
fn is_written_on<F: StorageFile>(survey: &Survey<F>, end: End) -> Result<bool, (String, io::Error)> {
    let Some((epoch, (head, file))) = survey.segments.last_key_value() else { return Ok(false) };
    let last = survey.frames.range(..end.next_frame).next_back().filter(|(_, found)| found.epoch == *epoch);
    let at = last.map_or(segment::HEAD_BYTES, |(_, found)| found.offset + found.bytes);
    if at >= file.bytes {
        return Ok(false);
    }
    let mut window = Window::new(file);
    let next = window.frame(at, head.mark).map_err(|error| (file.name.clone(), error))?;
    // A copy of the tail that a start did not come to the end of is nobody's.
    let is_copy = |number| number < head.first_frame;
    Ok(next.is_some_and(|(next, _)| next.number == end.next_frame && !is_copy(next.number)))
}
