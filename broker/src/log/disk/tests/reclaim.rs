//! Freeing segments: what may go, and when it is worth it.

use super::owner::{Owner, SEGMENT};
use crate::log::{
    DiskLog, Log, Options, Position, Record, Sync,
    conformance::{Patient, wait},
    disk::simulated::Simulated,
};

#[test]
fn keys_that_are_remembered_are_not_copied_without_end() {
    let options = Options { segment_bytes: SEGMENT };
    let mut log = DiskLog::open_in(Simulated::default(), options).unwrap();
    for hash in 0..3000 {
        let key =
            Record::IdempotencyKey { channel: 1, hash, message_id: 0, sequence: 0, expires_ms: u64::MAX };
        log.append_reserved(&key).unwrap();
        log.committed(Sync::Now).unwrap();
    }
    assert!(log.stats().segments > 3, "more keys than one segment holds");
    for _ in 0..20 {
        let Some(below) = log.reclaim_wanted().map(|part| part.end) else { return };
        let records = log.scanned(Position::START, Some(below)).unwrap();
        for (_, bytes) in records {
            log.append_reserved(&Record::decode(&bytes).unwrap()).unwrap();
        }
        log.committed(Sync::Now).unwrap();
        let copies = log.newest_group;
        wait(|context| log.poll_free(below, copies, context)).unwrap();
    }
    panic!("keys are copied again and again");
}

#[test]
fn a_segment_that_the_open_group_begins_in_is_not_sealed() {
    let mut owner = Owner::open(Simulated::default()).unwrap();
    while owner.log.group.epoch() == owner.log.group.first_epoch() {
        owner.log.append_reserved(&Record::Settle { channel: 1, sequence: 0 }).unwrap();
    }
    assert!(owner.log.reclaim_wanted().is_none(), "the open group's first records are not written yet");
    owner.log.committed(Sync::Now).unwrap();
    assert!(owner.log.reclaim_wanted().is_some());
}

#[test]
#[should_panic(expected = "only a sealed segment that was walked to its end is freed")]
fn a_segment_that_was_walked_while_it_was_appended_to_is_not_freed() {
    let mut owner = Owner::open(Simulated::default()).unwrap();
    owner.log.scanned(Position::START, None).unwrap();
    while owner.log.stats().segments == 1 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    let _ = owner.free();
}

#[test]
#[should_panic(expected = "copies are on disk before the originals go")]
fn a_segment_is_not_freed_before_the_copies_are_on_disk() {
    let mut owner = Owner::open(Simulated::default()).unwrap();
    while owner.log.stats().segments == 1 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.log.scanned(Position::START, None).unwrap();
    owner.push().unwrap();
    owner.log.committed(Sync::Later).unwrap();
    let _ = owner.free();
}
