//! Appending to the log, and committing.

use std::{
    fmt::Display,
    task::{Context, Poll},
    time::Instant,
};

use crate::{
    log::{AppendError, BatchNumber, Log, LogError, Sync},
    shard::ledger::{Ledger, StoreFailed, Ticket, in_flight::InFlightBatch},
};

impl<L: Log> Ledger<L> {
    /// Whether the log failed. Then it accepts and reads nothing.
    pub(in crate::shard) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether there is something to commit. A requested sync counts even if another sync has meanwhile covered
    /// everything: answers wait for the batch that carries it.
    pub(in crate::shard) fn has_to_commit(&self) -> bool {
        !self.log.batch_is_empty() || self.sync_wanted
    }

    /// Whether there is something to commit, and the log accepts it now.
    pub(in crate::shard) fn may_commit(&self) -> bool {
        !self.failed && self.has_to_commit() && self.log.takes_batch()
    }

    /// Ready when there is something to commit and the log accepts it.
    pub(in crate::shard) fn poll_may_commit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_to_commit() && !self.failed { self.log.poll_takes_batch(context) } else { Poll::Pending }
    }

    /// Gives the open batch to the log. [`Self::poll_commits`] reports the outcome.
    pub(in crate::shard) fn commit(&mut self) {
        let group = std::mem::take(&mut self.open_batch);
        let sync = std::mem::replace(&mut self.open_batch_sync, Sync::Later);
        self.sync_wanted = false;
        let began = Instant::now();
        let number = self.log.commit(sync);
        self.newest = number;
        self.in_flight.begin(InFlightBatch { number, group, sync, began });
    }

    /// Reports the outcomes of batches in flight to the answers that wait for them. Ready if there was one.
    pub(in crate::shard) fn poll_commits(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut news = Poll::Pending;
        while let Poll::Ready((number, outcome)) = self.log.poll_commit(context) {
            news = Poll::Ready(());
            self.in_flight.record_outcome(number, outcome);
        }
        while let Some(group) = self.in_flight.next_written() {
            group.written();
        }
        while let Some((flight, outcome)) = self.in_flight.take_ended() {
            let InFlightBatch { number, group, sync, began } = flight;
            let Ok(durable) = self.check(outcome) else {
                group.finish(false);
                self.fail_all_batches();
                break;
            };
            group.finish(true);
            if durable == Sync::Now {
                self.durable = number;
            }
            if sync == Sync::Now {
                self.metrics.sync_seconds.observe(began.elapsed().as_secs_f64());
            }
        }
        news
    }

    /// After a failure, the fate of all later batches is unknown.
    pub(in crate::shard) fn fail_all_batches(&mut self) {
        let open = std::mem::take(&mut self.open_batch);
        self.in_flight.take_all().chain([open]).for_each(|group| group.finish(false));
    }

    /// Requests a sync of everything appended so far. Returns the batch that will carry it, or that did.
    pub(in crate::shard) fn request_sync(&mut self) -> BatchNumber {
        if !self.has_to_sync() {
            return self.newest;
        }
        self.open_batch_sync = Sync::Now;
        self.sync_wanted = true;
        self.newest.next()
    }

    /// Whether a batch and all before it are synced.
    pub(in crate::shard) fn is_durable(&self, batch: BatchNumber) -> bool {
        batch <= self.durable
    }

    /// Whether no batch is in flight.
    pub(in crate::shard) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Whether everything is on disk, or never will be.
    pub(in crate::shard) fn is_settled(&self) -> bool {
        self.failed || (self.is_idle() && !self.has_to_sync())
    }

    fn has_to_sync(&self) -> bool {
        !self.log.batch_is_empty() || self.log.needs_sync()
    }

    /// Notes a record in the open batch.
    pub(in crate::shard) fn appended(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now {
            self.open_batch_sync = Sync::Now;
        }
        self.wake_commit.notify_one();
        Ticket::of(&self.open_batch, sync)
    }

    /// A ticket for everything appended so far. A repeated request gets it, because the ticket of the first
    /// request is not kept.
    pub(in crate::shard) fn ticket_so_far(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now && self.has_to_sync() {
            self.sync_wanted = true;
            return self.appended(sync);
        }
        if !self.log.batch_is_empty() {
            return Ticket::of(&self.open_batch, sync);
        }
        // Batches are reported in order: when the last one is, all syncs before it are done.
        self.in_flight.newest().map_or(Ticket::committed(), |group| Ticket::of(group, sync))
    }

    /// A log that refuses a record for which it had room has failed.
    pub(in crate::shard) fn check_appended<T>(
        &mut self,
        appended: Result<T, AppendError>,
    ) -> Result<T, StoreFailed> {
        appended.map_err(|error| {
            match error {
                // The log has logged the reason.
                AppendError::Poisoned => {
                    let why = self.log.failure();
                    self.fail(&why);
                }
                AppendError::Full | AppendError::TooLarge(_) => {
                    self.fail(&format_args!("the log refused a record for which it had room: {error}"));
                }
            }
            StoreFailed
        })
    }

    /// After its first failure a log is never used again: the broker stops, and recovery decides what was stored.
    pub(in crate::shard) fn check<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, StoreFailed> {
        outcome.map_err(|error| {
            self.fail(&error);
            StoreFailed
        })
    }

    /// Marks the log as failed: nothing is accepted or delivered any more.
    fn fail(&mut self, why: &dyn Display) {
        if !self.failed {
            tracing::error!(error = %why, "the log failed; the broker refuses all requests and stops");
            self.failure.record(why);
        }
        self.failed = true;
        self.wake_commit.notify_one();
    }

    /// Closes the log, once everything is on disk.
    pub(in crate::shard) fn close(&mut self) {
        if !self.failed {
            let closed = self.log.close();
            // A failure here loses no message, only the note that the log was closed: the next start checks the log
            // itself.
            let _ = self.check(closed);
        }
    }
}
