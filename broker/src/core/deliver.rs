//! Out of a channel: to the receiver that asks, or to the one that has waited longest.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::Notify;

use super::{
    Core, CoreGone, EVENTS_PER_TURN, Reading, SettleRefusal, StoreFailed, Ticket,
    attempts::Outcome,
    promise::{ROOM_AGAIN_AFTER_MS, STATE_BYTES},
    records,
};
use crate::{
    address_store::ChannelEntry,
    channel::{Arrival, Attempt, Claim, Granted, Phase, Released, Sequence, WaiterId},
    clock::{Millis, after},
    log::{Log, Purpose, Sync},
    shared::{self, Share, Taken},
};

/// A message handed out; its content may be on its way.
#[derive(Debug)]
pub struct Delivery<C = Reading, M = Taken> {
    /// The number of its channel.
    pub channel: u32,
    /// Which message, and the lease on it.
    pub granted: Granted,
    /// The sealed token of the lease.
    pub token: String,
    /// What was sent.
    pub content: C,
    /// When the answer may leave.
    pub ticket: Ticket,
    /// The memory that it takes until it has left.
    pub memory: M,
}

impl<C> Delivery<C> {
    /// The same with its content in another shape.
    pub fn with<D>(self, content: D) -> Delivery<D> {
        let Self { channel, granted, token, ticket, memory, content: _ } = self;
        Delivery { channel, granted, token, content, ticket, memory }
    }
}

/// What a receiver asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// How long the message will be the receiver's.
    pub lease: Millis,
    /// Under which a repeat is recognised.
    pub attempt: Option<Attempt>,
    /// What the receiver has of the memory of answers. A message is leased only if there is some for it.
    pub answers: Share,
}

/// What a pull met.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a box would cost each pull an allocation")]
pub enum Delivered {
    /// A message.
    Now(Delivery),
    /// What the attempt got before.
    Again(Vec<Delivery>),
    /// Nothing yet: the message comes here.
    Later(WaiterId, Arrival<Box<Delivery>>),
}

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRefusal {
    /// The channel's deletion has begun.
    Closed,
    /// The attempt id is that of another form of pull.
    OtherForm,
    /// As many receivers wait as may.
    TooManyReceivers {
        /// How many that is.
        max: usize,
    },
    /// There is no memory for the answer.
    NoMemory,
    /// The disk has no room to write the lease down.
    StoreFull,
    /// The log failed.
    StoreFailed,
    /// The broker is shutting down.
    Gone,
}

impl From<StoreFailed> for PullRefusal {
    fn from(_: StoreFailed) -> Self {
        Self::StoreFailed
    }
}

impl From<CoreGone> for PullRefusal {
    fn from(_: CoreGone) -> Self {
        Self::Gone
    }
}

impl<L: Log> Core<L> {
    /// Gives the channel's next message to the receiver, or lets the receiver wait.
    pub fn pull(&mut self, entry: &Arc<ChannelEntry>, asked: &Asked) -> Result<Delivered, PullRefusal> {
        let now = self.alive()?;
        let number = entry.number;
        self.catch_up(number, now)?;
        let max = self.limits.waiting_receivers;
        let channel = self.channel(entry).ok_or(PullRefusal::Closed)?;
        if let Some(attempt) = &asked.attempt {
            let before = channel.attempts.get(attempt).map_err(|_| PullRefusal::OtherForm)?;
            match before.cloned() {
                // There is at least one, or the attempt would be forgotten.
                Some(Outcome::Given(messages)) => {
                    return Ok(Delivered::Again(self.give_again(number, &messages, &asked.answers)?));
                }
                Some(Outcome::Waiting(first)) => {
                    if let Some((id, arrival)) = channel.receivers.take_over(first, asked.lease) {
                        channel.attempts.waits(attempt, id);
                        return Ok(Delivered::Later(id, arrival));
                    }
                }
                None => {}
            }
        }
        // Whoever waits came earlier; and nobody waits while something may be had, but for those that lack memory.
        if channel.may_give() && (channel.receivers.is_empty() || channel.lacks_memory) {
            let bytes = channel.next_bytes();
            if !self.has_room_for_state(Purpose::Change) {
                return Err(PullRefusal::StoreFull);
            }
            let memory = asked.answers.take(bytes).ok_or(PullRefusal::NoMemory)?;
            let delivery = self.hand_out(number, asked, memory)?;
            self.touch(number);
            return Ok(Delivered::Now(delivery));
        }
        if !may_wait(channel.receivers.len(), channel.receivers.holders(), &asked.answers, max) {
            return Err(PullRefusal::TooManyReceivers { max });
        }
        let (id, arrival) = channel.receivers.push(asked.lease, asked.attempt.clone(), asked.answers.clone());
        if let Some(attempt) = &asked.attempt {
            channel.attempts.waits(attempt, id);
        }
        channel.publish();
        Ok(Delivered::Later(id, arrival))
    }

