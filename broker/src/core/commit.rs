//! What goes to the log, and when it is committed.

use std::{
    fmt::Display,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Instant,
};

use super::{Core, Samples, StoreFailed, Ticket, in_flight::Flight};
use crate::log::{AppendError, GroupNumber, Log, LogError, Position, Purpose, Record, Sync};

impl<L: Log> Core<L> {
    /// Begins to commit the open group, if there is something in it and the log takes one more. Everybody who waits for it
    /// learns how it went by [`Self::poll_commits`]; here already, if the log has done it at once.
    pub fn commit(&mut self) {
        if self.failed {
            return self.fail_everybody();
        }
        if !self.has_to_commit() || !self.log.takes_group() {
            return;
        }
        self.mark_with_group();
        let group = std::mem::take(&mut self.group);
        let sync = std::mem::replace(&mut self.group_sync, Sync::Later);
        self.sync_wanted = false;
        self.pace(self.log.open_bytes());
        let began = Instant::now();
        let number = self.log.commit(sync);
        self.newest_group = number;
        self.in_flight.begin(Flight { number, group, sync, began });
        let _ = self.poll_commits(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether there is something to commit. A sync that was asked for is also when another has brought all to the disk
    /// meanwhile: somebody waits for the group that it was promised with.
    pub(super) fn has_to_commit(&self) -> bool {
        !self.log.group_is_empty() || self.sync_wanted
    }

    /// Ready when there is something to commit and the log takes it.
    pub(super) fn poll_may_commit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_to_commit() && !self.failed { self.log.poll_takes_group(context) } else { Poll::Pending }
    }

    /// Tells those who wait for them how groups in flight went. Ready when there was news.
    pub fn poll_commits(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut news = Poll::Pending;
        while let Poll::Ready((number, outcome)) = self.log.poll_commit(context) {
            news = Poll::Ready(());
            self.in_flight.told(number, outcome);
        }
        while let Some(group) = self.in_flight.next_written() {
            group.written();
        }
        while let Some((flight, outcome)) = self.in_flight.take_ended() {
            let Flight { number, group, sync, began } = flight;
            let Ok(durable) = self.survive(outcome) else {
                group.finish(false);
                self.fail_everybody();
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
            self.show_store();
        }
        news
    }

    /// After a failure nobody knows what became of the groups after it.
    fn fail_everybody(&mut self) {
        let open = std::mem::take(&mut self.group);
        self.in_flight.take_all().chain([open]).for_each(|group| group.finish(false));
    }

    /// Shows scrapes what the log and the tables hold.
    pub(super) fn show_store(&self) {
        let stats = self.log.stats();
        let Samples { segments, bytes, live_bytes, outgoing, keys, hot_bytes } = &*self.samples;
        segments.store(stats.segments, Relaxed);
        bytes.store(stats.total_bytes, Relaxed);
        live_bytes.store(stats.live_bytes, Relaxed);
        outgoing.store(self.outbox.len() as u64, Relaxed);
        keys.store(self.idempotency.count() as u64, Relaxed);
        hot_bytes.store(self.contents.bytes(), Relaxed);
        let budget = self.disk.budget();
        budget.set_max(stats.room_bytes.map_or(u64::MAX, |room| budget.used().saturating_add(room)));
    }

    /// Sees to it that everything so far is synced, and says which group that will be.
    pub fn sync(&mut self) -> GroupNumber {
        if self.log.group_is_empty() && !self.log.needs_sync() {
            return self.newest_group;
        }
        self.group_sync = Sync::Now;
        self.sync_wanted = true;
        let next = self.newest_group.next();
        self.commit();
        next
    }

    /// Whether something was written that no commit under way will sync.
    pub fn needs_sync(&self) -> bool {
        self.log.needs_sync()
    }

    /// Whether everything is on disk, or never will be.
    pub fn is_settled(&self) -> bool {
        self.failed || (self.in_flight.is_empty() && self.log.group_is_empty() && !self.log.needs_sync())
    }

    /// Bytes of the open group.
    pub fn open_bytes(&self) -> usize {
        self.log.open_bytes()
    }

    /// Appends what the caller has found room for: it was decided, and cannot be refused any more.
    pub(super) fn append(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, StoreFailed> {
        let appended = self.log.append(record, purpose);
        self.has_room_held(appended)
    }

    /// A log that does not take what it had room for is of no more use.
    pub(super) fn has_room_held<T>(&mut self, appended: Result<T, AppendError>) -> Result<T, StoreFailed> {
        appended.map_err(|error| {
            match error {
                // It says why.
                AppendError::Poisoned => {
                    let why = self.log.failure();
                    self.fail(&why);
                }
                AppendError::Full | AppendError::TooLarge(_) => {
                    self.fail(&format_args!("the log does not take a record that it had room for: {error}"));
                }
            }
            StoreFailed
        })
    }

    /// Takes note of a record in the open group.
    pub(super) fn appended(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now {
            self.group_sync = Sync::Now;
        }
        self.wakers.commit.notify_one();
        Ticket::of(&self.group, sync)
    }

    /// The promise of everything that was appended so far: whoever is told the same again does not know what was promised the
    /// first time.
    pub fn everything_so_far(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now && (!self.log.group_is_empty() || self.log.needs_sync()) {
            self.sync_wanted = true;
            return self.appended(sync);
        }
        if !self.log.group_is_empty() {
            return Ticket::of(&self.group, sync);
        }
        // Groups are told in their order: when the last is, all that were to be synced are.
        self.in_flight.newest().map_or(Ticket::committed(), |group| Ticket::of(group, sync))
    }

    /// A log that failed once is never used again: the broker stops, and recovery decides.
    pub(super) fn survive<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, StoreFailed> {
        outcome.map_err(|error| {
            self.fail(&error);
            StoreFailed
        })
    }

    /// The log is of no more use: nothing is taken or given any more.
    fn fail(&mut self, why: &dyn Display) {
        if !self.failed {
            tracing::error!(error = %why, "the log failed; the broker refuses everything and stops");
            self.failure.record(why);
        }
        self.failed = true;
        self.wakers.commit.notify_one();
    }

    /// Ends the log in order, once everything is on disk.
    pub fn end(&mut self) {
        if !self.failed {
            let closed = self.log.close();
            // What is not on disk by now, if anything, is that it all is: the next start finds out for itself.
            let _ = self.survive(closed);
        }
    }

    /// What the log and the tables hold, for other threads.
    pub fn samples(&self) -> Arc<Samples> {
        self.samples.clone()
    }
}
