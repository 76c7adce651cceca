//! What a ledger's entries prove: a pure function from what happened to what must never be.
//!
//! What FIFO promises where messages come again: the next message is always the oldest one that is ready. So a message
//! is overtaken only while some receiver has it, or had it and lost it on the way (its answer was cut off: the lease
//! runs on). Such a message was handed out before, and says so by its deliveries. One that comes with its first delivery
//! after a later one of the same sender was overtaken while it was ready: that must never be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One line of a ledger, in the order in which things happened to the clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// About to be pushed.
    Sent(u64),
    /// The push was answered.
    Acknowledged(u64),
    /// It came, as it was sent.
    Received(Reception),
    /// Something came that no client sent, or not so.
    Strange(String),
    /// The settle was answered.
    Settled(u64),
}

/// A message that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// The test's key.
    pub key: u64,
    /// The broker's id, where the test looks at it.
    pub id: Option<u128>,
    /// How often it was handed out, this time included.
    pub deliveries: u32,
}

impl Entry {
    /// Its key if it is an acknowledgement.
    pub fn acknowledged(&self) -> Option<u64> {
        if let Self::Acknowledged(key) = self { Some(*key) } else { None }
    }

    /// Its key if it is a reception.
    pub fn received(&self) -> Option<u64> {
        self.reception().map(|reception| reception.key)
    }

    /// Its key if it is an answered settle.
    pub fn settled(&self) -> Option<u64> {
        if let Self::Settled(key) = self { Some(*key) } else { None }
    }

    fn reception(&self) -> Option<&Reception> {
        if let Self::Received(reception) = self { Some(reception) } else { None }
    }
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledged by the broker, and never received.
    Lost(u64),
    /// Received again after the broker had acknowledged its settle.
    CameBack(u64),
    /// Received for the first time, never handed out before, after one of the same sender that was sent later.
    OutOfOrder {
        /// What came first.
        later: u64,
        /// What should have come before it.
        earlier: u64,
    },
    /// Received, though nobody sent it, or not so.
    Invented(String),
    /// Received under two ids: a repeated push was not recognised.
    StoredTwice(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(key) => write!(formatter, "{key:#x} was acknowledged and never came"),
            Self::CameBack(key) => write!(formatter, "{key:#x} came back after its settle was answered"),
            Self::OutOfOrder { later, earlier } => {
                write!(formatter, "{later:#x} overtook {earlier:#x}, which was ready")
            }
            Self::Invented(what) => write!(formatter, "{what}, which nobody sent"),
            Self::StoredTwice(key) => write!(formatter, "{key:#x} came under two ids"),
        }
    }
}

/// Everything that went wrong, the order apart, when nothing is under way any more.
pub fn faults(entries: &[Entry]) -> Vec<Fault> {
    let mut faults = came_back(entries);
    faults.extend(invented(entries));
    faults.extend(stored_twice(entries));
    faults.extend(lost(entries));
    faults
}

/// What was acknowledged and did not come.
pub fn lost(entries: &[Entry]) -> Vec<Fault> {
    let received: BTreeSet<u64> = entries.iter().filter_map(Entry::received).collect();
    let acknowledged: BTreeSet<u64> = entries.iter().filter_map(Entry::acknowledged).collect();
    acknowledged.difference(&received).map(|key| Fault::Lost(*key)).collect()
}

/// First receptions of what was ready while a later one of the same sender came. For senders that wait for each answer,
/// and one receiver at a time: several receivers write down in another order than the broker hands out.
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

fn came_back(entries: &[Entry]) -> Vec<Fault> {
    let mut settled = BTreeSet::new();
    let mut faults = Vec::new();
    for entry in entries {
        settled.extend(entry.settled());
        faults.extend(entry.received().filter(|key| settled.contains(key)).map(Fault::CameBack));
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
        Entry::Strange(what) => Some(Fault::Invented(what.clone())),
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
    use Entry::{Acknowledged, Sent, Settled, Strange};

    /// The key's n-th delivery, under an id of its own.
    fn came(key: u64, deliveries: u32) -> Entry {
        Entry::Received(Reception { key, id: Some(key.into()), deliveries })
    }

    fn all(entries: &[Entry]) -> Vec<Fault> {
        let mut faults = faults(entries);
        faults.extend(out_of_order(entries));
        faults
    }

    #[test]
    fn what_goes_as_it_should_has_no_faults() {
        let entries =
            [Sent(1), Acknowledged(1), came(1, 1), Settled(1), Sent(2), came(2, 1), Acknowledged(2)];
        assert_eq!(all(&entries), []);
    }

    #[test]
    fn a_message_that_nobody_received_is_lost() {
        assert_eq!(all(&[Sent(1), Acknowledged(1)]), [Fault::Lost(1)]);
        assert_eq!(all(&[Sent(1)]), [], "without an answer it may be stored or not");
    }

    #[test]
    fn a_message_may_come_twice_but_not_after_its_settle() {
        let twice = [Acknowledged(1), came(1, 1), came(1, 2), Settled(1)];
        assert_eq!(all(&twice), []);
        assert_eq!(all(&[&twice[..], &[came(1, 3)]].concat()), [Fault::CameBack(1)]);
    }

    #[test]
    fn one_that_was_overtaken_while_it_was_ready_is_seen() {
        let entries = [Acknowledged(1), Acknowledged(2), Acknowledged(3), came(1, 1), came(3, 1), came(2, 1)];
        assert_eq!(all(&entries), [Fault::OutOfOrder { later: 3, earlier: 2 }]);
    }

    #[test]
    fn one_whose_first_delivery_was_lost_on_the_way_may_be_overtaken() {
        let entries = [Acknowledged(1), Acknowledged(2), came(2, 1), came(1, 2)];
        assert_eq!(all(&entries), []);
        let later_was_lost_too = [Acknowledged(1), Acknowledged(2), came(2, 2), came(1, 1)];
        assert_eq!(all(&later_was_lost_too), [Fault::OutOfOrder { later: 2, earlier: 1 }]);
    }

    #[test]
    fn senders_have_no_order_among_each_other() {
        let (one, other) = (super::super::key(1, 1), super::super::key(2, 1));
        let entries = [Acknowledged(one), Acknowledged(other), came(other, 1), came(one, 1)];
        assert_eq!(all(&entries), []);
    }

    #[test]
    fn what_nobody_sent_is_invented() {
        assert_eq!(all(&[came(0x10, 1)]), [Fault::Invented("0x10".into())]);
        assert_eq!(all(&[Strange("noise".into())]), [Fault::Invented("noise".into())]);
    }

    #[test]
    fn a_repeat_that_was_stored_again_is_seen_by_its_second_id() {
        let again = Entry::Received(Reception { key: 1, id: Some(99), deliveries: 1 });
        assert_eq!(all(&[Acknowledged(1), came(1, 1), again]), [Fault::StoredTwice(1)]);
    }
}
