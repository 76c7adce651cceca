//! Commit of batches: which bytes to write where, which are written, and which are on disk.
//!
//! One batch is written at a time, and one sync is under way at a time. But the next batch is written while the
//! previous one is synced, so that commits without a sync wait for none. On a slow disk, helper threads write and sync.
//! A sync covers all bytes written before it started.

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

/// The batch that is being written.
pub(super) struct Writing<F> {
    number: BatchNumber,
    /// Kept for reads until the disk has them.
    frames: Vec<Arc<OpenFrame>>,
    /// The first and the last segment of the batch.
    first_epoch: u64,
    last: Arc<SegmentFile<F>>,
    /// Frames with lower numbers are on disk when this batch is written, because it continued in a new segment.
    synced: u64,
    /// The number after the batch's last frame.
    next_frame: u64,
    /// Whether the batch must be synced as well.
    durable: bool,
}

/// The progress of writing and syncing.
pub(super) struct Progress<F> {
    pub(super) writing: Option<Writing<F>>,
    /// The segment that was written last. Only this one can have unsynced bytes.
    last: Arc<SegmentFile<F>>,
    /// The epoch of that segment, and the end of its written part.
    pub(super) at: (u64, u64),
    /// Frames with lower numbers are written.
    pub(super) written: u64,
    /// Frames with lower numbers are on disk.
    pub(super) synced: u64,
    /// Frames with lower numbers are on disk, or a commit under way will sync them.
    promised: u64,
    /// Written batches that still need a sync.
    unsynced: VecDeque<BatchNumber>,
    /// The sync under way: the newest batch that it covers, and the number after its last frame.
    pub(super) syncing: Option<(BatchNumber, u64)>,
    /// The newest batch on disk.
    pub(super) durable_batch: BatchNumber,
    /// Outcomes of batches that the owner has not polled yet.
    news: VecDeque<(BatchNumber, Result<Sync, LogError>)>,
}

impl<F> Progress<F> {
    /// Progress after a start: all frames before this one are on disk.
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

    /// Whether all frames before this number are on disk, or will be without another commit.
    pub(super) fn covers(&self, frame: u64) -> bool {
        self.promised.max(self.synced) >= frame
    }

    /// A record's bytes in the batch that is being written.
    pub(super) fn read(&self, epoch: u64, offset: u64, length: usize) -> Option<&[u8]> {
        self.writing.as_ref()?.frames.iter().find_map(|frame| frame.read(epoch, offset, length))
    }

    /// Whether nothing is being written or synced, and everything is on disk.
    pub(super) fn is_over(&self) -> bool {
        self.writing.is_none() && self.syncing.is_none() && self.synced >= self.written
    }

    /// The first segment of the batch that is being written.
    pub(super) fn first_epoch(&self) -> Option<u64> {
        self.writing.as_ref().map(|writing| writing.first_epoch)
    }
}

impl<S: Storage> DiskLog<S> {
    /// Starts to commit the open batch.
    pub(super) fn begin_commit(&mut self, sync: Sync) -> BatchNumber {
        assert!(self.takes_batch(), "one batch is written at a time, when its segments are ready");
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

    /// Turns the open batch into frames with their places.
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
                let segment = self.segments.get_mut(&frame.epoch).expect("the segment of a frame is in use");
                let mark = mark.map_err(|source| LogError::Io {
                    action: "start",
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

    /// Handles the outcome of writing a batch.
    fn written(&mut self, (number, outcome): WriteReport) {
        let Some(batch) = self.progress.writing.take_if(|batch| batch.number == number) else { return };
        if let Err(error) = outcome {
            return self.fail(number, error);
        }
        for frame in batch.frames {
            let segment = self.segments.get_mut(&frame.epoch).expect("the segment of a frame is in use");
            segment.end = frame.offset + frame.bytes.len() as u64;
            self.progress.at = (frame.epoch, segment.end);
            // The writer has dropped its reference.
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

    /// Starts a sync of the written bytes, if a batch needs one.
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

    /// Handles the end of a sync, or of freeing a segment.
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

    /// Handles a successful sync: all bytes written before its start are on disk.
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

    /// Fails a batch. Nothing is written after this.
    fn fail(&mut self, number: BatchNumber, error: LogError) {
        self.progress.unsynced.retain(|other| *other != number);
        self.progress.news.push_back((number, Err(LogError::Poisoned)));
        self.poison_by(error);
    }

    /// Makes the log unusable, with this error as the reason for the first caller.
    pub(super) fn poison_by(&mut self, error: LogError) {
        if !self.poisoned {
            self.failure = Some(error);
        }
        self.poison();
    }

    /// Makes the log unusable, and fails all batches that are not on disk yet.
    pub(super) fn poison(&mut self) {
        self.poisoned = true;
        self.progress.syncing = None;
        let mut others = std::mem::take(&mut self.progress.unsynced);
        others.extend(self.progress.writing.take().map(|batch| batch.number));
        self.progress.news.extend(others.into_iter().map(|other| (other, Err(LogError::Poisoned))));
    }

    /// Collects the helpers' reports, and returns the next outcome for the owner.
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

    /// Collects reports of syncs and of freed segments.
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
