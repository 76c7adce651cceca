//! A fault at every write and every sync, one after the other.

use std::collections::BTreeSet;

use super::owner::Owner;
use crate::log::{
    Log, LogError, Position, Sync,
    conformance::BlockingLog,
    disk::simulated::{Chance, Simulated},
};

/// Pushes and settles until something fails. Returns the acknowledged pushes without the settled ones, and the
/// acknowledged settles.
fn work_until_failure(owner: &mut Owner) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut present, mut settled) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..60 {
        let mut batch = Vec::new();
        for _ in 0..5 {
            match owner.push() {
                Ok(sequence) => batch.push(sequence),
                Err(_) => break,
            }
        }
        let oldest =
            owner.messages.keys().next().copied().filter(|oldest| round % 2 == 1 && present.contains(oldest));
        let gone = oldest.filter(|oldest| owner.settle(*oldest).is_ok());
        if owner.log.committed(Sync::Now).is_err() {
            break;
        }
        present.extend(batch);
        if let Some(gone) = gone {
            present.remove(&gone);
            settled.insert(gone);
        }
        if round % 10 == 9 && owner.reclaim().is_err() {
            break;
        }
    }
    (present, settled)
}

#[test]
fn after_a_fault_at_any_write_or_sync_acknowledged_messages_exist_and_settled_ones_do_not() {
    let mut failures = 0;
    for operations in 0..150 {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        disk.fail_after(operations);
        let (present, settled) = work_until_failure(&mut owner);
        failures += u32::from(matches!(owner.log.committed(Sync::Now), Err(LogError::Poisoned)));
        for recovered in [disk.after_kill(), disk.after_power_cut(&mut Chance::new(operations))] {
            let mut owner = Owner::open(recovered).unwrap();
            owner.check();
            let found: BTreeSet<u64> = owner.messages.keys().copied().collect();
            // The settle of the failed batch may have succeeded or not.
            assert!(
                present.difference(&found).count() <= 1,
                "{operations}: lost {:?}",
                present.difference(&found)
            );
            assert!(found.is_disjoint(&settled), "{operations}: back {:?}", found.intersection(&settled));
        }
    }
    assert!(failures > 60, "only {failures} runs met their fault");
}

#[test]
fn a_log_that_failed_never_retries() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    owner.push().unwrap();
    disk.fail_syncs(true);
    assert!(matches!(owner.log.committed(Sync::Now), Err(LogError::Io { action: "sync", .. })));
    // The disk works again, but it is unknown what it lost in the meantime.
    disk.fail_syncs(false);
    assert!(matches!(owner.log.committed(Sync::Now), Err(LogError::Poisoned)));
    assert!(owner.push().is_err());
}

#[test]
fn a_power_cut_at_any_moment_of_opening_loses_nothing() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..30 {
        owner.push().unwrap();
    }
    owner.log.committed(Sync::Now).unwrap();
    let mut interrupted = 0;
    for operations in 0..40 {
        for seed in 0..20 {
            let killed = disk.after_kill();
            killed.fail_after(operations);
            interrupted += u32::from(Owner::open(killed.clone()).is_err());
            let owner = Owner::open(killed.after_power_cut(&mut Chance::new(seed))).unwrap();
            assert_eq!(owner.messages.len(), 30, "operations {operations}, seed {seed}");
        }
    }
    assert!(interrupted > 0);
}

#[test]
fn after_a_power_cut_during_opening_later_starts_find_the_same_messages() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..6 {
        owner.push().unwrap();
        owner.log.committed(Sync::Later).unwrap();
    }
    for operations in 0..24 {
        for seed in 0..12 {
            let killed = disk.after_kill();
            killed.fail_after(operations);
            let _ = Owner::open(killed.clone());
            let cut = killed.after_power_cut(&mut Chance::new(seed));
            let mut second = Owner::open(cut.clone()).unwrap();
            second.push().unwrap();
            second.log.committed(Sync::Now).unwrap();
            let third = Owner::open(cut.after_kill()).unwrap();
            assert!(
                third.messages.keys().eq(second.messages.keys()),
                "operations {operations}, seed {seed}: {:?} instead of {:?}",
                third.messages.keys(),
                second.messages.keys()
            );
        }
    }
}

#[test]
fn an_interrupted_start_hides_nothing_from_a_start_with_another_number_of_cores() {
    for messages in [1, 3] {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        for _ in 0..messages {
            owner.push().unwrap();
            owner.log.committed(Sync::Now).unwrap();
        }
        for operations in 0..24 {
            let killed = disk.after_kill();
            killed.fail_after(operations);
            let _ = Owner::open(killed.clone());
            let mut beside = Owner::open_beside(killed.after_kill()).unwrap();
            assert!(beside.messages.keys().copied().eq(1..=messages), "after {operations} operations");
            beside.read_all();
            // Only scanned records are copied.
            let walked = beside.log.scanned(Position::START, None).unwrap();
            assert_eq!(walked.len() as u64, messages, "after {operations} operations");
        }
    }
}

#[test]
fn a_sync_covers_writes_before_the_batch_that_continued_in_a_new_segment() {
    for seed in 0..40 {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        owner.push().unwrap();
        owner.log.committed(Sync::Later).unwrap();
        assert!(owner.log.needs_sync());
        while owner.log.batch.epoch() == owner.log.batch.first_epoch() {
            owner.push().unwrap();
        }
        owner.log.committed(Sync::Now).unwrap();
        assert!(!owner.log.needs_sync());
        let again = Owner::open(disk.after_power_cut(&mut Chance::new(seed))).unwrap();
        assert!(again.messages.keys().eq(owner.messages.keys()), "seed {seed}");
    }
}

#[test]
fn an_empty_commit_syncs_earlier_writes() {
    for seed in 0..40 {
        let disk = Simulated::default();
        let mut owner = Owner::open(disk.clone()).unwrap();
        let written = owner.push().unwrap();
        owner.log.committed(Sync::Later).unwrap();
        owner.log.committed(Sync::Now).unwrap();
        assert!(!owner.log.needs_sync());
        let owner = Owner::open(disk.after_power_cut(&mut Chance::new(seed))).unwrap();
        assert!(owner.messages.contains_key(&written), "seed {seed}");
    }
}

#[test]
fn a_tail_that_a_failed_sync_left_in_the_page_cache_is_written_again_before_its_replay() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..6 {
        owner.push().unwrap();
        owner.log.committed(Sync::Later).unwrap();
    }
    let disk = disk.after_failed_sync();
    let replayed = Owner::open(disk.clone()).unwrap();
    assert_eq!(replayed.messages.len(), 6);
    for seed in 0..20 {
        let again = Owner::open(disk.after_power_cut(&mut Chance::new(seed))).unwrap();
        assert!(again.messages.keys().eq(replayed.messages.keys()), "seed {seed}");
    }
}
