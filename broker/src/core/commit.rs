//! What goes to the log, and when it is on disk.

use std::{sync::Arc, time::Instant};

use super::{Core, StoreFailed, Ticket};
use crate::log::{AppendError, LogError, Position, Record, Sync};

impl Core {
    /// Writes the open group, and syncs it if it promises so; everybody who waits for it learns how it went.
    pub fn commit(&mut self) {
        if self.log.group_is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        let sync = std::mem::replace(&mut self.group_sync, Sync::Later);
        let started = Instant::now();
        let outcome = self.log.commit(sync);
        if sync == Sync::Now {
            self.metrics.sync_seconds.observe(started.elapsed().as_secs_f64());
        }
        group.finish(self.survive(outcome).is_ok());
        self.show_store();
    }

    /// Shows scrapes what the log and the tables hold.
    fn show_store(&self) {
        let stats = self.log.stats();
        let sampled = &self.metrics.sampled;
        sampled.store_segments.set(stats.segments as i64);
        sampled.store_bytes.set(stats.total_bytes as i64);
        sampled.store_live_bytes.set(stats.live_bytes as i64);
        sampled.idempotency_keys.set(self.idempotency.count() as i64);
        sampled.hot_body_memory_bytes.set(self.contents.bytes() as i64);
    }

    /// Syncs what was written without a sync.
    pub fn sync(&mut self) {
        let outcome = self.log.sync();
        // The failure is remembered; nobody waits for this sync.
        let _ = self.survive(outcome);
    }

    /// Whether something was written and not yet synced.
    pub fn needs_sync(&self) -> bool {
        self.log.needs_sync()
    }

    /// Bytes of the open group.
    pub fn open_bytes(&self) -> usize {
        self.log.open_bytes()
    }

    /// Appends what must have room even on a full disk: all that empties it.
    pub(super) fn append_reserved(&mut self, record: &Record<'_>) -> Result<Position, StoreFailed> {
        let appended = self.log.append_reserved(record);
        self.reserve_held(appended)
    }

    /// There is always room for what empties the log: a log without is of no more use.
    pub(super) fn reserve_held<T>(&mut self, appended: Result<T, AppendError>) -> Result<T, StoreFailed> {
        appended.map_err(|error| {
            tracing::error!(%error, "the log takes no record, not even from its reserve; the broker stops");
            self.failed = true;
            self.wakers.commit.notify_one();
            StoreFailed
        })
    }

    /// Takes note of a record in the open group.
    pub(super) fn appended(&mut self, sync: Sync) -> Ticket {
        if sync == Sync::Now {
            self.group_sync = Sync::Now;
        }
        self.wakers.commit.notify_one();
        Ticket::of(&self.group)
    }

    /// The promise of everything that was appended so far.
    pub fn everything_so_far(&self) -> Ticket {
        if self.log.group_is_empty() { Ticket::committed() } else { Ticket::of(&self.group) }
    }

    /// A log that failed once is never used again: the broker stops, and recovery decides.
    pub(super) fn survive<T>(&mut self, outcome: Result<T, LogError>) -> Result<T, StoreFailed> {
        outcome.map_err(|error| {
            if !self.failed {
                tracing::error!(%error, "the log failed; the broker refuses everything and stops");
            }
            self.failed = true;
            self.wakers.commit.notify_one();
            StoreFailed
        })
    }

    /// A record's bytes.
    pub(super) fn read(&mut self, position: Position) -> Result<Vec<u8>, StoreFailed> {
        let read = self.log.read(position);
        self.survive(read)
    }

    /// Every channel's counters, for other threads.
    pub fn counters(&self) -> Arc<super::CounterRegistry> {
        self.counters.clone()
    }
}
