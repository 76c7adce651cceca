//! Damaged bytes.

use super::owner::Owner;
use crate::log::{
    Log, LogError, OpenError, Record, RecordHead, Sync,
    conformance::BlockingLog,
    disk::{simulated::Simulated, storage::Storage},
};

/// A log of `count` messages, one batch each, without indexes.
fn filled(count: u64) -> Simulated {
    filled_up_to(count, 0)
}

/// The same, with the last messages unsynced.
fn filled_up_to(synced: u64, unsynced: u64) -> Simulated {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for number in 0..synced + unsynced {
        owner.push().unwrap();
        owner.log.committed(if number < synced { Sync::Now } else { Sync::Later }).unwrap();
    }
    let disk = disk.after_kill();
    let names = disk.list().unwrap();
    names.iter().filter(|name| name.ends_with(".idx")).for_each(|name| disk.remove(name).unwrap());
    disk
}

/// Damages the head of a message's record, which destroys the whole frame.
fn flip_in_head(disk: &Simulated, sequence: u64) -> (String, usize) {
    let (name, offset) = body_of(disk, sequence);
    disk.flip(&name, offset - 20);
    (name, offset)
}

/// Damages a message's body.
fn flip_in_body(disk: &Simulated, sequence: u64) -> (String, usize) {
    let (name, offset) = body_of(disk, sequence);
    disk.flip(&name, offset + 20);
    (name, offset)
}

fn body_of(disk: &Simulated, sequence: u64) -> (String, usize) {
    let found = disk.find(format!("message {sequence:016}").as_bytes());
    found.first().unwrap_or_else(|| panic!("message {sequence} is nowhere")).clone()
}

#[test]
fn damage_in_the_middle_is_refused_with_file_offset_and_advice_and_nothing_is_changed() {
    let disk = filled(100);
    let (name, offset) = flip_in_head(&disk, 50);
    let before = disk.find(b"message");
    let error = Owner::open(disk.clone()).err().expect("a damaged log must not open");
    let OpenError::Damaged { file, offset: reported, .. } = &error else { panic!("{error}") };
    assert!(file.ends_with(&name));
    assert!((*reported as usize) < offset && offset - (*reported as usize) < 200, "{reported} for {offset}");
    assert!(error.to_string().contains("backup"));
    assert_eq!(disk.find(b"message"), before);
}

#[test]
fn damage_to_the_first_batch_of_a_later_segment_is_refused_too() {
    let disk = filled(100);
    for sequence in 2..99 {
        let copy = disk.after_kill();
        flip_in_head(&copy, sequence);
        assert!(matches!(Owner::open(copy), Err(OpenError::Damaged { .. })), "message {sequence}");
    }
}

#[test]
fn a_segment_with_a_damaged_head_is_refused_and_stays() {
    let disk = filled(100);
    let heads = disk.find(b"RESTLOG1");
    assert!(heads.len() > 2);
    for (name, _) in heads {
        for field in [0, 8, 12, 16, 24, 32, 40, 48] {
            let copy = disk.after_kill();
            copy.flip(&name, field);
            let error = Owner::open(copy.clone()).err().expect("a damaged log must not open");
            let OpenError::DamagedHead { file } = &error else { panic!("{error}") };
            assert!(file.ends_with(&name) && error.to_string().contains("backup"), "{error}");
            assert_eq!(copy.find(b"message"), disk.find(b"message"), "nothing was changed");
        }
    }
}

#[test]
fn a_segment_of_a_newer_version_is_refused_and_stays() {
    let disk = filled(10);
    let (name, _) = disk.find(b"RESTLOG1").pop().unwrap();
    let mut head = disk.bytes_of(&name);
    head[8] = 2;
    head[12] ^= 1;
    disk.put(&name, head);
    let error = Owner::open(disk.clone()).err().expect("a newer log must not open");
    assert!(matches!(error, OpenError::Version { version: 2, known: 1, .. }), "{error}");
    assert_eq!(disk.find(b"message").len(), 10);
}

#[test]
fn a_copy_of_a_segment_beside_it_is_refused() {
    let disk = filled(10);
    let (name, _) = disk.find(b"RESTLOG1").pop().unwrap();
    disk.copy(&name, "00000099.seg");
    let error = Owner::open(disk).err().expect("one of the two must be removed");
    assert!(matches!(error, OpenError::Duplicate { .. }), "{error}");
}

