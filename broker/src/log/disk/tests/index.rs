//! Indexes: what they save, and that an index is used only if it belongs to its segment.

use std::collections::BTreeMap;

use super::owner::Owner;
use crate::log::{
    Log, LogError, OpenError, Position, Sync,
    conformance::BlockingLog,
    disk::{
        heads::{Heads, SegmentExtent},
        index,
        segment::Head,
        simulated::{Chance, Simulated},
        storage::{Storage, StorageFile},
    },
};

const MESSAGES: u64 = 300;

/// A log with many messages, some of them settled, and with all its indexes.
fn indexed() -> (Simulated, Vec<u64>) {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for sequence in 1..=MESSAGES {
        owner.push().unwrap();
        if sequence % 7 == 0 {
            owner.settle(sequence - 5).unwrap();
        }
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.wait_for_indexes();
    (disk.after_kill(), owner.messages.keys().copied().collect())
}

fn indexes(disk: &Simulated) -> BTreeMap<String, Vec<u8>> {
    let names = disk.list().unwrap().into_iter().filter(|name| name.ends_with(".idx"));
    names.map(|name| (name.clone(), contents(disk, &name))).collect()
}

fn contents(disk: &Simulated, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn replace(disk: &Simulated, name: &str, bytes: &[u8]) {
    disk.create(name).unwrap().write_at(bytes, 0).unwrap();
}

/// Damages the body of the first message in an index's segment.
fn damage_body(disk: &Simulated, index: &str) {
    let (segment, offset) = first_body(disk, index);
    disk.flip(&segment, offset + 30);
}

/// Damages the head of the same message's record.
fn damage_head(disk: &Simulated, index: &str) {
    let (segment, offset) = first_body(disk, index);
    disk.flip(&segment, offset - 20);
}

/// The place of the first message's body in an index's segment.
fn first_body(disk: &Simulated, index: &str) -> (String, usize) {
    let segment = index::segment(index).unwrap();
    let found = disk.find(b"message 0");
    found.into_iter().find(|(name, _)| *name == segment).unwrap()
}

/// Checks that the log opens with these messages, that all of them are readable, and that the index is repaired.
fn opens_and_repairs(disk: &Simulated, messages: &[u64], name: &str, bytes: &[u8], what: &str) {
    let mut owner = Owner::open(disk.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(owner.messages.keys().eq(messages), "{what}");
    owner.check();
    owner.wait_for_indexes();
    assert!(contents(disk, name) == bytes, "{what}: the index is not repaired");
}

#[test]
fn a_start_reads_the_indexes_of_sealed_segments_and_only_the_last_segments_themselves() {
    let (disk, messages) = indexed();
    let indexes = indexes(&disk);
    let segments = disk.find(b"RESTLOG1").len();
    assert!(segments > 5 && indexes.len() == segments - 2, "{} of {segments}", indexes.len());
    for index in indexes.keys() {
        damage_body(&disk, index);
    }
    let owner = Owner::open(disk).expect("a start reads no bodies");
    assert!(owner.messages.keys().eq(&messages));
}

#[test]
fn a_damaged_body_behind_an_index_is_noticed_when_it_is_read_or_copied() {
    let (disk, _) = indexed();
    let (first, _) = indexes(&disk).pop_first().unwrap();
    damage_body(&disk, &first);
    let mut owner = Owner::open(disk.clone()).unwrap();
    let damaged = *owner.messages.values().next().unwrap();
    assert!(matches!(owner.log.fetched(damaged), Err(LogError::Unread(_))));
    let mut owner = Owner::open(disk).unwrap();
    assert!(matches!(owner.reclaim(), Err(LogError::Damaged { .. })));
}

#[test]
fn a_missing_index_is_created_from_its_segment() {
    let (disk, messages) = indexed();
    for (name, bytes) in indexes(&disk) {
        disk.remove(&name).unwrap();
        opens_and_repairs(&disk, &messages, &name, &bytes, &name);
    }
}

#[test]
fn a_folder_without_indexes_opens() {
    let (disk, messages) = indexed();
    let indexes = indexes(&disk);
    indexes.keys().for_each(|name| disk.remove(name).unwrap());
    let (name, bytes) = indexes.first_key_value().unwrap();
    opens_and_repairs(&disk, &messages, name, bytes, "all");
}

#[test]
fn a_damaged_index_is_not_used_wherever_it_is_damaged() {
    let (disk, messages) = indexed();
    let (name, bytes) = indexes(&disk).pop_first().unwrap();
    // All of its head, and samples of the rest.
    for at in (0..92).chain((96..bytes.len()).step_by(67)) {
        let copy = disk.after_kill();
        copy.flip(&name, at);
        opens_and_repairs(&copy, &messages, &name, &bytes, &format!("byte {at}"));
    }
}

#[test]
fn a_torn_index_is_not_used_wherever_it_ends() {
    let (disk, messages) = indexed();
    let (name, bytes) = indexes(&disk).pop_first().unwrap();
    for end in [0, 1, 95, 96, 97, bytes.len() / 2, bytes.len() - 1] {
        let copy = disk.after_kill();
        replace(&copy, &name, &bytes[..end]);
        opens_and_repairs(&copy, &messages, &name, &bytes, &format!("up to {end}"));
        let mut zeros = bytes[..end].to_vec();
        zeros.resize(bytes.len(), 0);
        replace(&copy, &name, &zeros);
        opens_and_repairs(&copy, &messages, &name, &bytes, &format!("zeros from {end}"));
    }
}

#[test]
fn the_index_of_another_segment_is_not_used() {
    let (disk, messages) = indexed();
    let indexes = indexes(&disk);
    let (name, bytes) = indexes.first_key_value().unwrap();
    for other in indexes.values().skip(1) {
        replace(&disk, name, other);
        opens_and_repairs(&disk, &messages, name, bytes, "another's");
    }
}

#[test]
fn an_index_with_another_end_than_its_segment_is_not_used() {
    let (disk, messages) = indexed();
    let (name, bytes) = indexes(&disk).pop_first().unwrap();
    let segment = index::segment(&name).unwrap();
    let whole = index::read_head(&disk, &segment).unwrap().extent;
    for change in [-1, 1] {
        let extent =
            SegmentExtent { next_frame: whole.next_frame.wrapping_add_signed(change), ..whole.clone() };
        index::write(&disk, &segment, extent, &Heads::default()).unwrap();
        opens_and_repairs(&disk, &messages, &name, &bytes, &format!("{change}"));
    }
}

#[test]
fn an_index_of_another_use_of_its_segment_does_not_hide_damage_of_the_segment() {
    let (disk, _) = indexed();
    let (name, _) = indexes(&disk).pop_first().unwrap();
    let segment = index::segment(&name).unwrap();
    let whole = index::read_head(&disk, &segment).unwrap().extent;
    damage_head(&disk, &name);
    let other_mark = Head { mark: !whole.head.mark, ..whole.head };
    let other_epoch = Head { epoch: whole.head.epoch + 1, ..whole.head };
    for head in [other_mark, other_epoch] {
        index::write(&disk, &segment, SegmentExtent { head, ..whole.clone() }, &Heads::default()).unwrap();
        assert!(matches!(Owner::open(disk.clone()), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn a_damaged_segment_without_an_index_is_refused() {
    let (disk, _) = indexed();
    let (name, _) = indexes(&disk).pop_first().unwrap();
    damage_head(&disk, &name);
    disk.remove(&name).unwrap();
    assert!(matches!(Owner::open(disk), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_segment_with_a_damaged_body_and_no_index_is_read_and_gets_its_index() {
    let (disk, messages) = indexed();
    let (name, bytes) = indexes(&disk).pop_first().unwrap();
    damage_body(&disk, &name);
    disk.remove(&name).unwrap();
    let mut owner = Owner::open(disk.clone()).unwrap();
    assert!(owner.messages.keys().eq(&messages));
    let unread = messages.iter().filter(|sequence| owner.log.fetched(owner.messages[sequence]).is_err());
    assert_eq!(unread.count(), 1);
    owner.wait_for_indexes();
    assert_eq!(contents(&disk, &name), bytes);
}

#[test]
fn a_power_cut_at_any_moment_of_writing_an_index_loses_nothing() {
    let (disk, messages) = indexed();
    let (name, bytes) = indexes(&disk).pop_first().unwrap();
    let segment = index::segment(&name).unwrap();
    let extent = index::read_head(&disk, &segment).unwrap().extent;
    let heads = index::read(&disk, &segment, &extent).unwrap();
    for operations in 0..4 {
        for seed in 0..20 {
            let copy = disk.after_kill();
            copy.remove(&name).unwrap();
            copy.fail_after(operations);
            let written = index::write(&copy, &segment, extent.clone(), &heads);
            assert_eq!(written.is_ok(), operations == 3);
            let cut = copy.after_power_cut(&mut Chance::new(seed));
            opens_and_repairs(
                &cut,
                &messages,
                &name,
                &bytes,
                &format!("{operations} operations, seed {seed}"),
            );
        }
    }
}

#[test]
fn the_index_of_an_earlier_use_of_a_segment_is_not_used() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    let mut earlier: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut met = 0;
    for round in 0..400 {
        let sequence = owner.push().unwrap();
        // Enough messages stay for segments to be indexed, and few enough that segments are recycled.
        if round % 10 != 0 {
            owner.settle(sequence).unwrap();
        }
        owner.log.committed(Sync::Now).unwrap();
        owner.wait_for_indexes();
        let now = indexes(&disk);
        for (name, bytes) in &now {
            let Some(before) = earlier.get(name).filter(|before| *before != bytes) else { continue };
            met += 1;
            let copy = disk.after_kill();
            replace(&copy, name, before);
            let messages: Vec<u64> = owner.messages.keys().copied().collect();
            opens_and_repairs(&copy, &messages, name, bytes, name);
        }
        earlier.extend(now);
        while owner.log.stats().segments > 5 {
            owner.reclaim().unwrap();
        }
    }
    assert!(met > 3, "{met} segments were used and indexed twice");
}

#[test]
fn a_freed_segment_has_no_index() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 5 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.wait_for_indexes();
    let (first, bytes) = indexes(&disk).pop_first().unwrap();
    owner.reclaim().unwrap();
    assert!(!indexes(&disk).contains_key(&first));
    // The removal may be lost in a crash, or somebody may have put the index back.
    let copy = disk.after_kill();
    replace(&copy, &first, &bytes);
    let again = Owner::open(copy.clone()).unwrap();
    assert!(again.messages.keys().eq(owner.messages.keys()));
    assert!(!indexes(&copy).contains_key(&first));
}

#[test]
fn if_receivers_keep_up_no_index_is_written() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..600 {
        let sequence = owner.push().unwrap();
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
        while let Some(below) = owner.log.reclaim_wanted() {
            assert!(below.end > Position::START);
            owner.reclaim().unwrap();
        }
    }
    assert!(indexes(&disk).is_empty());
}

#[test]
fn a_disk_without_room_for_indexes_stops_nothing_else() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 3 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    disk.limit(disk.used());
    while owner.push().is_ok() {
        owner.log.committed(Sync::Now).unwrap();
    }
    owner.wait_for_indexes();
    let again = Owner::open(disk.after_kill()).unwrap();
    assert!(again.messages.keys().eq(owner.messages.keys()));
}
