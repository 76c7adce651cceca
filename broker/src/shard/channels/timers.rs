//! Timers of channels: one ordered set for all channels of a shard, so that an idle channel costs nothing.
//!
//! A channel wakes no later than its next event, and sometimes earlier: the timer of a message that left is not
//! removed, and the channel finds nothing due. So the set changes a few times a minute instead of with each message.

use std::collections::BTreeSet;

use crate::{clock::Millis, log::ChannelId};

#[derive(Debug, Default)]
pub(in crate::shard) struct ChannelTimers {
    wakes: BTreeSet<(Millis, ChannelId)>,
}

impl ChannelTimers {
    /// Moves a channel's timer from `before` to `at`. True if it is the earliest of all: then the timer task must wake
    /// earlier.
    pub(in crate::shard) fn set(&mut self, channel: ChannelId, before: Option<Millis>, at: Millis) -> bool {
        if let Some(before) = before {
            self.wakes.remove(&(before, channel));
        }
        let earliest = self.next().is_none_or(|next| at < next);
        self.wakes.insert((at, channel));
        earliest
    }

    /// Removes a channel's timer.
    pub(in crate::shard) fn remove(&mut self, channel: ChannelId, at: Option<Millis>) {
        if let Some(at) = at {
            self.wakes.remove(&(at, channel));
        }
    }

    /// The time of the earliest timer.
    pub(in crate::shard) fn next(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Removes and returns the channels whose timers are due.
    pub(in crate::shard) fn take_due(&mut self, now: Millis) -> Vec<ChannelId> {
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
    fn timers_fire_in_order_and_not_early() {
        let mut timers = ChannelTimers::default();
        assert!(timers.set(ChannelId(1), None, 200));
        assert!(!timers.set(ChannelId(2), None, 300));
        assert!(timers.set(ChannelId(3), None, 100));
        assert!(timers.set(ChannelId(2), Some(300), 50));
        assert!(timers.take_due(49).is_empty());
        assert_eq!(timers.take_due(100), [2, 3].map(ChannelId));
        timers.remove(ChannelId(1), Some(200));
        assert_eq!(timers.next(), None);
    }
}
