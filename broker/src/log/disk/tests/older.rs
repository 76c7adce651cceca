//! Older logs, which are only read until they are copied: acknowledged records must not get lost in them either.

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

/// A log with several segments, killed or closed.
fn remaining_segments(in_order: bool) -> Simulated {
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
fn an_older_log_that_was_truncated_is_refused() {
    for in_order in [false, true] {
        let disk = remaining_segments(in_order);
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
fn leaving_an_older_log_segment_by_segment_survives_a_crash_at_any_moment_and_removes_it_completely() {
    let whole = remaining_segments(true);
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
            // The next start that finds nothing else removes the file `synced`.
            older_log(after.clone()).unwrap().remove_copied();
            assert_eq!(after.list().unwrap(), Vec::<String>::new(), "{operations}, {seed}");
        }
    }
    assert!(crashed > 20 && crashed < 240, "{crashed}");
}
