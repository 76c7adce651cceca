//! The channel's state machine: which messages it holds and who has them. Pure: every transition takes the time and
//! returns what became of it.
//!
//! A message is *ready*, *leased*, *delayed* or *dead*. The next one to be leased is the ready message with the lowest
//! sequence whose turn it is in its group; one that comes back takes its old place. One transition a function, by what
//! brings it about: [`super::receive`], [`super::settle`], [`super::time`].
//!
//! A message that is ready and of which nothing else is to be said is *plain*, and lies in the [`Backlog`], where it takes
//! a few bytes. Only the others take what a [`Message`] and its [`Places`] do: those that are or were leased, that are
//! delayed or dead, or of a group.

use std::{borrow::Cow, collections::BTreeMap};

use restante_wire::channel::Order;

use super::{
    backlog::Backlog,
    message::{Granted, Message, Phase, Sequence, State},
    places::Places,
    plain::Plain,
};
use crate::{clock::Millis, log::Position};

/// All messages of one channel.
#[derive(Debug, Default)]
pub struct ChannelState {
    next_sequence: Sequence,
    backlog: Backlog,
    others: BTreeMap<Sequence, Message>,
    /// Of the others.
    places: Places,
    bytes: u64,
    /// Messages of which the log has more than their own records.
    recorded: u64,
}

impl ChannelState {
    /// The sequence that the next message gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// Takes note that a sequence was used, so that it is never given again.
    pub fn saw_sequence(&mut self, sequence: Sequence) {
        self.begin_at(sequence.saturating_add(1));
    }

    /// The next message gets this sequence: those before it were used.
    pub fn begin_at(&mut self, sequence: Sequence) {
        self.next_sequence = self.next_sequence.max(sequence);
    }

    /// How many messages are in a state.
    pub fn count(&self, state: State) -> u64 {
        let plain = if state == State::Ready { self.backlog.count() } else { 0 };
        plain + self.places.count(state)
    }

    /// Messages that the next pulls get.
    pub fn in_line(&self) -> u64 {
        if self.places.is_strict() {
            return u64::from(self.next().is_some());
        }
        self.backlog.count() + self.places.in_line()
    }

    /// Messages in the channel, whatever their state.
    pub fn messages_count(&self) -> u64 {
        self.backlog.count() + self.others.len() as u64
    }

    /// Messages of which the log may have to be told once more before they are gone: of those that were never leased that they
    /// are, and of those that are leased how that ends.
    pub fn owed(&self) -> u64 {
        self.messages_count() - self.recorded + self.places.count(State::Leased)
    }

    /// What is to be said of a message was written to the log. Where it was written before, if it was.
    pub fn record_at(&mut self, sequence: Sequence, position: Position) -> Option<Position> {
        let Some(message) = self.others.get_mut(&sequence) else { return Some(position) };
        let before = message.state_at.replace(position);
        self.recorded += u64::from(before.is_none());
        before
    }

    /// Bytes of contents and kept headers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest message was stored that is no dead letter.
    pub fn oldest(&self) -> Option<Millis> {
        let message = self.message(self.oldest_alive()?)?;
        Some(message.stored.enqueued_at)
    }

