//! Delivery of messages: to the receiver that pulls, or to the one that has waited longest.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::Notify;

use crate::{
    address_store::ChannelEntry,
    channel::{Arrival, Attempt, Claim, Granted, Phase, Released, Sequence, WaiterId},
    clock::{Millis, after},
    log::{ChannelId, Log, Purpose, Sync},
    shard::{
        EVENTS_PER_TURN, Handout, Reading, SettleRefusal, Shard, ShardGone, StoreFailed, Ticket,
        channels::attempts::Outcome,
        facts::records,
        ledger::reserve::{ROOM_AGAIN_AFTER_MS, STATE_BYTES},
    },
    shared::{self, Allocation, Share},
};

/// A leased message; its body may still be read from the log.
#[derive(Debug)]
pub struct Delivery<C = Reading, M = Allocation, H = Handout> {
    pub channel: ChannelId,
    /// The message and its lease.
    pub granted: Granted,
    /// The sealed token of the lease.
    pub token: String,
    pub content: C,
    /// When the answer may be sent.
    pub ticket: Ticket,
    /// The memory that it takes until it is sent.
    pub memory: M,
    /// Returns the message if it is not sent.
    pub handout: H,
}

impl<C> Delivery<C> {
    /// The same delivery with other content.
    pub fn with<D>(self, content: D) -> Delivery<D> {
        let Self { channel, granted, token, ticket, memory, handout, content: _ } = self;
        Delivery { channel, granted, token, content, ticket, memory, handout }
    }
}

/// The parameters of a pull.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Duration of the lease.
    pub lease: Millis,
    pub attempt: Option<Attempt>,
    /// The receiver's share of the memory for answers. A message is leased only if there is memory for it.
    pub answers: Share,
}

/// Outcome of a pull.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would cost each pull an allocation")]
pub enum PullOutcome {
    Delivered(Delivery),
    /// The messages that the attempt got before.
    Repeated(Vec<Delivery>),
    /// No message yet; it will arrive here.
    Waiting(WaiterId, Arrival<Box<Delivery>>),
}

/// Why a pull is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRefusal {
    /// The channel is being deleted.
    Closed,
    /// The attempt id belongs to another form of pull.
    OtherForm,
    /// The limit of waiting receivers is reached.
    TooManyReceivers {
        max: usize,
    },
    /// There is no memory for the answer.
    NoMemory,
    /// The disk has no room for the lease's record.
    StoreFull,
    StoreFailed,
    Gone,
}

impl From<StoreFailed> for PullRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl From<ShardGone> for PullRefusal {
    fn from(_: ShardGone) -> Self {
        Self::Gone
    }
}

impl<L: Log> Shard<L> {
    /// Leases the channel's next message to the receiver, or lets the receiver wait.
    pub fn pull(&mut self, entry: &Arc<ChannelEntry>, pull: &Pull) -> Result<PullOutcome, PullRefusal> {
        let now = self.alive()?;
        let channel_id = entry.id;
        self.catch_up(channel_id, now)?;
        let max = self.limits.waiting_receivers;
        let channel = self.channel(entry).ok_or(PullRefusal::Closed)?;
        if let Some(attempt) = &pull.attempt {
            let before = channel.live.attempts.get(attempt).map_err(|_| PullRefusal::OtherForm)?;
            match before.cloned() {
                // There is at least one, or the attempt would have been removed.
                Some(Outcome::Delivered(messages)) => {
                    return Ok(PullOutcome::Repeated(self.repeat_attempt(
                        channel_id,
                        &messages,
                        &pull.answers,
                    )?));
                }
                Some(Outcome::Waiting(first)) => {
                    if let Some((id, arrival)) = channel.live.receivers.take_over(first, pull.lease) {
                        channel.live.attempts.set_waiting(attempt, id);
                        return Ok(PullOutcome::Waiting(id, arrival));
                    }
                }
                None => {}
            }
        }
        // Waiting receivers go first; the list is empty whenever a message is ready, unless they lack memory.
        if channel.can_deliver() && (channel.live.receivers.is_empty() || channel.live.lacks_memory) {
            let bytes = channel.next_bytes();
            if !self.has_room_for_state(Purpose::Change) {
                return Err(PullRefusal::StoreFull);
            }
            let memory = pull.answers.take(bytes).ok_or(PullRefusal::NoMemory)?;
            let delivery = self.deliver_next(channel_id, pull, memory)?;
            self.touch(channel_id);
            return Ok(PullOutcome::Delivered(delivery));
        }
        if !may_wait(channel.live.receivers.len(), channel.live.receivers.holders(), &pull.answers, max) {
            return Err(PullRefusal::TooManyReceivers { max });
        }
        let (id, arrival) =
            channel.live.receivers.push(pull.lease, pull.attempt.clone(), pull.answers.clone());
        if let Some(attempt) = &pull.attempt {
            channel.live.attempts.set_waiting(attempt, id);
        }
        channel.publish();
        Ok(PullOutcome::Waiting(id, arrival))
    }

