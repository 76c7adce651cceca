//! Messages that are leased for an answer that is not sent yet. They return to their channel if the request ends
//! before.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::{
    channel::Claim,
    log::ChannelId,
    message::StoredMessage,
    shard::{Delivery, Handout, StoreFailed},
    shared::Allocation,
    worker::Router,
};

/// Leased messages of one channel, for one answer.
pub struct Handouts {
    router: Router,
    deliveries: VecDeque<Delivery<StoredMessage>>,
    /// Messages whose contents are not loaded from the log yet.
    coming: VecDeque<Delivery>,
    /// Whether a repeated pull gets these messages once more.
    is_repeated: bool,
    /// The number of repeated messages that can no longer be read.
    unreadable: usize,
}

/// Messages on their way to a receiver, with the memory that they take. If this is dropped before they were sent, they
/// return to their channel.
#[derive(Debug, Default)]
pub struct Sending {
    handouts: SmallVec<[Handout; 1]>,
    memory: SmallVec<[Allocation; 1]>,
}

impl Sending {
    /// Memory of an answer, without a message.
    pub fn of_memory(memory: Allocation) -> Self {
        Self { handouts: SmallVec::new(), memory: SmallVec::from_buf([memory]) }
    }

    /// Adds memory of the answer.
    pub fn add_memory(&mut self, memory: Allocation) {
        self.memory.push(memory);
    }

    /// Adds the messages of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.handouts.append(&mut other.handouts);
        self.memory.append(&mut other.memory);
    }

    /// The messages were sent: their receiver has their leases.
    pub fn sent(mut self) {
        self.handouts.iter_mut().for_each(Handout::keep);
    }

    /// The leases of the messages.
    pub fn claims(&self) -> impl Iterator<Item = (ChannelId, Claim)> {
        self.handouts.iter().map(Handout::claim)
    }
}

impl Handouts {
    /// Messages that were just leased; call [`Self::filled`] next.
    pub(super) fn new(router: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        Self {
            router,
            deliveries: VecDeque::new(),
            coming: deliveries.into(),
            is_repeated: false,
            unreadable: 0,
        }
    }

    /// Messages that an earlier pull with the same attempt id leased.
    pub(super) fn repeated(router: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        Self { is_repeated: true, ..Self::new(router, deliveries) }
    }

    /// Loads the contents. Messages that cannot be read are left out.
    pub(super) async fn filled(mut self) -> Result<Self, StoreFailed> {
        self.deliveries.reserve(self.coming.len());
        while let Some(next) = self.coming.front_mut() {
            let (channel, sequence) = (next.channel, next.granted.sequence);
            let handed = (!self.is_repeated).then(|| next.granted.claim());
            let content = self.router.content(channel, sequence, handed, &mut next.content).await?;
            let next = self.coming.pop_front();
            let content = content.readable();
            // A new message that cannot be read has become a dead letter, and its lease is gone. A repeated one keeps
            // its lease.
            self.unreadable += usize::from(self.is_repeated && content.is_none());
            self.deliveries.extend(content.and_then(|content| next.map(|next| next.with(content))));
        }
        Ok(self)
    }

    /// The receiver keeps the messages even if the answer is lost: their leases go on.
    pub fn keep(&mut self) {
        self.deliveries.iter_mut().for_each(|delivery| delivery.handout.keep());
    }

    /// The number of repeated messages that can no longer be read.
    pub fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The messages whose contents are loaded.
    pub fn deliveries(&self) -> &VecDeque<Delivery<StoredMessage>> {
        &self.deliveries
    }

    /// Adds messages whose contents are loaded.
    pub(super) fn extend(&mut self, mut more: Self) {
        self.deliveries.append(&mut more.deliveries);
    }

    /// The size of bodies and kept headers.
    pub fn bytes(&self) -> u64 {
        self.deliveries.iter().map(|delivery| delivery.content.content.bytes() as u64).sum()
    }

    /// Settles all messages, durably: they are gone from the channel, even if the answer is lost. A message whose lease
    /// has ended meanwhile is removed from the answer, because another receiver may have it.
    pub async fn settle(&mut self) -> Result<(), StoreFailed> {
        let Some(channel) = self.deliveries.front().map(|delivery| delivery.channel) else { return Ok(()) };
        let claims: Vec<_> = self.deliveries.iter().map(|delivery| delivery.granted.claim()).collect();
        let settled = self.router.ask(channel, &claims, move |shard, claims| {
            claims.iter().map(|claim| shard.settle(channel, *claim).ok()).collect::<Vec<_>>()
        });
        let mut settled = settled.await.map_err(|_| StoreFailed)?.into_iter();
        let mut tickets = Vec::with_capacity(claims.len());
        // Without room for the settle, the message returns.
        self.deliveries.retain_mut(|delivery| {
            let ticket = settled.next().flatten();
            let is_settled = ticket.is_some();
            tickets.extend(ticket);
            if is_settled {
                delivery.handout.keep();
            }
            is_settled
        });
        for ticket in tickets {
            // Nearly always all belong to one commit batch.
            self.router.wait_until_committed(channel, ticket).await?;
        }
        Ok(())
    }

    /// Waits until the leases are written.
    pub async fn written(&self) -> Result<(), StoreFailed> {
        for delivery in &self.deliveries {
            self.router.wait_until_committed(delivery.channel, delivery.ticket.clone()).await?;
        }
        Ok(())
    }

    /// Takes the first message out for sending, with the guard that returns it if it is not sent.
    pub fn take_first(&mut self) -> Option<(Delivery<StoredMessage, (), ()>, Sending)> {
        let Delivery { channel, granted, token, content, ticket, memory, handout } =
            self.deliveries.pop_front()?;
        let sending =
            Sending { handouts: SmallVec::from_buf([handout]), memory: SmallVec::from_buf([memory]) };
        Some((Delivery { channel, granted, token, content, ticket, memory: (), handout: () }, sending))
    }
}
