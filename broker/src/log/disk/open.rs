//! Opening a log: finding the content of its files, and securing its tail.

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
use crate::{files::durable, log::BatchNumber};

/// Segments that a new log needs: the active one, the next one, and the spares that pushes leave.
const SEGMENTS_MIN: usize = reserve::SPARES + 2;

impl DiskLog<Folder> {
    /// Opens the log in a folder, or creates one.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let storage = Folder::open(folder).map_err(|error| OpenError::of_folder("create", folder, error))?;
        Self::open_in(storage, options)
    }
}

/// A log whose files were inspected and are not damaged. Nothing was written yet: if there are several logs, all are
/// inspected before the first one is opened.
pub struct SoundLog<S: Storage> {
    pub(super) storage: S,
    pub(super) survey: Survey<S::File>,
}

impl<S: Storage> SoundLog<S> {
    /// Inspects a log's files, and refuses damaged ones.
    pub fn inspect(storage: S) -> Result<Self, OpenError> {
        let survey = recovery::survey(&storage)?;
        Ok(Self { storage, survey })
    }

    /// The log's id; nothing if there are no files.
    pub fn id(&self) -> Option<u64> {
        self.survey.log()
    }

    /// Whether the log has any frame that was not freed.
    pub fn holds_frames(&self) -> bool {
        !self.survey.frames.is_empty()
    }

    /// Whether the log has no segments: it is new, or all of its records were copied.
    pub fn is_empty(&self) -> bool {
        self.survey.segments.is_empty()
    }
}

impl<S: Storage> DiskLog<S> {
    /// Opens the log on any storage.
    pub fn open_in(storage: S, options: Options) -> Result<Self, OpenError> {
        Self::open_after(Arc::default(), storage, options)
    }

    /// Opens a log that follows older ones.
    pub fn open_after(older: Arc<OlderLogs<S>>, storage: S, options: Options) -> Result<Self, OpenError> {
        Self::open_sound(older, SoundLog::inspect(storage)?, options)
    }

    /// Opens an inspected log.
    pub fn open_sound(
        older: Arc<OlderLogs<S>>,
        sound: SoundLog<S>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let SoundLog { storage, mut survey } = sound;
        let segment_bytes = tail::segment_bytes(&storage, &survey, options.segment_bytes);
        survey.use_spares_of(segment_bytes);
        let end = recovery::end(survey.known_end(), &survey.frames);
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
                // A log that cannot start takes up no space.
                let _ = storage.remove(synced::NAME).and_then(|()| storage.sync_folder());
            }
        })?;
        let mut ends = survey.ends();
        let tail = survey.frames.split_off(&end.synced);
        let fresh = match place {
            TailPlace::Fresh(file) => {
                // The frames in the new segment make their originals in earlier segments void.
                ends = survey.ends();
                Some(tail::copy(&storage, &survey, &tail, end, file, synced.sync_point().log)?)
            }
            TailPlace::Same => {
                tail::rewrite(&storage, &survey, &tail)?;
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
                // The segment has no valid frame any more.
                None => dead.push(file),
            }
        }
        segments.extend(fresh.map(|segment| (segment.head.epoch, segment)));
        let first_frame = segments.values().next().map_or(end.next_frame, |first| first.head.first_frame);
        let active = segments.values().next_back().expect("the tail is in a segment");
        // The whole tail is on disk now.
        let updated = synced.update(|mark| {
            let (epoch, end_of_it) = (active.head.epoch, active.end);
            *mark = SyncPoint { first_frame, next_frame: end.next_frame, epoch, end: end_of_it, ..*mark };
        });
        updated
            .and_then(|()| synced.sync())
            .map_err(|error| OpenError::of_synced_file(storage.path(), error))?;
        for file in dead {
            blank(&file).map_err(|error| OpenError::io(storage.path(), &file.name, error))?;
            survey.spares.push(file);
        }
        // Shorter spares are of no use.
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
        let (disk, sync_file) = (storage.clone(), synced.clone());
        let writer =
            Helper::start("log-writes", move |job: WriteJob<S::File>| job.perform(&disk, &sync_file))
                .map_err(no_thread)?;
        let (disk, sync_file) = (storage.clone(), synced.clone());
        let syncer = Helper::start("log-syncs", move |job: SyncJob<S::File>| job.perform(&disk, &sync_file))
            .map_err(no_thread)?;
        let readers = Readers::start().map_err(no_thread)?;
        let indexer = Indexer::start(storage.clone()).map_err(no_thread)?;
        // The tail's copy is read again: it is short, and its positions are new.
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

