//! Dead letters: a dead letter stays in its channel, or moves to the dead-letter channel, if that exists and has room.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Core, Reading, StoreFailed, StoredMessage, arrival::NewMessage, relay::InRelay};
use crate::{
    address_store::ChannelEntry,
    channel::{DeadLetter, Message, Phase, Sequence, Stored},
    clock::{Millis, after},
    log::{ChannelId, Log, MovedFrom, Purpose, Record, Sync, Target, Targets},
    message::{self, DeadLetterNote},
};

impl<L: Log> Core<L> {
    /// Handles a message that the state machine has made a dead letter.
    pub(super) fn record_dead_letter(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Result<(), StoreFailed> {
        self.metrics.dead_lettered.inc();
        if let Some(channel) = self.channels.get(&channel_id) {
            channel.counters.dead_lettered.fetch_add(1, Relaxed);
        }
        let Some(to) = self.dead_letter_channel(channel_id) else {
            return self.keep_dead_letter(channel_id, sequence);
        };
        match self.content_of(channel_id, sequence)? {
            None => Ok(()),
            Some(Reading::Unreadable(_)) => self.keep_dead_letter(channel_id, sequence),
            Some(Reading::Here(recorded)) => {
                if self.move_message(channel_id, sequence, &to, recorded, MoveCause::DeadLetter)? {
                    return Ok(());
                }
                self.keep_dead_letter(channel_id, sequence)
            }
            // The answer to the receiver does not wait for this read.
            Some(Reading::Coming(coming)) => {
                self.move_later(channel_id, sequence, coming);
                self.keep_dead_letter(channel_id, sequence)
            }
        }
    }

    /// Keeps a dead letter in its channel, for now or until it is redriven or purged.
    pub(super) fn keep_dead_letter(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
    ) -> Result<(), StoreFailed> {
        self.lease_ended(channel_id, sequence);
        self.record_state(channel_id, sequence, Purpose::Settle)
    }

    /// The channel that takes another's dead letters. Its own dead letters do not return to it: they go to yet another
    /// channel, or stay.
    pub(super) fn dead_letter_channel(&self, channel_id: ChannelId) -> Option<Arc<ChannelEntry>> {
        let config = &self.channels.get(&channel_id)?.entry.config;
        let name = config.dead_letter.channel.as_deref()?;
        self.store.by_name(&config.namespace, name).filter(|to| to.id != channel_id)
    }

    /// Moves a message to another channel by one record: after a crash it is in exactly one of the two. False if the
    /// other channel cannot take it.
    pub(super) fn move_message(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        to: &Arc<ChannelEntry>,
        StoredMessage { id, content }: StoredMessage,
        moved: MoveCause,
    ) -> Result<bool, StoreFailed> {
        let now = self.alive()?;
        let Some(NamedMessage { name, message }) = self.named_message(channel_id, sequence) else {
            return Ok(false);
        };
        let note = match (&message.phase, moved) {
            (Phase::Dead(DeadLetter { cause, since, reason }), MoveCause::DeadLetter) => {
                let reason = reason.as_deref();
                Some(DeadLetterNote { cause: *cause, channel: &name, reason, since: self.clock.wall(*since) })
            }
            _ => None,
        };
        let content = message::with_note(content, note);
        let bytes = content.bytes() as u64;
        // It keeps its time of storage; only its time to live starts again, or it could expire at once.
        let enqueued_at = message.stored.enqueued_at;
        let Some((target, in_relay)) = self.target_in(to, bytes, now) else { return Ok(false) };
        let mut targets = Vec::with_capacity(Target::BYTES);
        target.encode(&mut targets);
        let record = Record::Message {
            targets: Targets::new(&targets),
            parcel: target.is_to_come().then(|| self.outbox.next()),
            message_id: id.as_u128(),
            enqueued_ms: enqueued_at,
            idempotency: None,
            due_ms: None,
            group: message.group.as_deref(),
            moved_from: Some(MovedFrom::Channel { channel: channel_id, sequence }),
            headers: &content.headers,
            body: &content.body,
        };
        // The reserve is for records that empty the log. On a full disk the message stays in its channel.
        let Ok(position) = self.append_message(&record) else { return Ok(false) };
        // The other shard's log may reach its disk first. It gets the message only when this record is synced; no
        // caller asks for that sync.
        let decided = self.appended(if target.is_to_come() { Sync::Now } else { Sync::Later });
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            channel.state.remove(sequence);
        }
        self.message_removed(channel_id, sequence, &message);
        if target.is_to_come() {
            // The parcel is stored, and no answer waits for it.
            let _ = self.relay((position, bytes), [to.id].into_iter(), decided, in_relay);
        } else {
            let stored = Stored { position, bytes: bytes as u32, enqueued_at };
            let recorded = StoredMessage { id, content };
            self.arrive(target, NewMessage { stored, recorded, group: message.group, due_ms: None });
            // Receivers there are served later: a move may be part of a larger operation.
            self.wake_at(to.id, 0);
        }
        self.touch(channel_id);
        Ok(true)
    }

    /// The target in another channel, if that accepts a message of this size. In another shard's channel, the sequence
    /// is not known yet, and its counters may be a moment old. The guard counts the message in relay to it.
    fn target_in(&mut self, to: &Arc<ChannelEntry>, bytes: u64, now: Millis) -> Option<(Target, InRelay)> {
        let limits = &to.config.limits;
        let expires_ms = limits.ttl_ms().map(|ttl| after(now, ttl));
        if !self.here.owns(to.id) {
            let counters = self.counters.get(to.id);
            let held = counters.stats(&to.config, now);
            let messages = held.messages() + counters.in_relay.messages();
            let held_bytes = held.bytes + counters.in_relay.bytes();
            let has_room = messages < limits.messages
                && held_bytes + bytes <= limits.bytes
                && self.outbox.has_room(bytes);
            let in_relay = self.in_relay_to(to, bytes).filter(|_| has_room && !to.config.closing)?;
            return Some((Target::to_come(to.id, expires_ms), in_relay));
        }
        let there =
            self.channel(to).filter(|channel| !channel.entry.config.closing && channel.has_room(bytes))?;
        let sequence = there.state.next_sequence();
        Some((Target { channel: to.id, sequence, expires_ms }, InRelay::default()))
    }

    /// A message and the name of its channel.
    fn named_message(&self, channel_id: ChannelId, sequence: Sequence) -> Option<NamedMessage> {
        let channel = self.channels.get(&channel_id)?;
        let message = channel.state.message(sequence)?.into_owned();
        Some(NamedMessage { name: channel.entry.config.qualified_name(), message })
    }
}

/// Why a message moves to another channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoveCause {
    /// It became a dead letter; a note has the cause.
    DeadLetter,
    /// It is redriven.
    Redrive,
}

/// A message and the name of its channel.
struct NamedMessage {
    name: String,
    message: Message,
}
