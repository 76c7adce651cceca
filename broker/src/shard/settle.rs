//! Lease operations: settle, reject, release and renew.

use std::sync::atomic::Ordering::Relaxed;

use restante_wire::channel::{Delivery, Durability};

use crate::{
    channel::{Claim, Granted, Refusal, Released},
    clock::{Millis, after},
    log::{ChannelId, Log, Purpose, Record, RemovalCause, Sync},
    shard::{
        Channel, Shard, ShardGone, StoreFailed, Ticket,
        facts::records,
        ledger::reserve::{SETTLE_BYTES, STATE_BYTES},
    },
};

#[derive(Debug)]
pub struct Renewed {
    /// The lease with its new end.
    pub granted: Granted,
    /// The duration from now.
    pub lease: Millis,
    /// When the answer may be sent.
    pub ticket: Ticket,
}

/// The parameters of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Whether the lease counts as a delivery.
    pub counted: bool,
    /// Time until the message is ready; `None` for the channel's back-off.
    pub delay: Option<Millis>,
}

/// Why a lease operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettleRefusal {
    /// The channel was deleted, and the message with it.
    ChannelDeleted,
    /// The delay exceeds the channel's maximum.
    DelayTooLong {
        /// The maximum, in seconds.
        max_seconds: u32,
    },
    /// The lease is not valid, or not any more.
    Lease(Refusal),
    /// The disk has no room for the record.
    StoreFull,
    StoreFailed,
    Gone,
}

/// The duration of a lease: the requested one within the channel's bounds, or the channel's default.
pub fn bounded_lease(delivery: &Delivery, seconds: Option<u32>) -> Millis {
    let seconds = seconds.unwrap_or(delivery.lease_seconds).min(delivery.max_lease_seconds);
    Millis::from(seconds) * 1000
}

impl From<Refusal> for SettleRefusal {
    fn from(refusal: Refusal) -> Self {
        Self::Lease(refusal)
    }
}

impl From<ShardGone> for SettleRefusal {
    fn from(_: ShardGone) -> Self {
        Self::Gone
    }
}

