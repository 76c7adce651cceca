//! What a channel of a serving shard has besides its messages.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{
    Delivery, admission::RateLimiter, attempts::Attempts, channel::DiskShare, facts::Stage, keys::KeyTable,
};
use crate::{
    address_store::ChannelEntry,
    channel::{ChannelCounters, Policy, WaitingReceivers, WaitingSenders},
    clock::Millis,
    shared::Share,
};

/// Facts that are being served.
pub(super) struct Serving;

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
pub(super) type Channel = super::facts::Channel<Live>;

pub(super) struct Live {
    pub(super) entry: Arc<ChannelEntry>,
    pub(super) policy: Policy,
    pub(super) rate: Option<RateLimiter>,
    /// Boxed, so that a waiting receiver takes little memory.
    pub(super) receivers: WaitingReceivers<Box<Delivery>, Share>,
    pub(super) senders: WaitingSenders<Share>,
    pub(super) attempts: Attempts,
    /// Wakes when a lease ends, for receivers with a limit of leased messages.
    pub(super) lease_ended: Arc<Notify>,
    pub(super) counters: Arc<ChannelCounters>,
    /// The time of the channel's timer.
    pub(super) wakes_at: Option<Millis>,
    /// Whether the channel is in the list of idle channels.
    pub(super) listed_as_idle: bool,
    /// All waiting receivers lack memory for the next message.
    pub(super) lacks_memory: bool,
    /// Its share of the disk.
    pub(super) disk: DiskShare,
    /// State records that its messages may still need: see [`super::reserve`].
    pub(super) reserved_records: u64,
}
