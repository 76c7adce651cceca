//! The lines of an account.

/// One line of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written.
    pub at_ms: u64,
    /// The message, by the test's own key: see [`super::super::key`].
    pub key: u64,
    /// What happened to it.
    pub event: Event,
}

/// What happened to a message, as its clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// About to be pushed.
    Sent(Terms),
    /// A push of it was answered, the first or a repeat, with this id.
    Stored(u128),
    /// It came.
    Came(Delivery),
    /// A pull that settles what it brings was cut: it may have taken one message, whichever.
    TakenPerhaps,
    /// Its end is about to be asked for.
    Ending(End),
    /// Its end was answered.
    Ended(End),
    /// Its end was answered after its lease had ended: it may have become another channel's dead letter before, which is
    /// gone from its own.
    EndedPerhaps,
    /// It is about to be given back.
    Returning {
        /// Whether the hand-out was a delivery.
        counted: bool,
    },
    /// That was answered; nobody gets it before `due_ms`.
    Returned {
        /// When it is ready, if not at once.
        due_ms: u64,
    },
    /// A renewal was answered: the lease runs until then.
    Renewed {
        /// Until when.
        until_ms: u64,
    },
    /// The lease was not good any more: what was asked for did not happen.
    Refused,
    /// A dead letter is about to get another chance.
    Redriving,
    /// Something that no client may meet, in words.
    Strange(String),
}

/// How a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is done.
    Settle,
    /// It is a dead letter.
    Reject,
}

/// What its sender said of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// The group that it belongs to.
    pub group: Option<u32>,
    /// Whether nobody gets it at once.
    pub delayed: bool,
    /// How long it lives.
    pub ttl_ms: Option<u64>,
    /// Bytes of its content and kept headers.
    pub bytes: u64,
}

/// A message that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The broker's id.
    pub id: u128,
    /// How often it was handed out, this time included.
    pub deliveries: u32,
    /// How many entries there were when it was asked for.
    pub asked: usize,
    /// When the lease ends.
    pub until_ms: u64,
    /// Whether it came from the channel of dead letters.
    pub moved: bool,
}

impl Entry {
    /// The delivery, if it is one.
    pub(super) fn came(&self) -> Option<&Delivery> {
        if let Event::Came(delivery) = &self.event { Some(delivery) } else { None }
    }
}

/// Entries for the rules' own tests, one millisecond after another.
#[cfg(test)]
pub(super) fn entries(events: impl IntoIterator<Item = (u64, Event)>) -> Vec<Entry> {
    let events = events.into_iter().enumerate();
    events.map(|(at, (key, event))| Entry { at_ms: at as u64, key, event }).collect()
}

/// A delivery for the rules' own tests: leased for no time.
#[cfg(test)]
pub(super) fn came(deliveries: u32) -> Event {
    Event::Came(Delivery { id: 1, deliveries, ..Delivery::default() })
}
