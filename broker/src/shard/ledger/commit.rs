//! Appending to the log, and committing.

use std::{
    fmt::Display,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Instant,
};

use crate::{
    log::{AppendError, BatchNumber, Log, LogError, Position, Purpose, Record, RecordHead, Sync},
    shard::{Samples, Shard, StoreFailed, Ticket, ledger::in_flight::InFlightBatch},
};

impl<L: Log> Shard<L> {
    /// Begins to commit the open batch, if it is not empty and the log accepts one. [`Self::poll_commits`] reports the
    /// outcome to all waiting answers; it has already done so on return, if the log committed at once.
    pub fn commit(&mut self) {
        if self.failed {
            return self.fail_all_batches();
        }
        if !self.has_to_commit() || !self.log.takes_batch() {
            return;
        }
        self.mark_with_group();
        let group = std::mem::take(&mut self.open_batch);
        let sync = std::mem::replace(&mut self.open_batch_sync, Sync::Later);
        self.sync_wanted = false;
        self.pace(self.log.open_bytes());
        let began = Instant::now();
        let number = self.log.commit(sync);
        self.newest_group = number;
        self.in_flight.begin(InFlightBatch { number, group, sync, began });
        let _ = self.poll_commits(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether there is something to commit. A requested sync counts even if another sync has meanwhile covered
    /// everything: answers wait for the batch that carries it.
    pub(in crate::shard) fn has_to_commit(&self) -> bool {
        !self.log.batch_is_empty() || self.sync_wanted
    }

    /// Ready when there is something to commit and the log accepts it.
    pub(crate) fn poll_may_commit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_to_commit() && !self.failed { self.log.poll_takes_batch(context) } else { Poll::Pending }
    }

    /// Reports the outcomes of batches in flight to the answers that wait for them. Ready if there was one.
    pub fn poll_commits(&mut self, context: &mut Context<'_>) -> Poll<()> {
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
            let Ok(durable) = self.check_log(outcome) else {
                group.finish(false);
                self.fail_all_batches();
                break;
            };
            group.finish(true);
            if durable == Sync::Now {
                self.durable_group = number;
            }
            if sync == Sync::Now {
                self.metrics.sync_seconds.observe(began.elapsed().as_secs_f64());
            }
        }
        if news.is_ready() {
            self.publish_samples();
        }
        news
    }

    /// After a failure, the fate of all later batches is unknown.
    fn fail_all_batches(&mut self) {
        let open = std::mem::take(&mut self.open_batch);
        self.in_flight.take_all().chain([open]).for_each(|group| group.finish(false));
    }

    /// Publishes numbers of the log and the tables for scrapes.
    pub(in crate::shard) fn publish_samples(&self) {
        let stats = self.log.stats();
        let Samples { segments, bytes, retained_bytes, relay_messages, keys, hot_bytes } = &*self.samples;
        segments.store(stats.segments, Relaxed);
        bytes.store(stats.total_bytes, Relaxed);
        retained_bytes.store(stats.live_bytes, Relaxed);
        relay_messages.store(self.outgoing.len() as u64, Relaxed);
        keys.store(self.facts.keys.count() as u64, Relaxed);
        hot_bytes.store(self.contents.bytes(), Relaxed);
        let budget = self.disk.budget();
        budget.set_max(stats.room_bytes.map_or(u64::MAX, |room| budget.used().saturating_add(room)));
    }

    /// Requests a sync of everything appended so far. Returns the batch that will carry it.
    pub fn sync(&mut self) -> BatchNumber {
        if self.log.batch_is_empty() && !self.log.needs_sync() {
            return self.newest_group;
        }
        self.open_batch_sync = Sync::Now;
        self.sync_wanted = true;
        let next = self.newest_group.next();
        self.commit();
        next
    }

    /// Whether something was written that no commit in flight will sync.
    pub fn needs_sync(&self) -> bool {
        self.log.needs_sync()
    }

    /// Whether everything is on disk, or never will be.
    pub fn is_settled(&self) -> bool {
        self.failed || (self.in_flight.is_empty() && self.log.batch_is_empty() && !self.log.needs_sync())
    }

    pub fn open_bytes(&self) -> usize {
        self.log.open_bytes()
    }

    /// Records a decision for which the caller has checked the room: it stands and cannot be refused any more.
    pub(in crate::shard) fn write(
        &mut self,
        record: &Record<'_>,
        purpose: Purpose,
    ) -> Result<Position, StoreFailed> {
        let appended = self.log.append(record, purpose);
        let position = self.check_appended(appended)?;
        self.apply(position, record, None);
        Ok(position)
    }

    /// Applies a record that was appended.
    pub(in crate::shard) fn apply(
        &mut self,
        position: Position,
        record: &Record<'_>,
        copy_of: Option<Position>,
    ) {
        let Self { log, facts, .. } = self;
        facts.apply(position, &RecordHead::of(record), copy_of, &mut |position| log.release(position));
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

    /// Notes a record in the open batch.
    pub(in crate::shard) fn appended(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now {
            self.open_batch_sync = Sync::Now;
        }
        self.wakers.commit.notify_one();
        Ticket::of(&self.open_batch, sync)
    }

    /// A ticket for everything appended so far. A repeated request gets it, because the ticket of the first
    /// request is not kept.
    pub fn ticket_so_far(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now && (!self.log.batch_is_empty() || self.log.needs_sync()) {
            self.sync_wanted = true;
            return self.appended(sync);
        }
        if !self.log.batch_is_empty() {
            return Ticket::of(&self.open_batch, sync);
        }
        // Batches are reported in order: when the last one is, all syncs before it are done.
        self.in_flight.newest().map_or(Ticket::committed(), |group| Ticket::of(group, sync))
    }

    /// After its first failure a log is never used again: the broker stops, and recovery decides what was stored.
    pub(in crate::shard) fn check_log<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, StoreFailed> {
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
        self.wakers.commit.notify_one();
    }

    /// Closes the log, once everything is on disk.
    pub fn end(&mut self) {
        if !self.failed {
            let closed = self.log.close();
            // A failure here loses no message, only the note that the log was closed: the next start checks the log
            // itself.
            let _ = self.check_log(closed);
        }
    }

    /// Numbers of the log and the tables, for other threads.
    pub fn samples(&self) -> Arc<Samples> {
        self.samples.clone()
    }
}
