//! Budgets that channels share: idempotency keys, memory for bodies, the disk. Each channel has a share within its
//! namespace's share.

use super::PerChannel;
use crate::log::ChannelId;
use crate::shared::{Share, Shared};

/// The holder of a share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// All channels of a namespace.
    Namespace(Box<str>),
    /// One channel.
    Channel(ChannelId),
}

/// The share of a channel.
pub(super) fn share(shared: &Shared<Holder>, channel: ChannelId, namespace: &str) -> Share {
    let namespace = shared.share(Holder::Namespace(namespace.into()));
    shared.share_within(&namespace, Holder::Channel(channel))
}

/// The shares of all channels that hold something, for things counted piece by piece. A piece that has no room for the
/// channel's id remembers the index of its holder.
#[derive(Debug)]
pub(super) struct ChannelShares {
    shared: Shared<Holder>,
    indices: PerChannel<u32>,
    holders: Vec<Option<(ChannelId, Share)>>,
    free: Vec<u32>,
}

impl ChannelShares {
    pub(super) fn of(shared: Shared<Holder>) -> Self {
        Self { shared, indices: PerChannel::default(), holders: Vec::new(), free: Vec::new() }
    }

    /// Whether a channel may take this amount.
    pub(super) fn may_take(&self, channel: ChannelId, namespace: &str, amount: u64) -> bool {
        match self.indices.get(&channel).and_then(|index| self.holders[*index as usize].as_ref()) {
            Some((_, share)) => share.may_take(amount),
            None => share(&self.shared, channel, namespace).may_take(amount),
        }
    }

    /// Adds an amount, and returns the index of its holder.
    pub(super) fn add(&mut self, channel: ChannelId, namespace: &str, amount: u64) -> u32 {
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

    pub(super) fn give_back(&mut self, channel: ChannelId, amount: u64) {
        if let Some(index) = self.indices.get(&channel) {
            self.give_back_of(*index, amount);
        }
    }

    /// [`Self::give_back`] of the holder with this index.
    pub(super) fn give_back_of(&mut self, index: u32, amount: u64) {
        let Some((channel, share)) = &self.holders[index as usize] else { return };
        share.give_back(amount);
        if share.used() == 0 {
            self.indices.remove(channel);
            self.holders[index as usize] = None;
            self.free.push(index);
        }
    }

    /// The amount of all channels.
    pub(super) fn used(&self) -> u64 {
        self.shared.budget().used()
    }

    pub(super) fn count_refusal(&self) {
        self.shared.budget().count_refusal();
    }
}
