//! Damage reports: each row of the table in docs/data-care.md, and the same report from a start.

use super::owner::Owner;
use crate::log::{
    Log, Sync,
    conformance::BlockingLog,
    disk::{
        inspection::{DamageKind, inspect},
        simulated::Simulated,
        storage::Storage,
    },
};

/// A log with several segments.
fn written(disk: Simulated) -> Simulated {
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 4 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    disk.after_kill()
}

/// The segments in use, oldest first.
fn segments(disk: &Simulated) -> Vec<String> {
    let mut names: Vec<_> = disk.find(b"message 0").into_iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    names
}

/// The damage of a file according to an inspection, and the error of a start, if it refuses the log.
fn report(disk: &Simulated, file: &str) -> (Vec<DamageKind>, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    disk.write_to(folder.path());
    let inspected = inspect(folder.path(), 0).unwrap();
    let of_it = inspected.damage().iter().filter(|damage| damage.file == file);
    (
        of_it.map(|damage| damage.what.clone()).collect(),
        Owner::open(disk.clone()).err().map(|error| error.to_string()),
    )
}

#[test]
fn a_file_that_is_shorter_or_longer_than_at_its_creation_is_reported_with_both_lengths() {
    for change in [-100_i64, 100] {
        let disk = written(Simulated::default());
        let name = segments(&disk)[1].clone();
        let mut bytes = disk.bytes_of(&name);
        let (made, has) = (bytes.len() as u64, bytes.len().wrapping_add_signed(change as isize));
        bytes.resize(has, 0);
        disk.put(&name, bytes);
        let (what, refused) = report(&disk, &name);
        assert!(what.contains(&DamageKind::Length { has: has as u64, made }), "{what:?}");
        assert!(refused.is_some_and(|error| error.contains(&name)));
    }
}

#[test]
fn a_segment_and_a_file_synced_of_another_log_are_reported() {
    let (disk, other) = (written(Simulated::default()), written(Simulated::seeded(9)));
    let name = segments(&disk)[1].clone();
    let exchanged = disk.after_kill();
    exchanged.put(&name, other.bytes_of(&segments(&other)[1]));
    let (what, refused) = report(&exchanged, &name);
    assert_eq!(what, [DamageKind::Foreign]);
    assert!(refused.is_some_and(|error| error.contains("a segment of another log")));
    disk.put("synced", other.bytes_of("synced"));
    let (what, refused) = report(&disk, "synced");
    assert!(what.contains(&DamageKind::ForeignSyncedFile), "{what:?}");
    assert!(refused.is_some_and(|error| error.contains("another log than the segments")));
}

#[test]
fn segments_of_two_writers_with_one_epoch_are_reported() {
    let disk = written(Simulated::default());
    // Both continue from a copy, each in a new segment with the same epoch.
    let mut one = Owner::open(disk.after_kill()).unwrap();
    let folder_of_other = Simulated::seeded(5);
    for file in disk.list().unwrap() {
        folder_of_other.put(&file, disk.bytes_of(&file));
    }
    let mut other = Owner::open(folder_of_other.clone()).unwrap();
    for owner in [&mut one, &mut other] {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    let epoch = other.log.segments.last_key_value().unwrap().1.file.name.clone();
    let both = Simulated::default();
    let of_one = one.log.segments.last_key_value().unwrap().1.file.name.clone();
    for file in folder_of_other.list().unwrap() {
        both.put(&file, folder_of_other.bytes_of(&file));
    }
    both.put("00000099.seg", one_bytes(&one, &of_one));
    let (of_first, refused) = report(&both, &epoch);
    let (of_second, _) = report(&both, "00000099.seg");
    assert!([of_first, of_second].concat().contains(&DamageKind::TwoWriters));
    assert!(refused.is_some_and(|error| error.contains("two brokers wrote this log")));
}

fn one_bytes(owner: &Owner, name: &str) -> Vec<u8> {
    use crate::log::disk::storage::StorageFile;
    let file = owner.log.segments.values().find(|segment| segment.file.name == name).unwrap();
    let mut bytes = vec![0; file.file.bytes as usize];
    file.file.file.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_missing_or_damaged_file_synced_is_reported_and_a_start_recreates_it() {
    for spoil in [
        |disk: &Simulated| disk.remove("synced").unwrap(),
        |disk: &Simulated| disk.put("synced", vec![0; 4096]),
    ] {
        let disk = written(Simulated::default());
        spoil(&disk);
        let (what, refused) = report(&disk, "synced");
        assert!(matches!(what[..], [DamageKind::SyncedFile { .. }]), "{what:?}");
        assert_eq!(refused, None);
        let (what, refused) = report(&disk.after_kill(), "synced");
        assert_eq!((what, refused), (Vec::new(), None));
    }
}
