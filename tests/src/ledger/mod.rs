//! What the clients of a test remember: which messages were acknowledged, which were settled, what came. Compared at
//! the end, it shows that nothing acknowledged was lost, nothing settled came back, and nothing was made up.

pub mod account;
pub mod check;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::check::Fault;
use self::check::{Entry, Reception};

/// A ledger that several clients write; a clone is the same ledger. Messages are known by a key of the test's own: its
/// upper half is the sender, its lower half that sender's count, upwards. A test with one sender just counts.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
}

/// The key of a sender's message.
pub fn key(sender: u32, count: u32) -> u64 {
    u64::from(sender) << 32 | u64::from(count)
}

impl Ledger {
    /// The message is about to be pushed. For tests whose pushes may be stored although no answer came.
    pub fn sent(&self, key: u64) {
        self.write(Entry::Sent(key));
    }

    /// The broker answered the push: it is stored.
    pub fn acknowledged(&self, key: u64) {
        self.write(Entry::Acknowledged(key));
    }

    /// The message was received, with its content as it was sent, at its first delivery as far as the test knows.
    pub fn received(&self, key: u64) {
        self.write(Entry::Received(Reception { key, id: None, deliveries: 1 }));
    }

    /// The same with the broker's id of it, and how often it was handed out so far.
    pub fn received_as(&self, key: u64, id: u128, deliveries: u32) {
        self.write(Entry::Received(Reception { key, id: Some(id), deliveries }));
    }

    /// Something was received that no client of this test sent, or not so: in words.
    pub fn received_strange(&self, what: impl Into<String>) {
        self.write(Entry::Strange(what.into()));
    }

    /// The broker answered the settle: it is gone.
    pub fn settled(&self, key: u64) {
        self.write(Entry::Settled(key));
    }

    /// How many messages were acknowledged, settled, and received at least once.
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

    /// How often something was received, repeats included.
    pub fn receptions(&self) -> usize {
        self.entries().iter().filter_map(Entry::received).count()
    }

    /// Whether every acknowledged message has been received.
    pub fn is_complete(&self) -> bool {
        check::lost(&self.entries()).is_empty()
    }

    /// What went wrong, when nothing is under way any more.
    pub fn faults(&self) -> Vec<Fault> {
        check::faults(&self.entries())
    }

    /// The same, and every first reception that was not in the order of a sender's keys: for senders that wait for each
    /// answer before they push the next, and one receiver at a time.
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
        // A client that panicked has failed its test already; what it wrote before is still true.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers of messages.
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
    fn a_ledger_is_complete_when_what_was_acknowledged_was_received() {
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
    fn keys_of_one_sender_count_upwards_and_differ_from_another_s() {
        assert!(key(0, 1) < key(0, 2));
        assert_ne!(key(1, 2), key(2, 1));
        assert_eq!(key(0, 7), 7);
    }
}