#[test]
fn damage_to_the_last_unsynced_batch_is_a_torn_tail_and_is_cut_off() {
    for flip in [flip_in_head, flip_in_body] {
        let disk = filled_up_to(99, 1);
        flip(&disk, 100);
        let mut owner = Owner::open(disk).unwrap();
        assert_eq!(owner.messages.len(), 99);
        owner.check();
    }
}

#[test]
fn damage_to_the_last_batch_is_damage_if_it_was_synced() {
    let disk = filled(100);
    flip_in_head(&disk, 100);
    let error = Owner::open(disk).err().expect("an acknowledged message is gone");
    assert!(matches!(error, OpenError::Damaged { frame: Some(100), .. }), "{error}");
}

#[test]
fn a_cut_off_tail_does_not_come_back_after_more_writes() {
    for flip in [flip_in_head, flip_in_body] {
        let disk = filled_up_to(99, 1);
        flip(&disk, 100);
        let mut owner = Owner::open(disk.clone()).unwrap();
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
        let again = Owner::open(disk.after_kill()).unwrap();
        assert_eq!(again.messages.keys().collect::<Vec<_>>(), owner.messages.keys().collect::<Vec<_>>());
    }
}

#[test]
fn with_a_damaged_body_the_log_opens_and_reading_that_message_names_its_place() {
    let disk = filled(100);
    for sequence in [1, 50, 100] {
        let copy = disk.after_kill();
        let (name, offset) = flip_in_body(&copy, sequence);
        let mut owner = Owner::open(copy).unwrap();
        assert_eq!(owner.messages.len(), 100);
        for (number, position) in owner.messages.clone() {
            match owner.log.fetched(position) {
                Ok(_) => assert_ne!(number, sequence),
                Err(LogError::Unread(record)) => {
                    assert_eq!(number, sequence);
                    assert!(
                        record.file.ends_with(&name) && (offset as u64 - record.offset) < 100,
                        "{record}"
                    );
                    let (head, _) = RecordHead::decode_first(record.head.as_ref().unwrap()).unwrap();
                    let Record::Message { message_id, .. } = head.record else { panic!("{head:?}") };
                    assert_eq!(message_id, sequence.into());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Only batch 5 knows that batches 1 to 3 are on disk, and batch 4 is torn.
fn torn_before_a_frame_that_records_it_as_on_disk() -> Simulated {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for sync in [Sync::Later, Sync::Later, Sync::Now, Sync::Later, Sync::Later] {
        owner.push().unwrap();
        owner.log.committed(sync).unwrap();
    }
    let disk = disk.after_kill();
    flip_in_head(&disk, 4);
    disk
}

#[test]
fn a_second_crash_loses_nothing_that_a_torn_tail_left() {
    let mut disk = torn_before_a_frame_that_records_it_as_on_disk();
    for start in 1..4 {
        let mut owner = Owner::open(disk.clone()).unwrap();
        assert_eq!(owner.messages.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "at start {start}");
        owner.check();
        disk = disk.after_kill();
    }
}

#[test]
fn a_damaged_frame_is_detected_if_only_a_void_frame_records_that_it_was_on_disk() {
    let disk = torn_before_a_frame_that_records_it_as_on_disk();
    drop(Owner::open(disk.clone()).unwrap());
    let disk = disk.after_kill();
    flip_in_head(&disk, 3);
    let error = Owner::open(disk).err().expect("a damaged log must not open");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn frames_of_an_earlier_use_of_a_segment_are_never_mistaken_for_messages() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..400 {
        let sequence = owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
        while owner.log.reclaim_wanted().is_some() {
            owner.reclaim().unwrap();
        }
    }
    assert!(disk.find(b"message").len() > 20, "recycled segments contain old messages");
    let owner = Owner::open(disk.after_kill()).unwrap();
    assert_eq!(owner.messages.len(), 0);
}

#[test]
fn segments_are_recycled() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..2000 {
        let sequence = owner.push().unwrap();
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
        while owner.log.reclaim_wanted().is_some() {
            owner.reclaim().unwrap();
        }
    }
    assert!(disk.used() <= 8 * super::owner::SEGMENT as usize, "{} bytes for an empty log", disk.used());
}

#[test]
fn a_log_that_is_opened_repeatedly_does_not_grow() {
    let mut disk = filled(10);
    for _ in 0..20 {
        let mut owner = Owner::open(disk.clone()).unwrap();
        while owner.log.reclaim_wanted().is_some() {
            owner.reclaim().unwrap();
        }
        assert_eq!(owner.messages.len(), 10);
        disk = disk.after_kill();
    }
    assert!(disk.used() <= 8 * super::owner::SEGMENT as usize, "{} bytes for ten messages", disk.used());
}
