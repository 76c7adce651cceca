//! What a receiver says of a message that it has: done, or not yet, or not by me, or by nobody.

use std::sync::atomic::Ordering::Relaxed;

use restante_wire::channel::{Delivery, Durability};

use super::{
    Channel, Core, CoreGone, StoreFailed, Ticket,
    promise::{SETTLE_BYTES, STATE_BYTES},
    records,
};
use crate::{
    channel::{Claim, Granted, Refusal, Released},
    clock::{Millis, after},
    log::{Log, Purpose, Record, Sync},
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

/// How a message is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Whether the hand-out was a delivery.
    pub counted: bool,
    /// For how long nobody gets the message; absent, the channel's back-off.
    pub delay: Option<Millis>,
}

/// Why a receiver is not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleRefusal {
    /// The channel was deleted, and the message with it.
    ChannelDeleted,
    /// The message would come back later than the channel lets it.
    DelayTooLong {
        /// The longest delay, in seconds.
        max_seconds: u32,
    },
    /// The lease is not good, or not any more.
    Lease(Refusal),
    /// The disk has no room to write it down.
    StoreFull,
    /// The log failed.
    StoreFailed,
    /// The broker is shutting down.
    Gone,
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

impl From<CoreGone> for SettleRefusal {
    fn from(_: CoreGone) -> Self {
        Self::Gone
    }
}

impl From<StoreFailed> for SettleRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl<L: Log> Core<L> {
    /// The receiver is done with the message: it leaves the channel. As good when it left before.
    pub fn settle(&mut self, number: u32, claim: Claim) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        self.leasing(number)?;
        self.needs_room(Purpose::Settle, SETTLE_BYTES)?;
        let channel = self.leasing(number)?;
        let Some(message) = channel.state.settle(claim, now)? else {
            // Who settles twice is told the same; the first time may still be in the open group. And what left without being
            // settled may have done so without a sync.
            return Ok(self.everything_so_far(Sync::Now));
        };
        channel.counters.settled.fetch_add(1, Relaxed);
        self.metrics.settled.inc();
        let residence = now.saturating_sub(message.stored.enqueued_at);
        self.metrics.residence_seconds.observe(residence as f64 / 1000.0);
        self.append(&Record::Settle { channel: number, sequence: claim.sequence }, Purpose::Settle)?;
        self.forget(number, claim.sequence, &message);
        let ticket = self.promise(number);
        self.after_lease(number);
        Ok(ticket)
    }

    /// The receiver gives the message up: it becomes a dead letter. As good when it left before. On a full disk the reason is
    /// left out: it is nobody's to read before the dead letter is, and could be long.
    pub fn reject(
        &mut self,
        number: u32,
        claim: Claim,
        reason: Option<&str>,
    ) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        self.leasing(number)?;
        self.needs_room(Purpose::Settle, STATE_BYTES)?;
        let reason = reason.filter(|reason| self.log.has_room(Purpose::Store, STATE_BYTES + reason.len()));
        let channel = self.leasing(number)?;
        if !channel.state.reject(claim, reason, &channel.policy, now)? {
            return Ok(self.everything_so_far(Sync::Now));
        }
        self.buried(number, claim.sequence)?;
        let ticket = self.promise(number);
        self.after_lease(number);
        Ok(ticket)
    }

    /// The receiver gives the message back: it takes its old place, at once or when its pause is over.
    pub fn release(&mut self, number: u32, claim: Claim, release: Release) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        let Release { counted, delay } = release;
        self.leasing(number)?;
        let has_room = self.needs_room(Purpose::Change, STATE_BYTES);
        let channel = self.leasing(number)?;
        let max_seconds = channel.entry.config.limits.max_delay_seconds;
        if delay.is_some_and(|delay| delay > Millis::from(max_seconds) * 1000) {
            return Err(SettleRefusal::DelayTooLong { max_seconds });
        }
        has_room?;
        match channel.state.release(claim, counted, delay, &channel.policy, now)? {
            Released::Repeated => return Ok(self.everything_so_far(Sync::Later)),
            Released::DeadLettered => self.buried(number, claim.sequence)?,
            Released::Requeued => {
                self.lease_ended(number, claim.sequence);
                self.record_state(number, claim.sequence, Purpose::Change)?;
            }
        }
        self.metrics.released.inc();
        let ticket = self.appended(Sync::Later);
        self.after_lease(number);
        Ok(ticket)
    }

    /// The receiver keeps the message for `seconds` from now, or for the channel's own lease, and at most for its
    /// longest.
    pub fn renew(
        &mut self,
        number: u32,
        claim: Claim,
        seconds: Option<u32>,
    ) -> Result<Renewed, SettleRefusal> {
        let now = self.alive()?;
        self.leasing(number)?;
        self.needs_room(Purpose::Change, STATE_BYTES)?;
        let channel = self.leasing(number)?;
        let lease = bounded_lease(&channel.entry.config.delivery, seconds);
        let granted = channel.state.renew(claim, after(now, lease), now)?;
        let ticket = self.record_lease(number, &granted)?;
        self.touch(number);
        Ok(Renewed { granted, lease, ticket })
    }

    /// The channel that a lease is of. After a restart the log may tell of none of its messages: they are gone, and it is
    /// not.
    fn leasing(&mut self, number: u32) -> Result<&mut Channel, SettleRefusal> {
        if !self.channels.contains_key(&number)
            && let Some(entry) = self.store.by_number(number)
        {
            let _ = self.channel(&entry);
        }
        self.channels.get_mut(&number).map(|channel| &mut **channel).ok_or(SettleRefusal::ChannelDeleted)
    }

    /// A receiver is not heard for which there is no room: before anything has changed.
    fn needs_room(&mut self, purpose: Purpose, bytes: usize) -> Result<(), SettleRefusal> {
        self.log.has_room(purpose, bytes).then_some(()).ok_or(SettleRefusal::StoreFull)
    }

    /// Writes down everything about a message that changes. The caller has found room for it.
    pub(super) fn record_state(
        &mut self,
        number: u32,
        sequence: u64,
        purpose: Purpose,
    ) -> Result<(), StoreFailed> {
        let Some(message) = self.channels.get(&number).and_then(|channel| channel.state.message(sequence))
        else {
            return Ok(());
        };
        let appended = self.log.append(&records::state(number, sequence, &message), purpose);
        let position = self.has_room_held(appended)?;
        self.recorded(number, sequence, position);
        Ok(())
    }

    /// When a settle of this channel may be answered: at once where nothing outlives a restart anyhow.
    fn promise(&mut self, number: u32) -> Ticket {
        let durability = self.channels.get(&number).map(|channel| channel.entry.config.durability);
        match durability {
            Some(Durability::Memory) => {
                let _ = self.appended(Sync::Later);
                Ticket::committed()
            }
            Some(Durability::Fsync) | None => self.appended(Sync::Now),
        }
    }

    /// A message is not leased any more: another of its group may follow.
    fn after_lease(&mut self, number: u32) {
        self.serve_waiting(number);
        self.touch(number);
    }
}
