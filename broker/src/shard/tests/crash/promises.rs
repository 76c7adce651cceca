//! The answers about messages, and their comparison with the messages found.

use crate::channel::State;
use crate::shard::tests::{
    crash::{FoundMessage, Name},
    *,
};

/// The answers about one message. A committed ticket is a promise.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) pushed: Ticket,
    pub(super) settled: Option<Ticket>,
    pub(super) rejected: Option<Ticket>,
    /// Deliveries that an earlier crash has shown.
    pub(super) delivered: u32,
    pub(super) leased: Vec<Ticket>,
    /// It was redriven, to the end of its channel.
    pub(super) redriven: bool,
    /// The redrive, unless the message died again since.
    pub(super) revived: Option<Ticket>,
    /// Messages to its channel without an answer when it was pushed: they may come before it or after it.
    pub(super) beside: Vec<u64>,
}

/// The promises about a message at the time of the crash.
pub(super) struct Promised {
    there: bool,
    gone: bool,
    /// A settle was requested and not answered: the message may be gone or not.
    pub(super) may_be_gone: bool,
    dead: bool,
    deliveries: std::ops::RangeInclusive<u32>,
    pub(super) redriven: bool,
    alive: bool,
    pub(super) beside: Vec<u64>,
}

impl Answers {
    /// A message that was pushed, and the messages that may come before it.
    pub(super) fn new(pushed: Ticket, beside: Vec<u64>) -> Self {
        Self {
            pushed,
            settled: None,
            rejected: None,
            delivered: 0,
            leased: Vec::new(),
            redriven: false,
            revived: None,
            beside,
        }
    }

    /// A kill loses no answered delivery; a power cut may lose the deliveries since the last sync.
    pub(super) fn promised(&self, killed: bool) -> Promised {
        let certain = self.leased.iter().filter(|ticket| killed && is_kept(ticket)).count() as u32;
        Promised {
            there: is_kept(&self.pushed),
            gone: self.settled.as_ref().is_some_and(is_kept),
            may_be_gone: self.settled.is_some(),
            dead: self.rejected.as_ref().is_some_and(is_kept),
            deliveries: self.delivered + certain..=self.delivered + self.leased.len() as u32,
            redriven: self.redriven,
            alive: self.revived.as_ref().is_some_and(is_kept),
            beside: self.beside.clone(),
        }
    }
}

impl Promised {
    /// The state of the message from now on, if it exists.
    pub(super) fn hold_against(self, name: Name, found: Option<&FoundMessage>) -> Option<Answers> {
        let Some(found) = found else {
            assert!(!self.there || self.may_be_gone, "message {name:?} was answered as stored and is lost");
            return None;
        };
        assert!(!self.gone, "message {name:?} was answered as settled and is back");
        let dead = found.state == State::Dead || found.channel == 2;
        assert!(dead || !self.dead, "message {name:?} was answered as rejected and is alive");
        assert!(!dead || !self.alive, "message {name:?} was answered as redriven and is dead");
        // A moved message counts its deliveries from the start again.
        let at_home = found.channel == name.1 && !self.redriven;
        let counted = self.deliveries.contains(&found.deliveries);
        assert!(!at_home || counted, "message {name:?}: {} and not {:?}", found.deliveries, self.deliveries);
        Some(Answers {
            rejected: dead.then(Ticket::committed),
            delivered: found.deliveries,
            redriven: self.redriven,
            ..Answers::new(Ticket::committed(), self.beside)
        })
    }
}
