//! Two brokers on one log, because somebody removed the lock file: the first one notices, and the result is reported as
//! damage.

use std::collections::BTreeSet;

use super::owner::Owner;
use crate::log::{
    LogError, Sync,
    conformance::BlockingLog,
    disk::{inspection::inspect, simulated::Simulated},
};

/// Pushes and commits this number of messages. Returns the acknowledged ones.
fn push(owner: &mut Owner, count: usize) -> (BTreeSet<u64>, Option<LogError>) {
    let mut acknowledged = BTreeSet::new();
    for _ in 0..count {
        let Ok(sequence) = owner.push() else { break };
        match owner.log.committed(Sync::Now) {
            Ok(()) => acknowledged.insert(sequence),
            Err(error) => return (acknowledged, Some(error)),
        };
    }
    (acknowledged, None)
}

#[test]
fn a_writer_whose_log_was_opened_by_another_acknowledges_nothing_more() {
    let disk = Simulated::default();
    let mut first = Owner::open(disk.clone()).unwrap();
    let (mut acknowledged, _) = push(&mut first, 20);
    // A new file of the first could collide with a new file of the second: each counts file numbers itself.
    first.log.spares.wait();
    let mut second = Owner::open(disk.clone()).unwrap();
    let (more, error) = push(&mut first, 100);
    assert!(more.is_empty(), "the first acknowledged {}", more.len());
    assert!(matches!(error, Some(LogError::Fenced)), "{error:?}");
    second.next = 1000;
    acknowledged.extend(push(&mut second, 50).0);
    let third = Owner::open(disk.after_kill()).unwrap();
    let found: BTreeSet<u64> = third.messages.keys().copied().collect();
    assert_eq!(found, acknowledged);
}

#[test]
fn the_result_of_two_writers_is_reported_as_damage_and_refused_by_a_start() {
    // The two are unaware of each other: each has a copy of the folder, and the files end up in one folder.
    for first_writes in [1, 10, 100] {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        push(&mut owner, 20);
        let other = disk.after_kill();
        let mut second = Owner::open(other.clone()).unwrap();
        second.next = 1000;
        push(&mut second, 30);
        let mut first = owner;
        push(&mut first, first_writes);
        let both = other.after_kill();
        both.put("00000001.seg", disk.bytes_of("00000001.seg"));
        let folder = tempfile::tempdir().unwrap();
        both.write_to(folder.path());
        let damage = inspect(folder.path(), 0).unwrap().damage().to_vec();
        let refused = Owner::open(both).err();
        assert_eq!(!damage.is_empty(), refused.is_some(), "{first_writes}: {damage:?}, {refused:?}");
        assert!(first_writes == 1 || refused.is_some(), "{first_writes}: no damage is reported");
    }
}