    /// Leases up to `max` more messages that are ready, of at most `bytes` in total.
    pub fn pull_more(
        &mut self,
        channel_id: ChannelId,
        pull: &Pull,
        max: usize,
        mut bytes: u64,
    ) -> Result<Vec<Delivery>, StoreFailed> {
        let mut deliveries = Vec::new();
        while deliveries.len() < max
            && let Some(channel) = self.facts.channels.get(&channel_id)
            && channel.can_deliver()
            && (channel.live.receivers.is_empty() || channel.live.lacks_memory)
            && let size = channel.next_bytes()
            && size <= bytes
            && self.has_room_for_state(Purpose::Change)
            && let Some(memory) = pull.answers.take_uncounted(size)
        {
            bytes -= size;
            deliveries.push(self.deliver_next(channel_id, pull, memory)?);
        }
        self.touch(channel_id);
        Ok(deliveries)
    }

    /// A notification for each end of a lease in a channel.
    pub fn lease_ends(&mut self, entry: &Arc<ChannelEntry>) -> Option<Arc<Notify>> {
        self.channel(entry).map(|channel| channel.live.lease_ended.clone())
    }

    /// Whether a claim is still valid.
    pub fn holds(&self, channel_id: ChannelId, claim: Claim) -> bool {
        let message =
            self.facts.channels.get(&channel_id).and_then(|channel| channel.state.message(claim.sequence));
        message.is_some_and(|message| {
            matches!(message.phase, Phase::Leased(_))
                && (message.lease_counts.last, message.lease_counts.start)
                    == (claim.lease_number, claim.start)
        })
    }

    /// Removes a waiting receiver.
    pub fn stop_waiting(&mut self, channel_id: ChannelId, id: WaiterId) {
        if let Some(channel) = self.facts.channels.get_mut(&channel_id) {
            if let Some(attempt) = channel.live.receivers.remove(id).and_then(|waiter| waiter.attempt) {
                channel.live.attempts.stop_waiting_attempt(&attempt, id);
            }
            self.touch(channel_id);
        }
    }

    /// Returns a message whose answer was never sent: it takes its old place, and the lease does not count.
    pub(super) fn return_unsent(&mut self, channel_id: ChannelId, claim: Claim) {
        // If the lease has ended or the log failed, there is nothing to return.
        let released = self.release(channel_id, claim, crate::shard::Release { counted: false, delay: None });
        if matches!(released, Err(SettleRefusal::StoreFull)) {
            self.return_unsent_unrecorded(channel_id, claim);
        }
    }

    /// Returns a message when there is no room for its record. After a crash it is ready when its lease would have
    /// ended.
    fn return_unsent_unrecorded(&mut self, channel_id: ChannelId, claim: Claim) {
        let (Ok(now), Some(channel)) = (self.alive(), self.facts.channels.get_mut(&channel_id)) else {
            return;
        };
        let released = channel.state.decide_release(claim, false, None, &channel.live.policy, now);
        if let Ok(Released::Requeued(to)) = released {
            let _ = channel.state.apply(claim.sequence, to, None);
            self.metrics.released.inc();
            self.lease_ended(channel_id, claim.sequence);
            self.serve_waiting(channel_id);
            self.touch(channel_id);
        }
    }

