//! Committing groups: what is to be written where, what is written, and what is on disk.
//!
//! One group is written at a time, and one sync is under way at a time; but the next group is written while the last one is
//! synced, so that whoever needs no sync waits for none. On a slow disk both are done by helpers. A sync covers all that was
//! written when it began.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    DiskLog, Segment,
    batch::OpenFrame,
    frame,
    jobs::{SyncJob, SyncReport, WriteJob, WriteReport, WriteStep},
    pace::Mode,
    segment::SegmentFile,
    storage::Storage,
    synced::OnDisk,
};
use crate::log::{BatchNumber, Log, LogError, Sync};

/// The group that is being written.
pub(super) struct Writing<F> {
    number: BatchNumber,
    /// Readable from here until they can be read from the disk.
    frames: Vec<Arc<OpenFrame>>,
    /// The segments in which it begins and ends.
    first_epoch: u64,
    last: Arc<SegmentFile<F>>,
    /// Frames before this are on disk when it is written, because it went on in a new segment.
    synced: u64,
    /// The number after its last frame.
    next_frame: u64,
    /// Whether it is to be synced as well.
    durable: bool,
}

/// How far the log is written and synced.
pub(super) struct Progress<F> {
    pub(super) writing: Option<Writing<F>>,
    /// What was written last: all that may be unsynced is in it.
    last: Arc<SegmentFile<F>>,
    /// The epoch of its segment, and where in it what was written ends.
    pub(super) at: (u64, u64),
    /// Frames before this are written.
    pub(super) written: u64,
    /// Frames before this are on disk.
    pub(super) synced: u64,
    /// Frames before this are on disk, or a commit that was begun will bring them there.
    promised: u64,
    /// Groups that are written and are to be synced.
    unsynced: VecDeque<BatchNumber>,
    /// The sync under way: which of them it covers, and frames before which number.
    pub(super) syncing: Option<(BatchNumber, u64)>,
    /// The newest group that is on disk.
    pub(super) durable_batch: BatchNumber,
    /// How groups went, until the owner asks.
    news: VecDeque<(BatchNumber, Result<Sync, LogError>)>,
}

impl<F> Progress<F> {
    /// Everything before this frame is on disk.
    pub(super) fn at(next_frame: u64, active: &Segment<F>) -> Self {
        Self {
            writing: None,
            last: active.file.clone(),
            at: (active.head.epoch, active.end),
            written: next_frame,
            synced: next_frame,
            promised: next_frame,
            unsynced: VecDeque::new(),
            syncing: None,
            durable_batch: BatchNumber::default(),
            news: VecDeque::new(),
        }
    }

    /// Whether frames before this number will all be on disk without another commit.
    pub(super) fn covers(&self, frame: u64) -> bool {
        self.promised.max(self.synced) >= frame
    }

    /// A record's bytes in the group that is being written.
    pub(super) fn read(&self, epoch: u64, offset: u64, length: usize) -> Option<&[u8]> {
        self.writing.as_ref()?.frames.iter().find_map(|frame| frame.read(epoch, offset, length))
    }

    /// Whether nothing is being written or synced.
    pub(super) fn is_over(&self) -> bool {
        self.writing.is_none() && self.syncing.is_none() && self.synced >= self.written
    }

    /// Where the group begins that is being written.
    pub(super) fn first_epoch(&self) -> Option<u64> {
        self.writing.as_ref().map(|writing| writing.first_epoch)
    }
}

impl<S: Storage> DiskLog<S> {
    /// Begins to commit the open group.
    pub(super) fn begin_commit(&mut self, sync: Sync) -> BatchNumber {
        assert!(self.takes_batch(), "one group at a time is written, when its segments are there");
        self.newest_batch = self.newest_batch.next();
        let number = self.newest_batch;
        let planned = if self.poisoned { Err(LogError::Poisoned) } else { self.plan(number, sync) };
        match (planned, self.pace.mode()) {
            (Ok(work), Mode::Inline) => {
                let written = work.perform(&self.storage, &self.synced);
                self.written(written);
            }
            (Ok(work), Mode::Helped) => self.writer.give(work),
            (Err(error), _) => self.fail(number, error),
        }
        number
    }

    /// The open group becomes frames in their places.
    fn plan(&mut self, number: BatchNumber, sync: Sync) -> Result<WriteJob<S::File>, LogError> {
        let (mut steps, mut frames) = (Vec::new(), Vec::new());
        let log = self.log_id;
        let first_epoch = self.batch.first_epoch();
        let mut last = self.segments[&first_epoch].file.clone();
        let mut synced = self.progress.synced;
        let (mut epoch, mut end) = (first_epoch, 0);
        for mut frame in self.batch.take() {
            if frame.rotated {
                steps.push(WriteStep::Finish(last, OnDisk { next_frame: self.next_frame, at: (epoch, end) }));
                synced = self.next_frame;
                let mark = self.storage.random();
                let segment = self.segments.get_mut(&frame.epoch).expect("a segment with a frame is in use");
                let mark = mark.map_err(|source| LogError::Io {
                    action: "begin",
                    file: self.storage.path().join(&segment.file.name),
                    source,
                })?;
                (segment.head.mark, segment.head.log) = (mark, log);
                segment.head.bytes = segment.file.bytes;
                steps.push(WriteStep::Begin(segment.file.clone(), segment.head));
            }
            let segment = &self.segments[&frame.epoch];
            last = segment.file.clone();
            (epoch, end) = (frame.epoch, frame.offset);
            if frame.is_empty() {
                self.batch.reuse(frame);
                continue;
            }
            frame::seal(&mut frame.bytes, segment.head.mark, self.next_frame, synced);
            self.next_frame += 1;
            end += frame.bytes.len() as u64;
            let frame = Arc::new(frame);
            frames.push(frame.clone());
            steps.push(WriteStep::Frame(last.clone(), frame));
        }
        self.batch.begin(end);
        let durable = sync == Sync::Now;
        if durable {
            self.progress.promised = self.next_frame;
        }
        let next_frame = self.next_frame;
        self.progress.writing =
            Some(Writing { number, frames, first_epoch, last, synced, next_frame, durable });
        Ok(WriteJob { number, steps })
    }

