//! The time in the log: where the next run goes on. Written with something else, or for something that is to happen: a broker
//! without messages that does nothing writes nothing.

use super::{Core, reclaim::Stopped, records};
use crate::{
    clock::Millis,
    log::{Log, Purpose, Sync},
};

/// How often at most, while something is written: by so much a lease, a pause or a window may be longer after a power cut.
const EVERY_MS: Millis = 1000;
/// The same on a full disk, out of what leases have.
const EVERY_RESERVED_MS: Millis = 60_000;
/// How often when nothing is written, while something is due some time: by so much it may be late after a power cut. A sync every
/// ten minutes is nothing to a disk.
const EVERY_IDLE_MS: Millis = 600_000;

/// The newest mark of this core's log.
#[derive(Debug)]
pub(super) struct Marked {
    /// When it was written, or when the run began.
    at: Millis,
    /// Whether this run wrote one.
    in_this_run: bool,
    /// How often the wall clock had been set by then.
    steps: u64,
    /// The part of the log that is walked has a mark, and a newer one was written for it.
    pub(super) on_this_walk: bool,
}

impl Marked {
    /// Of a run that begins.
    pub(super) fn at_start(now: Millis) -> Self {
        Self { at: now, in_this_run: false, steps: 0, on_this_walk: false }
    }

    fn is_due(&self, now: Millis) -> bool {
        !self.in_this_run || self.at + EVERY_MS <= now
    }
}

impl<L: Log> Core<L> {
    /// Writes the time down with a group that has something in it.
    pub(super) fn mark_with_group(&mut self) {
        if !self.log.group_is_empty() {
            self.mark_if_due();
        }
    }

    /// Writes the time down when it brought something about that nothing else tells of: what was due then is not due again.
    pub(super) fn mark_if_due(&mut self) {
        if self.marked.is_due(self.clock.now()) {
            self.mark();
        }
    }

    /// Follows the wall clock. That it was set is written down, and the time while something is due.
    pub fn follow_clock(&mut self) {
        self.clock.follow();
        let something_is_due = self.timers.next().is_some();
        let is_long_ago = self.marked.at + EVERY_IDLE_MS <= self.clock.now();
        if !self.failed && (self.clock.steps() != self.marked.steps || (something_is_due && is_long_ago)) {
            self.mark();
        }
    }

    /// Writes the time down at the end of a run that wrote anything.
    pub(super) fn mark_end(&mut self) {
        if !self.failed && self.marked.in_this_run {
            self.mark();
        }
    }

    fn mark(&mut self) {
        let (mark, before) = (self.clock.mark(), self.marked.at);
        let record = records::clock(mark);
        let mut appended = self.log.append(&record, Purpose::Store);
        if appended.is_err() && before + EVERY_RESERVED_MS <= mark.own {
            appended = self.log.append(&record, Purpose::Change);
        }
        // Without room the next run knows less of the time, and what empties the disk has its own.
        let steps = self.clock.steps();
        match appended {
            Ok(_) => {
                self.marked = Marked { at: mark.own, in_this_run: true, steps, ..self.marked };
                let _ = self.appended(Sync::Later);
            }
            Err(_) => self.marked.steps = steps,
        }
    }

    /// The part of the log that is walked has a mark, perhaps the newest: the time is written down anew, once for each walk.
    pub(super) fn keep_mark(&mut self) -> Result<(), Stopped> {
        if !self.marked.on_this_walk {
            let (mark, steps) = (self.clock.mark(), self.clock.steps());
            self.marked = Marked { at: mark.own, in_this_run: true, steps, on_this_walk: true };
            self.append_copy(&records::clock(mark))?;
        }
        Ok(())
    }
}
