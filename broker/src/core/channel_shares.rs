//! Budgets that channels share: idempotency keys, memory for bodies, the disk. Each channel has a share within its
//! namespace's share.

use super::PerChannel;
use crate::shared::{Share, Shared};

/// The holder of a share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// All channels of a namespace.
    Namespace(Box<str>),
    /// One channel, by number.
    Channel(u32),
}

/// The share of a channel.
pub(super) fn share(shared: &Shared<Holder>, number: u32, namespace: &str) -> Share {
    let namespace = shared.share(Holder::Namespace(namespace.into()));
    shared.share_within(&namespace, Holder::Channel(number))
}

/// The shares of all channels that hold something, for things counted piece by piece.
#[derive(Debug)]
pub(super) struct ChannelShares {
    shared: Shared<Holder>,
    shares: PerChannel<Share>,
}

impl ChannelShares {
    pub(super) fn of(shared: Shared<Holder>) -> Self {
        Self { shared, shares: PerChannel::default() }
    }

    /// Whether a channel may take this amount.
    pub(super) fn may_take(&self, number: u32, namespace: &str, amount: u64) -> bool {
        match self.shares.get(&number) {
            Some(share) => share.may_take(amount),
            None => share(&self.shared, number, namespace).may_take(amount),
        }
    }

    pub(super) fn add(&mut self, number: u32, namespace: &str, amount: u64) {
        let shared = &self.shared;
        self.shares.entry(number).or_insert_with(|| share(shared, number, namespace)).add(amount);
    }

    pub(super) fn give_back(&mut self, number: u32, amount: u64) {
        if let Some(share) = self.shares.get(&number) {
            share.give_back(amount);
            if share.used() == 0 {
                self.shares.remove(&number);
            }
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
