//! Any single change of a log's files: an inspection finds no damage only if a start finds all acknowledged records,
//! and a start never continues without some of them.

use std::{cell::Cell, collections::BTreeSet, ops::Range};

use proptest::{
    prelude::{Strategy, any, prop},
    test_runner::{Config, TestRunner},
};

use super::owner::{Owner, SEGMENT};
use crate::log::{
    Log, LogError, Read, Sync,
    conformance::{BlockingLog, wait},
    disk::{
        inspection::inspect,
        simulated::{Chance, Simulated},
        storage::Storage,
    },
};

/// How the broker that wrote the log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Orderly,
    Killed,
    PowerCut,
}

/// A log with several segments, the first of which was freed, and the acknowledged messages.
fn written(end: End) -> (Simulated, BTreeSet<u64>) {
    let disk = Simulated::default();
    let mut owner = Owner::open(disk.clone()).unwrap();
    for sequence in 1..=200 {
        owner.push().unwrap();
        if sequence % 9 == 0 {
            owner.settle(sequence - 5).unwrap();
        }
        owner.log.committed(Sync::Now).unwrap();
        if sequence == 90 {
            owner.reclaim().unwrap();
        }
    }
    owner.wait_for_indexes();
    let messages = owner.messages.keys().copied().collect();
    let disk = match end {
        End::Orderly => {
            owner.log.close().unwrap();
            disk.after_power_cut(&mut Chance::new(1))
        }
        End::Killed => disk.after_kill(),
        End::PowerCut => disk.after_power_cut(&mut Chance::new(2)),
    };
    (disk, messages)
}

#[derive(Debug, Clone)]
enum Change {
    Flipped(usize),
    Zeroed(Range<usize>),
    /// From this offset to the end of the file.
    ZeroedTail(usize),
    Truncated(usize),
    Longer(usize),
    Removed,
    /// Exchanged with the file at this index of the folder's list.
    Exchanged(usize),
    /// Replaced by the same file of another log.
    Foreign,
}

fn change() -> impl Strategy<Value = Change> {
    let at = || prop::sample::select(vec![0, 512, 4096, SEGMENT as usize / 2, SEGMENT as usize - 4096]);
    let at = move || (at(), 0..4096_usize).prop_map(|(from, more)| from + more);
    prop::sample::select((0..8).collect::<Vec<usize>>()).prop_flat_map(move |kind| {
        (at(), 1..20_000_usize, any::<prop::sample::Index>()).prop_map(
            move |(at, length, other)| match kind {
                0 => Change::Flipped(at),
                1 => Change::Zeroed(at..at + length),
                2 => Change::ZeroedTail(at),
                3 => Change::Truncated(at),
                4 => Change::Longer(length),
                5 => Change::Removed,
                6 => Change::Exchanged(other.index(1 << 10)),
                _ => Change::Foreign,
            },
        )
    })
}

impl Change {
    /// Applies the change. Returns whether it changed anything.
    fn apply(&self, disk: &Simulated, name: &str, names: &[String], foreign: &Simulated) -> bool {
        let before = disk.bytes_of(name);
        let mut bytes = before.clone();
        let within = |range: &Range<usize>| range.start.min(before.len())..range.end.min(before.len());
        match self {
            Self::Flipped(at) => {
                let length = bytes.len();
                bytes[at % length] ^= 1 << (at % 8);
            }
            Self::Zeroed(range) => bytes[within(range)].fill(0),
            Self::ZeroedTail(from) => bytes[within(&(*from..usize::MAX))].fill(0),
            Self::Truncated(length) => bytes.truncate(*length),
            Self::Longer(more) => bytes.resize(before.len() + more, 0),
            Self::Removed => {
                disk.remove(name).unwrap();
                disk.sync_folder().unwrap();
                return true;
            }
            Self::Exchanged(other) => {
                let other = &names[other % names.len()];
                bytes = disk.bytes_of(other);
                disk.put(other, before.clone());
            }
            Self::Foreign => match foreign.list().unwrap().iter().find(|other| *other == name) {
                Some(other) => bytes = foreign.bytes_of(other),
                None => return false,
            },
        }
        let is_other = bytes != before;
        disk.put(name, bytes);
        is_other
    }
}

/// Whether a message's record is readable.
fn is_readable(owner: &mut Owner, sequence: u64) -> Result<bool, LogError> {
    let position = owner.messages[&sequence];
    let read = owner.log.read(position)?;
    Ok(match read {
        Read::Here(_) => true,
        Read::Coming(mut coming) => {
            wait(|context| std::pin::Pin::new(&mut coming).poll(context)).is_ok_and(|read| read.is_ok())
        }
    })
}

#[test]
fn an_inspection_finds_no_damage_only_if_a_start_finds_every_acknowledged_record() {
    let foreign = {
        let disk = Simulated::seeded(7);
        let mut owner = Owner::open(disk.clone()).unwrap();
        for _ in 0..200 {
            owner.push().unwrap();
            owner.log.committed(Sync::Now).unwrap();
        }
        owner.wait_for_indexes();
        disk.after_kill()
    };
    for end in [End::Orderly, End::Killed, End::PowerCut] {
        let (whole, acknowledged) = written(end);
        let folder = tempfile::tempdir().unwrap();
        whole.write_to(folder.path());
        assert_eq!(inspect(folder.path(), 0).unwrap().damage(), &[][..], "{end:?}");
        let names = whole.list().unwrap();
        let (sound, refused) = (Cell::new(0), Cell::new(0));
        let config = Config { failure_persistence: None, ..Config::with_cases(400) };
        let mut runner = TestRunner::new(config);
        let file = prop::sample::select(names.clone());
        let outcome = runner.run(&(file, change()).no_shrink(), |(name, change)| {
            let copy = whole.after_kill();
            if !change.apply(&copy, &name, &names, &foreign) {
                return Ok(());
            }
            let folder = tempfile::tempdir().unwrap();
            copy.write_to(folder.path());
            let what = format!("{end:?}, {name}: {change:?}");
            let inspected = inspect(folder.path(), 0);
            let is_sound = inspected.as_ref().is_ok_and(|inspected| inspected.damage().is_empty());
            let mut opened = Owner::open(copy.clone());
            sound.set(sound.get() + u32::from(is_sound));
            refused.set(refused.get() + u32::from(opened.is_err()));
            match &mut opened {
                Ok(owner) => {
                    let found: BTreeSet<u64> = owner.messages.keys().copied().collect();
                    // After a power cut it may be unknown that the last batches were on disk.
                    let lost: Vec<_> = acknowledged.difference(&found).collect();
                    let unknown = if end == End::PowerCut { acknowledged.len() } else { 0 };
                    assert!(lost.len() <= unknown, "{what}: the start has lost {lost:?}");
                    let back: Vec<_> = found.difference(&acknowledged).collect();
                    assert!(back.is_empty() || end == End::PowerCut, "{what}: {back:?} are back");
                    if is_sound && end != End::PowerCut {
                        for sequence in found {
                            assert!(
                                is_readable(owner, sequence).unwrap_or(false),
                                "{what}: {sequence} is unreadable, but no damage was found"
                            );
                        }
                    }
                }
                Err(error) => {
                    assert!(!is_sound, "{what}: no damage was found, but the start was refused: {error}")
                }
            }
            Ok(())
        });
        outcome.unwrap();
        assert!(sound.get() > 20 && refused.get() > 40, "{end:?}: {sound:?} sound, {refused:?} refused");
    }
}
