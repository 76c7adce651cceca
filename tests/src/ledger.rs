//! What the clients of a test remember: which messages were acknowledged, which were settled, what came. Compared at
//! the end, it shows that nothing acknowledged was lost and nothing settled came back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A ledger that several clients write; a clone is the same ledger. Messages are known by a key of the test's own.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    acknowledged: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    received: BTreeMap<u64, u32>,
    first_received: Vec<u64>,
    faults: Vec<Fault>,
}

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledged by the broker, and never received.
    Lost(u64),
    /// Received again after the broker had acknowledged its settle.
    CameBack(u64),
    /// Received for the first time after one that was sent later.
    OutOfOrder {
        /// What came first.
        later: u64,
        /// What should have come before it.
        earlier: u64,
    },
}

impl Ledger {
    /// The broker answered the push: it is stored.
    pub fn acknowledged(&self, key: u64) {
        self.entries().acknowledged.insert(key);
    }

    /// The message was received, with its content as it was sent.
    pub fn received(&self, key: u64) {
        let mut entries = self.entries();
        if entries.settled.contains(&key) {
            entries.faults.push(Fault::CameBack(key));
        }
        let times = entries.received.entry(key).or_default();
        *times += 1;
        if *times == 1 {
            entries.first_received.push(key);
        }
    }

    /// The broker answered the settle: it is gone.
    pub fn settled(&self, key: u64) {
        self.entries().settled.insert(key);
    }

    /// How many messages were acknowledged, settled, and received at least once.
    pub fn counts(&self) -> Counts {
        let entries = self.entries();
        Counts {
            acknowledged: entries.acknowledged.len(),
            settled: entries.settled.len(),
            received: entries.received.len(),
        }
    }

    /// Whether every acknowledged message has been received.
    pub fn is_complete(&self) -> bool {
        let entries = self.entries();
        entries.acknowledged.iter().all(|key| entries.received.contains_key(key))
    }

    /// What went wrong, when nothing is under way any more.
    pub fn faults(&self) -> Vec<Fault> {
        let entries = self.entries();
        let lost = entries.acknowledged.iter().filter(|key| !entries.received.contains_key(key));
        entries.faults.iter().cloned().chain(lost.map(|key| Fault::Lost(*key))).collect()
    }

    /// The same, and every first reception that was not in the order of the keys: for one sender that counts upwards
    /// and waits for each answer, and one receiver at a time.
    pub fn faults_in_order(&self) -> Vec<Fault> {
        let mut faults = self.faults();
        let entries = self.entries();
        let swapped = entries.first_received.windows(2).filter(|pair| pair[0] > pair[1]);
        faults.extend(swapped.map(|pair| Fault::OutOfOrder { later: pair[0], earlier: pair[1] }));
        faults
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
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
    fn a_message_that_nobody_received_is_lost() {
        let ledger = Ledger::default();
        ledger.acknowledged(1);
        assert!(!ledger.is_complete());
        assert_eq!(ledger.faults(), [Fault::Lost(1)]);
    }

    #[test]
    fn a_message_may_come_twice_but_not_after_its_settle() {
        let ledger = Ledger::default();
        ledger.acknowledged(1);
        ledger.received(1);
        ledger.received(1);
        ledger.settled(1);
        assert_eq!(ledger.faults(), []);
        ledger.received(1);
        assert_eq!(ledger.faults(), [Fault::CameBack(1)]);
    }

    #[test]
    fn one_that_was_overtaken_is_seen() {
        let ledger = Ledger::default();
        for key in [1, 3, 2, 1] {
            ledger.acknowledged(key);
            ledger.received(key);
        }
        assert_eq!(ledger.faults_in_order(), [Fault::OutOfOrder { later: 3, earlier: 2 }]);
    }
}
