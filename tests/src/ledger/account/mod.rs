//! Account of one channel under a mixed load: all requests and answers of its clients, in the order in which the
//! clients saw them. Each rule is a pure function that finds violations in the entries.
//!
//! A request whose connection was cut may have had its effect or not. So there is an entry before each request and an
//! entry after each answer: the broker acted between the two.

mod deliveries;
mod ends;
mod entry;
mod groups;
mod ids;
mod leases;
mod order;
mod totals;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

pub use entry::{Delivery, End, Entry, Event, Terms};
pub use ids::{not_in_all, two_ids};
pub use totals::{Expired, Remaining, State, Totals};

/// Number of violations whose history is shown; more would not help.
const VIOLATIONS_SHOWN: usize = 3;

/// An account that several clients write; a clone is the same account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Stored, not settled, and not in any channel.
    Lost(u64),
    /// In the channel twice.
    Duplicated(u64),
    /// In the channel or delivered after it was settled, or delivered while it was a dead letter.
    Reappeared(u64),
    /// Delivered but never sent, delivered with another body, or something else that must never happen.
    Unexpected(String),
    /// Has two ids: a repeated push was not recognised, or a message changed its id.
    TwoIds(u64),
    /// In some channels of a shared destination, but not in all.
    NotInAll(u64),
    /// Delivered for the first time after a later message of the same sender.
    Overtaken {
        /// The message that was delivered first.
        later: u64,
        /// The message that should have been delivered before it.
        earlier: u64,
    },
    /// Delivered while an earlier message of its group was still in the channel.
    OutOfGroupOrder {
        /// The delivered message.
        later: u64,
        /// The earlier message of the group.
        earlier: u64,
    },
    /// Delivered during a lease.
    LeasedTwice(u64),
    /// Has a lower delivery count than the number of deliveries.
    Uncounted(u64),
    /// Delivered more often than the channel's limit.
    TooManyDeliveries(u64),
    /// Delivered after it expired.
    DeliveredExpired(u64),
    /// Delivered by a channel after it moved to the dead-letter channel.
    DeliveredAfterMove(u64),
}

impl Violation {
    /// The message, if the violation is about one.
    fn key(&self) -> Option<u64> {
        match self {
            Self::Lost(key)
            | Self::Duplicated(key)
            | Self::Reappeared(key)
            | Self::TwoIds(key)
            | Self::NotInAll(key)
            | Self::Overtaken { earlier: key, .. }
            | Self::OutOfGroupOrder { earlier: key, .. }
            | Self::LeasedTwice(key)
            | Self::Uncounted(key)
            | Self::TooManyDeliveries(key)
            | Self::DeliveredExpired(key)
            | Self::DeliveredAfterMove(key) => Some(*key),
            Self::Unexpected(_) => None,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(key) => write!(formatter, "{key:#x} was stored, not settled, and is lost"),
            Self::Duplicated(key) => write!(formatter, "{key:#x} is in the channel twice"),
            Self::Reappeared(key) => {
                write!(formatter, "{key:#x} reappeared after it was settled or rejected")
            }
            Self::Unexpected(what) => write!(formatter, "{what}"),
            Self::TwoIds(key) => write!(formatter, "{key:#x} has two ids"),
            Self::NotInAll(key) => write!(formatter, "{key:#x} is in some channels, but not in all"),
            Self::Overtaken { later, earlier } => {
                write!(formatter, "{later:#x} overtook {earlier:#x}, which was ready")
            }
            Self::OutOfGroupOrder { later, earlier } => {
                write!(formatter, "{later:#x} was delivered before {earlier:#x} of its group")
            }
            Self::LeasedTwice(key) => write!(formatter, "{key:#x} was delivered during a lease"),
            Self::Uncounted(key) => {
                write!(formatter, "{key:#x} has a lower delivery count than its number of deliveries")
            }
            Self::TooManyDeliveries(key) => {
                write!(formatter, "{key:#x} was delivered more often than its limit")
            }
            Self::DeliveredExpired(key) => {
                write!(formatter, "{key:#x} was delivered after it expired")
            }
            Self::DeliveredAfterMove(key) => {
                write!(formatter, "{key:#x} was delivered by a channel that it had left as a dead letter")
            }
        }
    }
}

