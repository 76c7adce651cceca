//! A shard's side of a commit: what goes along with a batch, and what its outcome changes.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use crate::{
    log::{BatchNumber, Log, Position, Purpose, Record, RecordHead, Sync},
    shard::{Ledger, Samples, Shard, StoreFailed, Ticket},
};

impl<L: Log> Shard<L> {
    /// Begins to commit the open batch, if it is not empty and the log accepts one. [`Self::poll_commits`] reports the
    /// outcome to all waiting answers; it has already done so on return, if the log committed at once.
    pub fn commit(&mut self) {
        if self.has_failed() {
            return self.ledger.fail_all_batches();
        }
        if !self.ledger.may_commit() {
            return;
        }
        self.mark_with_group();
        self.pace(self.open_bytes());
        self.ledger.commit();
        let _ = self.poll_commits(&mut Context::from_waker(Waker::noop()));
    }

    /// Ready when there is something to commit and the log accepts it.
    pub(crate) fn poll_may_commit(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.ledger.poll_may_commit(context)
    }

    /// Reports the outcomes of batches in flight to the answers that wait for them. Ready if there was one.
    pub fn poll_commits(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let news = self.ledger.poll_commits(context);
        if news.is_ready() {
            self.publish_samples();
        }
        news
    }

    /// Publishes numbers of the log and the tables for scrapes.
    pub(super) fn publish_samples(&self) {
        let stats = self.ledger.log.stats();
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
        let carrier = self.ledger.request_sync();
        self.commit();
        carrier
    }

    /// Whether something was written that no commit in flight will sync.
    pub fn needs_sync(&self) -> bool {
        self.ledger.log.needs_sync()
    }

    /// Whether everything is on disk, or never will be.
    pub fn is_settled(&self) -> bool {
        self.ledger.is_settled()
    }

    pub fn open_bytes(&self) -> usize {
        self.ledger.log.open_bytes()
    }

    /// Records a decision for which the caller has checked the room: it stands and cannot be refused any more.
    pub(super) fn write(&mut self, record: &Record<'_>, purpose: Purpose) -> Result<Position, StoreFailed> {
        let appended = self.ledger.log.append(record, purpose);
        let position = self.ledger.check_appended(appended)?;
        self.apply(position, record, None);
        Ok(position)
    }

    /// Applies a record that was appended.
    pub(super) fn apply(&mut self, position: Position, record: &Record<'_>, copy_of: Option<Position>) {
        let Self { ledger: Ledger { log, .. }, facts, .. } = self;
        facts.apply(position, &RecordHead::of(record), copy_of, &mut |position| log.release(position));
    }

    /// A ticket for everything appended so far. A repeated request gets it, because the ticket of the first
    /// request is not kept.
    pub fn ticket_so_far(&mut self, sync: Sync) -> Ticket {
        self.ledger.ticket_so_far(sync)
    }

    /// Closes the log, once everything is on disk.
    pub fn end(&mut self) {
        self.ledger.close();
    }

    /// Numbers of the log and the tables, for other threads.
    pub fn samples(&self) -> Arc<Samples> {
        self.samples.clone()
    }
}
