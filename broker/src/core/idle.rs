//! Idle channels. Most keep only their counters and their next sequence: the channel is created again at its next use.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{Channel, Core};
use crate::{
    channel::{ChannelState, Sequence},
    log::Log,
};

/// Idle channels that are kept in memory, because they may soon be used again: about two kilobytes each. Few under
/// test, to exercise eviction.
const KEPT: usize = if cfg!(test) { 1 } else { 1024 };

/// Evicted channels, and idle ones that are kept.
#[derive(Debug, Default)]
pub(super) struct IdleChannels {
    /// The next sequence of each evicted channel.
    next_sequences: HashMap<u32, Sequence>,
    /// Idle channels that are kept, in the order in which they became idle.
    kept: VecDeque<u32>,
}

impl IdleChannels {
    /// The state of an evicted channel that is used again.
    pub(super) fn restore(&mut self, number: u32) -> ChannelState {
        let mut state = ChannelState::default();
        if let Some(next) = self.next_sequences.remove(&number) {
            state.begin_at(next);
        }
        state
    }

    /// Forgets a deleted channel.
    pub(super) fn forget(&mut self, number: u32) {
        self.next_sequences.remove(&number);
    }
}

#[cfg(test)]
impl IdleChannels {
    pub(super) fn is_evicted(&self, number: u32) -> bool {
        self.next_sequences.contains_key(&number)
    }
}

impl Channel {
    /// Whether eviction would lose nothing. A rate limiter would be lost: it knows the times of the last pushes.
    fn is_idle(&self) -> bool {
        self.state.messages_count() == 0
            && self.receivers.is_empty()
            && self.senders.is_empty()
            && self.attempts.is_empty()
            && self.rate.is_none()
            && Arc::strong_count(&self.lease_ended) == 1
    }
}

impl<L: Log> Core<L> {
    /// Keeps an idle channel, and evicts the one that has been idle longest, beyond the limit.
    pub(super) fn evict_if_idle(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.listed_as_idle || !channel.is_idle() {
            return;
        }
        channel.listed_as_idle = true;
        self.idle.kept.push_back(number);
        if self.idle.kept.len() > KEPT
            && let Some(longest) = self.idle.kept.pop_front()
        {
            self.evict(longest);
        }
    }

    /// Evicts a channel, unless it was used meanwhile.
    fn evict(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.listed_as_idle = false;
        if channel.is_idle() {
            let next = channel.state.next_sequence();
            self.timers.remove(number, channel.wakes_at);
            self.channels.remove(&number);
            self.idle.next_sequences.insert(number, next);
        }
    }
}