/// Milliseconds since the Unix epoch, by the same clock as the tests' brokers.
#[expect(
    clippy::disallowed_methods,
    reason = "the contract states lease ends in wall clock time, and the harness compares them"
)]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

impl Account {
    pub fn write(&self, key: u64, event: Event) {
        self.entries().push(Entry { at_ms: now_ms(), key, event });
    }

    /// Number of entries: a request that begins now is after all of them.
    pub fn now(&self) -> usize {
        self.entries().len()
    }

    /// Adds something that must never happen, as a description.
    pub fn unexpected(&self, what: impl Into<String>) {
        self.write(0, Event::Unexpected(what.into()));
    }

    /// Adds the redrive of every rejected message.
    pub fn redriving(&self) {
        let rejected = ends::rejected(&self.entries());
        rejected.into_iter().for_each(|key| self.write(key, Event::Redriving));
    }

    /// Completes the account from the remaining messages: pushes without an answer that were stored, and messages that
    /// a cut pull with `ack=auto` settled.
    pub fn reconcile(&self, left: &[Remaining]) {
        let (unanswered, ended) = {
            let entries = self.entries();
            (totals::unanswered(&entries, left), totals::maybe_ended(&entries, left))
        };
        unanswered.into_iter().for_each(|(key, id)| self.write(key, Event::Stored(id)));
        ended.into_iter().for_each(|key| self.write(key, Event::Ended(End::Settle)));
    }

    /// Expected totals of the channel now.
    pub fn totals(&self, expired: Expired) -> Totals {
        totals::totals(&self.entries(), expired, now_ms())
    }

    /// All violations so far, also while requests are in flight.
    pub fn violations(&self) -> Vec<Violation> {
        let entries = self.entries();
        let unexpected = entries.iter().filter_map(|entry| match &entry.event {
            Event::Unexpected(what) => Some(Violation::Unexpected(what.clone())),
            _ => None,
        });
        let mut violations: Vec<_> = unexpected.collect();
        violations.extend(ends::reappeared(&entries));
        violations.extend(ends::invented(&entries));
        violations.extend(ends::delivered_after_move(&entries));
        violations.extend(ends::delivered_expired(&entries));
        violations.extend(two_ids(&[&entries]));
        violations.extend(order::overtaken(&entries));
        violations.extend(groups::out_of_group_order(&entries));
        violations.extend(leases::leased_twice(&entries));
        violations.extend(deliveries::uncounted(&entries));
        violations
    }

    /// The entries of the messages of some violations, for debugging.
    pub fn history(&self, violations: &[Violation]) -> Vec<Entry> {
        let shown = violations.iter().take(VIOLATIONS_SHOWN).filter_map(Violation::key);
        let keys: BTreeSet<u64> = shown.collect();
        self.entries().iter().filter(|entry| keys.contains(&entry.key)).cloned().collect()
    }

    /// Messages delivered more often than `max` times.
    pub fn too_many_deliveries(&self, max: u32) -> Vec<Violation> {
        deliveries::too_many_deliveries(&self.entries(), max)
    }

    /// Violations in the remaining messages: missing, unexpected or duplicated ones.
    pub fn violations_in(&self, left: &[Remaining], expired: Expired) -> Vec<Violation> {
        totals::violations_in(&self.entries(), left, expired, now_ms())
    }

    /// A copy of the entries, for rules over several accounts.
    pub fn to_vec(&self) -> Vec<Entry> {
        self.entries().clone()
    }

    /// Number of messages with a matching event.
    pub fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        let entries = self.entries();
        let keys = entries.iter().filter(|entry| which(&entry.event)).map(|entry| entry.key);
        keys.collect::<BTreeSet<u64>>().len()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A client that panicked has failed its test already; its entries are still valid.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
