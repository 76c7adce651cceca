//! Older logs, from starts with another number of worker threads. They are read until every worker has copied its
//! records; then they are removed, the oldest segment first.
//!
//! Architecture Invariant: a segment of an older log never changes. All workers read it at the same time without a
//! lock. It is removed when the last of them no longer needs it.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use super::{
    OpenError, SoundLog,
    heads::SegmentExtent,
    index,
    open::{take_over, warn_of_torn_tail},
    recovery,
    segment::{self, SegmentFile},
    snapshot::name_in,
    storage::Storage,
    synced::{self, SyncPoint, SyncPointState, Synced},
    tail,
};
use crate::log::LogError;

pub(super) struct OlderSegment<F> {
    /// The file, until it is removed.
    file: Mutex<Option<Arc<SegmentFile<F>>>>,
    /// The index of its log.
    log: u32,
    /// Its valid part.
    pub(super) extent: SegmentExtent,
    bytes: u64,
    /// How many workers still have records here.
    needed_by: AtomicU32,
}

/// All segments of all older logs. For each single channel they are in the order of writing.
pub struct OlderLogs<S: Storage> {
    logs: Vec<S>,
    /// The files `synced` of these logs.
    synced: Vec<Synced<S::File>>,
    segments: Vec<OlderSegment<S::File>>,
    /// Logs whose records were all copied before this start.
    copied: Vec<usize>,
    /// Spare segment files: the index of their log, and their names.
    spares: Mutex<Vec<(usize, String)>>,
    /// The index of the next segment to remove.
    removed: Mutex<usize>,
    /// Whether the file system has failed.
    failed: AtomicBool,
}

impl<S: Storage> Default for OlderLogs<S> {
    fn default() -> Self {
        Self {
            logs: Vec::new(),
            synced: Vec::new(),
            segments: Vec::new(),
            copied: Vec::new(),
            spares: Mutex::default(),
            removed: Mutex::default(),
            failed: AtomicBool::new(false),
        }
    }
}

impl<S: Storage> OlderLogs<S> {
    /// Opens older logs, the oldest first, for this number of workers. The tail of each log is secured in place: frames
    /// that are not known to be on disk are written again and synced.
    pub fn open(sound: Vec<SoundLog<S>>, cores: u32) -> Result<Self, OpenError> {
        let (mut segments, mut spares, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut logs, mut copied) = (Vec::new(), Vec::new());
        for (log, SoundLog { storage, mut survey }) in sound.into_iter().enumerate() {
            logs.push(storage.clone());
            let storage = &storage;
            // These logs need no spares.
            survey.use_spares_of(u64::MAX);
            spares.extend(survey.unusable.drain(..).map(|name| (log, name)));
            let end = recovery::end(survey.known_end(), &survey.frames);
            warn_of_torn_tail(storage, survey.torn_tail(end.next_frame));
            survey.frames.split_off(&end.next_frame);
            if survey.segments.is_empty() {
                // All of its records have been copied.
                copied.extend((survey.sync_point != SyncPointState::Missing).then_some(log));
                marks.push(Synced::without_file(storage));
                continue;
            }
            let synced = take_over(storage, &survey, end)?;
            let ends = survey.ends();
            let unsynced = survey.frames.split_off(&end.synced);
            tail::rewrite(storage, &survey, &unsynced)?;
            let updated = synced.update(|mark| {
                mark.next_frame = end.next_frame;
                // Nothing is ever appended to it again, but a torn tail stays behind its end.
                mark.closed = end.void_frames == 0;
            });
            updated
                .and_then(|()| synced.sync())
                .map_err(|error| OpenError::of_synced_file(storage.path(), error))?;
            marks.push(synced);
            let mut next_frame = end.next_frame;
            let begins = segments.len();
            for (epoch, (head, file)) in survey.segments.into_iter().rev() {
                let extent = match ends.get(&epoch) {
                    Some(end) => SegmentExtent { head, next_frame, end: *end },
                    None => SegmentExtent { head, next_frame: head.first_frame, end: segment::HEAD_BYTES },
                };
                if !extent.frames().is_empty() {
                    next_frame = head.first_frame;
                }
                segments.push(OlderSegment {
                    log: log as u32,
                    extent,
                    bytes: file.bytes,
                    needed_by: AtomicU32::new(cores),
                    file: Mutex::new(Some(Arc::new(file))),
                });
            }
            segments[begins..].reverse();
        }
        Ok(Self { logs, synced: marks, segments, copied, spares: Mutex::new(spares), ..Self::default() })
    }

