//! A full disk: it can be emptied, and then filled again.

use super::{
    owner::{Owner, SEGMENT},
    simulated::Simulated,
};
use crate::log::{
    Sync,
    disk::{AppendError, OpenError},
};

fn fill(owner: &mut Owner) -> u64 {
    let mut pushed = 0;
    loop {
        match owner.push() {
            Ok(_) => pushed += 1,
            Err(AppendError::Full) => return pushed,
            Err(other) => panic!("{other}"),
        }
        owner.log.commit(Sync::Now).unwrap();
    }
}

#[test]
fn a_full_disk_refuses_pushes_takes_settles_and_has_room_again_when_emptied() {
    let disk = Simulated::default();
    disk.limit(8 * SEGMENT as usize);
    let mut owner = Owner::open(disk.clone()).unwrap();
    assert!(fill(&mut owner) > 50);
    assert_eq!(owner.push(), Err(AppendError::Full));
    let messages: Vec<u64> = owner.messages.keys().copied().collect();
    for sequence in messages {
        owner.settle(sequence).unwrap();
        owner.log.commit(Sync::Now).unwrap();
    }
    while owner.log.reclaim_wanted() {
        owner.reclaim().unwrap();
    }
    assert!(fill(&mut owner) > 50, "an emptied disk has room");
}

#[test]
fn a_full_log_opens_again_with_everything_in_it() {
    let disk = Simulated::default();
    disk.limit(8 * SEGMENT as usize);
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    let again = disk.after_kill();
    again.limit(8 * SEGMENT as usize);
    let mut reopened = Owner::open(again).unwrap();
    assert_eq!(reopened.messages.len(), owner.messages.len());
    reopened.check();
    let first = *reopened.messages.keys().next().unwrap();
    reopened.settle(first).unwrap();
    reopened.log.commit(Sync::Now).unwrap();
}

#[test]
fn a_volume_without_room_for_one_segment_is_refused_with_what_is_needed() {
    let disk = Simulated::default();
    disk.limit(SEGMENT as usize / 2);
    let error = Owner::open(disk.clone()).err().expect("there is no room");
    assert!(matches!(error, OpenError::Full { segment_bytes: SEGMENT, .. }), "{error}");
    assert_eq!(disk.used(), 0, "what could not be finished takes no room");
}

#[test]
fn an_enlarged_volume_is_noticed() {
    let disk = Simulated::default();
    disk.limit(8 * SEGMENT as usize);
    let mut owner = Owner::open(disk.clone()).unwrap();
    fill(&mut owner);
    disk.limit(16 * SEGMENT as usize);
    let refusals = (0..10_000).take_while(|_| owner.push() == Err(AppendError::Full)).count();
    assert!((1..10_000).contains(&refusals), "{refusals} refusals");
}
