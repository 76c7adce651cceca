//! Contents that stay in memory for the receivers to come, so that most are never read from the disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use prometheus::IntCounter;
use uuid::Uuid;

use super::by_channel::ByChannel;
use crate::{channel::Sequence, shared::Shared};

/// A message's content and its kept headers, encoded by [`crate::message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The kept headers.
    pub headers: Bytes,
    /// The content, byte for byte as it was sent.
    pub body: Bytes,
}

impl Content {
    /// Bytes of both, which is what counts towards a channel's limit.
    pub fn bytes(&self) -> usize {
        self.headers.len() + self.body.len()
    }
}

/// What the record of a message tells of it that its channel need not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The message's id, a UUIDv7.
    pub id: Uuid,
    /// What was sent.
    pub content: Content,
}

/// The contents in memory, up to a limit of all and a share of each channel. When there is no room, those that come are not kept
/// until others leave: those that came first are asked for first, so there is nothing better to throw out.
#[derive(Debug)]
pub(super) struct HotContents {
    // Messages come in order of their sequences: cheap to append to, and it never moves all that it holds, as a hash table
    // does when it grows.
    contents: BTreeMap<(u32, Sequence), Recorded>,
    by_channel: ByChannel,
}

impl HotContents {
    /// Room for `max_bytes`.
    pub(super) fn new(max_bytes: u64) -> Self {
        // Nobody is refused anything by it.
        let refused = IntCounter::new("refused", "none").expect("the name is one");
        Self { contents: BTreeMap::new(), by_channel: ByChannel::of(Shared::new(max_bytes, refused)) }
    }

    /// Keeps a content of a channel of a namespace, if there is room.
    pub(super) fn insert(
        &mut self,
        (channel, namespace): (u32, &str),
        sequence: Sequence,
        recorded: Recorded,
    ) {
        let bytes = recorded.content.bytes() as u64;
        if self.by_channel.may_take(channel, namespace, bytes) {
            self.by_channel.add(channel, namespace, bytes);
            self.contents.insert((channel, sequence), recorded);
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.by_channel.used()
    }

    /// A content, if it was kept.
    pub(super) fn get(&self, channel: u32, sequence: Sequence) -> Option<Recorded> {
        self.contents.get(&(channel, sequence)).cloned()
    }

    /// The message left.
    pub(super) fn remove(&mut self, channel: u32, sequence: Sequence) {
        if let Some(recorded) = self.contents.remove(&(channel, sequence)) {
            self.by_channel.give_back(channel, recorded.content.bytes() as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: usize) -> Recorded {
        let content = Content { headers: Bytes::new(), body: vec![0; bytes].into() };
        Recorded { id: Uuid::nil(), content }
    }

    #[test]
    fn a_full_memory_keeps_what_came_first_and_takes_more_when_that_left() {
        let orders = (1, "acme");
        let mut hot = HotContents::new(100);
        hot.insert(orders, 1, content(60));
        hot.insert(orders, 2, content(60));
        assert!(hot.get(1, 1).is_some() && hot.get(1, 2).is_none());
        hot.remove(1, 1);
        hot.insert(orders, 3, content(60));
        assert!(hot.get(1, 1).is_none() && hot.get(1, 3).is_some());
    }

    #[test]
    fn one_channel_leaves_memory_to_others() {
        let mut hot = HotContents::new(1000);
        (0..100).for_each(|sequence| hot.insert((1, "acme"), sequence, content(10)));
        hot.insert((2, "other"), 0, content(10));
        assert!(hot.get(2, 0).is_some());
    }
}
