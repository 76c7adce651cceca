//! Senders choose the bytes of messages, and recycled segments contain old messages: none may be mistaken for frames.

use super::owner::{Owner, SEGMENT};
use crate::log::{
    ChannelId, DiskLog, EncodedTarget, Log, Options, Position, Record, RemovalCause, Sync,
    conformance::{BlockingLog, wait},
    disk::{frame, simulated::Simulated},
};

/// A body with frames of every mark, number and offset that a sender could try.
fn frames_as_body() -> Vec<u8> {
    let mut body = Vec::new();
    for mark in 0..40 {
        for shift in 0..8 {
            let mut bytes = vec![0; frame::HEAD_BYTES];
            Record::Removed { channel: ChannelId(1), sequence: 1, cause: RemovalCause::Settled }
                .encode(&mut bytes);
            frame::seal(&mut bytes, mark, u64::MAX - 1, u64::MAX - 1);
            body.extend(bytes);
            body.extend(vec![0; usize::from(shift == 7)]);
        }
    }
    body
}

#[test]
fn a_body_that_imitates_frames_is_never_mistaken_for_frames() {
    let disk = Simulated::default();
    let mut log = DiskLog::open_in(disk.clone(), Options { segment_bytes: SEGMENT }).unwrap();
    let body = frames_as_body();
    let target = EncodedTarget::of(ChannelId(1), 0);
    for _ in 0..40 {
        let position = log.append(&target.message(&body), crate::log::Purpose::Store).unwrap();
        log.committed(Sync::Now).unwrap();
        log.release(position);
        while let Some(below) = log.reclaim_wanted().map(|part| part.end) {
            log.scanned(Position::START, Some(below)).unwrap();
            let copies = log.newest_batch;
            wait(|context| log.poll_free(below, copies, context)).unwrap();
        }
        // A short frame over the old ones leaves most of them where recovery searches.
        log.append(
            &Record::Removed { channel: ChannelId(2), sequence: 7, cause: RemovalCause::Settled },
            crate::log::Purpose::Settle,
        )
        .unwrap();
        log.committed(Sync::Now).unwrap();
        let mut records = Vec::new();
        let mut again = DiskLog::open_in(disk.after_kill(), Options { segment_bytes: SEGMENT })
            .expect("a sender must not be able to make a log look damaged");
        again
            .replayed(|_, head| {
                records.push(matches!(head.record, Record::Removed { channel: ChannelId(1), .. }))
            })
            .unwrap();
        assert!(!records.contains(&true), "a sender must not be able to write records");
    }
    assert!(log.stats().segments < 5, "segments were recycled");
}

#[test]
fn every_use_of_a_segment_has_another_mark() {
    let disk = Simulated::default();
    let mut marks = std::collections::BTreeSet::new();
    let mut uses = 0;
    for _ in 0..3 {
        let mut owner = Owner::open(disk.after_kill()).unwrap();
        for _ in 0..100 {
            owner.push().unwrap();
            owner.log.committed(Sync::Now).unwrap();
        }
        let heads = owner.log.segments.values().map(|segment| segment.head.mark);
        uses += heads.len();
        marks.extend(heads);
        assert!(!marks.contains(&0));
    }
    assert!(uses > 6);
}
