//! What was told of messages, and how it is held against what is found.

use super::{super::*, Found, Name};
use crate::channel::State;

/// A message as it was told of. A ticket that is kept is a promise.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) pushed: Ticket,
    pub(super) settled: Option<Ticket>,
    pub(super) rejected: Option<Ticket>,
    /// Its deliveries that a crash has shown, and those since.
    pub(super) delivered: u32,
    pub(super) handed_out: Vec<Ticket>,
    /// It got another chance, at the end of its channel.
    pub(super) redriven: bool,
    /// That it did, unless it was given up again since.
    pub(super) revived: Option<Ticket>,
    /// Messages to its channel that were not told as stored when it was pushed: they may come before it or after it.
    pub(super) beside: Vec<u64>,
}

/// What was promised of a message when the crash came.
pub(super) struct Promised {
    there: bool,
    gone: bool,
    /// It was asked for and not told: it may be gone or not.
    pub(super) may_be_gone: bool,
    dead: bool,
    deliveries: std::ops::RangeInclusive<u32>,
    pub(super) redriven: bool,
    alive: bool,
    pub(super) beside: Vec<u64>,
}

impl Told {
    /// A message that was pushed, with a promise, and what else may come before it.
    pub(super) fn new(pushed: Ticket, beside: Vec<u64>) -> Self {
        Self {
            pushed,
            settled: None,
            rejected: None,
            delivered: 0,
            handed_out: Vec::new(),
            redriven: false,
            revived: None,
            beside,
        }
    }

    /// A kill forgets no delivery that was told of; a power cut may forget those since the last sync.
    pub(super) fn promised(&self, killed: bool) -> Promised {
        let told = self.handed_out.iter().filter(|ticket| killed && is_kept(ticket)).count() as u32;
        Promised {
            there: is_kept(&self.pushed),
            gone: self.settled.as_ref().is_some_and(is_kept),
            may_be_gone: self.settled.is_some(),
            dead: self.rejected.as_ref().is_some_and(is_kept),
            deliveries: self.delivered + told..=self.delivered + self.handed_out.len() as u32,
            redriven: self.redriven,
            alive: self.revived.as_ref().is_some_and(is_kept),
            beside: self.beside.clone(),
        }
    }
}

impl Promised {
    /// The message as it is from then on, if it is there.
    pub(super) fn hold_against(self, name: Name, found: Option<&Found>) -> Option<Told> {
        let Some(found) = found else {
            assert!(!self.there || self.may_be_gone, "message {name:?} was told as stored and is lost");
            return None;
        };
        assert!(!self.gone, "message {name:?} was told as settled and is back");
        let dead = found.state == State::Dead || found.channel == 2;
        assert!(dead || !self.dead, "message {name:?} was told as rejected and is alive");
        assert!(!dead || !self.alive, "message {name:?} was told as redriven and is dead");
        // One that was moved counts anew.
        let at_home = found.channel == name.1 && !self.redriven;
        let counted = self.deliveries.contains(&found.deliveries);
        assert!(!at_home || counted, "message {name:?}: {} and not {:?}", found.deliveries, self.deliveries);
        Some(Told {
            rejected: dead.then(Ticket::committed),
            delivered: found.deliveries,
            redriven: self.redriven,
            ..Told::new(Ticket::committed(), self.beside)
        })
    }
}
