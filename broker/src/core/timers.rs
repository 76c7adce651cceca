//! When time changes something in a channel: one ordered set for all channels of a core, so that an idle channel costs
//! nothing.
//!
//! A channel wakes no later than it must, and now and then earlier: a message that leaves takes its time with it, and the
//! channel finds that out when it wakes. So the set changes a few times a minute and not with each message.

use std::collections::BTreeSet;

use crate::clock::Millis;

/// When each channel wakes.
#[derive(Debug, Default)]
pub(super) struct ChannelTimers {
    wakes: BTreeSet<(Millis, u32)>,
}

impl ChannelTimers {
    /// A channel that wakes at `before` must wake at `at`; true when that is before all others, so that whoever sleeps
    /// must wake earlier.
    pub(super) fn set(&mut self, channel: u32, before: Option<Millis>, at: Millis) -> bool {
        if let Some(before) = before {
            self.wakes.remove(&(before, channel));
        }
        let earliest = self.next().is_none_or(|next| at < next);
        self.wakes.insert((at, channel));
        earliest
    }

    /// A channel that wakes at `at` is gone.
    pub(super) fn remove(&mut self, channel: u32, at: Option<Millis>) {
        if let Some(at) = at {
            self.wakes.remove(&(at, channel));
        }
    }

    /// When the next channel wakes.
    pub(super) fn next(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The channels that wake by now; they are not in the set any more.
    pub(super) fn take_due(&mut self, now: Millis) -> Vec<u32> {
        let mut due = Vec::new();
        while self.next().is_some_and(|at| at <= now) {
            due.extend(self.wakes.pop_first().map(|(_, channel)| channel));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_wake_in_order_and_not_before_their_time() {
        let mut timers = ChannelTimers::default();
        assert!(timers.set(1, None, 200));
        assert!(!timers.set(2, None, 300));
        assert!(timers.set(3, None, 100));
        assert!(timers.set(2, Some(300), 50));
        assert!(timers.take_due(49).is_empty());
        assert_eq!(timers.take_due(100), [2, 3]);
        timers.remove(1, Some(200));
        assert_eq!(timers.next(), None);
    }
}
