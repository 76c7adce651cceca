//! What is copied while the log goes on.

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

/// An owner whose log has several segments, half of whose messages are settled.
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

/// Copies what a cut has left, as a backup is restored.
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
fn a_copy_is_the_log_at_the_moment_of_the_cut_whatever_happens_meanwhile() {
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
    assert_eq!(again.messages.keys().collect::<Vec<_>>(), expected, "what was not committed is not in it");
    again.check();
}

#[test]
fn a_segment_is_given_back_as_soon_as_it_is_copied() {
    let disk = Simulated::default();
    let mut owner = used(&disk);
    let mut cut = owner.log.snapshot();
    for sequence in owner.messages.keys().copied().collect::<Vec<_>>() {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    assert_eq!(owner.log.reclaim_wanted(), None, "nothing in it is needed, and somebody copies it");
    drop(cut.parts.remove(0));
    assert!(owner.log.reclaim_wanted().is_some());
    owner.reclaim().unwrap();
    assert_eq!(owner.log.reclaim_wanted(), None, "the next is copied still");
    drop(cut);
    assert!(owner.log.reclaim_wanted().is_some());
}

#[test]
fn a_segment_that_was_walked_before_the_cut_waits_for_it() {
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
fn a_full_disk_is_emptied_whoever_copies_it() {
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
    assert!(matches!(copy(cut, &Simulated::default()), Err(CopyError::TornOut)));
}
