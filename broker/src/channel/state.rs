//! The channel's state machine: which messages it holds and who has them. Pure: every transition takes the time and
//! returns what became of it.
//!
//! A message is *ready*, *leased*, *delayed* or *dead*. The next one to be leased is the ready message with the lowest
//! sequence whose turn it is in its group; one that comes back takes its old place. One transition a function, by what
//! brings it about: [`super::receive`], [`super::settle`], [`super::time`].

use std::collections::BTreeMap;

use restante_wire::channel::Order;

use super::{
    message::{Granted, Message, Phase, Sequence, State},
    places::Places,
};
use crate::{clock::Millis, log::Position};

/// All messages of one channel.
#[derive(Debug, Default)]
pub struct ChannelState {
    next_sequence: Sequence,
    messages: BTreeMap<Sequence, Message>,
    places: Places,
    bytes: u64,
}

impl ChannelState {
    /// The sequence that the next message gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// Takes note that a sequence was used, so that it is never given again.
    pub fn saw_sequence(&mut self, sequence: Sequence) {
        self.next_sequence = self.next_sequence.max(sequence.saturating_add(1));
    }

    /// How many messages are in a state.
    pub fn count(&self, state: State) -> u64 {
        self.places.count(state)
    }

    /// Messages that the next pulls get.
    pub fn in_line(&self) -> u64 {
        self.places.in_line()
    }

    /// Messages in the channel, whatever their state.
    pub fn messages_count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Bytes of contents and kept headers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest message was stored that is no dead letter.
    pub fn oldest(&self) -> Option<Millis> {
        self.places
            .oldest_alive()
            .and_then(|sequence| self.message(sequence))
            .map(|message| message.stored.enqueued_at)
    }

    /// The message of this sequence.
    pub fn message(&self, sequence: Sequence) -> Option<&Message> {
        self.messages.get(&sequence)
    }

    /// Every message with its sequence.
    pub fn messages(&self) -> impl Iterator<Item = (Sequence, &Message)> {
        self.messages.iter().map(|(sequence, message)| (*sequence, message))
    }

    /// Up to `max` messages of a state from the sequence `first` on, in order.
    pub fn in_state(&self, state: State, first: Sequence, max: usize) -> Vec<Sequence> {
        self.places.from(state, first, max)
    }

    /// The ready message that was stored first.
    pub fn oldest_ready(&self) -> Option<Sequence> {
        self.places.oldest_ready()
    }

    /// When time next changes something.
    pub fn next_event(&self) -> Option<Millis> {
        self.places.next_event().map(|(at, _)| at)
    }

    /// The message that time changes by now.
    pub(super) fn due(&self, now: Millis) -> Option<Sequence> {
        self.places.next_event().filter(|(at, _)| *at <= now).map(|(_, sequence)| sequence)
    }

    /// The next message to be leased.
    pub(super) fn next(&self) -> Option<Sequence> {
        self.places.next()
    }

    /// Bytes of the next message to be leased.
    pub fn next_bytes(&self) -> Option<u32> {
        self.message(self.next()?).map(|message| message.stored.bytes)
    }

    /// The lease that a message is under.
    pub fn granted(&self, sequence: Sequence) -> Option<Granted> {
        let message = self.message(sequence)?;
        let Phase::Leased(ends_at) = message.phase else { return None };
        Some(Granted::of(sequence, message, ends_at))
    }

    /// Messages are handed out in this order from now on.
    pub fn set_order(&mut self, order: Order) {
        let strict = order == Order::Strict;
        if strict != self.places.is_strict() {
            self.places = Places::empty(strict);
            for (sequence, message) in &self.messages {
                self.places.list(*sequence, message);
            }
        }
    }

    /// A message was stored under [`Self::next_sequence`].
    pub fn store(&mut self, message: Message) -> Sequence {
        let sequence = self.next_sequence;
        self.restore(sequence, message);
        sequence
    }

    /// A message was found in the log at start. A sequence that is there already is replaced.
    pub fn restore(&mut self, sequence: Sequence, message: Message) {
        self.saw_sequence(sequence);
        self.remove(sequence);
        self.bytes += u64::from(message.stored.bytes);
        self.places.list(sequence, &message);
        self.messages.insert(sequence, message);
    }

    /// The content was copied to another place of the log.
    pub fn relocate(&mut self, sequence: Sequence, position: Position) {
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.stored.position = position;
        }
    }

    /// A message leaves the channel.
    pub fn remove(&mut self, sequence: Sequence) -> Option<Message> {
        let message = self.messages.remove(&sequence)?;
        self.places.unlist(sequence, &message);
        self.bytes -= u64::from(message.stored.bytes);
        Some(message)
    }

    /// A dead letter is ready again, as if it had never been delivered.
    pub fn revive(&mut self, sequence: Sequence, expires_at: Option<Millis>) -> Option<&Message> {
        if !matches!(self.message(sequence)?.phase, Phase::Dead(_)) {
            return None;
        }
        self.change(sequence, |message| {
            message.handouts.uncounted = message.handouts.last;
            message.expires_at = expires_at;
            message.phase = Phase::Ready(None);
        })
    }

    /// Changes a message, and puts it where it then belongs.
    pub(super) fn change(
        &mut self,
        sequence: Sequence,
        change: impl FnOnce(&mut Message),
    ) -> Option<&Message> {
        let message = self.messages.get_mut(&sequence)?;
        self.places.unlist(sequence, message);
        change(message);
        self.places.list(sequence, message);
        Some(message)
    }
}
