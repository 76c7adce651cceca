//! A message in its channel, without its body.

use std::sync::Arc;

use restante_wire::DeadLetterCause;

use super::lease::{Claim, Ended};
use crate::{clock::Millis, log::Position};

/// The place of a message in its channel, assigned when it is stored. Not reused while the log has anything of the
/// channel.
pub type Sequence = u64;

/// The name of a message group, shared by all of its messages.
pub type GroupName = Arc<str>;

/// What a channel remembers of a stored message. Its record in the log has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The position of the body in the log.
    pub position: Position,
    /// Bytes of the body and its kept headers.
    pub bytes: u32,
    pub enqueued_at: Millis,
}

/// The leases that a message has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeaseCounts {
    /// The number of the last lease; 0 before the first. With `start` and the sequence it identifies one lease.
    pub last: u32,
    /// Leases that do not count as deliveries: the answer was never sent, the receiver released the message untried, or
    /// the lease was before a redrive.
    pub uncounted: u32,
    /// The start of the broker that granted the last lease.
    pub start: u64,
}

impl LeaseCounts {
    /// How many times the message was delivered.
    pub fn deliveries(&self) -> u32 {
        self.last - self.uncounted
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub stored: Stored,
    pub group: Option<GroupName>,
    /// When it expires; `None` for never.
    pub expires_at: Option<Millis>,
    pub lease_counts: LeaseCounts,
    pub phase: Phase,
    /// The position of its newest state record, if one was written since the message was stored.
    pub state_at: Option<Position>,
}

/// The part of a message that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageState {
    pub lease_counts: LeaseCounts,
    pub phase: Phase,
    /// When it expires; `None` for never.
    pub expires_at: Option<Millis>,
}

/// The state of a message, with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Ready for a receiver; with the end of its last lease, if it had one.
    Ready(Option<Ended>),
    /// Not ready before `until`; with the end of its last lease, if it had one.
    Delayed { until: Millis, ended: Option<Ended> },
    /// Leased until this time.
    Leased(Millis),
    /// A dead letter, until it is redriven.
    Dead(DeadLetter),
}

/// Cause and time of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub cause: DeadLetterCause,
    pub since: Millis,
    /// The reason that the receiver gave for its reject.
    pub reason: Option<Box<str>>,
}

/// The states by which messages are counted and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Ready,
    Leased,
    /// Not due yet.
    Delayed,
    Dead,
}

impl Message {
    /// A message that was just stored and is due.
    pub fn new(stored: Stored) -> Self {
        Self {
            stored,
            group: None,
            expires_at: None,
            lease_counts: LeaseCounts::default(),
            phase: Phase::Ready(None),
            state_at: None,
        }
    }

    /// The part that changes, in another phase.
    pub fn in_phase(&self, phase: Phase) -> MessageState {
        MessageState { lease_counts: self.lease_counts, phase, expires_at: self.expires_at }
    }

    pub fn state(&self) -> State {
        match self.phase {
            Phase::Ready(_) => State::Ready,
            Phase::Delayed { .. } => State::Delayed,
            Phase::Leased(_) => State::Leased,
            Phase::Dead(_) => State::Dead,
        }
    }

    /// When time next changes the message. A leased message does not expire before its lease ends.
    pub fn next_event(&self) -> Option<Millis> {
        match self.phase {
            Phase::Ready(_) | Phase::Dead(_) => self.expires_at,
            Phase::Leased(until) => Some(until),
            Phase::Delayed { until, .. } => Some(self.expires_at.map_or(until, |expires| expires.min(until))),
        }
    }

    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|expires| expires <= now)
    }
}

/// A lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub sequence: Sequence,
    pub stored: Stored,
    pub group: Option<GroupName>,
    pub expires_at: Option<Millis>,
    /// The leases of the message; the last one is this.
    pub lease_counts: LeaseCounts,
    pub ends_at: Millis,
}

impl Granted {
    pub(super) fn of(sequence: Sequence, message: &Message, ends_at: Millis) -> Self {
        let Message { stored, group, expires_at, lease_counts, .. } = message;
        Self {
            sequence,
            stored: *stored,
            group: group.clone(),
            expires_at: *expires_at,
            lease_counts: *lease_counts,
            ends_at,
        }
    }

    /// How many times the message was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.lease_counts.deliveries()
    }

    /// The state of the message under this lease.
    pub fn state(&self) -> MessageState {
        let phase = Phase::Leased(self.ends_at);
        MessageState { lease_counts: self.lease_counts, phase, expires_at: self.expires_at }
    }

    /// The claim of this lease.
    pub fn claim(&self) -> Claim {
        Claim {
            sequence: self.sequence,
            lease_number: self.lease_counts.last,
            start: self.lease_counts.start,
        }
    }
}
