//! Dead letters: a message that was given up stays in its channel, or goes to the channel that takes such, if that is
//! there and has room.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Core, Reading, Recorded, StoreFailed, store::Arrived, under_way::UnderWay};
use crate::{
    address_store::ChannelEntry,
    channel::{DeadLetter, Message, Phase, Sequence, Stored},
    clock::{Millis, after},
    log::{Log, Purpose, Record, Sync, Target, Targets},
    message::{self, DeadLetterNote},
};

impl<L: Log> Core<L> {
    /// A message was given up by its state machine: sees to where it goes.
    pub(super) fn buried(&mut self, number: u32, sequence: Sequence) -> Result<(), StoreFailed> {
        self.metrics.dead_lettered.inc();
        if let Some(channel) = self.channels.get(&number) {
            channel.counters.dead_lettered.fetch_add(1, Relaxed);
        }
        let Some(to) = self.dead_letter_channel(number) else { return self.stays(number, sequence) };
        match self.content_of(number, sequence)? {
            None => Ok(()),
            Some(Reading::Unreadable(_)) => self.stays(number, sequence),
            Some(Reading::Here(recorded)) => {
                if self.move_message(number, sequence, &to, recorded, Moved::GivenUp)? {
                    return Ok(());
                }
                self.stays(number, sequence)
            }
            // Whoever waits for what is said of it does not wait for the disk.
            Some(Reading::Coming(coming)) => {
                self.move_later(number, sequence, coming);
                self.stays(number, sequence)
            }
        }
    }

    /// A dead letter is in its channel, for now or until somebody sees to it.
    pub(super) fn stays(&mut self, number: u32, sequence: Sequence) -> Result<(), StoreFailed> {
        self.lease_ended(number, sequence);
        self.record_state(number, sequence, Purpose::Settle)
    }

    /// The channel that takes another's dead letters. What it sends on itself does not come back to it: its own are taken
    /// by yet another, or by none.
    pub(super) fn dead_letter_channel(&self, number: u32) -> Option<Arc<ChannelEntry>> {
        let config = &self.channels.get(&number)?.entry.config;
        let name = config.dead_letter.channel.as_deref()?;
        self.store.by_name(&config.namespace, name).filter(|to| to.number != number)
    }

    /// Moves a message to another channel, by one record: after a crash it is in the one or in the other. False when that
    /// channel cannot take it.
    pub(super) fn move_message(
        &mut self,
        number: u32,
        sequence: Sequence,
        to: &Arc<ChannelEntry>,
        Recorded { id, content }: Recorded,
        moved: Moved,
    ) -> Result<bool, StoreFailed> {
        let now = self.alive()?;
        let Some(Channel { name, message }) = self.whole(number, sequence) else { return Ok(false) };
        let note = match (&message.phase, moved) {
            (Phase::Dead(DeadLetter { cause, since, reason }), Moved::GivenUp) => {
                let reason = reason.as_deref();
                Some(DeadLetterNote { cause: *cause, channel: &name, reason, since: self.clock.wall(*since) })
            }
            _ => None,
        };
        let content = message::with_note(content, note);
        let bytes = content.bytes() as u64;
        // It was stored when it was first stored; only its time to live begins anew, or it could be over at once.
        let enqueued_at = message.stored.enqueued_at;
        let Some((target, under_way)) = self.place_in(to, bytes, now) else { return Ok(false) };
        let mut targets = Vec::with_capacity(2 * Target::BYTES);
        if target.is_to_come() {
            let (channel, sequence) = self.outbox.next();
            Target { channel, sequence, expires_ms: None }.encode(&mut targets);
        }
        target.encode(&mut targets);
        let record = Record::Message {
            targets: Targets::new(&targets),
            message_id: id.as_u128(),
            enqueued_ms: enqueued_at,
            idempotency: None,
            due_ms: None,
            group: message.group.as_deref(),
            moved_from: Some((number, sequence)),
            headers: &content.headers,
            body: &content.body,
        };
        // Not from the reserve, which is for what empties the log. On a full disk the message stays where it is.
        let Ok(position) = self.append_message(&record) else { return Ok(false) };
        // Another core's log may be on its disk before this one: it is given the message when this record is, for which nobody
        // else may ask.
        let decided = self.appended(if target.is_to_come() { Sync::Now } else { Sync::Later });
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.state.remove(sequence);
        }
        self.forget(number, sequence, &message);
        if target.is_to_come() {
            // It is in the outbox by then, and nobody waits for it.
            let _ = self.put_out(position, decided, under_way);
        } else {
            let stored = Stored { position, bytes: bytes as u32, enqueued_at };
            let recorded = Recorded { id, content };
            self.arrive(target, Arrived { stored, recorded, group: message.group, due_ms: None });
            // Whoever waits there has its turn when this is done: a move may be part of something larger.
            self.wake_at(to.number, 0);
        }
        self.touch(number);
        Ok(true)
    }

    /// The next place in another channel, if it takes a message of so many bytes. That of another core's channel is still to
    /// come, and what it holds is known as it was a moment ago; the message is on its way there for as long as the second says.
    fn place_in(&mut self, to: &Arc<ChannelEntry>, bytes: u64, now: Millis) -> Option<(Target, UnderWay)> {
        let limits = &to.config.limits;
        let expires_ms = limits.ttl_ms().map(|ttl| after(now, ttl));
        if !self.here.has(to.number) {
            let counters = self.counters.get(to.number);
            let held = counters.stats(&to.config, now);
            let messages = held.messages() + counters.under_way.messages();
            let held_bytes = held.bytes + counters.under_way.bytes();
            let has_room = messages < limits.messages && held_bytes + bytes <= limits.bytes;
            let under_way = self.under_way_to(to, bytes).filter(|_| has_room && !to.config.closing)?;
            return Some((Target::to_come(to.number, expires_ms), under_way));
        }
        let there =
            self.channel(to).filter(|channel| !channel.entry.config.closing && channel.has_room(bytes))?;
        let sequence = there.state.next_sequence();
        Some((Target { channel: to.number, sequence, expires_ms }, UnderWay::default()))
    }

    /// A message and the name of its channel.
    fn whole(&self, number: u32, sequence: Sequence) -> Option<Channel> {
        let channel = self.channels.get(&number)?;
        let message = channel.state.message(sequence)?.into_owned();
        Some(Channel { name: channel.entry.config.qualified_name(), message })
    }
}

/// Why a message goes to another channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// It was given up: a note says why.
    GivenUp,
    /// It gets another chance there.
    Redriven,
}

/// A message and where it is from.
struct Channel {
    name: String,
    message: Message,
}
