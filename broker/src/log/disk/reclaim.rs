//! Freeing segments: the owner scans the oldest one, copies its needed records, and frees it.
//!
//! Segments are freed from the oldest end only. Copies are made of live messages only, so a settle always follows every
//! copy of its message. As long as a copy is in the log, the settle is as well.

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    DiskLog, LogError, Segment, compaction,
    jobs::SyncJob,
    place::{RecordPlace, SegmentId},
    segment::{self, SegmentFile},
    storage::Storage,
};
use crate::log::{BatchNumber, Log, Position};

/// The segment that is being freed.
pub(super) enum Freeing<F> {
    /// The oldest segment, and whether it becomes a spare.
    Own(Arc<SegmentFile<F>>, bool),
    Older,
}

impl<S: Storage> DiskLog<S> {
    /// The range of the oldest segment, if it should be scanned and freed.
    pub(super) fn oldest_worth_freeing(&self) -> Option<Range<Position>> {
        let mut segments = self.segments.iter();
        let (epoch, oldest) = segments.next().expect("a log always has a segment");
        let wanted = compaction::wanted(compaction::LogUsage {
            total: self.stats().total_bytes,
            used: self.segments.values().map(|segment| segment.end - segment::HEAD_BYTES).sum(),
            live: self.live_bytes,
            oldest_live: oldest.live,
            segment: self.segment_bytes,
            fits: self.room().copies_leave(0),
            sealed: self.is_sealed(*epoch),
            disk_is_full: self.is_disk_full(),
            below_reserve: self.is_below_reserve(),
            fill: self.spares.fill(),
        });
        let (next, _) = segments.next()?;
        (wanted && !self.is_pinned(*epoch))
            .then(|| RecordPlace::own(*epoch, 0).into()..RecordPlace::own(*next, 0).into())
    }

    /// The range of a segment of an older log to scan and leave. This is done at once, while there is room for its
    /// copies.
    pub(super) fn older_worth_leaving(&self) -> Option<Range<Position>> {
        let index = self.older_next;
        if index >= self.older.count() {
            return None;
        }
        let begin = |index| RecordPlace::start(SegmentId::Older(index), 0).into();
        // A segment that is longer than today's is copied while there is room; new segments are made in the
        // meantime.
        let most = self.older.segment(index).extent.end.min(2 * self.segment_bytes);
        let copied = most.min(self.older_live[index as usize] + self.segment_bytes / 64);
        self.room().spares_hold(copied).then(|| begin(index)..begin(index + 1))
    }

    /// Whether a segment is completely written.
    pub(super) fn is_sealed(&self, epoch: u64) -> bool {
        epoch < self.progress.first_epoch().unwrap_or_else(|| self.batch.first_epoch())
    }

    /// Frees the oldest segment, after it was scanned to its end and its copies are on disk. A helper thread does this
    /// even on a fast disk, because it takes two or three syncs.
    pub(super) fn poll_freed(
        &mut self,
        below: Position,
        copies: BatchNumber,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), LogError>> {
        if self.freeing.is_none() && self.freed.is_none() {
            if self.poisoned {
                return Poll::Ready(Err(self.failure()));
            }
            if let SegmentId::Older(next) = RecordPlace::from(below).segment {
                self.begin_leaving(next - 1, copies);
                return self.poll_freed(below, copies, context);
            }
            // Register the waker before the check, so that a pin released in between is not missed.
            self.pins.wake(context);
            if self.segments.keys().next().is_some_and(|oldest| self.is_pinned(*oldest)) {
                return Poll::Pending;
            }
            // A record that was released or copied may still be on its way to a reader.
            let oldest = &self.segments.values().next().expect("a log always has a segment").file;
            ready!(oldest.reads.poll_over(context));
            self.begin_freeing(copies);
        }
        self.poll_sync_reports(context);
        match self.freed.take() {
            Some(outcome) => Poll::Ready(outcome.map_err(|_| self.failure())),
            None if self.poisoned => Poll::Ready(Err(self.failure())),
            None => Poll::Pending,
        }
    }

    fn begin_freeing(&mut self, copies: BatchNumber) {
        let oldest = self.segments.keys().next().copied();
        assert!(
            self.walked.is_some() && self.walked == oldest,
            "only a sealed segment that was scanned to its end is freed"
        );
        assert!(
            copies <= self.progress.durable_batch,
            "copies must be on disk before the originals are freed"
        );
        let (_, Segment { file, live, .. }) = self.segments.pop_first().expect("the segment exists");
        self.walked = None;
        self.live_bytes -= live;
        self.keys_copied = 0;
        // A shorter segment of an earlier start does not fit a record of today's maximum length.
        let keep = self.spares.keeps_freed() && file.bytes >= self.segment_bytes;
        let first_frame = self.segments.values().next().map_or(self.next_frame, |next| next.head.first_frame);
        self.syncer.give(SyncJob::Free { file: file.clone(), keep, first_frame });
        self.freeing = Some(Freeing::Own(file, keep));
    }

    fn begin_leaving(&mut self, index: u32, copies: BatchNumber) {
        assert!(index == self.older_next, "older segments are left in their order");
        assert!(
            copies <= self.progress.durable_batch,
            "copies must be on disk before the originals are freed"
        );
        self.older_next += 1;
        let older = self.older.clone();
        self.syncer.give(SyncJob::Leave(Box::new(move || older.leave(index))));
        self.freeing = Some(Freeing::Older);
    }

    /// Handles the outcome of freeing a segment.
    pub(super) fn freed(&mut self, outcome: Result<(), LogError>) {
        let outcome = match (self.freeing.take(), outcome) {
            (Some(Freeing::Own(file, keep)), Ok(())) => {
                self.spares.give_back(file, keep);
                Ok(())
            }
            (Some(Freeing::Older), Ok(())) => {
                // The disk has room again.
                self.spares.try_again();
                Ok(())
            }
            (Some(_), Err(error)) => {
                self.poison_by(error);
                Err(LogError::Poisoned)
            }
            (None, _) => return,
        };
        self.freed = Some(outcome);
    }
}
