//! Clock marks: records of the time, from which the next run continues. They are written along with other records, or
//! when something is due: an idle broker without messages writes nothing.

use crate::{
    clock::Millis,
    log::{Log, Purpose, Sync},
    shard::{Shard, facts::records, reclaim::Stopped},
};

/// Interval while records are written. After a power cut, a lease, delay or window may be longer by this.
const EVERY_MS: Millis = 1000;
/// Interval on a full disk, from the reserve of leases.
const EVERY_RESERVED_MS: Millis = 60_000;
/// Interval while nothing is written and something is due. After a power cut, it may be late by this. A sync every ten
/// minutes costs a disk nothing.
const EVERY_IDLE_MS: Millis = 600_000;

/// The newest mark in this shard's log.
#[derive(Debug)]
pub(in crate::shard) struct LastMark {
    /// When it was written, or when the run began.
    at: Millis,
    /// Whether this run wrote one.
    in_this_run: bool,
    /// The number of settings of the wall clock at that time.
    steps: u64,
    /// The part of the log that is being walked has a mark, and a newer one was written for it.
    pub(in crate::shard) on_this_walk: bool,
}

impl LastMark {
    pub(in crate::shard) fn at_start(now: Millis) -> Self {
        Self { at: now, in_this_run: false, steps: 0, on_this_walk: false }
    }

    fn is_due(&self, now: Millis) -> bool {
        !self.in_this_run || self.at + EVERY_MS <= now
    }
}

impl<L: Log> Shard<L> {
    /// Writes a mark along with a batch that is not empty.
    pub(in crate::shard) fn mark_with_group(&mut self) {
        if !self.ledger.log.batch_is_empty() {
            self.mark_if_due();
        }
    }

    /// Writes a mark after an event of time that no other record covers, so that it is not due again.
    pub(in crate::shard) fn mark_if_due(&mut self) {
        if self.ledger.marked.is_due(self.clock.now()) {
            self.mark();
        }
    }

    /// Follows the wall clock. Writes a mark when the clock was set, and from time to time while something is due.
    pub fn follow_clock(&mut self) {
        self.clock.follow();
        let something_is_due = self.timers.next().is_some();
        let is_long_ago = self.ledger.marked.at + EVERY_IDLE_MS <= self.clock.now();
        if !self.has_failed()
            && (self.clock.steps() != self.ledger.marked.steps || (something_is_due && is_long_ago))
        {
            self.mark();
        }
    }

    /// Writes a mark at the end of a run that wrote anything.
    pub(crate) fn mark_end(&mut self) {
        if !self.has_failed() && self.ledger.marked.in_this_run {
            self.mark();
        }
    }

    fn mark(&mut self) {
        let (mark, before) = (self.clock.mark(), self.ledger.marked.at);
        let record = records::clock(mark);
        let mut appended = self.ledger.log.append(&record, Purpose::Store);
        if appended.is_err() && before + EVERY_RESERVED_MS <= mark.own {
            appended = self.ledger.log.append(&record, Purpose::Change);
        }
        // Without room, the next run knows the time less exactly. Records that empty the disk have room of their own.
        let steps = self.clock.steps();
        match appended {
            Ok(_) => {
                self.ledger.marked =
                    LastMark { at: mark.own, in_this_run: true, steps, ..self.ledger.marked };
                let _ = self.ledger.appended(Sync::Later);
            }
            Err(_) => self.ledger.marked.steps = steps,
        }
    }

    /// The part of the log that is being walked has a mark, perhaps the newest: writes a new one, once per walk.
    pub(in crate::shard) fn keep_mark(&mut self) -> Result<(), Stopped> {
        if !self.ledger.marked.on_this_walk {
            let (mark, steps) = (self.clock.mark(), self.clock.steps());
            self.ledger.marked = LastMark { at: mark.own, in_this_run: true, steps, on_this_walk: true };
            self.append_copy(&records::clock(mark), None)?;
        }
        Ok(())
    }
}
