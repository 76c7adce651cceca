//! A message as its channel knows it, without its content.

use std::sync::Arc;

use restante_wire::DeadLetterCause;

use super::lease::{Claim, Ended};
use crate::{clock::Millis, log::Position};

/// The place of a message in its channel: given when it is stored, never used twice.
pub type Sequence = u64;

/// The name of a group. One allocation for all of its messages.
pub type Group = Arc<str>;

/// What a channel remembers of a message's content. All else that was stored is told by its record in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Where the content lies in the log.
    pub position: Position,
    /// Bytes of the content and its kept headers.
    pub bytes: u32,
    /// When it was stored.
    pub enqueued_at: Millis,
}

/// How often a message was handed out, and by which start of the broker the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handouts {
    /// The number of the last hand-out; 0 before the first. With `start` and the sequence it names one lease.
    pub last: u32,
    /// Hand-outs that do not count as deliveries: the answer never left, or the receiver gave it back without having
    /// tried, or they were before the message was redriven.
    pub uncounted: u32,
    /// The number of the broker's start that made the last one.
    pub start: u64,
}

impl Handouts {
    /// How often the message was delivered.
    pub fn deliveries(&self) -> u32 {
        self.last - self.uncounted
    }
}

/// A message in the channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What was stored.
    pub stored: Stored,
    /// The group that it belongs to.
    pub group: Option<Group>,
    /// When its time is over; never, if it is not said.
    pub expires_at: Option<Millis>,
    /// How often it was handed out.
    pub handouts: Handouts,
    /// Who has it.
    pub phase: Phase,
    /// Where the log says so, if that was written since the message was stored.
    pub state_at: Option<Position>,
}

/// Who has a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nobody; and how its last lease ended, if it had one.
    Ready(Option<Ended>),
    /// Nobody, and nobody gets it before its time; and how its last lease ended, if it had one.
    Delayed {
        /// When it is ready.
        until: Millis,
        /// How its last lease ended.
        ended: Option<Ended>,
    },
    /// The holder of the last lease, until this moment.
    Leased(Millis),
    /// Nobody, until it is redriven.
    Dead(Death),
}

/// Why and since when a message is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Why.
    pub cause: DeadLetterCause,
    /// Since when.
    pub since: Millis,
    /// What the receiver said that rejected it.
    pub reason: Option<Box<str>>,
}

/// The states that a message is counted and looked at by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Due, and nobody has it.
    Ready,
    /// A receiver has it.
    Leased,
    /// Not due.
    Delayed,
    /// A dead letter.
    Dead,
}

impl Message {
    /// A message that was just stored and is due.
    pub fn new(stored: Stored) -> Self {
        Self {
            stored,
            group: None,
            expires_at: None,
            handouts: Handouts::default(),
            phase: Phase::Ready(None),
            state_at: None,
        }
    }

    /// The state that it is counted by.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Ready(_) => State::Ready,
            Phase::Delayed { .. } => State::Delayed,
            Phase::Leased(_) => State::Leased,
            Phase::Dead(_) => State::Dead,
        }
    }

    /// When time next changes something about it. Time does not take a message from who has it.
    pub fn next_event(&self) -> Option<Millis> {
        match self.phase {
            Phase::Ready(_) | Phase::Dead(_) => self.expires_at,
            Phase::Leased(until) => Some(until),
            Phase::Delayed { until, .. } => Some(self.expires_at.map_or(until, |expires| expires.min(until))),
        }
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }
}

/// A message handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Its place in the channel.
    pub sequence: Sequence,
    /// What was stored.
    pub stored: Stored,
    /// The group that it belongs to.
    pub group: Option<Group>,
    /// When its time is over.
    pub expires_at: Option<Millis>,
    /// The lease's name, with the sequence.
    pub handouts: Handouts,
    /// When the lease ends.
    pub ends_at: Millis,
}

impl Granted {
    pub(super) fn of(sequence: Sequence, message: &Message, ends_at: Millis) -> Self {
        let Message { stored, group, expires_at, handouts, .. } = message;
        Self {
            sequence,
            stored: *stored,
            group: group.clone(),
            expires_at: *expires_at,
            handouts: *handouts,
            ends_at,
        }
    }

    /// How often the message was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.handouts.deliveries()
    }

    /// The claim that the receiver makes by this lease.
    pub fn claim(&self) -> Claim {
        Claim { sequence: self.sequence, handout: self.handouts.last, start: self.handouts.start }
    }
}
