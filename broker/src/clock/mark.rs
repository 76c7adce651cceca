//! What a log remembers of the time, for the next run.

use super::{Millis, ahead};

/// The broker's time beside the machine's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The broker's time.
    pub own: Millis,
    /// The wall clock; absent when no run has seen it set.
    pub wall: Option<Wall>,
    /// Which boot of which machine; 0 when it is not known.
    pub boot_id: u128,
    /// How long ago that boot was, in nanoseconds.
    pub boot_ns: u64,
}

/// The wall clock at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wall {
    /// The wall clock time that answers and logs show.
    pub shown: Millis,
    /// The same by the wall clock that was ever furthest ahead, at the mark or for a minute.
    pub latest: Millis,
}

/// What the logs of a data folder tell of the time before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// The newest time at which something happened; 0 when nothing did.
    newest: Millis,
    mark: Option<Mark>,
}

impl Past {
    /// Something happened at a time of the broker. Times at which something is due lie in the future and do not count.
    pub fn saw(&mut self, at: Millis) {
        self.newest = self.newest.max(at);
    }

    /// A log has a mark.
    pub fn marked(&mut self, mark: Mark) {
        self.saw(mark.own);
        if self.mark.is_none_or(|known| known.own <= mark.own) {
            self.mark = Some(mark);
        }
    }

    /// What another log tells as well.
    pub fn and(mut self, other: Self) -> Self {
        self.saw(other.newest);
        other.mark.into_iter().for_each(|mark| self.marked(mark));
        self
    }

    /// The newest time at which something happened.
    pub fn newest(&self) -> Millis {
        self.newest
    }

    /// The wall clock time of one of the broker's times, as the last run told it.
    pub fn wall(&self, at: Millis) -> Millis {
        let ahead = self.mark.and_then(|mark| Some(ahead(mark.wall?.shown, mark.own)));
        at.saturating_add_signed(ahead.unwrap_or(0))
    }

    /// The newest mark; none when nothing was ever written. Marks are written within a second of all else: where damage took all
    /// of them, the broker's time is taken for the wall clock's, as it was at the folder's beginning.
    pub fn mark(&self) -> Option<Mark> {
        let at = self.newest;
        let unmarked = Mark { own: at, wall: Some(Wall { shown: at, latest: at }), boot_id: 0, boot_ns: 0 };
        self.mark.or((at > 0).then_some(unmarked))
    }
}
