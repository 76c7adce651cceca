//! Messages that were leased for an answer that has not left yet: when the request ends before, they go back.

use std::collections::VecDeque;

use bytes::Bytes;

use super::leased_body::{Leased, LeasedBody};
use crate::{
    channel::Claim,
    core::{Delivery, Router, SettleRefusal, StoreFailed, StoredMessage, Ticket},
};

/// Messages of one channel on their way to a receiver.
pub(super) struct Held {
    cores: Router,
    deliveries: VecDeque<Delivery<StoredMessage>>,
    /// Those whose contents have not come from the log yet.
    coming: VecDeque<Delivery>,
    /// Whether those that do not leave take their old places.
    is_given_back: bool,
    /// Whether the receiver has them already, and asks for them once more.
    is_repeated: bool,
    /// How many of those cannot be read any more.
    unreadable: usize,
}

impl Held {
    /// Messages that were just leased; [`Self::filled`] follows.
    pub(super) fn new(cores: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        Self {
            cores,
            deliveries: VecDeque::new(),
            coming: deliveries.into(),
            is_given_back: true,
            is_repeated: false,
            unreadable: 0,
        }
    }

    /// Messages that the receiver has already.
    pub(super) fn repeated(cores: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        let mut held = Self::new(cores, deliveries);
        held.is_repeated = true;
        held
    }

    /// The same when their contents are there: those that can be read.
    pub(super) async fn filled(mut self) -> Result<Self, StoreFailed> {
        self.deliveries.reserve(self.coming.len());
        while let Some(next) = self.coming.front_mut() {
            let (channel, sequence) = (next.channel, next.granted.sequence);
            let handed = (!self.is_repeated).then(|| next.granted.claim());
            let content = self.cores.content(channel, sequence, handed, &mut next.content).await?;
            let next = self.coming.pop_front();
            let content = content.whole();
            // One that cannot be read was set aside, and is nobody's any more; or it stays the receiver's, who asks once more.
            self.unreadable += usize::from(self.is_repeated && content.is_none());
            self.deliveries.extend(content.and_then(|content| next.map(|next| next.with(content))));
        }
        Ok(self)
    }

    /// The same, whose messages go back or not if they do not leave.
    pub(super) fn given_back(mut self, is_given_back: bool) -> Self {
        self.is_given_back = is_given_back;
        self
    }

    /// How many messages that the receiver has already cannot be read any more.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The messages.
    pub(super) fn deliveries(&self) -> &VecDeque<Delivery<StoredMessage>> {
        &self.deliveries
    }

    /// More messages, whose contents are there.
    pub(super) fn extend(&mut self, mut more: Self) {
        self.deliveries.append(&mut more.deliveries);
    }

    /// Bytes of contents and kept headers.
    pub(super) fn bytes(&self) -> u64 {
        self.deliveries.iter().map(|delivery| delivery.content.content.bytes() as u64).sum()
    }

    /// Settles all of them, durably: from now on they are the receiver's alone, whether the answer arrives or not.
    /// One whose lease has ended meanwhile is another's, and not among them any more.
    pub(super) async fn settle(&mut self) -> Result<(), StoreFailed> {
        let Some(channel) = self.deliveries.front().map(|delivery| delivery.channel) else { return Ok(()) };
        let claims: Vec<_> = self.deliveries.iter().map(|delivery| delivery.granted.claim()).collect();
        let settled = self.cores.ask(channel, &claims, move |core, claims| {
            let mut settle = |claim: &Claim| {
                let settled = core.settle(channel, *claim);
                if matches!(settled, Err(SettleRefusal::StoreFull)) {
                    core.return_unsent(channel, *claim);
                }
                settled.ok()
            };
            claims.iter().map(&mut settle).collect::<Vec<_>>()
        });
        let mut settled = settled.await.map_err(|_| StoreFailed)?.into_iter();
        let mut tickets = Vec::with_capacity(claims.len());
        self.deliveries.retain(|_| settled.next().flatten().map(|ticket| tickets.push(ticket)).is_some());
        wait_for_all(&self.cores, channel, tickets).await
    }

    /// Waits until their leases are written.
    pub(super) async fn written(&self) -> Result<(), StoreFailed> {
        for delivery in &self.deliveries {
            self.cores.kept(delivery.channel, delivery.ticket.clone()).await?;
        }
        Ok(())
    }

    /// The first message leaves: what it was, and how it is given back if it does not arrive.
    pub(super) fn leaves(&mut self) -> Option<(Delivery<StoredMessage, ()>, Leased)> {
        let Delivery { channel, granted, token, content, ticket, memory } = self.deliveries.pop_front()?;
        let mut leased = Leased::new(&self.cores);
        leased.add(self.is_given_back.then(|| (channel, granted.claim())), memory);
        Some((Delivery { channel, granted, token, content, ticket, memory: () }, leased))
    }

    /// The body of an answer that is the first message's content.
    pub(super) fn into_body(mut self, content: Bytes) -> LeasedBody {
        let leased = self.leaves().map(|(_, leased)| leased);
        LeasedBody::new(leased.unwrap_or_else(|| Leased::new(&self.cores)), content)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_given_back {
            return;
        }
        let here = self.deliveries.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        let coming = self.coming.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        for (channel, claim) in here.chain(coming) {
            self.cores.tell(channel, move |core| core.return_unsent(channel, claim));
        }
    }
}

/// Waits for all of some promises of a channel's core; nearly always they are of one group.
pub(super) async fn wait_for_all(
    cores: &Router,
    channel: u32,
    tickets: Vec<Ticket>,
) -> Result<(), StoreFailed> {
    for ticket in tickets {
        cores.kept(channel, ticket).await?;
    }
    Ok(())
}
