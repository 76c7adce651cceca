//! Numbers of a shard's log and tables, for scrapes: each shard publishes its own, and a scrape adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers of one shard.
#[derive(Debug, Default)]
pub struct Samples {
    pub segments: AtomicU64,
    pub bytes: AtomicU64,
    pub retained_bytes: AtomicU64,
    /// Messages that other shards do not have yet.
    pub relay_messages: AtomicU64,
    pub keys: AtomicU64,
    /// Bytes of message bodies in memory.
    pub hot_bytes: AtomicU64,
}

impl Samples {
    /// Adds the numbers of another shard.
    pub fn add(&self, other: &Self) {
        let pairs = [
            (&self.segments, &other.segments),
            (&self.bytes, &other.bytes),
            (&self.retained_bytes, &other.retained_bytes),
            (&self.relay_messages, &other.relay_messages),
            (&self.keys, &other.keys),
            (&self.hot_bytes, &other.hot_bytes),
        ];
        for (sum, part) in pairs {
            sum.fetch_add(part.load(Relaxed), Relaxed);
        }
    }
}
