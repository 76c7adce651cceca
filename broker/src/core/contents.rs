//! Contents that stay in memory for the receivers to come, so that most are never read from the disk.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::channel::Sequence;

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

/// The contents in memory, up to a limit. A full one takes no more until messages leave: those that came first are asked
/// for first, so there is nothing better to throw out.
#[derive(Debug)]
pub(super) struct HotContents {
    // Messages come in order of their sequences: cheap to append to, and it never moves all that it holds, as a hash table
    // does when it grows.
    contents: BTreeMap<(u32, Sequence), Recorded>,
    bytes: usize,
    max_bytes: usize,
}

impl HotContents {
    /// Room for `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { contents: BTreeMap::new(), bytes: 0, max_bytes }
    }

    /// Keeps a content, if there is room.
    pub(super) fn insert(&mut self, channel: u32, sequence: Sequence, recorded: Recorded) {
        let bytes = recorded.content.bytes();
        if self.bytes + bytes <= self.max_bytes {
            self.bytes += bytes;
            self.contents.insert((channel, sequence), recorded);
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A content, if it was kept.
    pub(super) fn get(&self, channel: u32, sequence: Sequence) -> Option<Recorded> {
        self.contents.get(&(channel, sequence)).cloned()
    }

    /// The message left.
    pub(super) fn remove(&mut self, channel: u32, sequence: Sequence) {
        if let Some(recorded) = self.contents.remove(&(channel, sequence)) {
            self.bytes -= recorded.content.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_keeps_what_came_first_and_takes_more_when_that_left() {
        let content = |bytes: usize| Recorded {
            id: Uuid::nil(),
            content: Content { headers: Bytes::new(), body: vec![0; bytes].into() },
        };
        let mut hot = HotContents::new(100);
        hot.insert(1, 1, content(60));
        hot.insert(1, 2, content(60));
        assert!(hot.get(1, 1).is_some() && hot.get(1, 2).is_none());
        hot.remove(1, 1);
        hot.insert(1, 3, content(60));
        assert!(hot.get(1, 1).is_none() && hot.get(1, 3).is_some());
    }
}
