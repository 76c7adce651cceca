//! The channel's state machine: which messages it holds and who has them. Pure: every transition takes the time and
//! returns what became of it.
//!
//! A message is *ready* or *leased*. The next one to be leased is always the ready message with the lowest sequence; one
//! that comes back takes its old place.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::lease::{Claim, Ended, Refusal};
use crate::{clock::Millis, log::Position};

/// The place of a message in its channel: given when it is stored, never used twice.
pub type Sequence = u64;

/// What a channel remembers of a message's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Where the content lies in the log.
    pub position: Position,
    /// Bytes of the content and its kept headers.
    pub bytes: u32,
    /// When it was stored.
    pub enqueued_at: Millis,
    /// Its id, a UUIDv7.
    pub id: Uuid,
}

/// How often a message was handed out, and by which start of the broker the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handouts {
    /// The number of the last hand-out; 0 before the first. With `start` and the sequence it names one lease.
    pub last: u32,
    /// Hand-outs that do not count as deliveries, because the answer never left.
    pub uncounted: u32,
    /// The number of the broker's start that made the last one.
    pub start: u64,
}

/// A message in the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// What was stored.
    pub stored: Stored,
    /// How often it was handed out.
    pub handouts: Handouts,
    /// Who has it.
    pub phase: Phase,
}

/// Who has a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody; and how its last lease ended, if it had one.
    Ready(Option<Ended>),
    /// The holder of the last lease, until this moment.
    Leased(Millis),
}

/// A message handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Its place in the channel.
    pub sequence: Sequence,
    /// What was stored.
    pub stored: Stored,
    /// The lease's name, with the sequence.
    pub handouts: Handouts,
    /// When the lease ends.
    pub ends_at: Millis,
}

impl Granted {
    /// How often the message was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.handouts.last - self.handouts.uncounted
    }

    /// The claim that the receiver makes by this lease.
    pub fn claim(&self) -> Claim {
        Claim { sequence: self.sequence, handout: self.handouts.last, start: self.handouts.start }
    }
}

/// All messages of one channel.
#[derive(Debug, Default)]
pub struct ChannelState {
    next_sequence: Sequence,
    messages: BTreeMap<Sequence, Message>,
    ready: BTreeSet<Sequence>,
    bytes: u64,
}

impl ChannelState {
    /// The sequence that the next message gets.
    pub fn next_sequence(&self) -> Sequence {
        self.next_sequence
    }

    /// Takes note that a sequence was used, so that it is never given again.
    pub fn saw_sequence(&mut self, sequence: Sequence) {
        self.next_sequence = self.next_sequence.max(sequence + 1);
    }

    /// Messages that the next pulls get.
    pub fn ready(&self) -> u64 {
        self.ready.len() as u64
    }

    /// Messages that receivers have leased.
    pub fn leased(&self) -> u64 {
        (self.messages.len() - self.ready.len()) as u64
    }

    /// Messages in the channel.
    pub fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    /// Bytes of contents and kept headers.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest message was stored.
    pub fn oldest(&self) -> Option<Millis> {
        self.messages.values().next().map(|message| message.stored.enqueued_at)
    }

    /// The message of this sequence.
    pub fn message(&self, sequence: Sequence) -> Option<&Message> {
        self.messages.get(&sequence)
    }

    /// Every message with its sequence.
    pub fn messages(&self) -> impl Iterator<Item = (Sequence, &Message)> {
        self.messages.iter().map(|(sequence, message)| (*sequence, message))
    }

    /// A message was stored under [`Self::next_sequence`].
    pub fn store(&mut self, stored: Stored) -> Sequence {
        let sequence = self.next_sequence;
        let message = Message { stored, handouts: Handouts::default(), phase: Phase::Ready(None) };
        self.restore(sequence, message);
        sequence
    }

