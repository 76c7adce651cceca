//! What channels share of a broker: idempotency keys, memory for contents, the disk. Each channel has a share within that of its
//! namespace.

use super::Numbered;
use crate::shared::{Share, Shared};

/// Who shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Holder {
    /// All channels of a namespace.
    Namespace(Box<str>),
    /// One of them, by its number.
    Channel(u32),
}

/// The share of a channel.
pub(super) fn share(shared: &Shared<Holder>, number: u32, namespace: &str) -> Share {
    let namespace = shared.share(Holder::Namespace(namespace.into()));
    shared.share_within(&namespace, Holder::Channel(number))
}

/// The shares of channels that have something, for what is counted a piece at a time.
#[derive(Debug)]
pub(super) struct ByChannel {
    shared: Shared<Holder>,
    shares: Numbered<Share>,
}

impl ByChannel {
    /// Shares of a budget.
    pub(super) fn of(shared: Shared<Holder>) -> Self {
        Self { shared, shares: Numbered::default() }
    }

    /// Whether a channel may have so much more.
    pub(super) fn may_take(&self, number: u32, namespace: &str, amount: u64) -> bool {
        match self.shares.get(&number) {
            Some(share) => share.may_take(amount),
            None => share(&self.shared, number, namespace).may_take(amount),
        }
    }

    /// A channel has more.
    pub(super) fn add(&mut self, number: u32, namespace: &str, amount: u64) {
        let shared = &self.shared;
        self.shares.entry(number).or_insert_with(|| share(shared, number, namespace)).add(amount);
    }

    /// A channel has less.
    pub(super) fn give_back(&mut self, number: u32, amount: u64) {
        if let Some(share) = self.shares.get(&number) {
            share.give_back(amount);
            if share.used() == 0 {
                self.shares.remove(&number);
            }
        }
    }

    /// What all have.
    pub(super) fn used(&self) -> u64 {
        self.shared.budget().used()
    }

    /// Counts that a channel was refused.
    pub(super) fn count_refusal(&self) {
        self.shared.budget().count_refusal();
    }
}
