//! Snapshots: copying a log while it is in use.

use std::task::{Context, Poll, Waker};

use super::owner::{Owner, SEGMENT};
use crate::log::{
    AppendError, Log, Position, Sync,
    conformance::BlockingLog,
    disk::{
        CopyError, LogSnapshot,
        simulated::Simulated,
        storage::{Storage, StorageFile},
    },
};

/// An owner whose log has several segments, with half of the messages settled.
fn used(disk: &Simulated) -> Owner {
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 5 {
        let sequence = owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
        if sequence.is_multiple_of(2) {
            owner.settle(sequence).unwrap();
        }
    }
    owner.log.committed(Sync::Now).unwrap();
    owner
}

/// Copies the rest of a snapshot, like a restored backup.
fn copy(cut: LogSnapshot<Simulated>, to: &Simulated) -> Result<(), CopyError> {
    for part in cut.parts {
        let mut bytes = vec![0; part.bytes as usize];
        part.read(&mut bytes, 0)?;
        bytes.resize(part.file_bytes as usize, 0);
        let file = to.create(part.name().rsplit('/').next().unwrap()).unwrap();
        file.write_at(&bytes, 0).unwrap();
        file.sync_data().unwrap();
        to.sync_folder().unwrap();
    }
    Ok(())
}

#[test]
fn a_copy_is_the_log_at_the_moment_of_the_snapshot_whatever_happens_later() {
    let disk = Simulated::default();
    let mut owner = used(&disk);
    owner.push().unwrap();
    let cut = owner.log.snapshot();
    let (messages, open) = (owner.messages.clone(), owner.next - 1);
    for sequence in owner.messages.keys().copied().collect::<Vec<_>>() {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    while owner.log.reclaim_wanted().is_some() {
        owner.reclaim().unwrap();
    }
    for _ in 0..100 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    let copied = Simulated::default();
    copy(cut, &copied).unwrap();
    let mut again = Owner::open(copied).unwrap();
    let expected: Vec<_> = messages.keys().filter(|sequence| **sequence != open).collect();
    assert_eq!(again.messages.keys().collect::<Vec<_>>(), expected, "uncommitted records are not in it");
    again.check();
}

#[test]
fn a_segment_is_freed_as_soon_as_it_is_copied() {
    let disk = Simulated::default();
    let mut owner = used(&disk);
    let mut cut = owner.log.snapshot();
    for sequence in owner.messages.keys().copied().collect::<Vec<_>>() {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    assert_eq!(owner.log.reclaim_wanted(), None, "no record of it is needed, but a copy needs it");
    drop(cut.parts.remove(0));
    assert!(owner.log.reclaim_wanted().is_some());
    owner.reclaim().unwrap();
    assert_eq!(owner.log.reclaim_wanted(), None, "the copy still needs the next segment");
    drop(cut);
    assert!(owner.log.reclaim_wanted().is_some());
}

#[test]
fn a_segment_that_was_scanned_before_the_snapshot_waits_for_it() {
    let disk = Simulated::default();
    let mut owner = used(&disk);
    for sequence in owner.messages.keys().copied().collect::<Vec<_>>() {
        owner.settle(sequence).unwrap();
    }
    owner.log.committed(Sync::Now).unwrap();
    let below = owner.second_segment();
    owner.log.scanned(Position::START, Some(below)).unwrap();
    let (cut, copies) = (owner.log.snapshot(), owner.log.newest_batch);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(owner.log.poll_free(below, copies, &mut context), Poll::Pending));
    let segments = owner.log.stats().segments;
    drop(cut);
    owner.free().unwrap();
    assert_eq!(owner.log.stats().segments, segments - 1);
}

#[test]
fn a_full_disk_is_emptied_in_spite_of_a_copy() {
    let disk = Simulated::default();
    disk.limit(8 * SEGMENT as usize);
    let mut owner = Owner::open(disk.clone()).unwrap();
    loop {
        match owner.push() {
            Ok(_) => owner.log.committed(Sync::Now).unwrap(),
            Err(AppendError::Full) => break,
            Err(other) => panic!("{other}"),
        }
    }
    let cut = owner.log.snapshot();
    for sequence in owner.messages.keys().copied().collect::<Vec<_>>() {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    assert!(owner.log.reclaim_wanted().is_some());
    while owner.log.reclaim_wanted().is_some() {
        owner.reclaim().unwrap();
    }
    owner.push().unwrap();
    assert!(matches!(copy(cut, &Simulated::default()), Err(CopyError::PinsRemoved)));
}
