//! Messages that were leased for an answer that has not left yet: when the request ends before, they go back.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Context,
    asked::PullRequest,
    leased_body::{Leased, LeasedBody},
};
use crate::{
    channel::Claim,
    core::{Delivery, Recorded, SharedCore, StoreFailed, Ticket},
};

/// Messages on their way to a receiver.
pub(super) struct Held {
    core: SharedCore,
    deliveries: Vec<Delivery<Recorded>>,
    /// Those whose contents have not come from the log yet.
    coming: VecDeque<Delivery>,
}

impl Held {
    /// Messages that were just leased, when their contents are there.
    pub(super) async fn new(core: &SharedCore, deliveries: Vec<Delivery>) -> Result<Self, StoreFailed> {
        let mut held = Self { core: core.clone(), deliveries: Vec::new(), coming: VecDeque::new() };
        held.extend(deliveries).await?;
        Ok(held)
    }

    /// The messages.
    pub(super) fn deliveries(&self) -> &[Delivery<Recorded>] {
        &self.deliveries
    }

    /// More messages, when their contents are there.
    pub(super) async fn extend(&mut self, more: Vec<Delivery>) -> Result<(), StoreFailed> {
        self.coming.extend(more);
        self.deliveries.reserve(self.coming.len());
        while let Some(next) = self.coming.front_mut() {
            let content = self.core.content(&mut next.content).await?;
            let next = self.coming.pop_front().map(|next| next.with(content));
            self.deliveries.extend(next);
        }
        Ok(())
    }

    /// Bytes of contents and kept headers.
    pub(super) fn bytes(&self) -> u64 {
        self.deliveries.iter().map(|delivery| delivery.content.content.bytes() as u64).sum()
    }

    /// Settles all of them, durably: from now on they are the receiver's alone, whether the answer arrives or not.
    /// One whose lease has ended meanwhile is another's, and not among them any more.
    pub(super) async fn settle(&mut self) -> Result<(), StoreFailed> {
        let mut tickets = Vec::with_capacity(self.deliveries.len());
        self.core.with(|core| {
            self.deliveries.retain(|Delivery { channel, granted, .. }| {
                core.settle(*channel, granted.claim()).map(|ticket| tickets.push(ticket)).is_ok()
            });
        });
        wait_for_all(tickets).await
    }

    /// Waits until their leases are written.
    pub(super) async fn written(&self) -> Result<(), StoreFailed> {
        for delivery in &self.deliveries {
            delivery.ticket.clone().wait().await?;
        }
        Ok(())
    }

    /// The body of the answer: with it, the messages leave. What was settled is gone, whatever becomes of the answer; and an
    /// attempt that has an id keeps its messages: its repeat gets them again, under the same leases.
    pub(super) fn into_body(self, context: &Context, bytes: Bytes, request: &PullRequest) -> LeasedBody {
        let claims = self.into_claims();
        let kept = request.auto || request.asked.attempt.is_some();
        let given_back = if kept { Vec::new() } else { claims };
        LeasedBody::new(Leased::new(context, given_back, bytes.len()), bytes)
    }

    /// The claims of the messages, which leave otherwise.
    pub(super) fn into_claims(mut self) -> Vec<(u32, Claim)> {
        std::mem::take(&mut self.deliveries)
            .iter()
            .map(|delivery| (delivery.channel, delivery.granted.claim()))
            .collect()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let here = self.deliveries.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        let coming = self.coming.iter().map(|delivery| (delivery.channel, delivery.granted.claim()));
        for (channel, claim) in here.chain(coming) {
            self.core.with(|core| core.take_back(channel, claim));
        }
    }
}

/// Waits for all of some promises; nearly always they are of one group.
pub(super) async fn wait_for_all(tickets: Vec<Ticket>) -> Result<(), StoreFailed> {
    for ticket in tickets {
        ticket.wait().await?;
    }
    Ok(())
}