    /// Removes spare segments to make room, once the logs for writing are open. Not earlier: if the disk has no room
    /// for those, everything must stay unchanged.
    pub fn make_room(&self) {
        let spares = std::mem::take(&mut *self.spares.lock().unwrap_or_else(PoisonError::into_inner));
        spares.iter().for_each(|(log, name)| self.remove_unused(*log, name));
    }

    /// Removes the rest of logs that were empty at the start, once their absence is recorded in `restante.json`. Before
    /// that, the file `synced` distinguishes such a log from an emptied one.
    pub fn remove_copied(&self) {
        self.copied.iter().for_each(|log| self.remove_unused(*log, synced::NAME));
    }

    fn remove_unused(&self, log: usize, name: &str) {
        if let Err(error) = self.logs[log].remove(name) {
            tracing::warn!(%error, file = name, "failed to remove a file of an old log");
        }
    }

    /// The number of segments that still exist, and their bytes.
    pub fn held(&self) -> (u64, u64) {
        let removed = *self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let left = &self.segments[removed..];
        (left.len() as u64, left.iter().map(|segment| segment.bytes).sum())
    }

    /// The contents of the files `synced` of logs that still have segments, for a copy of these logs.
    pub(super) fn synced_files(&self) -> Vec<(String, Vec<u8>)> {
        let removed = *self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut marks: Vec<(String, Vec<u8>)> = Vec::new();
        let mut last = None;
        for segment in
            self.segments[removed..].iter().filter(|segment| last.replace(segment.log) != Some(segment.log))
        {
            let log = segment.log as usize;
            let mark =
                SyncPoint { first_frame: segment.extent.head.first_frame, ..self.synced[log].sync_point() };
            marks.push((name_in(self.logs[log].path(), synced::NAME), synced::bytes_of(&mark)));
        }
        marks
    }

    /// The number of segments at the start.
    pub(super) fn count(&self) -> u32 {
        self.segments.len() as u32
    }

    pub(super) fn segment(&self, index: u32) -> &OlderSegment<S::File> {
        &self.segments[index as usize]
    }

    /// The storage of a segment's log.
    pub(super) fn log(&self, index: u32) -> &S {
        &self.logs[self.segment(index).log as usize]
    }

    /// One worker no longer needs a segment: its records are copied and on disk. All workers leave the segments in the
    /// same order, so they are removed in this order. The last worker to leave removes the segment on its thread.
    pub(super) fn leave(&self, index: u32) {
        if self.segment(index).needed_by.fetch_sub(1, SeqCst) > 1 {
            return;
        }
        // A thread that holds this lock is removing earlier segments.
        let mut next = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(segment) = self.segments.get(*next)
            && segment.needed_by.load(SeqCst) == 0
            && !self.failed.load(SeqCst)
        {
            let file = segment.file().expect("a segment is removed once");
            let storage = &self.logs[segment.log as usize];
            if let Err(error) = self.remove(*next, &file.name) {
                // Nothing is lost, and the next start continues here. Later segments must not be removed before this
                // one.
                tracing::error!(%error, file = file.name, folder = %storage.path().display(), "failed to remove an old segment of the log");
                self.failed.store(true, SeqCst);
                return;
            }
            *segment.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *next += 1;
        }
    }
}

impl<S: Storage> OlderLogs<S> {
    /// Removes a segment's file. The file `synced` is updated first: otherwise a crash in between would make the
    /// segment look lost. `synced` stays when the last segment is removed, so that a completely copied log differs from
    /// an emptied one.
    fn remove(&self, index: usize, file: &str) -> Result<(), LogError> {
        let segment = &self.segments[index];
        let (log, storage) = (segment.log as usize, &self.logs[segment.log as usize]);
        self.synced[log].update(|mark| mark.first_frame = segment.extent.next_frame)?;
        self.synced[log].sync()?;
        let removed = index::remove(storage, file).and_then(|()| storage.remove(file));
        let removed = removed.and_then(|()| storage.sync_folder());
        removed.map_err(|source| LogError::Io { action: "remove", file: storage.path().join(file), source })
    }
}

impl<F> OlderSegment<F> {
    /// The file; nothing once it is removed.
    pub(super) fn file(&self) -> Option<Arc<SegmentFile<F>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