    /// Gives up to `max` more messages that may be had now, of at most `bytes` in all.
    pub fn pull_more(
        &mut self,
        number: u32,
        asked: &Asked,
        max: usize,
        mut bytes: u64,
    ) -> Result<Vec<Delivery>, StoreFailed> {
        let mut deliveries = Vec::new();
        while deliveries.len() < max
            && let Some(channel) = self.channels.get(&number)
            && channel.may_give()
            && (channel.receivers.is_empty() || channel.lacks_memory)
            && let size = channel.next_bytes()
            && size <= bytes
            && self.has_room_for_state(Purpose::Change)
            && let Some(memory) = asked.answers.take_uncounted(size)
        {
            bytes -= size;
            deliveries.push(self.hand_out(number, asked, memory)?);
        }
        self.touch(number);
        Ok(deliveries)
    }

    /// Says when leases of a channel end.
    pub fn lease_ends(&mut self, entry: &Arc<ChannelEntry>) -> Option<Arc<Notify>> {
        self.channel(entry).map(|channel| channel.lease_ended.clone())
    }

    /// Whether a claim is still good.
    pub fn holds(&self, number: u32, claim: Claim) -> bool {
        let message = self.channels.get(&number).and_then(|channel| channel.state.message(claim.sequence));
        message.is_some_and(|message| {
            matches!(message.phase, Phase::Leased(_))
                && (message.handouts.last, message.handouts.start) == (claim.handout, claim.start)
        })
    }

    /// The receiver waits no longer.
    pub fn stop_waiting(&mut self, number: u32, id: WaiterId) {
        if let Some(channel) = self.channels.get_mut(&number) {
            if let Some(attempt) = channel.receivers.remove(id).and_then(|waiter| waiter.attempt) {
                channel.attempts.stops_waiting(&attempt, id);
            }
            self.touch(number);
        }
    }

    /// The answer never left: the message takes its old place, and the hand-out does not count.
    pub fn take_back(&mut self, number: u32, claim: Claim) {
        // A lease that ended meanwhile, or a log that failed, leaves nothing to take back.
        let released = self.release(number, claim, super::Release { counted: false, delay: None });
        if matches!(released, Err(SettleRefusal::StoreFull)) {
            self.take_back_unrecorded(number, claim);
        }
    }

    /// The same without room to write it down. After a crash the message comes when its lease would have ended.
    fn take_back_unrecorded(&mut self, number: u32, claim: Claim) {
        let (Ok(now), Some(channel)) = (self.alive(), self.channels.get_mut(&number)) else { return };
        let released = channel.state.release(claim, false, None, &channel.policy, now);
        if released == Ok(Released::Requeued) {
            self.metrics.released.inc();
            self.lease_ended(number, claim.sequence);
            self.serve_waiting(number);
            self.touch(number);
        }
    }

