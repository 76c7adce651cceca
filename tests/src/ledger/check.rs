//! Checks of a ledger: pure functions that find faults in its entries.
//!
//! FIFO with redelivery means that the next message is always the oldest ready one. So a message is overtaken only
//! while it is leased, by a receiver that has it or whose answer was cut off. Such a message was delivered before,
//! which its delivery count shows. A first delivery after a later message of the same sender is a fault: the message
//! was overtaken while it was ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// An entry of a ledger, in the order in which the clients saw the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A push begins.
    Sent(u64),
    /// A push was answered.
    Acknowledged(u64),
    /// A message was received unchanged.
    Received(Reception),
    /// Something was received that no client sent, or that was changed.
    Unexpected(String),
    /// A settle was answered.
    Settled(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// The test's key.
    pub key: u64,
    /// The broker's id, if the test checks it.
    pub id: Option<u128>,
    /// Number of deliveries, including this one.
    pub deliveries: u32,
}

impl Entry {
    /// The key, if the entry is an acknowledgement.
    pub fn acknowledged(&self) -> Option<u64> {
        if let Self::Acknowledged(key) = self { Some(*key) } else { None }
    }

    /// The key, if the entry is a reception.
    pub fn received(&self) -> Option<u64> {
        self.reception().map(|reception| reception.key)
    }

    /// The key, if the entry is an answered settle.
    pub fn settled(&self) -> Option<u64> {
        if let Self::Settled(key) = self { Some(*key) } else { None }
    }

    fn reception(&self) -> Option<&Reception> {
        if let Self::Received(reception) = self { Some(reception) } else { None }
    }
}

/// A violation of the broker's promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledged by the broker, and never received.
    Lost(u64),
    /// Received again after the broker answered its settle.
    Reappeared(u64),
    /// First delivery after a later message of the same sender.
    OutOfOrder {
        /// The message that was received first.
        later: u64,
        /// The message that should have been received before it.
        earlier: u64,
    },
    /// Received but never sent, or changed.
    Invented(String),
    /// Received under two ids: a repeated push was not recognised.
    StoredTwice(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(key) => write!(formatter, "{key:#x} was acknowledged and never received"),
            Self::Reappeared(key) => write!(formatter, "{key:#x} reappeared after its settle was answered"),
            Self::OutOfOrder { later, earlier } => {
                write!(formatter, "{later:#x} overtook {earlier:#x}, which was ready")
            }
            Self::Invented(what) => write!(formatter, "{what} was received but never sent"),
            Self::StoredTwice(key) => write!(formatter, "{key:#x} was received with two ids"),
        }
    }
}

/// All faults except for the order, after all requests have ended.
pub fn faults(entries: &[Entry]) -> Vec<Fault> {
    let mut faults = reappeared(entries);
    faults.extend(invented(entries));
    faults.extend(stored_twice(entries));
    faults.extend(lost(entries));
    faults
}

/// Acknowledged messages that were not received.
pub fn lost(entries: &[Entry]) -> Vec<Fault> {
    let received: BTreeSet<u64> = entries.iter().filter_map(Entry::received).collect();
    let acknowledged: BTreeSet<u64> = entries.iter().filter_map(Entry::acknowledged).collect();
    acknowledged.difference(&received).map(|key| Fault::Lost(*key)).collect()
}

/// First deliveries of messages that were ready while a later message of the same sender was received. For senders that
/// wait for each answer, and one receiver at a time: concurrent receivers add entries in another order than the broker
/// delivers.
pub fn out_of_order(entries: &[Entry]) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    let mut faults = Vec::new();
    for &Reception { key, deliveries, .. } in entries.iter().filter_map(Entry::reception) {
        let newest = newest.entry(key >> 32).or_insert(key);
        if seen.insert(key) && key < *newest && deliveries <= 1 {
            faults.push(Fault::OutOfOrder { later: *newest, earlier: key });
        }
        *newest = key.max(*newest);
    }
    faults
}

fn reappeared(entries: &[Entry]) -> Vec<Fault> {
    let mut settled = BTreeSet::new();
    let mut faults = Vec::new();
    for entry in entries {
        settled.extend(entry.settled());
        faults.extend(entry.received().filter(|key| settled.contains(key)).map(Fault::Reappeared));
    }
    faults
}

