//! A channel's counters, which other threads read without disturbing the shard.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use restante_wire::{ChannelConfig, ChannelStats};

use super::{ChannelState, State};
use crate::clock::Millis;

/// A channel's counters. The shard that owns the channel writes them; scrapes and probes read them.
#[derive(Debug, Default)]
pub struct ChannelCounters {
    pub pushed: AtomicU64,
    /// Leases granted since the broker started, redeliveries included.
    pub delivered: AtomicU64,
    pub settled: AtomicU64,
    pub dead_lettered: AtomicU64,
    pub expired: AtomicU64,
    /// Messages dropped to make room for newer ones, since the broker started.
    pub dropped: AtomicU64,
    ready: AtomicU64,
    leased: AtomicU64,
    delayed: AtomicU64,
    dead: AtomicU64,
    bytes: AtomicU64,
    waiting_receivers: AtomicU64,
    waiting_senders: AtomicU64,
    /// When the oldest message was stored; 0 without messages.
    oldest: AtomicU64,
    /// Messages that other shards relay to the channel.
    pub in_relay: InRelayCounts,
}

/// Messages in relay to a channel. The sending shards count them, and the channel's shard checks the count before a
/// deletion. If a relay and a deletion begin at the same time, at least one of them sees the other.
#[derive(Debug, Default)]
pub struct InRelayCounts {
    messages: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicBool,
}

impl InRelayCounts {
    /// Counts a message that another shard begins to relay.
    pub fn begin(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.messages.fetch_add(1, SeqCst);
    }

    /// Counts a relayed message as arrived.
    pub fn leave(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.messages.fetch_sub(1, SeqCst);
    }

    pub fn messages(&self) -> u64 {
        self.messages.load(SeqCst)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Marks the channel as being deleted, or takes that back.
    pub fn close(&self, closed: bool) {
        self.closed.store(closed, SeqCst);
    }

    /// Whether the channel is being deleted.
    pub fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

impl ChannelCounters {
    /// Publishes the channel's current numbers.
    pub fn publish(&self, state: &ChannelState, waiting_receivers: usize, waiting_senders: usize) {
        self.ready.store(state.count(State::Ready), Relaxed);
        self.leased.store(state.count(State::Leased), Relaxed);
        self.delayed.store(state.count(State::Delayed), Relaxed);
        self.dead.store(state.count(State::Dead), Relaxed);
        self.bytes.store(state.bytes(), Relaxed);
        self.waiting_receivers.store(waiting_receivers as u64, Relaxed);
        self.waiting_senders.store(waiting_senders as u64, Relaxed);
        self.oldest.store(state.oldest().unwrap_or(0), Relaxed);
    }

    pub fn ready(&self) -> u64 {
        self.ready.load(Relaxed)
    }

    pub fn waiting_receivers(&self) -> u64 {
        self.waiting_receivers.load(Relaxed)
    }

    pub fn waiting_senders(&self) -> u64 {
        self.waiting_senders.load(Relaxed)
    }

    /// The numbers that clients and the operator see.
    pub fn stats(&self, config: &ChannelConfig, now: Millis) -> ChannelStats {
        let oldest = self.oldest.load(Relaxed);
        ChannelStats {
            ready: self.ready(),
            leased: self.leased.load(Relaxed),
            delayed: self.delayed.load(Relaxed),
            dead: self.dead.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            oldest_message_age_seconds: (oldest != 0).then(|| now.saturating_sub(oldest) / 1000),
            waiting_receivers: self.waiting_receivers(),
            waiting_senders: self.waiting_senders(),
            ..ChannelStats::empty(config)
        }
    }
}
