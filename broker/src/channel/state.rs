//! The channel's state machine: its messages and their states. Pure. Each transition is decided, recorded by the shard,
//! and applied: decisions take the time and change nothing, and [`ChannelState::apply`] does the same live and in replay.
//! A message is *ready*, *leased*, *delayed* or *dead*. The next one to be leased is the ready message with the lowest
//! sequence whose turn it is in its group; a message that returns takes its old place. Decisions are grouped by their
//! cause: [`super::receive`], [`super::settle`], [`super::time`], [`super::dead_letter`].
//! A ready message without other state is *plain*, and lies in the [`Backlog`], where it takes a few bytes. Only the
//! others need a [`Message`] and an entry in [`StateIndex`]: messages that are or were leased, are delayed or dead, or
//! belong to a group.

use std::{borrow::Cow, collections::BTreeMap};

use restante_wire::channel::Order;

use super::{
    backlog::Backlog,
    message::{Granted, Message, MessageState, Phase, Sequence, State},
    plain::Plain,
    state_index::StateIndex,
};
use crate::{clock::Millis, log::Position};

#[derive(Debug, Default)]
pub struct ChannelState {
    next_sequence: Sequence,
    backlog: Backlog,
    others: BTreeMap<Sequence, Message>,
    /// The index of `others`.
    index: StateIndex,
    bytes: u64,
    /// Messages with a state record in the log.
    recorded: u64,
}

impl ChannelState {
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// Marks a sequence as used, so that it is never assigned again.
    pub fn saw_sequence(&mut self, sequence: Sequence) {
        self.begin_at(sequence.saturating_add(1));
    }

    /// Sets the sequence of the next message, if it is higher: all before it are used.
    pub fn begin_at(&mut self, sequence: Sequence) {
        self.next_sequence = self.next_sequence.max(sequence);
    }

    pub fn count(&self, state: State) -> u64 {
        let plain = if state == State::Ready { self.backlog.count() } else { 0 };
        plain + self.index.count(state)
    }

    /// Messages that the next pulls get.
    pub fn in_line(&self) -> u64 {
        if self.index.is_strict() {
            return u64::from(self.next().is_some());
        }
        self.backlog.count() + self.index.in_line()
    }

    pub fn messages_count(&self) -> u64 {
        self.backlog.count() + self.others.len() as u64
    }

