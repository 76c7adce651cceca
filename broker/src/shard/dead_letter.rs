//! Dead letters: a dead letter stays in its channel, or moves to the dead-letter channel, if that exists and has room.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::{
    address_store::ChannelEntry,
    channel::{DeadLetter, Message, MessageState, Phase, Sequence},
    clock::{Millis, after},
    log::{ChannelId, Log, MovedFrom, Purpose, Record, Sync, Target, Targets},
    message::{self, DeadLetterNote},
    shard::{Reading, Shard, StoreFailed, StoredMessage, facts::records, relay::InRelay},
};

impl<L: Log> Shard<L> {
    /// Makes a message the dead letter that the state machine decided: in its channel, or in the dead-letter channel.
    pub(super) fn record_dead_letter(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        dead: MessageState,
    ) -> Result<(), StoreFailed> {
        self.metrics.dead_lettered.inc();
        if let Some(channel) = self.facts.channels.get(&channel_id) {
            channel.live.counters.dead_lettered.fetch_add(1, Relaxed);
        }
        let Some(to) = self.dead_letter_channel(channel_id) else {
            return self.keep_dead_letter(channel_id, sequence, &dead);
        };
        match self.try_content_of(channel_id, sequence) {
            None => Ok(()),
            Some(Ok(Reading::Here(recorded))) => {
                let cause = MoveCause::DeadLetter(&dead.phase);
                if self.move_message(channel_id, sequence, &to, recorded, cause)? {
                    return Ok(());
                }
                self.keep_dead_letter(channel_id, sequence, &dead)
            }
            // The answer to the receiver does not wait for this read.
            Some(Ok(Reading::Coming(coming))) => {
                self.move_later(channel_id, sequence, coming);
                self.keep_dead_letter(channel_id, sequence, &dead)
            }
            Some(Ok(Reading::Unreadable(_))) => self.keep_dead_letter(channel_id, sequence, &dead),
            Some(Err(error)) => {
                self.keep_dead_letter(channel_id, sequence, &dead)?;
                self.message_unreadable(channel_id, sequence, None, error).map(drop)
            }
        }
    }

    /// Keeps a dead letter in its channel, for now or until it is redriven or purged.
    pub(super) fn keep_dead_letter(
        &mut self,
        channel_id: ChannelId,
        sequence: Sequence,
        dead: &MessageState,
    ) -> Result<(), StoreFailed> {
        self.write(&records::state(channel_id, sequence, dead), Purpose::Settle)?;
        self.lease_ended(channel_id, sequence);
        Ok(())
    }

    /// The channel that takes another's dead letters. Its own dead letters do not return to it: they go to yet another
    /// channel, or stay.
    pub(super) fn dead_letter_channel(&self, channel_id: ChannelId) -> Option<Arc<ChannelEntry>> {
        let config = &self.facts.channels.get(&channel_id)?.live.entry.config;
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
        moved: MoveCause<'_>,
    ) -> Result<bool, StoreFailed> {
        let now = self.alive()?;
        let Some(NamedMessage { name, message }) = self.named_message(channel_id, sequence) else {
            return Ok(false);
        };
        let note = match moved {
            MoveCause::DeadLetter(Phase::Dead(DeadLetter { cause, since, reason })) => {
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
            parcel: target.is_to_come().then(|| self.outgoing.next()),
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
        self.apply(position, &record, None);
        // The other shard's log may reach its disk first. It gets the message only when this record is synced; no
        // caller asks for that sync.
        let decided = self.ledger.appended(if target.is_to_come() { Sync::Now } else { Sync::Later });
        self.message_left(channel_id, sequence);
        if target.is_to_come() {
            // The parcel is stored, and no answer waits for it.
            let _ = self.relay(bytes, [to.id].into_iter(), decided, in_relay);
        } else {
            self.arrived(target, StoredMessage { id, content });
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
                && self.outgoing.has_room(bytes);
            let in_relay = self.in_relay_to(to, bytes).filter(|_| has_room && !to.config.closing)?;
            return Some((Target::to_come(to.id, expires_ms), in_relay));
        }
        let there = self
            .channel(to)
            .filter(|channel| !channel.live.entry.config.closing && channel.has_room(bytes))?;
        let sequence = there.state.next_sequence();
        Some((Target { channel: to.id, sequence, expires_ms }, InRelay::default()))
    }

    /// A message and the name of its channel.
    fn named_message(&self, channel_id: ChannelId, sequence: Sequence) -> Option<NamedMessage> {
        let channel = self.facts.channels.get(&channel_id)?;
        let message = channel.state.message(sequence)?.into_owned();
        Some(NamedMessage { name: channel.live.entry.config.qualified_name(), message })
    }
}

/// Why a message moves to another channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoveCause<'a> {
    /// It became a dead letter, in this phase; a note has the cause.
    DeadLetter(&'a Phase),
    /// It is redriven.
    Redrive,
}

/// A message and the name of its channel.
struct NamedMessage {
    name: String,
    message: Message,
}