/// Creates the reserve of a new log before the log accepts anything: others may fill the disk, and then only settles
/// can empty it. If the disk has no room for the reserve, nothing is changed.
fn begin<S: Storage>(
    storage: &S,
    survey: &mut Survey<S::File>,
    segment_bytes: u64,
    beside: bool,
) -> Result<(), OpenError> {
    let there = survey.spares.len();
    let made = make_spares(storage, &mut survey.spares, &mut survey.next_file, segment_bytes, SEGMENTS_MIN);
    let Err((number, source)) = made else {
        // The segment that was made first is used first.
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

/// Replaces missing segments of the reserve, if the disk has room.
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
                    "the volume is full, and the log has less room than its reserve for settles: pushes are refused, and settles \
                     succeed while there is room; enlarge the volume or free space"
                );
            }
            Ok(())
        }
        Err((number, source)) => Err(OpenError::io(storage.path(), &segment::name(number), source)),
    }
}

/// Makes spares up to this number. This is fast: their blocks are reserved and not written.
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

/// Warns about a torn tail.
pub(super) fn warn_of_torn_tail(storage: &impl Storage, cut: Option<TornTail>) {
    if let Some(TornTail { file, offset, bytes, void_frames }) = cut {
        tracing::warn!(
            file = %storage.path().join(file).display(),
            offset,
            bytes,
            frames = void_frames,
            "a power cut tore the unsynced tail of the log, which is cut off; it contains no frame that was known to be on disk"
        );
    }
}

/// Takes over the log from its previous owner, once it is known to be intact. This is the first write of a start.
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
    let first_frame = damage::known_frames(survey).start;
    let last = survey.frames.range(..end.synced).next_back().map(|(_, found)| *found);
    let (epoch, end_of_it) = last.map_or((0, 0), |found| (found.epoch, found.offset + found.bytes));
    let next_frame = end.synced;
    let mark =
        SyncPoint { log, owner: random()?, first_frame, next_frame, epoch, end: end_of_it, closed: false };
    let synced = Synced::take(storage, survey.sync_point, mark)
        .map_err(|error| OpenError::of_synced_file(storage.path(), error))?;
    if has_later_writes(survey, end).map_err(|(name, error)| OpenError::io(storage.path(), &name, error))? {
        return Err(OpenError::InUse { folder: storage.path().to_owned() });
    }
    Ok(synced)
}

/// Whether another process has written after the log's end since the inspection. A process that does so later notices
/// that it was replaced.
fn has_later_writes<F: StorageFile>(survey: &Survey<F>, end: End) -> Result<bool, (String, io::Error)> {
    let Some((epoch, (head, file))) = survey.segments.last_key_value() else { return Ok(false) };
    let last = survey.frames.range(..end.next_frame).next_back().filter(|(_, found)| found.epoch == *epoch);
    let at = last.map_or(segment::HEAD_BYTES, |(_, found)| found.offset + found.bytes);
    if at >= file.bytes {
        return Ok(false);
    }
    let mut window = Window::new(file);
    let next = window.frame(at, head.mark).map_err(|error| (file.name.clone(), error))?;
    // An unfinished copy of the tail from an interrupted start does not count.
    let is_copy = |number| number < head.first_frame;
    Ok(next.is_some_and(|(next, _)| next.number == end.next_frame && !is_copy(next.number)))
}
