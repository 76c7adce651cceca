//! Freeing segments: which ones may be freed, and when it is worth it.

use std::{
    pin::Pin,
    task::{Context, Waker},
};

use super::owner::{Owner, SEGMENT, body};
use crate::log::{
    ChannelId, DiskLog, Idempotency, Log, Options, Position, Read, Record, RemovalCause, Sync,
    conformance::{BlockingLog, wait},
    disk::{gate::Gate, simulated::Simulated},
};

#[test]
fn remembered_keys_are_not_copied_without_end() {
    let options = Options { segment_bytes: SEGMENT };
    let mut log = DiskLog::open_in(Simulated::default(), options).unwrap();
    for hash in 0..3000 {
        let idempotency = Idempotency { hash, fingerprint: 0, expires_ms: u64::MAX };
        let key = Record::Key { channel: ChannelId(1), idempotency, message_id: 0 };
        log.append(&key, crate::log::Purpose::Settle).unwrap();
        log.committed(Sync::Now).unwrap();
    }
    assert!(log.stats().segments > 3, "more keys than one segment holds");
    for _ in 0..20 {
        let Some(below) = log.reclaim_wanted().map(|part| part.end) else { return };
        let records = log.scanned(Position::START, Some(below)).unwrap();
        for (_, bytes) in records {
            log.append(&Record::decode(&bytes).unwrap(), crate::log::Purpose::Copy).unwrap();
        }
        log.committed(Sync::Now).unwrap();
        let copies = log.newest_batch;
        wait(|context| log.poll_free(below, copies, context)).unwrap();
    }
    panic!("keys are copied again and again");
}

#[test]
fn a_segment_in_which_the_open_batch_starts_is_not_sealed() {
    let mut owner = Owner::open(Simulated::default()).unwrap();
    while owner.log.batch.epoch() == owner.log.batch.first_epoch() {
        owner
            .log
            .append(
                &Record::Removed { channel: ChannelId(1), sequence: 0, cause: RemovalCause::Settled },
                crate::log::Purpose::Settle,
            )
            .unwrap();
    }
    assert!(owner.log.reclaim_wanted().is_none(), "the open batch's first records are not written yet");
    owner.log.committed(Sync::Now).unwrap();
    assert!(owner.log.reclaim_wanted().is_some());
}

#[test]
#[should_panic(expected = "only a sealed segment that was scanned to its end is freed")]
fn a_segment_that_was_scanned_before_it_was_sealed_is_not_freed() {
    let mut owner = Owner::open(Simulated::default()).unwrap();
    owner.log.scanned(Position::START, None).unwrap();
    while owner.log.stats().segments == 1 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    let _ = owner.free();
}

#[test]
#[should_panic(expected = "copies must be on disk before the originals are freed")]
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

#[test]
fn a_segment_is_not_freed_while_it_is_read() {
    let (disk, reads) = (Simulated::default(), Gate::default());
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments == 1 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    let (below, copies) = (owner.second_segment(), owner.log.newest_batch);
    // Scanned before the gate closes, because a scan reads as well.
    owner.log.scanned(Position::START, Some(below)).unwrap();
    let gate = reads.clone();
    disk.before_read(move || gate.pass());
    reads.close();
    let first = owner.messages[&1];
    let Read::Coming(mut coming) = owner.log.read(first).unwrap() else { panic!("the record is in memory") };
    let mut context = Context::from_waker(Waker::noop());
    assert!(owner.log.poll_free(below, copies, &mut context).is_pending());
    assert_eq!(owner.log.stats().segments, 2, "the segment is in use until the read has finished");
    reads.open();
    let bytes = wait(|context| Pin::new(&mut coming).poll(context)).unwrap().unwrap();
    let Ok(Record::Message { body: content, .. }) = Record::decode(&bytes) else { panic!("no message") };
    assert_eq!(content, body(1));
    owner.free().unwrap();
    assert_eq!(owner.log.stats().segments, 1);
}
