//! What is on its way to a channel of another core: it takes room there, and the channel is not empty, before it has come.

use std::sync::Arc;

use super::Core;
use crate::{
    address_store::{AddressStore, ChannelEntry},
    channel::ChannelCounters,
    log::Log,
};

/// A message on its way to some channels. It is counted there until this is dropped.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    to: Vec<Arc<ChannelCounters>>,
    bytes: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.to.iter().for_each(|counters| counters.under_way.leave(self.bytes));
    }
}

impl UnderWay {
    /// To channels that the address store has, by their numbers.
    pub(super) fn new(
        store: &AddressStore,
        counters: impl Fn(u32) -> Arc<ChannelCounters>,
        to: impl Iterator<Item = u32>,
        bytes: u64,
    ) -> Self {
        let to: Vec<_> = to.filter(|number| store.by_number(*number).is_some()).map(counters).collect();
        to.iter().for_each(|counters| counters.under_way.begin(bytes));
        Self { to, bytes }
    }
}

impl<L: Log> Core<L> {
    /// A message is on its way to channels of other cores.
    pub(super) fn under_way(&self, to: impl Iterator<Item = u32>, bytes: u64) -> UnderWay {
        UnderWay::new(&self.store, |number| self.counters.get_or_insert(number), to, bytes)
    }

    /// The same to one channel, if it is not being deleted. Its core begins that on another thread: it sees this message, or
    /// this core sees that.
    pub(super) fn under_way_to(&self, to: &Arc<ChannelEntry>, bytes: u64) -> Option<UnderWay> {
        let under_way = self.under_way([to.number].into_iter(), bytes);
        let is_open = self.store.by_number(to.number).is_some()
            && under_way.to.iter().all(|counters| !counters.under_way.is_closed());
        is_open.then_some(under_way)
    }
}
