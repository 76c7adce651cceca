//! What a channel counts, readable by other threads without disturbing it.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};

use restante_wire::{ChannelConfig, ChannelStats};

use super::{ChannelState, State};
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
    /// Messages that became dead letters since the broker started.
    pub dead_lettered: AtomicU64,
    /// Messages whose time was over, since the broker started.
    pub expired: AtomicU64,
    /// Messages that made room for newer ones, since the broker started.
    pub dropped: AtomicU64,
    ready: AtomicU64,
    leased: AtomicU64,
    delayed: AtomicU64,
    dead: AtomicU64,
    bytes: AtomicU64,
    waiting_receivers: AtomicU64,
    waiting_senders: AtomicU64,
    /// When the oldest message was stored; 0 when there is none.
    oldest: AtomicU64,
    /// What other cores have for the channel.
    pub under_way: UnderWay,
}

/// What is on its way to a channel: other cores count it, and the channel's own looks at it before a deletion. Of a message that
/// leaves and a deletion that begins at the same time, one sees the other.
#[derive(Debug, Default)]
pub struct UnderWay {
    messages: AtomicU64,
    bytes: AtomicU64,
    closed: AtomicBool,
}

impl UnderWay {
    /// A message leaves for the channel.
    pub fn begin(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.messages.fetch_add(1, SeqCst);
    }

    /// A message is on its way no more: it has come.
    pub fn leave(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
        self.messages.fetch_sub(1, SeqCst);
    }

    /// Messages on their way.
    pub fn messages(&self) -> u64 {
        self.messages.load(SeqCst)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// The channel's deletion begins, or is taken back.
    pub fn close(&self, closed: bool) {
        self.closed.store(closed, SeqCst);
    }

    /// Whether the channel's deletion has begun.
    pub fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

impl ChannelCounters {
    /// Shows the channel as it is now.
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

    /// Messages that are ready.
    pub fn ready(&self) -> u64 {
        self.ready.load(Relaxed)
    }

    /// Receivers that wait on the channel.
    pub fn waiting_receivers(&self) -> u64 {
        self.waiting_receivers.load(Relaxed)
    }

    /// Senders that wait for room in the channel.
    pub fn waiting_senders(&self) -> u64 {
        self.waiting_senders.load(Relaxed)
    }

    /// The channel's counts, as clients and the operator are told.
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
