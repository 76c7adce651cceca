//! Entries of an account.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at_ms: u64,
    /// The test's key of the message; see [`super::super::key`].
    pub key: u64,
    pub event: Event,
}

/// An event of a message, as its clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A push begins.
    Sent(Terms),
    /// A push, the first or a repeat, was answered with this id.
    Stored(u128),
    /// The message was delivered.
    Delivered(Delivery),
    /// A pull with `ack=auto` was cut. It may have settled one message, which is unknown.
    MaybeTaken,
    /// A settle or reject begins.
    Ending(End),
    /// A settle or reject was answered.
    Ended(End),
    /// A settle or reject was answered after the lease had ended: the message may have moved to the dead-letter channel
    /// before.
    MaybeEnded,
    /// A release begins.
    Releasing {
        /// Whether the delivery counts.
        counted: bool,
    },
    /// A release was answered. The message is not delivered before `due_ms`.
    Released {
        /// When the message becomes ready; 0 is at once.
        due_ms: u64,
    },
    /// A renewal was answered.
    Renewed {
        /// New end of the lease.
        until_ms: u64,
    },
    /// The lease had ended, so the request had no effect.
    Refused,
    /// A redrive begins.
    Redriving,
    /// Something that must never happen, as a description.
    Unexpected(String),
}

/// The end of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Settle,
    /// It was rejected, and is a dead letter.
    Reject,
}

/// Properties of a sent message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    pub group: Option<u32>,
    pub delayed: bool,
    pub ttl_ms: Option<u64>,
    /// Bytes of the body and the kept headers.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    pub id: u128,
    /// Number of deliveries, including this one.
    pub deliveries: u32,
    /// Number of entries when the pull began.
    pub asked: usize,
    pub until_ms: u64,
    /// Whether the dead-letter channel delivered it.
    pub moved: bool,
}

impl Entry {
    pub(super) fn delivery(&self) -> Option<&Delivery> {
        if let Event::Delivered(delivery) = &self.event { Some(delivery) } else { None }
    }
}

/// Entries for tests of the rules, one per millisecond.
#[cfg(test)]
pub(super) fn entries(events: impl IntoIterator<Item = (u64, Event)>) -> Vec<Entry> {
    let events = events.into_iter().enumerate();
    events.map(|(at, (key, event))| Entry { at_ms: at as u64, key, event }).collect()
}

/// A delivery for tests of the rules, with a lease that has ended.
#[cfg(test)]
pub(super) fn delivered(deliveries: u32) -> Event {
    Event::Delivered(Delivery { id: 1, deliveries, ..Delivery::default() })
}
