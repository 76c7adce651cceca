//! Budgets that channels share: idempotency keys, memory for bodies, the disk. Each channel has a share within its
//! namespace's share.

use crate::{
    log::ChannelId,
    shard::PerChannel,
    shared::{Share, Shared},
};

/// The holder of a share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// All channels of a namespace.
    Namespace(Box<str>),
    /// One channel.
    Channel(ChannelId),
}

/// The share of a channel.
pub(in crate::shard) fn share(shared: &Shared<Holder>, channel: ChannelId, namespace: &str) -> Share {
    let namespace = shared.share(Holder::Namespace(namespace.into()));
    shared.share_within(&namespace, Holder::Channel(channel))
}

/// The shares of all channels that hold something, for things counted piece by piece. A piece that has no room for the
/// channel's id remembers the index of its holder.
#[derive(Debug)]
pub(in crate::shard) struct ChannelShares {
    shared: Shared<Holder>,
    indices: PerChannel<u32>,
    holders: Vec<Option<(ChannelId, Share)>>,
    free: Vec<u32>,
}

impl ChannelShares {
    pub(in crate::shard) fn of(shared: Shared<Holder>) -> Self {
        Self { shared, indices: PerChannel::default(), holders: Vec::new(), free: Vec::new() }
    }

    /// Whether a channel may take this amount.
    pub(in crate::shard) fn may_take(&self, channel: ChannelId, namespace: &str, amount: u64) -> bool {
        match self.indices.get(&channel).and_then(|index| self.holders[*index as usize].as_ref()) {
            Some((_, share)) => share.may_take(amount),
            None => share(&self.shared, channel, namespace).may_take(amount),
        }
    }

    /// Adds an amount, and returns the index of its holder.
    pub(in crate::shard) fn add(&mut self, channel: ChannelId, namespace: &str, amount: u64) -> u32 {
        let index = match self.indices.get(&channel) {
            Some(index) => *index,
            None => self.begin(channel, namespace),
        };
        if let Some((_, share)) = &self.holders[index as usize] {
            share.add(amount);
        }
        index
    }

    fn begin(&mut self, channel: ChannelId, namespace: &str) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.holders.push(None);
            (self.holders.len() - 1) as u32
        });
        self.holders[index as usize] = Some((channel, share(&self.shared, channel, namespace)));
        self.indices.insert(channel, index);
        index
    }

    pub(in crate::shard) fn give_back(&mut self, channel: ChannelId, amount: u64) {
        if let Some(index) = self.indices.get(&channel) {
            self.give_back_of(*index, amount);
        }
    }

    /// [`Self::give_back`] of the holder with this index.
    pub(in crate::shard) fn give_back_of(&mut self, index: u32, amount: u64) {
        let Some((channel, share)) = &self.holders[index as usize] else { return };
        share.give_back(amount);
        if share.used() == 0 {
            self.indices.remove(channel);
            self.holders[index as usize] = None;
            self.free.push(index);
        }
    }

    /// The amount of all channels.
    pub(in crate::shard) fn used(&self) -> u64 {
        self.shared.budget().used()
    }

    pub(in crate::shard) fn count_refusal(&self) {
        self.shared.budget().count_refusal();
    }
}
