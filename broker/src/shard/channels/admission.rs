//! Admission of messages to a channel: its limits, its rate, and the senders that wait for room.

use std::{num::NonZeroU32, sync::Arc};

use governor::{
    Quota,
    clock::{Clock as _, MonotonicClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use restante_wire::channel::{Limits, WhenFull};
use tokio::sync::Notify;

use crate::{
    address_store::ChannelEntry,
    channel::{SenderId, Sequence, State},
    log::{ChannelId, Log},
    shard::{Channel, PushRefusal, Shard, deliver::may_wait, keys::KeyHash},
    shared::Share,
};

/// The rate limiter of a channel's pushes.
pub(in crate::shard) type RateLimiter =
    governor::RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// A sender's turn in the queue for room in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderTurn {
    pub channel: ChannelId,
    pub id: SenderId,
}

/// The numbers of a full channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fullness {
    pub entry: Arc<ChannelEntry>,
    /// Messages by state: ready, leased, delayed, dead.
    pub messages: [u64; 4],
    pub bytes: u64,
    /// Senders that wait before this one.
    pub waiting_senders: usize,
}

/// The rate limiter of a channel; `None` without a limit.
pub(in crate::shard) fn rate_limiter(limits: &Limits) -> Option<RateLimiter> {
    let rate = NonZeroU32::new(limits.pushes_per_second)?;
    Some(RateLimiter::direct_with_clock(Quota::per_second(rate), MonotonicClock))
}

impl Channel {
    /// The messages that must be dropped to make room for one of this size; empty if there is room. Refused if no room
    /// can be made.
    fn make_room(&self, bytes: u64, turn: Option<SenderTurn>) -> Result<Vec<Sequence>, PushRefusal> {
        let limits = &self.live.entry.config.limits;
        let turn = turn.filter(|turn| turn.channel == self.live.entry.id).map(|turn| turn.id);
        let (mut messages, mut held) = (self.state.messages_count(), self.state.bytes());
        let full = |messages, held| messages >= limits.messages || held + bytes > limits.bytes;
        if !full(messages, held) && self.live.senders.may_enter(turn) {
            return Ok(Vec::new());
        }
        if self.live.entry.config.when_full == WhenFull::DropOldest {
            let mut goes = Vec::new();
            let mut from = 0;
            while full(messages, held) {
                // A few at a time: nearly always one is enough.
                let oldest = self.state.in_state(State::Ready, from, 16);
                let Some(last) = oldest.last() else { break };
                from = last + 1;
                for sequence in oldest {
                    if !full(messages, held) {
                        break;
                    }
                    let size = self.state.message(sequence).map_or(0, |message| message.stored.bytes);
                    (messages, held) = (messages - 1, held - u64::from(size));
                    goes.push(sequence);
                }
            }
            if !full(messages, held) {
                return Ok(goes);
            }
        }
        Err(PushRefusal::Full(Box::new(self.fullness())))
    }

    fn fullness(&self) -> Fullness {
        Fullness {
            entry: self.live.entry.clone(),
            messages: [State::Ready, State::Leased, State::Delayed, State::Dead]
                .map(|state| self.state.count(state)),
            bytes: self.state.bytes(),
            waiting_senders: self.live.senders.len(),
        }
    }

    /// Whether a message of this size fits without dropping others.
    pub(in crate::shard) fn has_room(&self, bytes: u64) -> bool {
        let limits = &self.live.entry.config.limits;
        self.state.messages_count() < limits.messages && self.state.bytes() + bytes <= limits.bytes
    }
}

impl<L: Log> Shard<L> {
    /// Whether a channel accepts a message of this size, and the messages to drop for it.
    pub(in crate::shard) fn admit(
        &mut self,
        entry: &Arc<ChannelEntry>,
        bytes: u64,
        turn: Option<SenderTurn>,
    ) -> Result<Vec<Sequence>, PushRefusal> {
        let channel = self.channel(entry).ok_or(PushRefusal::Closed)?;
        if channel.live.entry.config.closing {
            return Err(PushRefusal::Closing(channel.live.entry.clone()));
        }
        if !channel.live.disk.0.may_take(bytes) {
            channel.live.disk.0.budget().count_refusal();
            let (stored, left) = (channel.state.bytes(), channel.live.disk.0.budget().available());
            return Err(PushRefusal::DiskShare { entry: channel.live.entry.clone(), stored, left });
        }
        channel.make_room(bytes, turn)
    }

    /// Admits a message that another shard will store for several channels.
    pub(crate) fn admit_remote(
        &mut self,
        entry: &Arc<ChannelEntry>,
        bytes: u64,
        turn: Option<SenderTurn>,
    ) -> Result<(), PushRefusal> {
        self.alive()?;
        self.admit(entry, bytes, turn)?;
        if self.ledger.log.stats().is_disk_full {
            return Err(PushRefusal::StoreFull);
        }
        self.spend_rate(entry)
    }

    /// Takes one push from a channel's rate.
    pub(in crate::shard) fn spend_rate(&self, entry: &ChannelEntry) -> Result<(), PushRefusal> {
        let Some(rate) = self.facts.channels.get(&entry.id).and_then(|channel| channel.live.rate.as_ref())
        else {
            return Ok(());
        };
        rate.check().map_err(|not_until| PushRefusal::TooFast {
            per_second: entry.config.limits.pushes_per_second,
            wait_ms: not_until.wait_time_from(MonotonicClock.now()).as_millis() as u64,
        })
    }

    /// Adds a waiting sender, and reserves its key.
    pub fn wait_for_room(
        &mut self,
        channel_id: ChannelId,
        key: Option<KeyHash>,
        sender: &Share,
    ) -> Result<Option<(SenderTurn, Arc<Notify>)>, PushRefusal> {
        let max = self.limits.waiting_senders;
        let Some(channel) = self.facts.channels.get_mut(&channel_id) else { return Ok(None) };
        if !may_wait(channel.live.senders.len(), channel.live.senders.holders(), sender, max) {
            return Err(PushRefusal::TooManySenders { max });
        }
        let (id, wake) = channel.live.senders.push(sender.clone());
        channel.publish();
        self.waiting_keys.extend(key);
        Ok(Some((SenderTurn { channel: channel_id, id }, wake)))
    }

    /// Removes a waiting sender, and wakes the next one.
    pub fn stop_sending(&mut self, turn: SenderTurn, key: Option<KeyHash>) {
        if let Some(key) = key {
            self.waiting_keys.remove(&key);
        }
        if let Some(channel) = self.facts.channels.get_mut(&turn.channel) {
            channel.live.senders.remove(turn.id);
            channel.live.senders.wake();
            self.touch(turn.channel);
        }
    }
}
