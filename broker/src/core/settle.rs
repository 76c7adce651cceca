//! What a receiver says of a message that it has: done, or not yet, or not by me.

use std::sync::atomic::Ordering::Relaxed;

use restante_wire::channel::Delivery;

use super::{Core, StoreFailed, Ticket};
use crate::{
    channel::{Claim, Granted, Refusal},
    clock::Millis,
    log::{Position, Record, Sync},
};

/// A lease that goes on.
#[derive(Debug)]
pub struct Renewed {
    /// The lease with its new end.
    pub granted: Granted,
    /// How long that is from now.
    pub lease: Millis,
    /// When the answer may leave.
    pub ticket: Ticket,
}

/// Why a receiver is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleRefusal {
    /// The channel was deleted, and the message with it.
    ChannelDeleted,
    /// The lease is not good, or not any more.
    Lease(Refusal),
    /// The log failed.
    StoreFailed,
}

/// The lease that a receiver gets: what it asks for, within the channel's bounds, or the channel's own.
pub fn bounded_lease(delivery: &Delivery, seconds: Option<u32>) -> Millis {
    let seconds = seconds.unwrap_or(delivery.lease_seconds).min(delivery.max_lease_seconds);
    Millis::from(seconds) * 1000
}

impl From<Refusal> for SettleRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Lease(refusal)
    }
}

impl From<StoreFailed> for SettleRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl Core {
    /// The receiver is done with the message: it leaves the channel. As good when it left before.
    pub fn settle(&mut self, number: u32, claim: Claim) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        let channel = self.channels.get_mut(&number).ok_or(SettleRefusal::ChannelDeleted)?;
        let Some(stored) = channel.state.settle(claim, now)? else {
            // Who settles twice is told the same; the first time may still be in the open group.
            return Ok(self.everything_so_far());
        };
        channel.counters.settled.fetch_add(1, Relaxed);
        channel.publish();
        self.metrics.settled.inc();
        self.metrics.residence_seconds.observe(now.saturating_sub(stored.enqueued_at) as f64 / 1000.0);
        self.contents.remove(number, claim.sequence);
        self.append_reserved(&Record::Settle { channel: number, sequence: claim.sequence })?;
        self.log.release(stored.position);
        Ok(self.appended(Sync::Now))
    }

    /// The receiver gives the message back: it takes its old place at once.
    pub fn release(&mut self, number: u32, claim: Claim, counted: bool) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        let channel = self.channels.get_mut(&number).ok_or(SettleRefusal::ChannelDeleted)?;
        if !channel.state.release(claim, counted, now)? {
            return Ok(self.everything_so_far());
        }
        self.metrics.released.inc();
        let record =
            Record::Release { channel: number, sequence: claim.sequence, delivery: claim.handout, counted };
        self.append_reserved(&record)?;
        let ticket = self.appended(Sync::Later);
        self.serve_waiting(number);
        Ok(ticket)
    }

    /// The receiver keeps the message for `lease` from now, or for the channel's own lease, and at most for its longest.
    pub fn renew(
        &mut self,
        number: u32,
        claim: Claim,
        seconds: Option<u32>,
    ) -> Result<Renewed, SettleRefusal> {
        let now = self.alive()?;
        let channel = self.channels.get_mut(&number).ok_or(SettleRefusal::ChannelDeleted)?;
        let lease = bounded_lease(&channel.entry.config.delivery, seconds);
        let granted = channel.state.renew(claim, now + lease, now)?;
        let ticket = self.record_lease(number, &granted)?;
        Ok(Renewed { granted, lease, ticket })
    }

    /// The time now, unless the log failed.
    fn alive(&self) -> Result<Millis, StoreFailed> {
        if self.failed { Err(StoreFailed) } else { Ok(self.clock.now()) }
    }

    /// Appends what must have room even on a full disk: all that empties it.
    pub(super) fn append_reserved(&mut self, record: &Record<'_>) -> Result<Position, StoreFailed> {
        self.log.append_reserved(record).map_err(|error| {
            tracing::error!(%error, "the log takes no record, not even from its reserve; the broker stops");
            self.failed = true;
            self.wakers.commit.notify_one();
            StoreFailed
        })
    }
}
