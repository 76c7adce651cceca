//! A full disk can be emptied, and then filled again.

use std::sync::Arc;

use super::{
    older_log,
    owner::{Owner, SEGMENT},
};
use crate::log::{
    AppendError, ChannelId, DiskLog, Log, OpenError, Options, Purpose, Record, RemovalCause, Sync,
    conformance::BlockingLog,
    disk::{
        simulated::{Chance, Simulated},
        storage::Storage,
        synced,
    },
};

/// Room for this number of segments, and for the file `synced`.
fn room_of(segments: u64) -> usize {
    (segments * SEGMENT) as usize + synced::FILE_BYTES
}

fn fill(owner: &mut Owner) -> u64 {
    let mut pushed = 0;
    loop {
        match owner.push() {
            Ok(_) => pushed += 1,
            Err(AppendError::Full) if owner.log.spares.wait() => {}
            Err(AppendError::Full) => return pushed,
            Err(other) => panic!("{other}"),
        }
        owner.log.committed(Sync::Now).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_pushes_accepts_settles_and_has_room_again_when_emptied() {
    let disk = Simulated::default();
    disk.limit(room_of(8));
    let mut owner = Owner::open(disk.clone()).unwrap();
    assert!(fill(&mut owner) > 50);
    assert_eq!(owner.push(), Err(AppendError::Full));
    let messages: Vec<u64> = owner.messages.keys().copied().collect();
    for sequence in messages {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    while owner.log.reclaim_wanted().is_some() {
        owner.reclaim().unwrap();
    }
    assert!(fill(&mut owner) > 50, "an emptied disk has room");
}

#[test]
fn a_full_log_opens_with_all_its_messages() {
    let disk = Simulated::default();
    disk.limit(room_of(8));
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    let again = disk.after_kill();
    again.limit(room_of(8));
    let mut reopened = Owner::open(again).unwrap();
    assert_eq!(reopened.messages.len(), owner.messages.len());
    reopened.check();
    let first = *reopened.messages.keys().next().unwrap();
    reopened.settle(first).unwrap();
    reopened.log.committed(Sync::Now).unwrap();
}

#[test]
fn a_volume_without_room_for_one_segment_is_refused_with_the_required_size() {
    let disk = Simulated::default();
    disk.limit(SEGMENT as usize / 2);
    let error = Owner::open(disk.clone()).err().expect("there is no room");
    assert!(matches!(error, OpenError::Full { segment_bytes: SEGMENT, .. }), "{error}");
    assert_eq!(disk.used(), 0, "an unfinished file takes up no room");
}

#[test]
fn an_enlarged_volume_is_noticed() {
    let disk = Simulated::default();
    disk.limit(room_of(8));
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    disk.limit(room_of(16));
    let refusals = (0..10_000).take_while(|_| owner.push() == Err(AppendError::Full)).count();
    assert!((1..10_000).contains(&refusals), "{refusals} refusals");
}

#[test]
fn one_old_message_does_not_keep_a_full_disk_full() {
    let disk = Simulated::default();
    disk.limit(room_of(7));
    let mut owner = Owner::open(disk.clone()).unwrap();
    let messages = fill(&mut owner);
    for round in 0..20 {
        let younger: Vec<u64> = owner.messages.keys().copied().skip(1).collect();
        for sequence in younger {
            owner.settle(sequence).unwrap();
            owner.log.committed(Sync::Now).unwrap();
        }
        for _ in 0..10 {
            owner.log.spares.wait();
            if owner.log.reclaim_wanted().is_some() {
                owner.reclaim().unwrap();
            }
        }
        let more = fill(&mut owner);
        assert!(more > messages / 4, "round {round}: room for {more} messages instead of {messages}");
        assert!(owner.messages.contains_key(&1));
    }
}

#[test]
fn a_full_log_opens_repeatedly_and_can_be_emptied_then() {
    let room = 8 * SEGMENT as usize;
    let mut disk = Simulated::default();
    disk.limit(room);
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    let mut messages: Vec<u64> = owner.messages.keys().copied().collect();
    for round in 0..12 {
        // Every second time with a power cut directly after the last sync.
        disk = if round % 2 == 0 { disk.after_kill() } else { disk.after_power_cut(&mut Chance::new(round)) };
        disk.limit(room);
        owner = Owner::open(disk.clone()).unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(owner.messages.keys().eq(messages.iter()), "round {round}");
        owner.check();
        // From the newest message on, so that no segment is freed.
        for _ in 0..2 {
            owner.settle(messages.pop().unwrap()).unwrap();
            owner.log.committed(Sync::Now).unwrap();
        }
    }
    for sequence in messages {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    while owner.log.reclaim_wanted().is_some() {
        owner.reclaim().unwrap();
    }
    assert!(fill(&mut owner) > 50, "an emptied disk has room");
}

#[test]
fn the_records_of_a_full_log_are_on_disk_when_it_is_open() {
    let room = 8 * SEGMENT as usize;
    let disk = Simulated::default();
    disk.limit(room);
    let mut owner = Owner::open(disk.clone()).unwrap();
    let messages = fill(&mut owner);
    for sequence in 1..=messages / 2 {
        owner.settle(sequence).unwrap();
        owner.log.committed(Sync::Later).unwrap();
    }
    for seed in 0..20 {
        let killed = disk.after_failed_sync();
        killed.limit(room);
        let spares = owner.log.stats().spares;
        let opened = Owner::open(killed.clone()).unwrap();
        assert!(opened.log.stats().spares >= spares, "the reserve is kept");
        let again = Owner::open(killed.after_power_cut(&mut Chance::new(seed))).unwrap();
        assert!(again.messages.keys().eq(opened.messages.keys()), "seed {seed}");
    }
}

#[test]
fn a_torn_tail_of_a_full_log_stays_cut_off() {
    let room = 8 * SEGMENT as usize;
    let disk = Simulated::default();
    disk.limit(room);
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    let messages: Vec<u64> = owner.messages.keys().copied().collect();
    owner.log.committed(Sync::Now).unwrap();
    for sequence in messages.iter().take(60) {
        owner.settle(*sequence).unwrap();
        owner.log.committed(Sync::Later).unwrap();
    }
    for seed in 0..12 {
        let cut = disk.after_power_cut(&mut Chance::new(seed));
        cut.limit(room);
        let mut second = Owner::open(cut.clone()).unwrap();
        // Settles of the same size as the lost ones: each ends where a lost one may start, until they have overwritten
        // a whole sector of them.
        for sequence in &messages[60..75] {
            second.settle(*sequence).unwrap();
            second.log.committed(Sync::Now).unwrap();
            let third = Owner::open(cut.after_kill()).unwrap();
            assert!(
                third.messages.keys().eq(second.messages.keys()),
                "seed {seed}, settled up to {sequence}"
            );
        }
    }
}

#[test]
fn a_disk_that_filled_up_during_opening_loses_nothing() {
    let disk = Simulated::default();
    disk.limit(room_of(4));
    let mut owner = Owner::open(disk.clone()).unwrap();
    for _ in 0..5 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    for operations in 0..20 {
        let killed = disk.after_kill();
        killed.fail_after(operations);
        let _ = Owner::open(killed.clone());
        let full = killed.after_kill();
        full.limit(full.used());
        let mut second = Owner::open(full.clone()).unwrap();
        assert_eq!(second.messages.len(), 5, "operations {operations}");
        while second.messages.len() > 1 {
            let oldest = *second.messages.keys().next().unwrap();
            second.settle(oldest).unwrap();
        }
        // The segments before the new one are freed.
        second.reclaim().unwrap();
        second.push().unwrap();
        second.log.committed(Sync::Now).unwrap();
        let third =
            Owner::open(full.after_kill()).unwrap_or_else(|error| panic!("operations {operations}: {error}"));
        assert!(third.messages.keys().eq(second.messages.keys()), "operations {operations}");
    }
}

/// Removes all spares, and limits the disk to its used bytes.
fn without_spares(disk: &Simulated) {
    for name in disk.list().unwrap() {
        let head = disk.find(b"RESTLOG1");
        if !head.iter().any(|(file, offset)| *file == name && *offset == 0) {
            disk.remove(&name).unwrap();
        }
    }
    disk.sync_folder().unwrap();
    disk.limit(disk.used());
}

#[test]
fn a_start_without_a_free_byte_opens_the_log_whatever_a_crash_left() {
    let disk = Simulated::default();
    disk.limit(room_of(8));
    let mut owner = Owner::open(disk.clone()).unwrap();
    let messages = fill(&mut owner);
    for sequence in 1..=20 {
        owner.settle(sequence).unwrap();
        owner.log.committed(if sequence < 10 { Sync::Now } else { Sync::Later }).unwrap();
    }
    for seed in 0..40 {
        // A torn tail or a whole one, and interrupted starts.
        let mut cut =
            if seed % 4 == 0 { disk.after_kill() } else { disk.after_power_cut(&mut Chance::new(seed)) };
        if seed % 2 == 0 {
            cut.limit(room_of(9));
            cut.fail_after(seed / 2);
            let _ = Owner::open(cut.clone());
            cut = cut.after_kill();
        }
        without_spares(&cut);
        let mut second = Owner::open(cut.clone()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(second.push(), Err(AppendError::Full), "seed {seed}");
        second.check();
        let settled = (1..=messages).rev().take_while(|sequence| {
            let settled = second.messages.contains_key(sequence) && second.settle(*sequence).is_ok();
            if settled {
                second.log.committed(Sync::Now).unwrap();
            }
            settled
        });
        let _ = settled.count();
        let third = Owner::open(cut.after_power_cut(&mut Chance::new(seed)));
        let third = third.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(third.messages.keys().eq(second.messages.keys()), "seed {seed}");
    }
}

#[test]
fn a_start_with_longer_segments_on_a_full_disk_keeps_the_previous_length() {
    let disk = Simulated::default();
    disk.limit(room_of(8));
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    let full = disk.after_kill();
    full.limit(full.used());
    // Two of them are more than all possible spares.
    let longer = Options { segment_bytes: 4 * SEGMENT };
    let log = DiskLog::open_in(full.clone(), longer).unwrap();
    assert_eq!(log.longest_record(), owner.log.longest_record());
    assert!(log.stats().spares >= 2, "the previous reserve is kept");
    full.limit(room_of(40));
    drop(log);
    let log = DiskLog::open_in(full, longer).unwrap();
    assert!(log.longest_record() > owner.log.longest_record());
}

#[test]
fn shorter_segments_of_an_earlier_start_are_not_kept_as_spares() {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    while owner.log.stats().segments < 4 {
        owner.push().unwrap();
        owner.log.committed(Sync::Now).unwrap();
    }
    drop(owner);
    let mut longer = Owner::open_with(disk.after_kill(), 2 * SEGMENT).unwrap();
    while let Some(oldest) = longer.messages.keys().next().copied() {
        longer.settle(oldest).unwrap();
    }
    while longer.log.stats().segments > 1 {
        longer.reclaim().unwrap();
    }
    assert!(longer.log.spares.shortest() >= 2 * SEGMENT);
}

#[test]
fn two_logs_on_one_volume_are_both_emptied_although_others_take_all_freed_space() {
    let disk = Simulated::default();
    let other = disk.beside();
    disk.limit(room_of(20));
    let mut owners = [disk.clone(), other].map(|disk| Owner::open(disk).unwrap());
    let messages = owners.each_mut().map(fill);
    assert!(messages.iter().all(|messages| *messages > 50), "{messages:?}");
    for owner in &mut owners {
        let all: Vec<u64> = owner.messages.keys().copied().collect();
        for sequence in all {
            disk.others_take(disk.volume().unwrap().available as usize);
            owner.settle(sequence).unwrap();
            owner.log.committed(Sync::Now).unwrap();
            if owner.log.reclaim_wanted().is_some() {
                owner.reclaim().unwrap();
            }
        }
    }
    disk.others_take(0);
    for owner in &mut owners {
        let refused = (0..3000).take_while(|_| owner.push().is_err()).count();
        assert!(refused < 3000, "an emptied log accepts messages");
        owner.log.committed(Sync::Now).unwrap();
    }
}

#[test]
fn an_older_log_that_had_no_room_for_copies_is_left_when_all_of_it_is_settled() {
    let (disk, options) = (Simulated::default(), Options { segment_bytes: SEGMENT });
    let new = disk.beside();
    disk.limit(room_of(20));
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    drop(owner);
    disk.limit(disk.used() + room_of(4));
    let older = Arc::new(older_log(disk.clone()).unwrap());
    let mut log = DiskLog::open_after(older, new, options).unwrap();
    let mut held = Vec::new();
    log.replayed(|position, head| held.extend((head.content_bytes > 0).then_some(position))).unwrap();
    held.iter().for_each(|position| log.hold(*position));
    // The settles that empty it have used the room for copies.
    let settle = Record::Removed { channel: ChannelId(1), sequence: 0, cause: RemovalCause::Settled };
    while log.older_worth_leaving().is_some() {
        log.append(&settle, Purpose::Settle).unwrap();
        if log.open_bytes() > 1000 {
            log.committed(Sync::Now).unwrap();
        }
    }
    held.iter().for_each(|position| log.release(*position));
    assert!(log.older_worth_leaving().is_some(), "nothing in it has to be copied any more");
}