fn invented(entries: &[Entry]) -> Vec<Fault> {
    let mut sent = BTreeSet::new();
    for entry in entries {
        if let Entry::Sent(key) | Entry::Acknowledged(key) = entry {
            sent.insert(*key);
        }
    }
    let never_sent = |entry: &Entry| match entry {
        Entry::Unexpected(what) => Some(Fault::Invented(what.clone())),
        Entry::Received(Reception { key, .. }) if !sent.contains(key) => {
            Some(Fault::Invented(format!("{key:#x}")))
        }
        _ => None,
    };
    entries.iter().filter_map(never_sent).collect()
}

fn stored_twice(entries: &[Entry]) -> Vec<Fault> {
    let mut ids: BTreeMap<u64, BTreeSet<u128>> = BTreeMap::new();
    for reception in entries.iter().filter_map(Entry::reception) {
        ids.entry(reception.key).or_default().extend(reception.id);
    }
    ids.into_iter().filter(|(_, ids)| ids.len() > 1).map(|(key, _)| Fault::StoredTwice(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Entry::{Acknowledged, Sent, Settled, Unexpected};

    /// The n-th delivery of a message, with an id derived from its key.
    fn delivered(key: u64, deliveries: u32) -> Entry {
        Entry::Received(Reception { key, id: Some(key.into()), deliveries })
    }

    fn all(entries: &[Entry]) -> Vec<Fault> {
        let mut faults = faults(entries);
        faults.extend(out_of_order(entries));
        faults
    }

    #[test]
    fn a_correct_run_has_no_faults() {
        let entries = [
            Sent(1),
            Acknowledged(1),
            delivered(1, 1),
            Settled(1),
            Sent(2),
            delivered(2, 1),
            Acknowledged(2),
        ];
        assert_eq!(all(&entries), []);
    }

    #[test]
    fn a_message_that_nobody_received_is_lost() {
        assert_eq!(all(&[Sent(1), Acknowledged(1)]), [Fault::Lost(1)]);
        assert_eq!(all(&[Sent(1)]), [], "without an answer, the message may be stored or not");
    }

    #[test]
    fn a_message_may_be_received_twice_but_not_after_its_settle() {
        let twice = [Acknowledged(1), delivered(1, 1), delivered(1, 2), Settled(1)];
        assert_eq!(all(&twice), []);
        assert_eq!(all(&[&twice[..], &[delivered(1, 3)]].concat()), [Fault::Reappeared(1)]);
    }

    #[test]
    fn a_ready_message_that_was_overtaken_is_a_fault() {
        let entries = [
            Acknowledged(1),
            Acknowledged(2),
            Acknowledged(3),
            delivered(1, 1),
            delivered(3, 1),
            delivered(2, 1),
        ];
        assert_eq!(all(&entries), [Fault::OutOfOrder { later: 3, earlier: 2 }]);
    }

    #[test]
    fn a_message_with_a_lost_first_delivery_may_be_overtaken() {
        let entries = [Acknowledged(1), Acknowledged(2), delivered(2, 1), delivered(1, 2)];
        assert_eq!(all(&entries), []);
        let later_was_lost_too = [Acknowledged(1), Acknowledged(2), delivered(2, 2), delivered(1, 1)];
        assert_eq!(all(&later_was_lost_too), [Fault::OutOfOrder { later: 2, earlier: 1 }]);
    }

    #[test]
    fn messages_of_different_senders_have_no_order() {
        let (one, other) = (super::super::key(1, 1), super::super::key(2, 1));
        let entries = [Acknowledged(one), Acknowledged(other), delivered(other, 1), delivered(one, 1)];
        assert_eq!(all(&entries), []);
    }

    #[test]
    fn a_message_that_was_never_sent_is_a_fault() {
        assert_eq!(all(&[delivered(0x10, 1)]), [Fault::Invented("0x10".into())]);
        assert_eq!(all(&[Unexpected("noise".into())]), [Fault::Invented("noise".into())]);
    }

    #[test]
    fn a_repeat_that_was_stored_again_has_a_second_id() {
        let again = Entry::Received(Reception { key: 1, id: Some(99), deliveries: 1 });
        assert_eq!(all(&[Acknowledged(1), delivered(1, 1), again]), [Fault::StoredTwice(1)]);
    }
}
