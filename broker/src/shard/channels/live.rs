//! What a channel of a serving shard has besides its messages.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, Policy, WaitingReceivers, WaitingSenders},
    clock::Millis,
    shard::{
        Delivery,
        channels::{admission::RateLimiter, attempts::Attempts, channel::DiskShare},
        facts::Stage,
        keys::KeyTable,
    },
    shared::Share,
};

/// Facts that are being served.
pub(in crate::shard) struct Serving;

impl Stage for Serving {
    type Attached = Live;
    type Keys = KeyTable;

    fn attach() -> Option<Live> {
        None
    }

    fn namespace(live: &Live) -> &str {
        &live.entry.config.namespace
    }
}

/// A channel of a serving shard.
pub(in crate::shard) type Channel = crate::shard::facts::Channel<Live>;

pub(in crate::shard) struct Live {
    pub(in crate::shard) entry: Arc<ChannelEntry>,
    pub(in crate::shard) policy: Policy,
    pub(in crate::shard) rate: Option<RateLimiter>,
    /// Boxed, so that a waiting receiver takes little memory.
    pub(in crate::shard) receivers: WaitingReceivers<Box<Delivery>, Share>,
    pub(in crate::shard) senders: WaitingSenders<Share>,
    pub(in crate::shard) attempts: Attempts,
    /// Wakes when a lease ends, for receivers with a limit of leased messages.
    pub(in crate::shard) lease_ended: Arc<Notify>,
    pub(in crate::shard) counters: Arc<ChannelCounters>,
    /// The time of the channel's timer.
    pub(in crate::shard) wakes_at: Option<Millis>,
    /// Whether the channel is in the list of idle channels.
    pub(in crate::shard) listed_as_idle: bool,
    /// All waiting receivers lack memory for the next message.
    pub(in crate::shard) lacks_memory: bool,
    /// Its share of the disk.
    pub(in crate::shard) disk: DiskShare,
    /// State records that its messages may still need: see [`crate::shard::ledger::reserve`].
    pub(in crate::shard) reserved_records: u64,
}