    /// Delivers ready messages to waiting receivers.
    pub(super) fn serve_waiting(&mut self, channel_id: ChannelId) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
            if !channel.can_deliver() || channel.live.receivers.is_empty() {
                return;
            }
            let size = channel.next_bytes();
            if !self.ledger.log.has_room(Purpose::Change, STATE_BYTES) {
                let again = self.clock.now() + ROOM_AGAIN_AFTER_MS;
                return self.wake_at(channel_id, again);
            }
            let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
            let served = channel.live.receivers.pop(|answers| answers.take_uncounted(size));
            let Some((id, waiter, memory)) = served else { return self.note_lack_of_memory(channel_id) };
            if waiter.sender.is_closed() {
                if let Some(attempt) = &waiter.attempt {
                    channel.live.attempts.stop_waiting_attempt(attempt, id);
                }
                continue;
            }
            let pull = Pull { lease: waiter.lease, attempt: waiter.attempt, answers: waiter.holder };
            // After a failure the waiter's channel closes, and its answer reports the failed store.
            let Ok(delivery) = self.deliver_next(channel_id, &pull, memory) else { return };
            // Without a receiver, dropping it returns the message.
            let _ = waiter.sender.send(Ok(Box::new(delivery)));
        }
        // The other channels of this shard have their turn before the rest.
        self.wake_at(channel_id, 0);
    }

    /// Notes that all waiting receivers, if there are any, lack memory.
    fn note_lack_of_memory(&mut self, channel_id: ChannelId) {
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return };
        if !channel.live.receivers.is_empty() && !channel.live.lacks_memory {
            channel.live.lacks_memory = true;
            self.lack_memory.push(channel_id);
            self.wakers.memory.notify_one();
        }
    }

    /// Serves receivers that lacked memory, as far as memory is free now. Returns whether some still lack it.
    pub fn serve_starved(&mut self) -> bool {
        for channel_id in std::mem::take(&mut self.lack_memory) {
            if let Some(channel) = self.facts.channels.get_mut(&channel_id) {
                channel.live.lacks_memory = false;
                self.serve_waiting(channel_id);
                self.touch(channel_id);
            }
        }
        !self.lack_memory.is_empty()
    }

    /// Leases the next message. The caller has checked that there is one.
    fn deliver_next(
        &mut self,
        channel_id: ChannelId,
        pull: &Pull,
        memory: Allocation,
    ) -> Result<Delivery, StoreFailed> {
        let ends_at = after(self.clock.now(), pull.lease);
        let channel = self.facts.channels.get_mut(&channel_id).expect("the caller found the channel");
        let granted =
            channel.state.decide_lease(ends_at, self.start).expect("the caller saw a message in line");
        if let Some(attempt) = &pull.attempt {
            channel.live.attempts.delivered(attempt, granted.sequence);
        }
        channel.live.counters.delivered.fetch_add(1, Relaxed);
        self.metrics.delivered.inc();
        if granted.deliveries() > 1 {
            self.metrics.redelivered.inc();
        }
        let ticket = self.record_lease(channel_id, &granted)?;
        self.update_reserve(channel_id);
        let handed = Some(granted.claim());
        self.delivery(channel_id, granted, handed, ticket, memory)
    }

    /// Delivers the messages of an earlier attempt again: under the same leases, and without counting.
    fn repeat_attempt(
        &mut self,
        channel_id: ChannelId,
        messages: &[Sequence],
        answers: &Share,
    ) -> Result<Vec<Delivery>, PullRefusal> {
        let mut deliveries = Vec::with_capacity(messages.len());
        for sequence in messages {
            let channel = &self.facts.channels[&channel_id];
            let Some(granted) = channel.state.granted(*sequence) else { continue };
            let memory = answers.take(granted.stored.bytes.into()).ok_or(PullRefusal::NoMemory)?;
            let ticket = self.ticket_so_far(Sync::Later);
            deliveries.push(self.delivery(channel_id, granted, None, ticket, memory)?);
        }
        Ok(deliveries)
    }

    fn delivery(
        &mut self,
        channel_id: ChannelId,
        granted: Granted,
        handed: Option<Claim>,
        ticket: Ticket,
        memory: Allocation,
    ) -> Result<Delivery, StoreFailed> {
        let content = self.content(channel_id, granted.sequence, handed, granted.stored.position)?;
        let claim = granted.claim();
        let token = self.sealer.seal(channel_id, claim);
        let handout = match handed {
            Some(claim) => self.handouts.of(channel_id, claim),
            None => Handout::kept(channel_id, claim),
        };
        Ok(Delivery { channel: channel_id, granted, token, content, ticket, memory, handout })
    }

    /// Records a lease that was granted or renewed. Only the first record of a message is short. Each later one has the
    /// complete state, so that all earlier ones are superseded.
    pub(super) fn record_lease(
        &mut self,
        channel_id: ChannelId,
        granted: &Granted,
    ) -> Result<Ticket, StoreFailed> {
        let sequence = granted.sequence;
        if self.message(channel_id, sequence).is_some_and(|message| message.state_at.is_some()) {
            let state = granted.state();
            self.write(&records::state(channel_id, sequence, &state), Purpose::Change)?;
        } else {
            self.write(&records::lease(channel_id, granted), Purpose::Change)?;
        }
        Ok(self.ledger.appended(Sync::Later))
    }
}

/// Whether one more caller of a holder may wait, beside `waiting` others and at most `max`. The rule of [`shared`]
/// applies, so that no holder takes all places.
pub(super) fn may_wait<'a>(
    waiting: usize,
    holders: impl Iterator<Item = &'a Share>,
    holder: &Share,
    max: usize,
) -> bool {
    let left = max.saturating_sub(waiting);
    // While there is much room, no holder can exceed its share.
    let bound = (left.saturating_sub(1)).saturating_mul(shared::TIMES as usize);
    left > 0
        && (waiting < bound || {
            let own = holders.filter(|other| other.is(holder)).count();
            own == 0 || own < bound
        })
}

impl crate::shard::Channel {
    /// Whether the next message can be delivered.
    fn can_deliver(&self) -> bool {
        self.state.in_line() > 0 && !self.live.entry.config.paused
    }

    /// Bytes of the next message, if there is one.
    fn next_bytes(&self) -> u64 {
        self.state.next_bytes().map_or(0, u64::from)
    }
}
