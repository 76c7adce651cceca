//! Messages that are leased for an answer that is not sent yet. They are released if the request ends before.

use std::collections::VecDeque;

use bytes::Bytes;

use super::leased_body::{LeasedBody, ReleaseGuard};
use crate::{
    channel::Claim,
    core::{Delivery, Router, SettleRefusal, StoreFailed, StoredMessage, Ticket},
    log::ChannelId,
};

/// Leased messages of one channel, for one answer.
pub(super) struct LeasedMessages {
    cores: Router,
    deliveries: VecDeque<Delivery<StoredMessage>>,
    /// Messages whose contents are not loaded from the log yet.
    coming: VecDeque<Delivery>,
    /// Whether messages that are not sent are released and take their old places.
    releases_unsent: bool,
    /// Whether a repeated pull gets these messages once more.
    is_repeated: bool,
    /// The number of repeated messages that can no longer be read.
    unreadable: usize,
}

impl LeasedMessages {
    /// Messages that were just leased; call [`Self::filled`] next.
    pub(super) fn new(cores: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        Self {
            cores,
            deliveries: VecDeque::new(),
            coming: deliveries.into(),
            releases_unsent: true,
            is_repeated: false,
            unreadable: 0,
        }
    }

    /// Messages that an earlier pull with the same attempt id leased.
    pub(super) fn repeated(cores: Router, deliveries: impl Into<VecDeque<Delivery>>) -> Self {
        let mut held = Self::new(cores, deliveries);
        held.is_repeated = true;
        held
    }

    /// Loads the contents. Messages that cannot be read are left out.
    pub(super) async fn filled(mut self) -> Result<Self, StoreFailed> {
        self.deliveries.reserve(self.coming.len());
        while let Some(next) = self.coming.front_mut() {
            let (channel, sequence) = (next.channel, next.granted.sequence);
            let handed = (!self.is_repeated).then(|| next.granted.claim());
            let content = self.cores.content(channel, sequence, handed, &mut next.content).await?;
            let next = self.coming.pop_front();
            let content = content.readable();
            // A new message that cannot be read has become a dead letter, and its lease is gone. A repeated one keeps
            // its lease.
            self.unreadable += usize::from(self.is_repeated && content.is_none());
            self.deliveries.extend(content.and_then(|content| next.map(|next| next.with(content))));
        }
        Ok(self)
    }

    /// Sets whether messages that are not sent are released.
    pub(super) fn release_unsent(mut self, releases_unsent: bool) -> Self {
        self.releases_unsent = releases_unsent;
        self
    }

    /// The number of repeated messages that can no longer be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable
    }

    /// The messages whose contents are loaded.
    pub(super) fn deliveries(&self) -> &VecDeque<Delivery<StoredMessage>> {
        &self.deliveries
    }

    /// Adds messages whose contents are loaded.
    pub(super) fn extend(&mut self, mut more: Self) {
        self.deliveries.append(&mut more.deliveries);
    }

    /// The size of bodies and kept headers.
    pub(super) fn bytes(&self) -> u64 {
        self.deliveries.iter().map(|delivery| delivery.content.content.bytes() as u64).sum()
    }

    /// Settles all messages, durably: they are gone from the channel, even if the answer is lost. A message whose lease
    /// has ended meanwhile is removed from the answer, because another receiver may have it.
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

    /// Waits until the leases are written.
    pub(super) async fn written(&self) -> Result<(), StoreFailed> {
        for delivery in &self.deliveries {
            self.cores.wait_until_committed(delivery.channel, delivery.ticket.clone()).await?;
        }
        Ok(())
    }

    /// Takes the first message out for sending, with the guard that releases it if it is not sent.
    pub(super) fn take_first(&mut self) -> Option<(Delivery<StoredMessage, ()>, ReleaseGuard)> {
        let Delivery { channel, granted, token, content, ticket, memory } = self.deliveries.pop_front()?;
        let mut leased = ReleaseGuard::new(&self.cores);
        leased.add(self.releases_unsent.then(|| (channel, granted.claim())), memory);
        Some((Delivery { channel, granted, token, content, ticket, memory: () }, leased))
    }

    /// The body of an answer with the first message's content.
    pub(super) fn into_body(mut self, content: Bytes) -> LeasedBody {
        let leased = self.take_first().map(|(_, leased)| leased);
        LeasedBody::new(leased.unwrap_or_else(|| ReleaseGuard::new(&self.cores)), content)
    }
}

impl Drop for LeasedMessages {
    fn drop(&mut self) {
        if !self.releases_unsent {
            return;
        }
        let here = self.deliveries.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        let coming = self.coming.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        for (channel, claim) in here.chain(coming) {
            self.cores.tell(channel, move |core| core.return_unsent(channel, claim));
        }
    }
}

/// Waits for several tickets of one channel's worker; nearly always they belong to one group commit.
pub(super) async fn wait_for_all(
    cores: &Router,
    channel: ChannelId,
    tickets: Vec<Ticket>,
) -> Result<(), StoreFailed> {
    for ticket in tickets {
        cores.wait_until_committed(channel, ticket).await?;
    }
    Ok(())
}
