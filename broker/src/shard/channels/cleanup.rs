//! Follow-up work when a lease ends or a message leaves its channel.

use crate::{
    channel::Sequence,
    log::{ChannelId, Log},
    shard::Shard,
};

impl<L: Log> Shard<L> {
    /// Drops what the shard keeps of a message that left its channel, and wakes a sender that waits for room.
    pub(in crate::shard) fn message_left(&mut self, channel_id: ChannelId, sequence: Sequence) {
        self.contents.remove(channel_id, sequence);
        self.lease_ended(channel_id, sequence);
        if let Some(channel) = self.facts.channels.get(&channel_id) {
            channel.live.senders.wake();
        }
    }

    /// Ends the attempt of a message that is not leased any more, or never was.
    pub(in crate::shard) fn lease_ended(&mut self, channel_id: ChannelId, sequence: Sequence) {
        if let Some(channel) = self.facts.channels.get_mut(&channel_id) {
            channel.live.attempts.lease_ended(sequence);
            channel.live.lease_ended.notify_waiters();
        }
    }

    /// Publishes a channel's numbers, and sets its timer.
    pub(in crate::shard) fn touch(&mut self, channel_id: ChannelId) {
        self.update_reserve(channel_id);
        let Some(channel) = self.facts.channels.get(&channel_id) else { return };
        channel.publish();
        if let Some(at) = channel.state.next_event() {
            self.wake_at(channel_id, at);
        }
        self.evict_if_idle(channel_id);
    }

    /// Sets a channel's timer to `at`, unless it is earlier.
    pub(in crate::shard) fn wake_at(&mut self, channel_id: ChannelId, at: crate::clock::Millis) {
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        if channel.live.wakes_at.is_none_or(|before| at < before) {
            let before = channel.live.wakes_at.replace(at);
            if self.timers.set(channel_id, before, at) {
                self.wakers.timer.notify_one();
            }
        }
    }
}
