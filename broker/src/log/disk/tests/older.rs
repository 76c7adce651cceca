//! Logs that are only read any more, until they are copied: what is on disk of them is told as well.

use super::older_log;
use super::owner::Owner;
use crate::log::{
    Log, OpenError, Sync,
    conformance::BlockingLog,
    disk::{
        segment,
        simulated::{Chance, Simulated},
        storage::Storage,
    },
};

/// A log through several segments, left by a kill or in order.
fn left(in_order: bool) -> Simulated {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 4 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.wait_for_indexes();
    if in_order {
        owner.log.close().unwrap();
    }
    disk.after_kill()
}

#[test]
fn an_older_log_that_was_cut_at_its_end_is_refused() {
    for in_order in [false, true] {
        let disk = left(in_order);
        let newest = disk.find(b"message 0").into_iter().map(|(name, _)| name).max().unwrap();
        let mut bytes = disk.bytes_of(&newest);
        bytes[segment::HEAD_BYTES as usize..].fill(0);
        disk.put(&newest, bytes);
        let error = older_log(disk.clone()).err().expect("messages are missing");
        assert!(matches!(&error, OpenError::Damaged { file, .. } if file.ends_with(&newest)), "{error}");
        disk.remove(&newest).unwrap();
        assert!(matches!(older_log(disk), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn an_older_log_that_is_left_segment_by_segment_opens_after_a_crash_at_any_moment_and_goes_at_last() {
    let whole = left(true);
    let mut crashed = 0;
    for operations in 0..60 {
        for seed in 0..4 {
            let disk = whole.after_kill();
            let older = older_log(disk.clone()).unwrap();
            disk.fail_after(operations);
            (0..older.count()).for_each(|segment| older.leave(segment));
            let after = disk.after_power_cut(&mut Chance::new(seed));
            let again = older_log(after.clone()).unwrap_or_else(|error| panic!("{operations}: {error}"));
            crashed += u32::from(again.count() > 0);
            (0..again.count()).for_each(|segment| again.leave(segment));
            again.make_room();
            drop(again);
            // What tells how far it went is removed by the start that finds nothing else.
            older_log(after.clone()).unwrap().remove_copied();
            assert_eq!(after.list().unwrap(), Vec::<String>::new(), "{operations}, {seed}");
        }
    }
    assert!(crashed > 20 && crashed < 240, "{crashed}");
}
