//! Message bodies kept in memory for the next receivers, so that most are never read from disk.

use std::collections::BTreeMap;

use prometheus::IntCounter;

use crate::{
    channel::Sequence, log::ChannelId, message::StoredMessage,
    shard::channels::channel_shares::ChannelShares, shared::Shared,
};

/// Bodies in memory, up to a limit of all and a share of each channel. When it is full, new bodies are not kept until
/// others leave: the oldest are delivered first, so evicting them would be worse.
#[derive(Debug)]
pub(super) struct HotContents {
    // Messages arrive in the order of their sequences: a tree appends cheaply, and unlike a growing hash table never
    // moves all entries.
    contents: BTreeMap<(ChannelId, Sequence), StoredMessage>,
    shares: ChannelShares,
}

impl HotContents {
    pub(super) fn new(max_bytes: u64) -> Self {
        // Its refusals are not a metric.
        let refused = IntCounter::new("refused", "none").expect("the name is valid");
        Self { contents: BTreeMap::new(), shares: ChannelShares::of(Shared::new(max_bytes, refused)) }
    }

    /// Keeps the body of a message, if there is room.
    pub(super) fn insert(
        &mut self,
        (channel, namespace): (ChannelId, &str),
        sequence: Sequence,
        recorded: StoredMessage,
    ) {
        let bytes = recorded.content.bytes() as u64;
        if self.shares.may_take(channel, namespace, bytes) {
            self.shares.add(channel, namespace, bytes);
            self.contents.insert((channel, sequence), recorded);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shares.used()
    }

    pub(super) fn get(&self, channel: ChannelId, sequence: Sequence) -> Option<StoredMessage> {
        self.contents.get(&(channel, sequence)).cloned()
    }

    /// Drops the body of a message that left.
    pub(super) fn remove(&mut self, channel: ChannelId, sequence: Sequence) {
        if let Some(recorded) = self.contents.remove(&(channel, sequence)) {
            self.shares.give_back(channel, recorded.content.bytes() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::message::Content;

    fn content(bytes: usize) -> StoredMessage {
        let content = Content { headers: Default::default(), body: vec![0; bytes].into() };
        StoredMessage { id: Uuid::nil(), content }
    }

    #[test]
    fn a_full_body_memory_keeps_the_first_bodies_and_accepts_more_when_they_leave() {
        let orders = (ChannelId(1), "acme");
        let mut hot = HotContents::new(100);
        hot.insert(orders, 1, content(60));
        hot.insert(orders, 2, content(60));
        assert!(hot.get(ChannelId(1), 1).is_some() && hot.get(ChannelId(1), 2).is_none());
        hot.remove(ChannelId(1), 1);
        hot.insert(orders, 3, content(60));
        assert!(hot.get(ChannelId(1), 1).is_none() && hot.get(ChannelId(1), 3).is_some());
    }

    #[test]
    fn one_channel_leaves_memory_for_other_channels() {
        let mut hot = HotContents::new(1000);
        (0..100).for_each(|sequence| hot.insert((ChannelId(1), "acme"), sequence, content(10)));
        hot.insert((ChannelId(2), "other"), 0, content(10));
        assert!(hot.get(ChannelId(2), 0).is_some());
    }
}
