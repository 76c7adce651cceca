//! Idle channels. Most keep only their counters and their next sequence: the channel is created again at its next use.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::{
    channel::{ChannelState, Sequence},
    log::{ChannelId, Log},
    shard::{Channel, Shard},
};

/// Idle channels that are kept in memory, because they may soon be used again: about two kilobytes each. Few under
/// test, to exercise eviction.
const KEPT: usize = if cfg!(test) { 1 } else { 1024 };

/// Evicted channels, and idle ones that are kept.
#[derive(Debug, Default)]
pub(in crate::shard) struct IdleChannels {
    /// The next sequence of each evicted channel.
    next_sequences: HashMap<ChannelId, Sequence>,
    /// Idle channels that are kept, in the order in which they became idle.
    kept: VecDeque<ChannelId>,
}

impl IdleChannels {
    /// The state of an evicted channel that is used again.
    pub(in crate::shard) fn restore(&mut self, channel_id: ChannelId) -> ChannelState {
        let mut state = ChannelState::default();
        if let Some(next) = self.next_sequences.remove(&channel_id) {
            state.begin_at(next);
        }
        state
    }

    /// The next sequence of an evicted channel.
    fn next_sequence(&self, channel_id: ChannelId) -> Option<Sequence> {
        self.next_sequences.get(&channel_id).copied()
    }

    /// Forgets a deleted channel.
    pub(in crate::shard) fn forget(&mut self, channel_id: ChannelId) {
        self.next_sequences.remove(&channel_id);
    }
}

#[cfg(test)]
impl IdleChannels {
    pub(in crate::shard) fn is_evicted(&self, channel_id: ChannelId) -> bool {
        self.next_sequences.contains_key(&channel_id)
    }
}

impl Channel {
    /// Whether eviction would lose nothing. A rate limiter would be lost: it knows the times of the last pushes.
    fn is_idle(&self) -> bool {
        self.state.messages_count() == 0
            && self.live.receivers.is_empty()
            && self.live.senders.is_empty()
            && self.live.attempts.is_empty()
            && self.live.rate.is_none()
            && Arc::strong_count(&self.live.lease_ended) == 1
    }
}

impl<L: Log> Shard<L> {
    /// The next sequence of a channel, in use or evicted; 0 if this shard never had a message of it.
    pub(in crate::shard) fn known_next_sequence(&self, channel_id: ChannelId) -> Sequence {
        match self.facts.channels.get(&channel_id) {
            Some(channel) => channel.state.next_sequence(),
            None => self.idle.next_sequence(channel_id).unwrap_or_default(),
        }
    }

    /// Keeps an idle channel, and evicts the one that has been idle longest, beyond the limit.
    pub(in crate::shard) fn evict_if_idle(&mut self, channel_id: ChannelId) {
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        if channel.live.listed_as_idle || !channel.is_idle() {
            return;
        }
        channel.live.listed_as_idle = true;
        self.idle.kept.push_back(channel_id);
        if self.idle.kept.len() > KEPT
            && let Some(longest) = self.idle.kept.pop_front()
        {
            self.evict(longest);
        }
    }

    /// Evicts a channel, unless it was used meanwhile.
    fn evict(&mut self, channel_id: ChannelId) {
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        channel.live.listed_as_idle = false;
        if channel.is_idle() {
            let next = channel.state.next_sequence();
            self.timers.remove(channel_id, channel.live.wakes_at);
            self.facts.channels.remove(&channel_id);
            self.idle.next_sequences.insert(channel_id, next);
        }
    }
}