    /// State records that emptying the channel may still write: one for each message that has no state record yet, and
    /// one for the end of each lease.
    pub fn pending_records(&self) -> u64 {
        self.messages_count() - self.recorded + self.index.count(State::Leased)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest message was stored that is not a dead letter.
    pub fn oldest(&self) -> Option<Millis> {
        let message = self.message(self.oldest_alive()?)?;
        Some(message.stored.enqueued_at)
    }

    /// When a message expires, if it is there.
    pub fn expires_at(&self, sequence: Sequence) -> Option<Option<Millis>> {
        match self.others.get(&sequence) {
            Some(message) => Some(message.expires_at),
            None => self.backlog.get(sequence).map(|plain| plain.expires_at),
        }
    }

    pub fn message(&self, sequence: Sequence) -> Option<Cow<'_, Message>> {
        match self.others.get(&sequence) {
            Some(message) => Some(Cow::Borrowed(message)),
            None => self.backlog.get(sequence).map(|plain| Cow::Owned(plain.into())),
        }
    }

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
        let mut sequences = self.index.from(state, first, max);
        if state == State::Ready {
            sequences.extend(self.backlog.from(first).map(|(sequence, _)| sequence).take(max));
            sequences.sort_unstable();
            sequences.truncate(max);
        }
        sequences
    }

    pub fn oldest_ready(&self) -> Option<Sequence> {
        first_of(self.backlog.first(), self.index.oldest_ready())
    }

    fn oldest_alive(&self) -> Option<Sequence> {
        first_of(self.backlog.first(), self.index.oldest_alive())
    }

    /// The time of the next event, or an earlier one.
    pub fn next_event(&self) -> Option<Millis> {
        first_of(self.backlog.next_expiry(), self.index.next_event().map(|(at, _)| at))
    }

    /// The message whose event is due first.
    pub(super) fn due(&mut self, now: Millis) -> Option<Sequence> {
        let other = self.index.next_event().filter(|(at, _)| *at <= now);
        first_of(self.backlog.expired(now), other).map(|(_, sequence)| sequence)
    }

    pub(super) fn next(&self) -> Option<Sequence> {
        if !self.index.is_strict() {
            return first_of(self.backlog.first(), self.index.first_in_line());
        }
        // The whole channel is one group: its first message, unless one is leased or the first is not ready.
        let first = self.oldest_alive().filter(|_| self.index.count(State::Leased) == 0);
        first.filter(|first| self.oldest_ready() == Some(*first))
    }

    pub fn next_bytes(&self) -> Option<u32> {
        self.message(self.next()?).map(|message| message.stored.bytes)
    }

    /// The current lease of a message.
    pub fn granted(&self, sequence: Sequence) -> Option<Granted> {
        let message = self.others.get(&sequence)?;
        let Phase::Leased(ends_at) = message.phase else { return None };
        Some(Granted::of(sequence, message, ends_at))
    }

    /// Sets the order of delivery.
    pub fn set_order(&mut self, order: Order) {
        let strict = order == Order::Strict;
        if strict != self.index.is_strict() {
            self.index = StateIndex::empty(strict);
            for (sequence, message) in &self.others {
                self.index.list(*sequence, message);
            }
        }
    }

    /// Adds a message under a sequence that has none.
    pub fn insert(&mut self, sequence: Sequence, message: Message) {
        self.saw_sequence(sequence);
        self.put(sequence, message);
    }

    /// Whether there is a message under a sequence. Nearly all new sequences ascend, and need no search.
    pub fn has(&self, sequence: Sequence) -> bool {
        sequence < self.next_sequence
            && (self.others.contains_key(&sequence) || self.backlog.get(sequence).is_some())
    }

    /// Sets the new position of a body that was copied in the log. Returns the one before.
    pub fn relocate(&mut self, sequence: Sequence, position: Position) -> Option<Position> {
        match self.others.get_mut(&sequence) {
            Some(message) => Some(std::mem::replace(&mut message.stored.position, position)),
            None => self.backlog.relocate(sequence, position),
        }
    }

    /// Changes the state of a message, by a record at a position or by the passing of time. Returns the position of the
    /// record that had its state, or nothing if there is no message.
    pub fn apply(
        &mut self,
        sequence: Sequence,
        to: MessageState,
        recorded_at: Option<Position>,
    ) -> Option<Option<Position>> {
        self.change(sequence, |message| {
            MessageState {
                lease_counts: message.lease_counts,
                phase: message.phase,
                expires_at: message.expires_at,
            } = to;
            match recorded_at {
                Some(position) => message.state_at.replace(position),
                None => None,
            }
        })
    }

    pub fn remove(&mut self, sequence: Sequence) -> Option<Message> {
        let message = match self.others.remove(&sequence) {
            Some(message) => {
                self.index.unlist(sequence, &message);
                message
            }
            None => self.backlog.remove(sequence)?.into(),
        };
        self.bytes -= u64::from(message.stored.bytes);
        self.recorded -= u64::from(message.state_at.is_some());
        Some(message)
    }

    /// Changes a message and updates the index.
    fn change<T>(&mut self, sequence: Sequence, change: impl FnOnce(&mut Message) -> T) -> Option<T> {
        let mut message = self.remove(sequence)?;
        let changed = change(&mut message);
        self.put(sequence, message);
        Some(changed)
    }

    /// Adds a message under a sequence that has none.
    fn put(&mut self, sequence: Sequence, message: Message) {
        self.bytes += u64::from(message.stored.bytes);
        self.recorded += u64::from(message.state_at.is_some());
        match Plain::of(&message) {
            Some(plain) => self.backlog.insert(sequence, plain),
            None => {
                self.index.list(sequence, &message);
                self.others.insert(sequence, message);
            }
        }
    }
}

/// The lesser of the two, if any.
fn first_of<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}