    /// A message was found in the log at start. A sequence that is there already is replaced.
    pub fn restore(&mut self, sequence: Sequence, message: Message) {
        self.saw_sequence(sequence);
        self.remove(sequence);
        self.bytes += u64::from(message.stored.bytes);
        if let Phase::Ready(_) = message.phase {
            self.ready.insert(sequence);
        }
        self.messages.insert(sequence, message);
    }

    /// The content was copied to another place of the log.
    pub fn relocate(&mut self, sequence: Sequence, position: Position) {
        if let Some(message) = self.messages.get_mut(&sequence) {
            message.stored.position = position;
        }
    }

    /// The next message goes to a receiver.
    pub fn lease_next(&mut self, ends_at: Millis, start: u64) -> Option<Granted> {
        let sequence = self.ready.pop_first()?;
        let message = self.messages.get_mut(&sequence)?;
        message.handouts.last += 1;
        message.handouts.start = start;
        message.phase = Phase::Leased(ends_at);
        Some(Granted { sequence, stored: message.stored, handouts: message.handouts, ends_at })
    }

    /// The receiver is done: the message leaves the channel. `None` when it was gone already, which is as good.
    pub fn settle(&mut self, claim: Claim, now: Millis) -> Result<Option<Stored>, Refusal> {
        match self.current(claim, now) {
            Ok(_) => Ok(self.remove(claim.sequence)),
            Err(Refusal::Settled) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The receiver gives the message back; true when it had it, false when this very lease gave it back before.
    pub fn release(&mut self, claim: Claim, counted: bool, now: Millis) -> Result<bool, Refusal> {
        match self.current(claim, now) {
            Ok(message) => {
                message.handouts.uncounted += u32::from(!counted);
                message.phase = Phase::Ready(Some(Ended::Released));
                self.ready.insert(claim.sequence);
                Ok(true)
            }
            Err(Refusal::Released) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// The receiver wants the message until `ends_at`.
    pub fn renew(&mut self, claim: Claim, ends_at: Millis, now: Millis) -> Result<Granted, Refusal> {
        let message = self.current(claim, now)?;
        message.phase = Phase::Leased(ends_at);
        let Message { stored, handouts, .. } = *message;
        Ok(Granted { sequence: claim.sequence, stored, handouts, ends_at })
    }

    /// The message comes back if its lease has ended by now; true if it did.
    pub fn expire(&mut self, sequence: Sequence, now: Millis) -> bool {
        let Some(message) = self.messages.get_mut(&sequence) else { return false };
        match message.phase {
            Phase::Leased(ends_at) if ends_at <= now => {
                message.phase = Phase::Ready(Some(Ended::Expired));
                self.ready.insert(sequence);
                true
            }
            Phase::Leased(_) | Phase::Ready(_) => false,
        }
    }

    /// A message leaves the channel.
    pub fn remove(&mut self, sequence: Sequence) -> Option<Stored> {
        let message = self.messages.remove(&sequence)?;
        self.ready.remove(&sequence);
        self.bytes -= u64::from(message.stored.bytes);
        Some(message.stored)
    }

    /// The message that a claim is good for: the table of states of the HTTP contract, section *Settle*.
    fn current(&mut self, claim: Claim, now: Millis) -> Result<&mut Message, Refusal> {
        self.expire(claim.sequence, now);
        let Some(message) = self.messages.get_mut(&claim.sequence) else { return Err(Refusal::Settled) };
        if claim.handout > message.handouts.last {
            // A power cut may forget the lease records of the last second: the lease is over, and nobody has it since.
            return Err(Refusal::Expired);
        }
        if claim.handout != message.handouts.last || claim.start != message.handouts.start {
            return Err(Refusal::Superseded);
        }
        match message.phase {
            Phase::Leased(_) => Ok(message),
            Phase::Ready(Some(Ended::Released)) => Err(Refusal::Released),
            Phase::Ready(Some(Ended::Expired) | None) => Err(Refusal::Expired),
        }
    }
}
