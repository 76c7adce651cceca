//! No thread waits for a spare segment that is being made.

use super::owner::{Owner, SEGMENT};
use crate::log::{
    AppendError, ChannelId, Log, Sync,
    conformance::BlockingLog,
    disk::{gate::Gate, simulated::Simulated, storage::Storage},
};

fn segments(disk: &Simulated) -> usize {
    disk.list().unwrap().iter().filter(|name| name.ends_with(".seg")).count()
}

/// A log with all its spares, on a disk that makes no more until the gate is opened.
fn gated() -> (Simulated, Gate, Owner) {
    let (disk, gate) = (Simulated::default(), Gate::default());
    let owner = Owner::open(disk.clone()).unwrap();
    while segments(&disk) < 5 {
        std::thread::yield_now();
    }
    let spares = gate.clone();
    disk.before_spares(move || spares.pass());
    gate.close();
    (disk, gate, owner)
}

/// Pushes until there is no room, and commits when the log accepts it. Returns the number of pushes.
fn push_on(owner: &mut Owner) -> usize {
    let mut pushed = 0;
    while owner.push().is_ok() {
        pushed += 1;
        if owner.log.takes_batch() {
            owner.log.committed(Sync::Now).unwrap();
        }
    }
    pushed
}

#[test]
fn while_a_spare_is_being_made_pushes_wait_in_memory_without_blocking_and_leave_two_spares() {
    let (disk, gate, mut owner) = gated();
    let pushed = push_on(&mut owner);
    assert_eq!(owner.push(), Err(AppendError::Full), "a segment of pushes is waiting");
    // Wait until the thread reaches the gate.
    while !gate.holds_up() {
        std::thread::yield_now();
    }
    // The first segment and two spares, the last of which waits.
    let bytes: usize = (1..=pushed as u64).map(|sequence| super::owner::body(sequence).len()).sum();
    assert!(bytes as u64 > 5 * SEGMENT / 2, "{bytes} bytes");
    assert_eq!(owner.log.stats().spares, 2, "they are left for the case of a full disk");
    // Settles are accepted, and everything is readable.
    owner.settle(1).unwrap();
    owner.settle(pushed as u64).unwrap();
    owner.check();
    gate.open();
    owner.log.committed(Sync::Now).unwrap();
    owner.push().unwrap();
    owner.log.committed(Sync::Now).unwrap();
    owner.check();
    let again = Owner::open(disk.after_kill()).unwrap();
    assert!(again.messages.keys().eq(owner.messages.keys()));
}

#[test]
fn settles_use_the_spares_that_pushes_left_however_long_a_new_one_takes() {
    let (disk, gate, mut owner) = gated();
    push_on(&mut owner);
    let settle = crate::log::Record::Removed {
        channel: ChannelId(9),
        sequence: 0,
        cause: crate::log::RemovalCause::Settled,
    };
    let mut settles = 0;
    while owner.log.append(&settle, crate::log::Purpose::Settle).is_ok() {
        settles += 1;
    }
    assert!(settles > SEGMENT / 23, "{settles} settles");
    assert!(owner.log.room().copies_leave(0), "the oldest segment can still be copied");
    gate.open();
    owner.log.committed(Sync::Now).unwrap();
    assert!(Owner::open(disk.after_kill()).unwrap().messages.keys().eq(owner.messages.keys()));
}

#[test]
fn if_the_disk_is_full_the_waiting_batch_uses_the_reserve() {
    let (disk, gate, mut owner) = gated();
    push_on(&mut owner);
    disk.limit(disk.used());
    gate.open();
    owner.log.committed(Sync::Now).unwrap();
    assert_eq!(owner.push(), Err(AppendError::Full));
    let oldest = *owner.messages.keys().next().unwrap();
    owner.settle(oldest).unwrap();
    owner.log.committed(Sync::Now).unwrap();
    assert!(Owner::open(disk.after_kill()).unwrap().messages.keys().eq(owner.messages.keys()));
}

#[test]
fn in_a_hurry_a_spare_is_only_reserved() {
    let (disk, gate, mut owner) = gated();
    push_on(&mut owner);
    gate.open();
    owner.log.committed(Sync::Now).unwrap();
    // The spare that was started before, and another one.
    while segments(&disk) < 7 {
        std::thread::yield_now();
    }
    assert!(disk.allocations() > 0);
}
