//! Messages in relay to channels of other shards: they count against the channels' limits before they arrive, and
//! prevent a deletion.

use std::sync::Arc;

use crate::{
    address_store::{AddressStore, ChannelEntry},
    channel::ChannelCounters,
    log::{ChannelId, Log},
    shard::Shard,
};

/// Counts a message in relay to some channels, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct InRelay {
    to: Vec<Arc<ChannelCounters>>,
    bytes: u64,
}

impl Drop for InRelay {
    fn drop(&mut self) {
        self.to.iter().for_each(|counters| counters.in_relay.leave(self.bytes));
    }
}

impl InRelay {
    /// Counts a message for the channels that the address store has.
    pub(in crate::shard) fn new(
        store: &AddressStore,
        counters: impl Fn(ChannelId) -> Arc<ChannelCounters>,
        to: impl Iterator<Item = ChannelId>,
        bytes: u64,
    ) -> Self {
        let to: Vec<_> = to.filter(|channel_id| store.by_id(*channel_id).is_some()).map(counters).collect();
        to.iter().for_each(|counters| counters.in_relay.begin(bytes));
        Self { to, bytes }
    }
}

impl<L: Log> Shard<L> {
    /// Counts a message for channels of other shards.
    pub(in crate::shard) fn in_relay(&self, to: impl Iterator<Item = ChannelId>, bytes: u64) -> InRelay {
        InRelay::new(&self.store, |channel_id| self.counters.get_or_insert(channel_id), to, bytes)
    }

    /// Counts a message for one channel, unless it is being deleted. The deletion may begin on another thread at this
    /// moment: either it sees this message, or this call sees the deletion.
    pub(in crate::shard) fn in_relay_to(&self, to: &Arc<ChannelEntry>, bytes: u64) -> Option<InRelay> {
        let in_relay = self.in_relay([to.id].into_iter(), bytes);
        let is_open = self.store.by_id(to.id).is_some()
            && in_relay.to.iter().all(|counters| !counters.in_relay.is_closed());
        is_open.then_some(in_relay)
    }
}
