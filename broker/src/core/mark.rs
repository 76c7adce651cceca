//! The time in the log: where the next run goes on. Written with something else, so that an idle broker writes nothing.

use super::{Core, StoreFailed, records};
use crate::{
    clock::Millis,
    log::{Log, Sync},
};

/// How often at most. What happened within the last second is known by its own records; how long ago it was, by the machine's
/// clocks at the mark before.
const EVERY_MS: Millis = 1000;

/// The newest mark of this core's log.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// When it was written; nothing was in this run yet.
    at: Option<Millis>,
    /// How often the wall clock had been set by then.
    steps: u64,
    /// The part of the log that is walked has a mark, and a newer one was written for it.
    pub(super) on_this_walk: bool,
}

impl<L: Log> Core<L> {
    /// Writes the time down with a group that has something in it.
    pub(super) fn mark_with_group(&mut self) {
        let now = self.clock.now();
        if !self.log.group_is_empty() && self.marked.at.is_none_or(|at| at + EVERY_MS <= now) {
            self.mark();
        }
    }

    /// Follows the wall clock. That it was set is written down, whatever else happens.
    pub fn follow_clock(&mut self) {
        self.clock.follow();
        if !self.failed && self.clock.steps() != self.marked.steps {
            self.mark();
        }
    }

    /// Writes the time down at the end of a run that wrote anything.
    pub(super) fn mark_end(&mut self) {
        if !self.failed && self.marked.at.is_some() {
            self.mark();
        }
    }

    fn mark(&mut self) {
        let mark = self.clock.mark();
        self.marked = Marked { at: Some(mark.own), steps: self.clock.steps(), ..self.marked };
        // Not from the reserve: on a full disk the next run knows less of the time, and what empties it has its room.
        if self.log.append(&records::clock(mark)).is_ok() {
            let _ = self.appended(Sync::Later);
        }
    }

    /// The part of the log that is walked has a mark, perhaps the newest: the time is written down anew, once for each walk.
    pub(super) fn keep_mark(&mut self) -> Result<(), StoreFailed> {
        if !self.marked.on_this_walk {
            let mark = self.clock.mark();
            self.marked = Marked { at: Some(mark.own), steps: self.clock.steps(), on_this_walk: true };
            self.append_copy(&records::clock(mark))?;
        }
        Ok(())
    }
}