impl From<StoreFailed> for SettleRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl<L: Log> Shard<L> {
    /// Settles a message, which leaves the channel. Succeeds as well if it has left before.
    pub fn settle(&mut self, channel_id: ChannelId, claim: Claim) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        self.leased_channel(channel_id)?;
        self.needs_room(Purpose::Settle, SETTLE_BYTES)?;
        let channel = self.leased_channel(channel_id)?;
        if !channel.state.decide_settle(claim, now)? {
            // A repeated settle gets the same answer, and the first one may still be in the open batch. A message that
            // left without a settle may have done so without a sync.
            return Ok(self.ticket_so_far(Sync::Now));
        }
        channel.live.counters.settled.fetch_add(1, Relaxed);
        let enqueued_at =
            channel.state.message(claim.sequence).map_or(now, |message| message.stored.enqueued_at);
        self.metrics.settled.inc();
        self.metrics.residence_seconds.observe(now.saturating_sub(enqueued_at) as f64 / 1000.0);
        let cause = RemovalCause::Settled;
        self.write(
            &Record::Removed { channel: channel_id, sequence: claim.sequence, cause },
            Purpose::Settle,
        )?;
        self.message_left(channel_id, claim.sequence);
        let ticket = self.settle_ticket(channel_id);
        self.after_lease(channel_id);
        Ok(ticket)
    }

    /// Rejects a message, which becomes a dead letter. Succeeds as well if it has left before. On a full disk the
    /// reason is left out, as it may be long.
    pub fn reject(
        &mut self,
        channel_id: ChannelId,
        claim: Claim,
        reason: Option<&str>,
    ) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        self.leased_channel(channel_id)?;
        self.needs_room(Purpose::Settle, STATE_BYTES)?;
        let reason =
            reason.filter(|reason| self.ledger.log.has_room(Purpose::Store, STATE_BYTES + reason.len()));
        let channel = self.leased_channel(channel_id)?;
        let Some(to) = channel.state.decide_reject(claim, reason, &channel.live.policy, now)? else {
            return Ok(self.ticket_so_far(Sync::Now));
        };
        self.record_dead_letter(channel_id, claim.sequence, to)?;
        let ticket = self.settle_ticket(channel_id);
        self.after_lease(channel_id);
        Ok(ticket)
    }

    /// Releases a message: it takes its old place, at once or after a delay.
    pub fn release(
        &mut self,
        channel_id: ChannelId,
        claim: Claim,
        release: Release,
    ) -> Result<Ticket, SettleRefusal> {
        let now = self.alive()?;
        let Release { counted, delay } = release;
        self.leased_channel(channel_id)?;
        let has_room = self.needs_room(Purpose::Change, STATE_BYTES);
        let channel = self.leased_channel(channel_id)?;
        let max_seconds = channel.live.entry.config.limits.max_delay_seconds;
        if delay.is_some_and(|delay| delay > Millis::from(max_seconds) * 1000) {
            return Err(SettleRefusal::DelayTooLong { max_seconds });
        }
        has_room?;
        match channel.state.decide_release(claim, counted, delay, &channel.live.policy, now)? {
            Released::Repeated => return Ok(self.ticket_so_far(Sync::Later)),
            Released::DeadLettered(to) => self.record_dead_letter(channel_id, claim.sequence, to)?,
            Released::Requeued(to) => {
                self.write(&records::state(channel_id, claim.sequence, &to), Purpose::Change)?;
                self.lease_ended(channel_id, claim.sequence);
            }
        }
        self.metrics.released.inc();
        let ticket = self.ledger.appended(Sync::Later);
        self.after_lease(channel_id);
        Ok(ticket)
    }

    /// Renews a lease for `seconds` from now, or for the channel's default; at most for its maximum.
    pub fn renew(
        &mut self,
        channel_id: ChannelId,
        claim: Claim,
        seconds: Option<u32>,
    ) -> Result<Renewed, SettleRefusal> {
        let now = self.alive()?;
        self.leased_channel(channel_id)?;
        self.needs_room(Purpose::Change, STATE_BYTES)?;
        let channel = self.leased_channel(channel_id)?;
        let lease = bounded_lease(&channel.live.entry.config.delivery, seconds);
        let granted = channel.state.decide_renewal(claim, after(now, lease), now)?;
        let ticket = self.record_lease(channel_id, &granted)?;
        self.touch(channel_id);
        Ok(Renewed { granted, lease, ticket })
    }

    /// The channel of a lease, created if necessary: after a restart the log may have none of its messages, but the
    /// channel exists.
    fn leased_channel(&mut self, channel_id: ChannelId) -> Result<&mut Channel, SettleRefusal> {
        if !self.facts.channels.contains_key(&channel_id)
            && let Some(entry) = self.store.by_id(channel_id)
        {
            let _ = self.channel(&entry);
        }
        self.facts
            .channels
            .get_mut(&channel_id)
            .map(|channel| &mut **channel)
            .ok_or(SettleRefusal::ChannelDeleted)
    }

    /// Refuses an operation without room for its record, before anything has changed.
    fn needs_room(&mut self, purpose: Purpose, bytes: usize) -> Result<(), SettleRefusal> {
        self.ledger.log.has_room(purpose, bytes).then_some(()).ok_or(SettleRefusal::StoreFull)
    }

    /// The ticket of a settle: at once for a channel that does not outlive a restart.
    fn settle_ticket(&mut self, channel_id: ChannelId) -> Ticket {
        let durability =
            self.facts.channels.get(&channel_id).map(|channel| channel.live.entry.config.durability);
        match durability {
            Some(Durability::Memory) => {
                let _ = self.ledger.appended(Sync::Later);
                Ticket::committed()
            }
            Some(Durability::Fsync) | None => self.ledger.appended(Sync::Now),
        }
    }

    /// Delivers messages after the end of a lease: another one of the message group may follow.
    fn after_lease(&mut self, channel_id: ChannelId) {
        self.serve_waiting(channel_id);
        self.touch(channel_id);
    }
}
