//! The record of the time that a log keeps for the next run.

use super::{Millis, ahead};

/// The broker's clock and the machine's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub own: Millis,
    /// The wall clock; absent while no run has seen it set.
    pub wall: Option<Wall>,
    /// The boot of the machine; 0 when unknown.
    pub boot_id: u128,
    /// Time since that boot, in nanoseconds.
    pub boot_ns: u64,
}

/// The wall clock at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// The wall clock time in answers and logs.
    pub shown: Millis,
    /// The same time by the wall clock that was ever furthest ahead, at the mark or for at least a minute.
    pub latest: Millis,
}

/// What the logs of a data folder know about the time before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// The newest time of an event; 0 without events.
    newest: Millis,
    mark: Option<Mark>,
}

impl Past {
    /// Records an event at a time of the broker. Do not call it with due times, which lie in the future.
    pub fn saw(&mut self, at: Millis) {
        self.newest = self.newest.max(at);
    }

    /// Records a mark that a log holds; the newest one is kept.
    pub fn marked(&mut self, mark: Mark) {
        self.saw(mark.own);
        if self.mark.is_none_or(|known| known.own <= mark.own) {
            self.mark = Some(mark);
        }
    }

    /// Combines this with another log's past.
    pub fn and(mut self, other: Self) -> Self {
        self.saw(other.newest);
        other.mark.into_iter().for_each(|mark| self.marked(mark));
        self
    }

    /// The newest time of an event.
    pub fn newest(&self) -> Millis {
        self.newest
    }

    /// The wall clock time of one of the broker's times, as the last run showed it.
    pub fn wall(&self, at: Millis) -> Millis {
        let ahead = self.mark.and_then(|mark| Some(ahead(mark.wall?.shown, mark.own)));
        at.saturating_add_signed(ahead.unwrap_or(0))
    }

    /// The newest mark; none for a data folder without events. A mark is written within a second of every event. Where
    /// damage destroyed all marks, the broker's time is taken for the wall clock's, as at the folder's first start.
    pub fn mark(&self) -> Option<Mark> {
        let at = self.newest;
        let unmarked = Mark { own: at, wall: Some(Wall { shown: at, latest: at }), boot_id: 0, boot_ns: 0 };
        self.mark.or((at > 0).then_some(unmarked))
    }
}
