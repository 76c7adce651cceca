//! Logs that take no record any more: those of a broker that ran on another number of cores. They are read until every core
//! has copied what is its own; then they are removed, the oldest segment first.
//!
//! Architecture Invariant: a segment of an older log never changes. It is read by all cores at once, without a lock, and it
//! is removed when the last of them has no need of it any more.

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

/// A segment of an older log.
pub(super) struct OlderSegment<F> {
    /// Its file, until it is removed.
    file: Mutex<Option<Arc<SegmentFile<F>>>>,
    /// The log that it is of.
    log: u32,
    /// What of it counts.
    pub(super) extent: SegmentExtent,
    bytes: u64,
    /// How many cores still have records here.
    needed_by: AtomicU32,
}

/// All segments of all older logs, in the order in which they were written as far as any one channel is concerned.
pub struct OlderLogs<S: Storage> {
    logs: Vec<S>,
    /// How far each goes, and who says so on disk.
    synced: Vec<Synced<S::File>>,
    segments: Vec<OlderSegment<S::File>>,
    /// Logs of which all was copied before the start.
    copied: Vec<usize>,
    /// Files that were ready for use: the log that they are of, and their names.
    spares: Mutex<Vec<(usize, String)>>,
    /// The next one to remove.
    removed: Mutex<usize>,
    /// The file system failed.
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
    /// Opens older logs, the oldest first, for so many cores. Each is brought to safety as it is: what its last process wrote
    /// and nobody knows to be on disk is written once more and synced.
    pub fn open(sound: Vec<SoundLog<S>>, cores: u32) -> Result<Self, OpenError> {
        let (mut segments, mut spares, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut logs, mut copied) = (Vec::new(), Vec::new());
        for (log, SoundLog { storage, mut survey }) in sound.into_iter().enumerate() {
            logs.push(storage.clone());
            let storage = &storage;
            // No spare is of use here.
            survey.use_spares_of(u64::MAX);
            spares.extend(survey.unusable.drain(..).map(|name| (log, name)));
            let end = recovery::end(survey.known(), &survey.frames);
            warn_of_torn_tail(storage, survey.torn_tail(end.next_frame));
            survey.frames.split_off(&end.next_frame);
            if survey.segments.is_empty() {
                // All that it held is copied.
                copied.extend((survey.sync_point != SyncPointState::Missing).then_some(log));
                marks.push(Synced::nowhere(storage));
                continue;
            }
            let synced = take_over(storage, &survey, end)?;
            let ends = survey.ends();
            let unsynced = survey.frames.split_off(&end.synced);
            tail::write_again(storage, &survey, &unsynced)?;
            let told = synced.update(|mark| {
                mark.next_frame = end.next_frame;
                // Nothing is ever written to it again; but what a power cut has torn stays behind its end.
                mark.closed = end.void_frames == 0;
            });
            told.and_then(|()| synced.sync())
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

    /// What was ready for use makes room, once the logs are open that are written from now on. Not before: a disk that has no
    /// room for those is left as it was.
    pub fn make_room(&self) {
        let spares = std::mem::take(&mut *self.spares.lock().unwrap_or_else(PoisonError::into_inner));
        spares.iter().for_each(|(log, name)| self.remove_unused(*log, name));
    }

    /// Removes what is left of logs that had nothing in them at the start, once that is written down: until then such a log is told
    /// from one that was emptied.
    pub fn remove_copied(&self) {
        self.copied.iter().for_each(|log| self.remove_unused(*log, synced::NAME));
    }

    fn remove_unused(&self, log: usize, name: &str) {
        if let Err(error) = self.logs[log].remove(name) {
            tracing::warn!(%error, file = name, "failed to remove a file of an old log");
        }
    }

    /// Segments that are still there, and their bytes.
    pub fn held(&self) -> (u64, u64) {
        let removed = *self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        let left = &self.segments[removed..];
        (left.len() as u64, left.iter().map(|segment| segment.bytes).sum())
    }

    /// The files that tell how far the logs go of which something is left, for a copy of them.
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

    /// How many segments there were at the start.
    pub(super) fn count(&self) -> u32 {
        self.segments.len() as u32
    }

    pub(super) fn segment(&self, index: u32) -> &OlderSegment<S::File> {
        &self.segments[index as usize]
    }

    /// The log that a segment is of.
    pub(super) fn log(&self, index: u32) -> &S {
        &self.logs[self.segment(index).log as usize]
    }

    /// One core needs a segment no longer: all that was its own is copied, and on disk. Every core tells that of the segments
    /// in their order, so they are removed in their order; by the thread that tells it last.
    pub(super) fn leave(&self, index: u32) {
        if self.segment(index).needed_by.fetch_sub(1, SeqCst) > 1 {
            return;
        }
        // A thread that holds this up removes what comes before.
        let mut next = self.removed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(segment) = self.segments.get(*next)
            && segment.needed_by.load(SeqCst) == 0
            && !self.failed.load(SeqCst)
        {
            let file = segment.file().expect("it is removed once");
            let storage = &self.logs[segment.log as usize];
            if let Err(error) = self.remove(*next, &file.name) {
                // The next start goes on with it: nothing is lost, and nothing that follows may go before it.
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
    /// Removes a segment's file. What tells where the log begins comes first, or a crash in between would make the segment look
    /// lost; and it stays when the last of them goes, so that a log of which all is copied is told from one that was emptied.
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
    /// Its file; none once it is removed.
    pub(super) fn file(&self) -> Option<Arc<SegmentFile<F>>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
