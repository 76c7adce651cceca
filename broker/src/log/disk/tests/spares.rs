//! Nobody waits for a spare segment that is being made.

use super::owner::{Owner, SEGMENT};
use crate::log::{
    AppendError, Log, Sync,
    conformance::BlockingLog,
    disk::{gate::Gate, simulated::Simulated, storage::Storage},
};

fn segments(disk: &Simulated) -> usize {
    disk.list().unwrap().iter().filter(|name| name.ends_with(".seg")).count()
}

/// A log with all its spares, on a disk that from now on makes none until the gate is opened.
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

/// Pushes until there is no room, committing what the log takes: how many were taken.
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
fn while_a_spare_is_being_made_pushes_wait_in_memory_and_no_thread_does_and_two_spares_are_left() {
    let (disk, gate, mut owner) = gated();
    let pushed = push_on(&mut owner);
    assert_eq!(owner.push(), Err(AppendError::Full), "a segment of them waits");
    // The thread comes to it when it has its turn.
    while !gate.holds_up() {
        std::thread::yield_now();
    }
    // The first segment, and two spares, of which the last waits.
    let bytes: usize = (1..=pushed as u64).map(|sequence| super::owner::body(sequence).len()).sum();
    assert!(bytes as u64 > 5 * SEGMENT / 2, "{bytes} bytes");
    assert_eq!(owner.log.stats().spares, 2, "they are left for when the disk turns out to be full");
    // What empties the log is taken, and everything can be read.
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
fn what_empties_the_log_is_taken_from_what_pushes_left_however_long_a_spare_takes() {
    let (disk, gate, mut owner) = gated();
    push_on(&mut owner);
    let settle = crate::log::Record::Settle { channel: 9, sequence: 0 };
    let mut settles = 0;
    while owner.log.append(&settle, crate::log::Purpose::Settle).is_ok() {
        settles += 1;
    }
    assert!(settles > SEGMENT / 18, "{settles} settles");
    assert!(owner.log.room().copies_leave(0), "the oldest segment can still be copied");
    gate.open();
    owner.log.committed(Sync::Now).unwrap();
    assert!(Owner::open(disk.after_kill()).unwrap().messages.keys().eq(owner.messages.keys()));
}

#[test]
fn if_the_disk_turns_out_to_be_full_what_waits_takes_of_the_reserve() {
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
    // The one that was begun before, and another.
    while segments(&disk) < 7 {
        std::thread::yield_now();
    }
    assert!(disk.allocations() > 0);
}
