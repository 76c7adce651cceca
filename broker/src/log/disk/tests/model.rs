//! Random operations with power cuts and kills, compared with the acknowledgements.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::owner::Owner;
use crate::log::{
    Log, Sync,
    conformance::BlockingLog,
    disk::simulated::{Chance, Simulated},
};

#[derive(Debug, Clone, Copy)]
enum Operation {
    Push,
    /// Settles the n-th message.
    Settle(usize),
    Commit,
    WriteOnly,
    Reclaim,
    Kill,
    PowerCut(u64),
    /// A kill, and then a power cut after a number of writes and syncs of the next start.
    PowerCutWhileOpening(u64, u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => Just(Operation::Push),
        8 => (0..40_usize).prop_map(Operation::Settle),
        6 => Just(Operation::Commit),
        2 => Just(Operation::WriteOnly),
        2 => Just(Operation::Reclaim),
        1 => Just(Operation::Kill),
        1 => any::<u64>().prop_map(Operation::PowerCut),
        1 => (0..16_u64, any::<u64>()).prop_map(|(after, seed)| Operation::PowerCutWhileOpening(after, seed)),
    ]
}

/// What must be in the log, what must not be, and what may be.
#[derive(Debug, Default)]
struct Promises {
    /// Pushed messages and settled ones, as synced.
    present: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    /// The same since the last sync: written, or not even that.
    pushed_since: BTreeSet<u64>,
    settled_since: BTreeSet<u64>,
}

impl Promises {
    fn synced(&mut self) {
        self.present.append(&mut self.pushed_since);
        for sequence in std::mem::take(&mut self.settled_since) {
            self.present.remove(&sequence);
            self.settled.insert(sequence);
        }
    }

    /// Compares a reopened log with the promises, and continues from its messages.
    fn hold_against(&mut self, found: &BTreeSet<u64>) {
        for sequence in &self.present {
            assert!(
                found.contains(sequence) || self.settled_since.contains(sequence),
                "message {sequence} was acknowledged and is lost"
            );
        }
        for sequence in found {
            assert!(!self.settled.contains(sequence), "message {sequence} was settled and is back");
            assert!(
                self.present.contains(sequence) || self.pushed_since.contains(sequence),
                "message {sequence} was never pushed"
            );
        }
        self.present = found.clone();
        self.pushed_since.clear();
        self.settled_since.clear();
    }
}

fn run(operations: &[Operation]) {
    let mut disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    let mut promises = Promises::default();
    for operation in operations {
        match *operation {
            Operation::Push => {
                promises.pushed_since.insert(owner.push().unwrap());
            }
            Operation::Settle(index) => {
                if let Some(sequence) = owner.messages.keys().copied().nth(index) {
                    owner.settle(sequence).unwrap();
                    promises.settled_since.insert(sequence);
                }
            }
            Operation::Commit => {
                owner.log.committed(Sync::Now).unwrap();
                promises.synced();
            }
            Operation::WriteOnly => owner.log.committed(Sync::Later).unwrap(),
            Operation::Reclaim => {
                owner.reclaim().unwrap();
                promises.synced();
            }
            Operation::Kill | Operation::PowerCut(_) | Operation::PowerCutWhileOpening(..) => {
                disk = match *operation {
                    Operation::PowerCut(seed) => disk.after_power_cut(&mut Chance::new(seed)),
                    Operation::PowerCutWhileOpening(after, seed) => {
                        let killed = disk.after_kill();
                        killed.fail_after(after);
                        let _ = Owner::open(killed.clone());
                        killed.after_power_cut(&mut Chance::new(seed))
                    }
                    _ => disk.after_kill(),
                };
                let next = owner.next;
                owner = Owner::open(disk.clone()).unwrap();
                // The log may assign a sequence again if no segment mentions it any more. The model does not, so that
                // it can distinguish new messages from restored ones.
                owner.next = owner.next.max(next);
                promises.hold_against(&owner.messages.keys().copied().collect());
            }
        }
        owner.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_acknowledged_is_lost_and_nothing_settled_comes_back(
        operations in prop::collection::vec(operation(), 1..250)
    ) {
        run(&operations);
    }
}

#[test]
fn written_records_survive_the_process_without_a_sync() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    let sequence = owner.push().unwrap();
    owner.log.committed(Sync::Later).unwrap();
    assert!(owner.log.needs_sync());
    let owner = Owner::open(disk.after_kill()).unwrap();
    assert!(owner.messages.contains_key(&sequence));
}