    /// Gives what may be had to those who wait.
    pub(super) fn serve_waiting(&mut self, number: u32) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(channel) = self.channels.get_mut(&number) else { return };
            if !channel.may_give() || channel.receivers.is_empty() {
                return;
            }
            let size = channel.next_bytes();
            if !self.log.has_room(Purpose::Change, STATE_BYTES) {
                let again = self.clock.now() + ROOM_AGAIN_AFTER_MS;
                return self.wake_at(number, again);
            }
            let Some(channel) = self.channels.get_mut(&number) else { return };
            let served = channel.receivers.pop(|answers| answers.take_uncounted(size));
            let Some((id, waiter, memory)) = served else { return self.note_lack_of_memory(number) };
            if waiter.sender.is_closed() {
                if let Some(attempt) = &waiter.attempt {
                    channel.attempts.stops_waiting(attempt, id);
                }
                continue;
            }
            let asked = Asked { lease: waiter.lease, attempt: waiter.attempt, answers: waiter.holder };
            // After a failure the waiter's channel closes, and its answer says that the store failed.
            let Ok(delivery) = self.hand_out(number, &asked, memory) else { return };
            if let Err(Ok(delivery)) = waiter.sender.send(Ok(Box::new(delivery))) {
                self.take_back(number, delivery.granted.claim());
            }
        }
        // Others on this core have their turn before the rest.
        self.wake_at(number, 0);
    }

    /// Nobody who waits could be served: there is nobody, or they lack memory, of which some may be free later.
    fn note_lack_of_memory(&mut self, number: u32) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if !channel.receivers.is_empty() && !channel.lacks_memory {
            channel.lacks_memory = true;
            self.lack_memory.push(number);
            self.wakers.memory.notify_one();
        }
    }

    /// Serves those who lacked memory, as far as there is some now. Whether there are still some of them.
    pub fn serve_those_without_memory(&mut self) -> bool {
        for number in std::mem::take(&mut self.lack_memory) {
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.lacks_memory = false;
                self.serve_waiting(number);
                self.touch(number);
            }
        }
        !self.lack_memory.is_empty()
    }

    /// Leases the next message. The caller has made sure that there is one.
    fn hand_out(&mut self, number: u32, asked: &Asked, memory: Taken) -> Result<Delivery, StoreFailed> {
        let ends_at = after(self.clock.now(), asked.lease);
        let channel = self.channels.get_mut(&number).expect("the caller found the channel");
        let granted =
            channel.state.lease_next(ends_at, self.start).expect("the caller saw a message in line");
        if let Some(attempt) = &asked.attempt {
            channel.attempts.got(attempt, granted.sequence);
        }
        channel.counters.delivered.fetch_add(1, Relaxed);
        self.metrics.delivered.inc();
        if granted.deliveries() > 1 {
            self.metrics.redelivered.inc();
        }
        let ticket = self.record_lease(number, &granted)?;
        self.promise_for(number);
        let handed = Some(granted.claim());
        self.delivery(number, granted, handed, ticket, memory)
    }

    /// What an attempt got before, once more: the same leases, and nothing is counted.
    fn give_again(
        &mut self,
        number: u32,
        messages: &[Sequence],
        answers: &Share,
    ) -> Result<Vec<Delivery>, PullRefusal> {
        let mut deliveries = Vec::with_capacity(messages.len());
        for sequence in messages {
            let channel = &self.channels[&number];
            let Some(granted) = channel.state.granted(*sequence) else { continue };
            let memory = answers.take(granted.stored.bytes.into()).ok_or(PullRefusal::NoMemory)?;
            let ticket = self.everything_so_far(Sync::Later);
            deliveries.push(self.delivery(number, granted, None, ticket, memory)?);
        }
        Ok(deliveries)
    }

    fn delivery(
        &mut self,
        number: u32,
        granted: Granted,
        handed: Option<Claim>,
        ticket: Ticket,
        memory: Taken,
    ) -> Result<Delivery, StoreFailed> {
        let content = self.content(number, granted.sequence, handed, granted.stored.position)?;
        let token = self.sealer.seal(number, granted.claim());
        Ok(Delivery { channel: number, granted, token, content, ticket, memory })
    }

    /// Writes down a lease that was granted or renewed. Only the first of a message is short: each later record says all that
    /// those before it said, so that they are not needed any more.
    pub(super) fn record_lease(&mut self, number: u32, granted: &Granted) -> Result<Ticket, StoreFailed> {
        let sequence = granted.sequence;
        if self.message(number, sequence).is_some_and(|message| message.state_at.is_some()) {
            self.record_state(number, sequence, Purpose::Change)?;
        } else {
            let position = self.append(&records::lease(number, granted), Purpose::Change)?;
            self.recorded(number, sequence, position);
        }
        Ok(self.appended(Sync::Later))
    }
}

/// Whether one more of a holder may wait where so many do already, at most `max`: nobody takes all places, by the rule of
/// [`shared`].
pub(super) fn may_wait<'a>(
    waiting: usize,
    holders: impl Iterator<Item = &'a Share>,
    holder: &Share,
    max: usize,
) -> bool {
    let left = max.saturating_sub(waiting);
    // While there is much room nobody can have too much of it.
    let bound = (left.saturating_sub(1)).saturating_mul(shared::TIMES as usize);
    left > 0
        && (waiting < bound || {
            let own = holders.filter(|other| other.is(holder)).count();
            own == 0 || own < bound
        })
}

impl super::Channel {
    /// Whether the next message may be given to a receiver.
    fn may_give(&self) -> bool {
        self.state.in_line() > 0 && !self.entry.config.paused
    }

    /// Bytes of the next message, if there is one.
    fn next_bytes(&self) -> u64 {
        self.state.next_bytes().map_or(0, u64::from)
    }
}