    /// The message of this sequence.
    pub fn message(&self, sequence: Sequence) -> Option<Cow<'_, Message>> {
        match self.others.get(&sequence) {
            Some(message) => Some(Cow::Borrowed(message)),
            None => self.backlog.get(sequence).map(|plain| Cow::Owned(plain.into())),
        }
    }

    /// Every message with its sequence, in order.
    pub fn messages(&self) -> impl Iterator<Item = (Sequence, Cow<'_, Message>)> {
        let mut plain = self.backlog.from(0).peekable();
        let mut others = self.others.iter().peekable();
        std::iter::from_fn(move || {
            let other = others.peek().map(|(sequence, _)| **sequence);
            match plain.next_if(|(sequence, _)| other.is_none_or(|other| *sequence < other)) {
                Some((sequence, plain)) => Some((sequence, Cow::Owned(plain.into()))),
                None => others.next().map(|(sequence, message)| (*sequence, Cow::Borrowed(message))),
            }
        })
    }

    /// Up to `max` messages of a state from the sequence `first` on, in order.
    pub fn in_state(&self, state: State, first: Sequence, max: usize) -> Vec<Sequence> {
        let mut sequences = self.places.from(state, first, max);
        if state == State::Ready {
            sequences.extend(self.backlog.from(first).map(|(sequence, _)| sequence).take(max));
            sequences.sort_unstable();
            sequences.truncate(max);
        }
        sequences
    }

    /// The ready message that was stored first.
    pub fn oldest_ready(&self) -> Option<Sequence> {
        first_of(self.backlog.first(), self.places.oldest_ready())
    }

    fn oldest_alive(&self) -> Option<Sequence> {
        first_of(self.backlog.first(), self.places.oldest_alive())
    }

    /// When time next changes something, or earlier.
    pub fn next_event(&self) -> Option<Millis> {
        first_of(self.backlog.next_expiry(), self.places.next_event().map(|(at, _)| at))
    }

    /// The message that time changes by now.
    pub(super) fn due(&mut self, now: Millis) -> Option<Sequence> {
        let other = self.places.next_event().filter(|(at, _)| *at <= now);
        first_of(self.backlog.expired(now), other).map(|(_, sequence)| sequence)
    }

    /// The next message to be leased.
    pub(super) fn next(&self) -> Option<Sequence> {
        if !self.places.is_strict() {
            return first_of(self.backlog.first(), self.places.first_in_line());
        }
        // The whole channel is one group: its first message, unless one is leased or the first is not ready.
        let first = self.oldest_alive().filter(|_| self.places.count(State::Leased) == 0);
        first.filter(|first| self.oldest_ready() == Some(*first))
    }

    /// Bytes of the next message to be leased.
    pub fn next_bytes(&self) -> Option<u32> {
        self.message(self.next()?).map(|message| message.stored.bytes)
    }

    /// The lease that a message is under.
    pub fn granted(&self, sequence: Sequence) -> Option<Granted> {
        let message = self.others.get(&sequence)?;
        let Phase::Leased(ends_at) = message.phase else { return None };
        Some(Granted::of(sequence, message, ends_at))
    }

    /// Messages are handed out in this order from now on.
    pub fn set_order(&mut self, order: Order) {
        let strict = order == Order::Strict;
        if strict != self.places.is_strict() {
            self.places = Places::empty(strict);
            for (sequence, message) in &self.others {
                self.places.list(*sequence, message);
            }
        }
    }

    /// A message was stored under [`Self::next_sequence`].
    pub fn store(&mut self, message: Message) -> Sequence {
        let sequence = self.next_sequence;
        self.saw_sequence(sequence);
        self.put(sequence, message);
        sequence
    }

    /// A message was found in the log at start. Returns the one that it takes the place of: what it was found as before.
    pub fn restore(&mut self, sequence: Sequence, message: Message) -> Option<Message> {
        // Nearly all follow those before them, and need not be looked for.
        let older = if sequence < self.next_sequence { self.remove(sequence) } else { None };
        self.saw_sequence(sequence);
        self.put(sequence, message);
        older
    }

    /// The content was copied to another place of the log.
    pub fn relocate(&mut self, sequence: Sequence, position: Position) {
        match self.others.get_mut(&sequence) {
            Some(message) => message.stored.position = position,
            None => self.backlog.relocate(sequence, position),
        }
    }

    /// A message leaves the channel.
    pub fn remove(&mut self, sequence: Sequence) -> Option<Message> {
        let message = match self.others.remove(&sequence) {
            Some(message) => {
                self.places.unlist(sequence, &message);
                message
            }
            None => self.backlog.remove(sequence)?.into(),
        };
        self.bytes -= u64::from(message.stored.bytes);
        self.recorded -= u64::from(message.state_at.is_some());
        Some(message)
    }

    /// A dead letter is ready again, as if it had never been delivered. False when it is none.
    pub fn revive(&mut self, sequence: Sequence, expires_at: Option<Millis>) -> bool {
        let is_dead = self.message(sequence).is_some_and(|message| matches!(message.phase, Phase::Dead(_)));
        if is_dead {
            self.change(sequence, |message| {
                message.handouts.uncounted = message.handouts.last;
                message.expires_at = expires_at;
                message.phase = Phase::Ready(None);
            });
        }
        is_dead
    }

    /// Changes a message, and puts it where it then belongs.
    pub(super) fn change<T>(
        &mut self,
        sequence: Sequence,
        change: impl FnOnce(&mut Message) -> T,
    ) -> Option<T> {
        let mut message = self.remove(sequence)?;
        let changed = change(&mut message);
        self.put(sequence, message);
        Some(changed)
    }

    /// A message comes to a sequence that has none.
    fn put(&mut self, sequence: Sequence, message: Message) {
        self.bytes += u64::from(message.stored.bytes);
        self.recorded += u64::from(message.state_at.is_some());
        match Plain::of(&message) {
            Some(plain) => self.backlog.insert(sequence, plain),
            None => {
                self.places.list(sequence, &message);
                self.others.insert(sequence, message);
            }
        }
    }
}

/// The lesser of two, if there are any.
fn first_of<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}
