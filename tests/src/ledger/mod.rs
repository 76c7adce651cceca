//! A ledger of a test's clients: acknowledged, received and settled messages. The check at the end proves that no
//! acknowledged message was lost, no settled message was received again, and every received message was sent.

pub mod account;
pub mod check;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::check::Fault;
use self::check::{Entry, Reception};

/// A ledger that several clients share; a clone is the same ledger. A message has a key of the test: the upper half is
/// the sender, the lower half the sender's ascending count. A test with one sender uses the count alone.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// The key of a sender's message.
pub fn key(sender: u32, count: u32) -> u64 {
    u64::from(sender) << 32 | u64::from(count)
}

impl Ledger {
    /// A push begins. For tests in which a push may be stored without an answer.
    pub fn sent(&self, key: u64) {
        self.write(Entry::Sent(key));
    }

    /// The broker answered the push: the message is stored.
    pub fn acknowledged(&self, key: u64) {
        self.write(Entry::Acknowledged(key));
    }

    /// The message was received unchanged, in its first delivery as far as the test knows.
    pub fn received(&self, key: u64) {
        self.write(Entry::Received(Reception { key, id: None, deliveries: 1 }));
    }

    /// Like [`received`](Self::received), with the broker's id and the delivery count.
    pub fn received_as(&self, key: u64, id: u128, deliveries: u32) {
        self.write(Entry::Received(Reception { key, id: Some(id), deliveries }));
    }

    /// Something was received that no client of this test sent, or that was changed; as a description.
    pub fn received_unexpected(&self, what: impl Into<String>) {
        self.write(Entry::Unexpected(what.into()));
    }

    /// The broker answered the settle: the message is gone.
    pub fn settled(&self, key: u64) {
        self.write(Entry::Settled(key));
    }

    /// Number of messages that were acknowledged, settled, and received at least once.
    pub fn counts(&self) -> Counts {
        let entries = self.entries();
        let count = |which: fn(&Entry) -> Option<u64>| {
            entries.iter().filter_map(which).collect::<BTreeSet<u64>>().len()
        };
        Counts {
            acknowledged: count(Entry::acknowledged),
            settled: count(Entry::settled),
            received: count(Entry::received),
        }
    }

    /// Number of receptions, including repeats.
    pub fn receptions(&self) -> usize {
        self.entries().iter().filter_map(Entry::received).count()
    }

    /// Whether every acknowledged message has been received.
    pub fn is_complete(&self) -> bool {
        check::lost(&self.entries()).is_empty()
    }

    /// All faults except for the order, after all requests have ended.
    pub fn faults(&self) -> Vec<Fault> {
        check::faults(&self.entries())
    }

    /// All faults, including every first delivery out of the order of a sender's keys. For senders that wait for each
    /// answer before the next push, and one receiver at a time.
    pub fn faults_in_order(&self) -> Vec<Fault> {
        let entries = self.entries();
        let mut faults = check::faults(&entries);
        faults.extend(check::out_of_order(&entries));
        faults
    }

    fn write(&self, entry: Entry) {
        self.entries().push(entry);
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        // A client that panicked has failed its test already; its entries are still valid.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Pushes that the broker answered.
    pub acknowledged: usize,
    /// Settles that the broker answered.
    pub settled: usize,
    /// Different messages received.
    pub received: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, settled, received } = self;
        write!(formatter, "{acknowledged} acknowledged, {received} received, {settled} settled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_complete_when_all_acknowledged_messages_were_received() {
        let ledger = Ledger::default();
        ledger.sent(2);
        ledger.acknowledged(1);
        assert!(!ledger.is_complete());
        ledger.clone().received(1);
        ledger.received(1);
        ledger.settled(1);
        assert!(ledger.is_complete());
        assert_eq!(ledger.counts(), Counts { acknowledged: 1, settled: 1, received: 1 });
        assert_eq!((ledger.receptions(), ledger.faults_in_order()), (2, vec![]));
    }

    #[test]
    fn keys_of_a_sender_ascend_and_differ_from_other_senders() {
        assert!(key(0, 1) < key(0, 2));
        assert_ne!(key(1, 2), key(2, 1));
        assert_eq!(key(0, 7), 7);
    }
}
