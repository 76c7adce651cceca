//! When leases end: one ordered set for all channels of a core, so that an idle channel costs nothing.

use std::collections::BTreeSet;

use crate::{channel::state::Sequence, clock::Millis};

/// The end of a lease that was granted. One that finds its lease renewed or settled has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeaseEnd {
    /// When the lease ends.
    pub(super) at: Millis,
    /// The number of the message's channel.
    pub(super) channel: u32,
    /// The message's place in it.
    pub(super) sequence: Sequence,
}

/// All ends to come.
#[derive(Debug, Default)]
pub(super) struct LeaseTimers {
    ends: BTreeSet<LeaseEnd>,
}

impl LeaseTimers {
    /// A lease was granted; true when it ends before all others, so that whoever sleeps must wake earlier.
    pub(super) fn insert(&mut self, end: LeaseEnd) -> bool {
        let earliest = self.next().is_none_or(|next| end.at < next);
        self.ends.insert(end);
        earliest
    }

    /// When the next lease ends.
    pub(super) fn next(&self) -> Option<Millis> {
        self.ends.first().map(|end| end.at)
    }

    /// One lease that has ended by now.
    pub(super) fn pop_ended(&mut self, now: Millis) -> Option<LeaseEnd> {
        (self.next()? <= now).then(|| self.ends.pop_first()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_end_in_order_and_not_before_their_time() {
        let mut timers = LeaseTimers::default();
        let end = |at| LeaseEnd { at, channel: 1, sequence: at };
        assert!(timers.insert(end(200)));
        assert!(!timers.insert(end(300)));
        assert!(timers.insert(end(100)));
        assert_eq!(timers.pop_ended(99), None);
        assert_eq!(timers.pop_ended(250), Some(end(100)));
        assert_eq!(timers.pop_ended(250), Some(end(200)));
        assert_eq!(timers.pop_ended(250), None);
        assert_eq!(timers.next(), Some(300));
    }
}