    /// A group was written, or could not be.
    fn written(&mut self, (number, outcome): WriteReport) {
        let Some(batch) = self.progress.writing.take_if(|batch| batch.number == number) else { return };
        if let Err(error) = outcome {
            return self.fail(number, error);
        }
        for frame in batch.frames {
            let segment = self.segments.get_mut(&frame.epoch).expect("a segment with a frame is in use");
            segment.end = frame.offset + frame.bytes.len() as u64;
            self.progress.at = (frame.epoch, segment.end);
            // Whoever wrote it has let go of it.
            if let Some(frame) = Arc::into_inner(frame) {
                self.batch.reuse(frame);
            }
        }
        let has_rotated = !Arc::ptr_eq(&self.progress.last, &batch.last);
        self.progress.last = batch.last;
        self.progress.written = batch.next_frame;
        self.progress.synced = self.progress.synced.max(batch.synced);
        if has_rotated {
            self.index_sealed();
        }
        if !batch.durable || self.pace.mode() == Mode::Helped {
            self.progress.news.push_back((number, Ok(Sync::Later)));
        }
        if batch.durable {
            self.progress.unsynced.push_back(number);
            self.begin_sync();
        }
    }

    /// Syncs what was written, if somebody waits for it.
    fn begin_sync(&mut self) {
        let Some(newest) = self.progress.unsynced.back().copied() else { return };
        if self.poisoned || self.progress.syncing.is_some() {
            return;
        }
        self.progress.syncing = Some((newest, self.progress.written));
        if self.progress.synced >= self.progress.written {
            return self.synced(None);
        }
        let (next_frame, at) = (self.progress.written, self.progress.at);
        let work = SyncJob::Sync(self.progress.last.clone(), OnDisk { next_frame, at });
        match self.pace.mode() {
            Mode::Inline => {
                let report = work.perform(&self.storage, &self.synced);
                self.sync_reported(report);
            }
            Mode::Helped => self.syncer.give(work),
        }
    }

    /// A sync is over, or a segment is given back.
    fn sync_reported(&mut self, report: SyncReport) {
        match report {
            SyncReport::Synced(Ok(took)) => self.synced(Some(took)),
            SyncReport::Synced(Err(error)) => {
                if let Some((newest, _)) = self.progress.syncing.take() {
                    self.fail(newest, error);
                }
            }
            SyncReport::Freed(outcome) => self.freed(outcome),
        }
    }

    /// What was written when the sync began is on disk.
    fn synced(&mut self, took: Option<Duration>) {
        let Some((newest, frame)) = self.progress.syncing.take() else { return };
        took.into_iter().for_each(|took| self.pace.observe(took));
        self.progress.synced = self.progress.synced.max(frame);
        self.progress.durable_batch = newest;
        while let Some(number) = self.progress.unsynced.pop_front_if(|number| *number <= newest) {
            self.progress.news.push_back((number, Ok(Sync::Now)));
        }
        self.begin_sync();
    }

    /// A group failed. Nothing is written any more.
    fn fail(&mut self, number: BatchNumber, error: LogError) {
        self.progress.unsynced.retain(|other| *other != number);
        self.progress.news.push_back((number, Err(LogError::Poisoned)));
        self.poison_by(error);
    }

    /// The log is of no more use because of this: whoever is told first is told why.
    pub(super) fn poison_by(&mut self, error: LogError) {
        if !self.poisoned {
            self.failure = Some(error);
        }
        self.poison();
    }

    /// The log is of no more use, and neither is what is not on disk yet.
    pub(super) fn poison(&mut self) {
        self.poisoned = true;
        self.progress.syncing = None;
        let mut others = std::mem::take(&mut self.progress.unsynced);
        others.extend(self.progress.writing.take().map(|batch| batch.number));
        self.progress.news.extend(others.into_iter().map(|other| (other, Err(LogError::Poisoned))));
    }

    /// What the helpers have done, and then what the owner is to be told.
    pub(super) fn poll_news(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<(BatchNumber, Result<Sync, LogError>)> {
        while let Some(writing) = self.progress.writing.as_ref().map(|writing| writing.number) {
            match self.writer.poll_report(context) {
                Poll::Ready(Some(written)) => self.written(written),
                Poll::Ready(None) => self.fail(writing, LogError::Poisoned),
                Poll::Pending => break,
            }
        }
        self.poll_sync_reports(context);
        let Some((number, outcome)) = self.progress.news.pop_front() else { return Poll::Pending };
        Poll::Ready((number, outcome.map_err(|_| self.failure())))
    }

    /// What the helper has synced or given back.
    pub(super) fn poll_sync_reports(&mut self, context: &mut Context<'_>) {
        while self.progress.syncing.is_some() || self.freeing.is_some() {
            match self.syncer.poll_report(context) {
                Poll::Ready(Some(report)) => self.sync_reported(report),
                Poll::Ready(None) => return self.poison(),
                Poll::Pending => return,
            }
        }
    }
}
