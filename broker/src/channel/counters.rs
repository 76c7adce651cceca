//! What a channel counts, readable by other threads without disturbing it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use restante_wire::{ChannelConfig, ChannelStats};

use super::ChannelState;
use crate::clock::Millis;

/// A channel's numbers. The core that owns the channel writes them, and scrapes and probes read them.
#[derive(Debug, Default)]
pub struct ChannelCounters {
    /// Messages stored since the broker started.
    pub pushed: AtomicU64,
    /// Hand-outs since the broker started.
    pub delivered: AtomicU64,
    /// Messages settled since the broker started.
    pub settled: AtomicU64,
    ready: AtomicU64,
    leased: AtomicU64,
    bytes: AtomicU64,
    waiting: AtomicU64,
    /// When the oldest message was stored; 0 when there is none.
    oldest: AtomicU64,
}

impl ChannelCounters {
    /// Shows the channel as it is now.
    pub fn publish(&self, state: &ChannelState, waiting: usize) {
        self.ready.store(state.ready(), Relaxed);
        self.leased.store(state.leased(), Relaxed);
        self.bytes.store(state.bytes(), Relaxed);
        self.waiting.store(waiting as u64, Relaxed);
        self.oldest.store(state.oldest().unwrap_or(0), Relaxed);
    }

    /// Messages that the next pulls get.
    pub fn ready(&self) -> u64 {
        self.ready.load(Relaxed)
    }

    /// Receivers that wait on the channel.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// The channel's counts, as clients and the operator are told.
    pub fn stats(&self, config: &ChannelConfig, now: Millis) -> ChannelStats {
        let oldest = self.oldest.load(Relaxed);
        ChannelStats {
            ready: self.ready(),
            leased: self.leased.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            oldest_message_age_seconds: (oldest != 0).then(|| now.saturating_sub(oldest) / 1000),
            waiting_receivers: self.waiting(),
            ..ChannelStats::empty(config)
        }
    }
}
