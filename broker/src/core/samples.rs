//! What a core's log and tables hold, for scrapes: each core shows its own, and whoever asks adds them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One core's numbers.
#[derive(Debug, Default)]
pub struct Samples {
    /// Segment files of the log.
    pub segments: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Bytes in them that are still needed.
    pub live_bytes: AtomicU64,
    /// Messages that other cores are still to have.
    pub outgoing: AtomicU64,
    /// Idempotency keys that are remembered.
    pub keys: AtomicU64,
    /// Bytes of contents in memory for the receivers to come.
    pub hot_bytes: AtomicU64,
}

impl Samples {
    /// Adds another's numbers up.
    pub fn add(&self, other: &Self) {
        let pairs = [
            (&self.segments, &other.segments),
            (&self.bytes, &other.bytes),
            (&self.live_bytes, &other.live_bytes),
            (&self.outgoing, &other.outgoing),
            (&self.keys, &other.keys),
            (&self.hot_bytes, &other.hot_bytes),
        ];
        for (sum, part) in pairs {
            sum.fetch_add(part.load(Relaxed), Relaxed);
        }
    }
}
